"""The optimizer: a request on its way to the provider, prepared for the provider's own cache.

It knows how each model's provider caches (`provider_rules`), how often prefixes come again
(`sightings`) and where markers pay (`choices`). What it does is bounded by the level that the
user chose, by the sender's own markers, which always win, and by what the provider reports: a
route on which markers lost money is left alone. A request that is not fully understood goes out
byte for byte as it came. Time is a parameter.
"""

import hashlib
import math
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from askonce.core.models import Usage
from askonce.prompts.optimizer.breakpoints import Choice, choose
from askonce.prompts.optimizer.markers import can_be_marked, mark
from askonce.prompts.optimizer.reuse_stats import PrefixReuse, ReuseStats, RouteReuse
from askonce.prompts.optimizer.stable_tools import FrozenTools
from askonce.prompts.optimizer.volatile_tail import cut_out, place_of, say_late
from askonce.prompts.optimizer.volatile_text import Cut, Finder
from askonce.prompts.provider.rules import Lifetime, ProviderRule, RuleBook
from askonce.prompts.provider.tokens import BYTES_PER_TOKEN
from askonce.prompts.requests.members import NotUnderstood, encoded, is_null, text
from askonce.prompts.requests.request_parts import (
    Dialect,
    PartBoundary,
    RequestPart,
    RequestParts,
    Section,
    boundaries,
    is_marked,
)
from askonce.prompts.settings import Level

