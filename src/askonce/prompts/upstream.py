"""The upstream that prepares requests for the provider's own prompt cache.

The optimizer prepares what is sent upstream; the key was computed before, from what the caller
sent. All of it runs inside the fail-open boundary: if it fails, or if the provider refuses the
prepared request, the caller's own bytes are sent.
"""

import logging
from contextlib import AbstractContextManager
from typing import Any

from askonce.core.content_encoding import codings_of
from askonce.core.fail_open import FailOpen
from askonce.core.models import Call, Usage
from askonce.core.protocols import Prices, Response, Upstream
from askonce.core.runtime.interface import Runtime
from askonce.formats import recognize
from askonce.ledger.ledger import Ledger
from askonce.ledger.prices import input_token_price
from askonce.prompts.optimizer.optimizer import (
    Optimizer,
    OutgoingRequest,
    PlanReport,
    PromptPlan,
)
from askonce.prompts.prefix_lock import HeldPrefixes, PrefixLock
from askonce.prompts.requests.dialects import Dialect

_log = logging.getLogger("askonce.prompts")

HEADER = "askonce-prompts"
"""The response header that reports what was done to a request."""

_DIALECTS: dict[str, Dialect] = {"openai_chat": "chat", "anthropic_messages": "messages"}
_REFUSALS = (400, 422)


class PromptOptimization:
    """The optimizer as one mode's pipeline uses it: with its locks, the ledger and prices.

    Parameters:
        optimizer: plans the requests; shared by the modes.
        prefix_lock: lets one call write a prefix; shared by the modes.
        lock: guards the optimizer; never held across an await.
        hold: how long a call waits for a prefix at most, in seconds; 0 never waits.
        runtime: the mode's clock and events.
        ledger: counts what was done and the faults.
        prices: prices the tokens; None without dollars.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        prefix_lock: PrefixLock,
        lock: AbstractContextManager[Any],
        *,
        hold: float,
        runtime: Runtime,
        ledger: Ledger,
        prices: Prices | None,
    ) -> None:
        self._optimizer = optimizer
        self._prefix_lock = prefix_lock
        self._lock = lock
        self._hold = hold
        self._runtime = runtime
        self._ledger = ledger
        self._prices = prices
        self._fail_open = FailOpen(ledger)

    def wrap(self, upstream: Upstream) -> "OptimizedUpstream":
        """Return the same upstream with prepared requests, for one call."""
        return OptimizedUpstream(self, upstream)

    def plan(self, call: Call, body: bytes) -> PromptPlan | None:
        """Decide what to send instead of a body; None if it is not a prompt that we understand."""
        plan: PromptPlan | None = None
        with self._fail_open.around("prompts"):
            path = call.path.partition("?")[0]
            known = recognize(path)
            dialect = None if known is None else _DIALECTS.get(known.name)
            if dialect is None or call.method != "POST" or codings_of(call.headers):
                return None
            sent = OutgoingRequest(dialect, call.origin, path, call.namespace, body)
            now = self._runtime.now()
            with self._lock:
                plan = self._optimizer.plan(sent, now)
            self._count(plan.report)
        return plan

    async def acquire(self, plan: PromptPlan) -> HeldPrefixes | None:
        """Wait while another call writes the same prefix. The caller must release the result."""
        held: HeldPrefixes | None = None
        if not self._hold or not plan.prefixes:
            return None
        with self._fail_open.around("prompts"):
            held = await self._prefix_lock.acquire(
                plan.prefixes, self._runtime, lifetime=plan.lifetime, hold=self._hold
            )
            if held.waited:
                self._ledger.prompts("held")
        return held

    def record_usage(self, plan: PromptPlan, call: Call, usage: Usage) -> None:
        """Learn from the usage that the provider reported for a planned call."""
        with self._fail_open.around("prompts"):
            model = plan.report.model
            now = self._runtime.now()
            with self._lock:
                self._optimizer.record_usage(plan, usage, now)
                is_priced = not self._optimizer.needs_price(call.origin, model)
            if is_priced or self._prices is None or not model:
                return
            price = input_token_price(self._prices, model, call.origin)
            with self._lock:
                self._optimizer.set_price(call.origin, model, price)

    def record_refusal(self, plan: PromptPlan) -> None:
        """The provider accepted the caller's own request but not the prepared one."""
        with self._fail_open.around("prompts"):
            self._ledger.prompts("refused")
            now = self._runtime.now()
            with self._lock:
                self._optimizer.record_refusal(plan, now)
            _log.warning(
                "%s refuses prepared prompts; they are sent as they came", plan.report.model
            )

    def _count(self, report: PlanReport) -> None:
        for word in report.did:
            self._ledger.prompts(word)
        if report.reason != "ok":
            self._ledger.prompts(report.reason)
        elif not report.did and report.expected_tokens:
            self._ledger.prompts("would-mark")
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s", header_value(report))


class OptimizedUpstream:
    """An `Upstream` for one call that prepares what is sent."""

    def __init__(self, optimization: PromptOptimization, upstream: Upstream) -> None:
        self._optimization = optimization
        self._upstream = upstream
        self._sent: tuple[PromptPlan, Call] | None = None

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        optimization = self._optimization
        plan = optimization.plan(call, body)
        if plan is None:
            return await self._upstream.ask(call, body, raw=raw)
        held = await optimization.acquire(plan)
        written = False
        try:
            response = await self._upstream.ask(call, plan.body, raw=raw)
            if plan.report.did and response.status in _REFUSALS:
                await response.close()
                response = await self._upstream.ask(call, body, raw=raw)
                if response.status not in _REFUSALS:
                    optimization.record_refusal(plan)
                return response
            written = response.status < 400
        finally:
            if held is not None:
                held.release(written=written)
        self._sent = (plan, call)
        if plan.report.did:
            response.headers = [*response.headers, (HEADER, header_value(plan.report))]
        return response

    def record_usage(self, usage: Usage | None) -> None:
        """Learn from the usage of the answer, once it is complete."""
        sent, self._sent = self._sent, None
        if sent is not None and usage is not None:
            self._optimization.record_usage(*sent, usage)


def header_value(report: PlanReport) -> str:
    """Write a report as the value of the response header."""
    words = [f"did={'+'.join(report.did) or 'nothing'}", f"because={report.reason}"]
    if report.markers:
        where = ", ".join(f"{one.pointer} {one.ttl}" for one in report.markers)
        words.append(f'at="{where}"')
    words.append(f"tokens={report.tokens}")
    if report.expected_tokens:
        words.append(f"saves={round(report.expected_tokens)}")
    if report.expected_usd is not None and report.expected_tokens:
        words.append(f"usd={report.expected_usd:.6f}")
    return "; ".join(words)
