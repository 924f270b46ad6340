"""The optimizer: a request on its way to the provider, prepared for the provider's own cache.

It knows how each model's provider caches (`provider/rules`), how often prefixes are sent again
(`reuse_stats`) and where markers pay (`breakpoints`). Three things limit it: the level that the
user chose, the sender's own markers, which always win, and the provider's reports: a route on which
markers lost money is paused. A request that is not fully understood is sent byte for byte as it
came. Time is a parameter, in seconds.
"""

import hashlib
import math
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from askonce.core.models import Usage
from askonce.core.rules.patterns import Pattern
from askonce.prompts.optimizer.breakpoints import MarkerChoice, PromptSize, choose
from askonce.prompts.optimizer.markers import can_be_marked, mark
from askonce.prompts.optimizer.reuse_stats import PrefixReuse, ReuseStats, RouteReuse
from askonce.prompts.optimizer.stable_tools import StableTools
from askonce.prompts.optimizer.volatile_spans import VolatileSpans
from askonce.prompts.optimizer.volatile_tail import append_tail, remove_spans, tail_role
from askonce.prompts.provider.rules import Lifetime, ProviderRule, RuleBook, Section
from askonce.prompts.provider.tokens import BYTES_PER_TOKEN
from askonce.prompts.requests.dialects import PROVIDERS, Dialect
from askonce.prompts.requests.raw_json import NotUnderstood, encode, is_null, parse_text
from askonce.prompts.requests.request_parts import (
    PrefixBoundary,
    RequestPart,
    RequestParts,
    boundaries,
    is_marked,
)
from askonce.prompts.settings import Level

_KEY = "prompt_cache_key"


class OutgoingRequest(msgspec.Struct, frozen=True):
    """A request that is about to be sent.

    `namespace` is the caller's; None if the caller is not known.
    """

    dialect: Dialect
    origin: str
    path: str
    namespace: str | None
    body: bytes


class PlannedMarker(msgspec.Struct, frozen=True):
    """A marker: its JSON pointer in the request as it was sent, and the lifetime it asks for."""

    pointer: str
    ttl: str


class PlanReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a request, why, and what it is expected to save.

    did              `marked`, `keyed`, `explicit`, `frozen`, `split`, or nothing
    reason           `ok`, or why no marker was set
    tokens           the tokens of the prompt; an estimate until the provider has counted some
    expected_tokens  what the markers save against sending the request as it came, in tokens at
                     the input price; never negative
    expected_usd     the same in US dollars; None if the price is not known
    """

    level: Level
    did: tuple[str, ...] = ()
    reason: str = "ok"
    provider: str = ""
    model: str = ""
    markers: tuple[PlannedMarker, ...] = ()
    tokens: int = 0
    expected_tokens: float = 0.0
    expected_usd: Decimal | None = None


class PromptPlan(msgspec.Struct, frozen=True):
    """The body to send, and why.

    prefixes  the prefixes that this call writes or reads, the longest last
    lifetime  how long the provider keeps them, in seconds
    route     the statistics to update; None if the request was left alone
    size      the prompt's bytes
    write, read  the prices of writing and reading a token, as multiples of the input price
    """

    body: bytes
    report: PlanReport
    prefixes: tuple[bytes, ...] = ()
    lifetime: float = 0.0
    route: RouteReuse | None = None
    size: int = 0
    write: float = 1.0
    read: float = 1.0


class Optimizer:
    """Prepares requests, and learns from them. Not safe for several threads at once.

    Parameters:
        rules: how the providers cache.
        level: what may be changed.
        volatile: patterns of text that changes with every call, for the level `split`.
    """

    def __init__(self, rules: RuleBook, level: Level, volatile: Sequence[Pattern] = ()) -> None:
        self._rules = rules
        self.level = level
        self._volatile = volatile
        self._tools = StableTools()
        self._reuse = ReuseStats()
        self._prices: dict[tuple[str, str], Decimal | None] = {}

    def plan(self, sent: OutgoingRequest, now: float) -> PromptPlan:
        """Decide what to send instead of a request; `now` must not go back by much."""
        try:
            return self._plan(sent, now)
        except NotUnderstood as error:
            return PromptPlan(sent.body, PlanReport(level=self.level, reason=error.reason))

    def record_usage(self, plan: PromptPlan, usage: Usage, now: float) -> None:
        """Learn from the usage that the provider reported for a planned call."""
        route = plan.route
        if route is None:
            return
        if not plan.report.did or plan.report.did == ("keyed",):
            route.calibrate(plan.size, usage.input_tokens)
        if plan.report.markers:
            saved = usage.cache_read_tokens * (1 - plan.read)
            route.add_savings(saved - usage.cache_write_tokens * (plan.write - 1), now)

    def record_refusal(self, plan: PromptPlan, now: float) -> None:
        """The provider refused a prepared request: pause its route for a day."""
        if plan.route is not None:
            plan.route.pause(now)

    def set_price(self, origin: str, model: str, usd_per_token: Decimal | None) -> None:
        """Set the price of an input token, None if unknown; reports name dollars from now on."""
        if len(self._prices) < 10_000:
            self._prices[origin, model] = usd_per_token

    def needs_price(self, origin: str, model: str) -> bool:
        return (origin, model) not in self._prices

    def _plan(self, sent: OutgoingRequest, now: float) -> PromptPlan:
        request = RequestParts(sent.dialect, sent.body)
        model = parse_text(request.members.get("model")) or ""
        if sent.dialect == "gemini":
            model = sent.path.rpartition("/models/")[2].partition(":")[0]
        provider = self._rules.provider(sent.origin) or PROVIDERS[sent.dialect]
        rule = self._rules.rule(provider, model)
        report = PlanReport(level=self.level, provider=provider, model=model)
        if rule is None:
            report = msgspec.structs.replace(report, reason="unknown-model")
            return PromptPlan(sent.body, report)
        scope = "\n".join((sent.namespace or "", sent.origin, sent.path, provider)).encode()
        if is_marked(sent.body):
            found = boundaries(request, scope, rule.invalidators)
            own = [one for one in found if is_marked(bytes(_part(request, one).raw))]
            if is_marked(encode(sorted(request.members))):
                own = found
            return PromptPlan(
                sent.body,
                msgspec.structs.replace(report, reason="client-marked"),
                tuple([one.digest for one in own if one.size >= rule.min_tokens * BYTES_PER_TOKEN]),
                _lifetime(rule),
            )
        return _RequestPlanner(self, sent, request, rule, report, scope).plan(now)


class _RequestPlanner:
    """Prepares one request."""

    def __init__(
        self,
        optimizer: Optimizer,
        sent: OutgoingRequest,
        request: RequestParts,
        rule: ProviderRule,
        report: PlanReport,
        scope: bytes,
    ) -> None:
        self._optimizer = optimizer
        self._sent = sent
        self._request = request
        self._rule = rule
        self._report = report
        self._scope = scope
        self._changed: set[Section] = set()
        self._added: dict[str, bytes] = {}
        self._did: list[str] = []
        self._tail = ""

    def plan(self, now: float) -> PromptPlan:
        optimizer, request, rule = self._optimizer, self._request, self._rule
        model = self._report.model
        route = optimizer._reuse.route((self._scope, model))
        may_change = optimizer.level != "observe" and not route.is_paused(now)
        if may_change:
            self._remove_volatile()
            self._stabilize_tools()
        found = boundaries(request, self._scope, rule.invalidators)
        lifetimes = [float(life.seconds) for life in self._ttls().values()]
        implicit = rule.automatic == "default"
        seen = optimizer._reuse.observe(route, found, lifetimes, now, ends_are_written=implicit)
        size = found[-1].size if found else 0
        tokens = round(size / route.bytes_per_token)
        is_long = size >= route.bytes_of(rule.min_tokens)
        choice = self._choice(seen, route, tokens, is_long)
        if may_change:
            self._set_markers(choice)
            if is_long and self._takes_key():
                self._added[_KEY] = encode(self._key(found, route))
                self._did.append("keyed")
            append_tail(request, self._tail, tail_role(rule.provider, model))
        marked = "marked" in self._did
        reason = "resting" if route.is_paused(now) else choice.reason
        return PromptPlan(
            request.body(self._changed, self._added) if self._did else self._sent.body,
            self._done_report(choice, reason, tokens, marked=marked),
            self._prefixes(found, choice, route, marked=marked),
            _lifetime(rule),
            route,
            size,
            choice.write if marked else 1.0,
            float(rule.read),
        )

    def _done_report(
        self, choice: MarkerChoice, reason: str, tokens: int, *, marked: bool
    ) -> PlanReport:
        markers = [PlannedMarker(one.pointer, ttl) for one, ttl in choice.marked if marked]
        return msgspec.structs.replace(
            self._report,
            did=tuple(self._did),
            reason=reason,
            markers=tuple(markers),
            tokens=tokens,
            expected_tokens=choice.saves,
            expected_usd=self._usd(choice.saves),
        )

    def _remove_volatile(self) -> None:
        if self._optimizer.level != "split":
            return
        volatile = VolatileSpans(self._optimizer._volatile)
        if remove_spans(self._request, volatile):
            self._changed |= {"system", "messages"}
            self._did.append("split")
            self._tail = volatile.tail

    def _stabilize_tools(self) -> None:
        tools = self._request.tools
        if tools is None:
            return
        stable = self._optimizer._tools.stabilize((self._scope, self._report.model), tools.raw)
        if bytes(stable) != bytes(tools.raw):
            tools.raw = stable
            self._changed.add("tools")
            self._did.append("frozen")

    def _ttls(self) -> dict[str, Lifetime]:
        """Return the lifetimes that a marker of this request may ask for."""
        ttls = {
            name: life
            for name, life in self._rule.ttls.items()
            if not life.dialects or self._sent.dialect in life.dialects
        }
        if self._rule.marker == "anthropic":
            return ttls
        name = self._rule.default_ttl
        return {name: self._rule.ttls[name]}

    def _choice(
        self, seen: Sequence[PrefixReuse], route: RouteReuse, tokens: int, is_long: bool
    ) -> MarkerChoice:
        """Choose the markers; none if the model takes none or nothing is known yet."""
        rule = self._rule
        if rule.marker not in ("anthropic", "openai") or not rule.max_writes:
            return MarkerChoice(reason="automatic")
        if not is_long:
            return MarkerChoice(reason="too-short")
        implicit = rule.automatic == "default"
        able = [
            one
            for one in seen
            if (implicit and one.boundary.kind == "end")
            or can_be_marked(self._request, _part(self._request, one.boundary))
        ]
        size = PromptSize(tokens, route.bytes_per_token, route.bytes_of(rule.min_tokens))
        return choose(able, rule, self._ttls(), size, implicit=implicit, known=route.calls > 1)

    def _set_markers(self, choice: MarkerChoice) -> None:
        for boundary, ttl in choice.marked:
            part = _part(self._request, boundary)
            if mark(self._request, part, None if ttl == self._rule.default_ttl else ttl):
                self._changed.add(part.section)
                if "marked" not in self._did:
                    self._did.append("marked")
        if choice.explicit:
            self._added["prompt_cache_options"] = encode({"mode": "explicit"})
            self._did.append("explicit")

    def _takes_key(self) -> bool:
        if self._rule.key_field != _KEY or self._sent.namespace is None:
            return False
        # In Chat Completions xAI takes a header instead.
        if self._rule.provider == "xai" and self._sent.dialect != "responses":
            return False
        return is_null(self._request.members.get(_KEY))

    def _key(self, found: Sequence[PrefixBoundary], route: RouteReuse) -> str:
        """Return the cache key: the caller, and its prefix and shard if keys route requests."""
        rule = self._rule
        who = hashlib.blake2b((self._sent.namespace or "").encode(), digest_size=8).hexdigest()
        if rule.key_isolates:
            return f"askonce-{who}"
        stable = [one.digest for one in found if one.kind in ("tools", "system")]
        head = stable[-1] if stable else hashlib.blake2b(self._scope, digest_size=16).digest()
        key = f"askonce-{who}-{head[:6].hex()}"
        limit = rule.requests_per_key_minute
        if not limit or not route.pace:
            return key
        shards = 1 << max(0, math.ceil(math.log2(max(60 / route.pace / limit, 1))))
        if shards == 1:
            return key
        conversation = next((one.digest for one in found if one.kind in ("turn", "end")), head)
        return f"{key}-{int.from_bytes(conversation[:4]) % shards}"

    def _prefixes(
        self,
        found: Sequence[PrefixBoundary],
        choice: MarkerChoice,
        route: RouteReuse,
        *,
        marked: bool,
    ) -> tuple[bytes, ...]:
        """Return the prefixes that are worth waiting for while another call writes them."""
        rule = self._rule
        if rule.available_after != "first_byte":
            return ()
        ends = [one for one, _ in choice.marked] if marked else []
        if rule.matching == "prefix":
            ends = [one for one in found if one.kind != "tools"]
        least = route.bytes_of(rule.min_tokens)
        return tuple([one.digest for one in ends if one.size >= least])

    def _usd(self, tokens: float) -> Decimal | None:
        price = self._optimizer._prices.get((self._sent.origin, self._report.model))
        return None if price is None else price * Decimal(repr(tokens))


def _part(request: RequestParts, boundary: PrefixBoundary) -> RequestPart:
    if boundary.kind == "tools":
        assert request.tools is not None
        return request.tools
    return (request.system if boundary.kind == "system" else request.messages)[boundary.at]


def _lifetime(rule: ProviderRule) -> float:
    return float(rule.ttls[rule.default_ttl].seconds)