_KEY = "prompt_cache_key"
_FAMILY = {"chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "gemini"}


class Outgoing(msgspec.Struct, frozen=True):
    """A request that is about to be sent; `namespace` is who asks, None where nobody knows."""

    dialect: Dialect
    origin: str
    path: str
    namespace: str | None
    body: bytes


class PlannedMarker(msgspec.Struct, frozen=True):
    """A breakpoint: where in the request as it was sent, and how long it is to live."""

    pointer: str
    ttl: str


class PlanReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a request, why, and what it is expected to save.

    did      `marked` `keyed` `explicit` `frozen` `split`, or nothing
    because  `ok`, or why no marker was set
    tokens   what the prompt is taken to have; an estimate, until the provider has counted some
    expected_tokens, expected_usd  won against sending it as it came, at the price of input
             tokens; negative never, None where the price is not known
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
    """What to send, and why. `prefixes` name what this call writes or reads, longest last."""

    body: bytes
    report: PlanReport
    prefixes: tuple[bytes, ...] = ()
    lifetime: float = 0.0
    route: RouteReuse | None = None
    size: int = 0
    write: float = 1.0
    read: float = 1.0


class Optimizer:
    """Prepares requests, and learns from them; not safe to be used by two threads at once."""

    def __init__(self, rules: RuleBook, level: Level, volatile: Sequence[Finder] = ()) -> None:
        self._rules = rules
        self.level = level
        self._volatile = volatile
        self._frozen = FrozenTools()
        self._sightings = ReuseStats()
        self._prices: dict[tuple[str, str], Decimal | None] = {}

    def plan(self, sent: Outgoing, now: float) -> PromptPlan:
        """What to send in the place of a request; `now` in seconds, never going back by much."""
        try:
            return self._planned(sent, now)
        except NotUnderstood as error:
            return PromptPlan(sent.body, PlanReport(level=self.level, reason=error.reason))

    def heard(self, plan: PromptPlan, usage: Usage, now: float) -> None:
        """The provider reported what a planned call took."""
        route = plan.route
        if route is None:
            return
        if not plan.report.did or plan.report.did == ("keyed",):
            route.counted(plan.size, usage.input_tokens)
        if plan.report.markers:
            won = usage.cache_read_tokens * (1 - plan.read)
            route.paid(won - usage.cache_write_tokens * (plan.write - 1), now)

    def refused(self, plan: PromptPlan, now: float) -> None:
        """The provider refused what was made of a request: nothing is made for a day."""
        if plan.route is not None:
            plan.route.rest(now)

    def priced(self, origin: str, model: str, usd_per_token: Decimal | None) -> None:
        """An input token costs so much, or nobody knows; reports say dollars from now on."""
        if len(self._prices) < 10_000:
            self._prices[origin, model] = usd_per_token

    def wants_price(self, origin: str, model: str) -> bool:
        return (origin, model) not in self._prices

    def _planned(self, sent: Outgoing, now: float) -> PromptPlan:
        anatomy = RequestParts(sent.dialect, sent.body)
        model = text(anatomy.members.get("model")) or ""
        if sent.dialect == "gemini":
            model = sent.path.rpartition("/models/")[2].partition(":")[0]
        provider = self._rules.provider(sent.origin) or _FAMILY[sent.dialect]
        rule = self._rules.rule(provider, model)
        report = PlanReport(level=self.level, provider=provider, model=model)
        if rule is None:
            return PromptPlan(sent.body, _because(report, "unknown-model"))
        place = "\n".join((sent.namespace or "", sent.origin, sent.path, provider)).encode()
        if is_marked(sent.body):
            found = boundaries(anatomy, place, rule.invalidators)
            own = [one for one in found if is_marked(bytes(_part(anatomy, one).raw))]
            if is_marked(encoded(sorted(anatomy.members))):
                own = found
            return PromptPlan(
                sent.body,
                _because(report, "client-marked"),
                tuple([one.digest for one in own if one.size >= rule.min_tokens * BYTES_PER_TOKEN]),
                _lifetime(rule),
            )
        return _Work(self, sent, anatomy, rule, report, place).done(now)


class _Work:
    """One request being prepared."""

    def __init__(
        self,
        optimizer: Optimizer,
        sent: Outgoing,
        anatomy: RequestParts,
        rule: ProviderRule,
        report: PlanReport,
        place: bytes,
    ) -> None:
        self._optimizer = optimizer
        self._sent = sent
        self._anatomy = anatomy
        self._rule = rule
        self._report = report
        self._place = place
        self._changed: set[Section] = set()
        self._members: dict[str, bytes] = {}
        self._did: list[str] = []
        self._tail = ""

    def done(self, now: float) -> PromptPlan:
        optimizer, sent, rule = self._optimizer, self._sent, self._rule
        route = optimizer._sightings.route((self._place, self._report.model))
        changes = optimizer.level != "observe" and not route.rests(now)
        if changes:
            self._split()
            self._freeze()
        found = boundaries(self._anatomy, self._place, rule.invalidators)
        lifetimes = [float(life.seconds) for life in self._ttls().values()]
        implicit = rule.automatic == "default"
        seen = optimizer._sightings.see(route, found, lifetimes, now, ends_are_written=implicit)
        size = found[-1].size if found else 0
        tokens = round(size / route.bytes_per_token)
        least = route.bytes_of(rule.min_tokens)
        choice = self._choice(seen, route, tokens, size >= least)
        report = msgspec.structs.replace(
            self._report,
            reason="resting" if route.rests(now) else choice.reason,
            tokens=tokens,
            expected_tokens=choice.saves,
            expected_usd=self._usd(choice.saves),
        )
        if changes:
            self._carry_out(choice, found, route, size >= least)
            say_late(self._anatomy, self._tail, place_of(rule.provider, report.model))
        body = sent.body
        if self._did:
            body = self._anatomy.body(self._changed, self._members)
        markers = tuple([PlannedMarker(one.pointer, ttl) for one, ttl in choice.marked])
        marked = "marked" in self._did
        report = msgspec.structs.replace(
            report, did=tuple(self._did), markers=markers if marked else ()
        )
        return PromptPlan(
            body,
            report,
            self._prefixes(found, choice, route, marked=marked),
            _lifetime(rule),
            route,
            size,
            choice.write if marked else 1.0,
            float(rule.read),
        )

    def _split(self) -> None:
        if self._optimizer.level != "split":
            return
        cut = Cut(self._optimizer._volatile)
        if cut_out(self._anatomy, cut):
            self._changed |= {"system", "messages"}
            self._did.append("split")
            self._tail = cut.tail

    def _freeze(self) -> None:
        tools = self._anatomy.tools
        if tools is None:
            return
        frozen = self._optimizer._frozen.frozen((self._place, self._report.model), tools.raw)
        if bytes(frozen) != bytes(tools.raw):
            tools.raw = frozen
            self._changed.add("tools")
            self._did.append("frozen")

    def _ttls(self) -> dict[str, Lifetime]:
        """The lifetimes that a marker of this request may ask for."""
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
        self, seen: Sequence[PrefixReuse], route: RouteReuse, tokens: int, enough: bool
    ) -> Choice:
        """Where to mark; nothing where the model is not marked, or nothing is known yet."""
        rule = self._rule
        if rule.marker not in ("anthropic", "openai") or not rule.max_writes:
            return Choice(reason="automatic")
        if not enough:
            return Choice(reason="too-short")
        per_token, least = route.bytes_per_token, route.bytes_of(rule.min_tokens)
        implicit = rule.automatic == "default"
        able = [
            one
            for one in seen
            if (implicit and one.boundary.kind == "end")
            or can_be_marked(self._anatomy, _part(self._anatomy, one.boundary))
        ]
        known = route.calls > 1
        return choose(
            able, rule, self._ttls(), tokens, per_token, least, implicit=implicit, known=known
        )

    def _carry_out(
        self, choice: Choice, found: Sequence[PartBoundary], route: RouteReuse, enough: bool
    ) -> None:
        rule, anatomy = self._rule, self._anatomy
        for boundary, ttl in choice.marked:
            part = _part(anatomy, boundary)
            if mark(anatomy, part, None if ttl == rule.default_ttl else ttl):
                self._changed.add(part.section)
                if "marked" not in self._did:
                    self._did.append("marked")
        if choice.explicit:
            self._members["prompt_cache_options"] = encoded({"mode": "explicit"})
            self._did.append("explicit")
        if enough and self._takes_key():
            self._members[_KEY] = encoded(self._key(found, route))
            self._did.append("keyed")

    def _takes_key(self) -> bool:
        if self._rule.key_field != _KEY or self._sent.namespace is None:
            return False
        # In Chat Completions xAI takes a header instead.
        if self._rule.provider == "xai" and self._sent.dialect != "responses":
            return False
        return is_null(self._anatomy.members.get(_KEY))

    def _key(self, found: Sequence[PartBoundary], route: RouteReuse) -> str:
        """Who asks; and, where a key steers to a machine, which prefix and which shard of it."""
        rule = self._rule
        who = hashlib.blake2b((self._sent.namespace or "").encode(), digest_size=8).hexdigest()
        if rule.key_isolates:
            return f"askonce-{who}"
        stable = [one.digest for one in found if one.kind in ("tools", "system")]
        head = stable[-1] if stable else hashlib.blake2b(self._place, digest_size=16).digest()
        key = f"askonce-{who}-{head[:6].hex()}"
        limit = rule.requests_per_key_minute
        if not limit or not route.pace:
            return key
        shards = 1 << max(0, math.ceil(math.log2(max(60 / route.pace / limit, 1))))
        if shards == 1:
            return key
        talk = next((one.digest for one in found if one.kind in ("turn", "end")), head)
        return f"{key}-{int.from_bytes(talk[:4]) % shards}"

    def _prefixes(
        self, found: Sequence[PartBoundary], choice: Choice, route: RouteReuse, *, marked: bool
    ) -> tuple[bytes, ...]:
        """What is worth waiting for while another call writes it."""
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


def _part(anatomy: RequestParts, boundary: PartBoundary) -> RequestPart:
    if boundary.kind == "tools":
        assert anatomy.tools is not None
        return anatomy.tools
    return (anatomy.system if boundary.kind == "system" else anatomy.messages)[boundary.at]


def _because(report: PlanReport, reason: str) -> PlanReport:
    return msgspec.structs.replace(report, reason=reason)


def _lifetime(rule: ProviderRule) -> float:
    return float(rule.ttls[rule.default_ttl].seconds)
