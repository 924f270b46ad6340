"""Prompting: what a provider's own prompt cache needs is done on the way to the provider.

The request that goes upstream is prepared by the optimizer; its key was made before, from what the
caller sent. Everything here is inside the fail-open boundary: where it fails, and where the
provider does not take what was made of it, the caller's own bytes go out.
"""

import logging
from contextlib import AbstractContextManager
from typing import Any

from askonce.core.fail_open import FailOpen
from askonce.core.models import Call, Usage
from askonce.core.protocols import Prices, Response, Upstream
from askonce.core.runtime.interface import Runtime
from askonce.formats import recognize
from askonce.ledger.ledger import Ledger
from askonce.prompts.optimizer.optimizer import Optimizer, Outgoing, PlanReport, PromptPlan
from askonce.prompts.prefix_lock import PrefixLock, PrefixWrite
from askonce.prompts.requests.request_parts import Dialect

_log = logging.getLogger("askonce.prompts")

HEADER = "askonce-prompts"
"""The response header that says what was done to a request."""

_DIALECTS: dict[str, Dialect] = {"openai_chat": "chat", "anthropic_messages": "messages"}
_REFUSALS = (400, 422)
_MANY = 100_000  # tokens; a price per token is one of so many


class PromptService:
    """The optimizer, in one flavor of the story."""

    def __init__(
        self,
        optimizer: Optimizer,
        warming: PrefixLock,
        lock: AbstractContextManager[Any],
        *,
        hold: float,
        runtime: Runtime,
        ledger: Ledger,
        prices: Prices | None,
    ) -> None:
        self._optimizer = optimizer
        self._warming = warming
        self._lock = lock
        self._hold = hold
        self._runtime = runtime
        self._ledger = ledger
        self._prices = prices
        self.boundary = FailOpen(ledger)

    def through(self, upstream: Upstream) -> "PreparedUpstream":
        """The same upstream, asked with prepared requests; for one call."""
        return PreparedUpstream(self, upstream)

    def plan(self, call: Call, body: bytes) -> PromptPlan | None:
        """What to send in the place of a body; None where nothing is to be thought of it."""
        plan: PromptPlan | None = None
        with self.boundary.around("prompts"):
            known = recognize(call.path.partition("?")[0])
            dialect = None if known is None else _DIALECTS.get(known.name)
            if dialect is None or call.method != "POST":
                return None
            path = call.path.partition("?")[0]
            sent = Outgoing(dialect, call.origin, path, call.namespace, body)
            now = self._runtime.now()
            with self._lock:
                plan = self._optimizer.plan(sent, now)
            self._note(plan.report)
        return plan

    async def turn(self, plan: PromptPlan) -> PrefixWrite | None:
        """Wait while somebody else writes the same prefix; what is got has to be left."""
        writing: PrefixWrite | None = None
        if not self._hold or not plan.prefixes:
            return None
        with self.boundary.around("prompts"):
            writing = await self._warming.enter(
                plan.prefixes, self._runtime, lifetime=plan.lifetime, hold=self._hold
            )
            if writing.waited:
                self._ledger.prompts("held")
        return writing

    def heard(self, plan: PromptPlan, call: Call, usage: Usage) -> None:
        """The provider reported what a planned call took."""
        with self.boundary.around("prompts"):
            now = self._runtime.now()
            with self._lock:
                self._optimizer.heard(plan, usage, now)
                priced = not self._optimizer.wants_price(call.origin, plan.report.model)
            if priced or self._prices is None or not plan.report.model:
                return
            many = Usage(input_tokens=_MANY)
            cost = self._prices.cost(plan.report.model, call.origin, many)
            with self._lock:
                price = None if cost is None else cost / _MANY
                self._optimizer.priced(call.origin, plan.report.model, price)

    def refused(self, plan: PromptPlan) -> None:
        """The provider took the caller's own request and not what was made of it."""
        with self.boundary.around("prompts"):
            self._ledger.prompts("refused")
            now = self._runtime.now()
            with self._lock:
                self._optimizer.refused(plan, now)
            _log.warning("%s refuses prepared prompts; they go out as they are", plan.report.model)

    def _note(self, report: PlanReport) -> None:
        for word in report.did:
            self._ledger.prompts(word)
        if report.reason != "ok":
            self._ledger.prompts(report.reason)
        elif not report.did and report.expected_tokens:
            self._ledger.prompts("would-mark")
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s", told(report))


class PreparedUpstream:
    """An `Upstream` for one call, which prepares what is sent."""

    def __init__(self, prompting: PromptService, upstream: Upstream) -> None:
        self._prompting = prompting
        self._upstream = upstream
        self._asked: tuple[PromptPlan, Call] | None = None

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        prompting = self._prompting
        plan = prompting.plan(call, body)
        if plan is None:
            return await self._upstream.ask(call, body, raw=raw)
        writing = await prompting.turn(plan)
        warm = False
        try:
            response = await self._upstream.ask(call, plan.body, raw=raw)
            if plan.report.did and response.status in _REFUSALS:
                await response.close()
                response = await self._upstream.ask(call, body, raw=raw)
                if response.status not in _REFUSALS:
                    prompting.refused(plan)
                return response
            warm = response.status < 400
        finally:
            if writing is not None:
                writing.leave(warm=warm)
        self._asked = (plan, call)
        if plan.report.did:
            response.headers = [*response.headers, (HEADER, told(plan.report))]
        return response

    def heard(self, usage: Usage | None) -> None:
        """What the answer took, once it is whole."""
        asked, self._asked = self._asked, None
        if asked is not None and usage is not None:
            self._prompting.heard(*asked, usage)


def told(report: PlanReport) -> str:
    """A report as a header's value."""
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
