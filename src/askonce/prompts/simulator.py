"""Simulating a provider's prompt cache: what its rules make of requests as they come.

Each request reads a prefix that an earlier one left, writes more of it, and pays in full for the
rest. The rules say what counts as left: a breakpoint that both requests have, any common prefix,
or a unit of the provider's own. Entries become readable once the answer that wrote them begins.

Providers lose entries early, and route requests past them; neither is simulated. So the result
is what the rules allow, not what was billed.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.provider.tokens import TokenRate
from askonce.prompts.requests.segments import Rendered, prefix_digests

FIRST_BYTE_SECONDS = 1.0
END_SECONDS = 10.0
"""After which an answer begins and ends, where a log does not say."""

_SWEEP_FROM = 100_000


class SimulatedBlock(NamedTuple):
    """A piece of a prompt as a cache sees it.

    `digest` stands for everything up to its end and `tokens` counts as far; `position` is the
    look-back's. `is_endpoint` ends a message after which a provider may end an entry by itself,
    `is_answer` says that these are the model's own words.
    """

    digest: Hashable
    tokens: int
    position: int = 0
    is_endpoint: bool = False
    is_answer: bool = False


class Mark(NamedTuple):
    """A breakpoint behind a block, by its number; an empty `ttl` is the provider's default."""

    after: int
    ttl: str = ""


class SimulatedRequest(msgspec.Struct, frozen=True):
    """One request at one time, in seconds.

    `implicit` says whether the provider may end entries by itself; None for its default.
    `ttl` is the lifetime that the request asks for as a whole.
    """

    at: float
    blocks: Sequence[SimulatedBlock]
    marks: tuple[Mark, ...] = ()
    implicit: bool | None = None
    ttl: str = ""
    first_byte: float | None = None
    end: float | None = None


class Fate(msgspec.Struct, frozen=True):
    """What became of one request's input tokens, each counted once."""

    read: int = 0
    written: dict[str, int] = {}
    uncached: int = 0

    @property
    def total(self) -> int:
        return self.read + sum(self.written.values()) + self.uncached

    def cost(self, rule: ProviderRule) -> Decimal:
        """In input tokens at their full price."""
        writes = (rule.ttls[ttl].write * tokens for ttl, tokens in self.written.items())
        return self.uncached + self.read * rule.read + sum(writes, Decimal(0))

    def usd(self, rule: ProviderRule, token_price: Decimal | None) -> Decimal | None:
        """In dollars, by the price of one input token; None where that is not known."""
        return None if token_price is None else self.cost(rule) * token_price

    def __add__(self, other: "Fate") -> "Fate":
        written = dict(self.written)
        for ttl, tokens in other.written.items():
            written[ttl] = written.get(ttl, 0) + tokens
        return Fate(self.read + other.read, written, self.uncached + other.uncached)


class _Held(NamedTuple):
    """An entry: readable from `available` until `expires`, and for `seconds` after each use."""

    available: float
    expires: float
    seconds: float


class Simulator:
    """One provider's cache under one rule; `ask` it in the order of time.

    A request from before the last one is taken as if it came with it. Entries of requests that
    must not share (tenants, keys) need digests that differ.
    """

    def __init__(self, rule: ProviderRule) -> None:
        self._rule = rule
        self._held: dict[Hashable, _Held] = {}
        self._sighted: dict[Hashable, float] = {}
        self._now = float("-inf")
        self._sweep_at = _SWEEP_FROM

    def ask(self, ask: SimulatedRequest) -> Fate:
        self._now = max(self._now, ask.at)
        if len(self._held) + len(self._sighted) > self._sweep_at:
            self._sweep()
        if not ask.blocks:
            return Fate()
        match self._rule.matching:
            case "breakpoint":
                return self._by_breakpoints(ask)
            case "prefix":
                return self._by_prefix(ask)
            case "unit":
                return self._by_units(ask)

    def readable(self, digest: Hashable, at: float | None = None) -> float:
        """For how long each use keeps this prefix, in seconds; 0 if a request would not find it.

        A request now, or at a later time.
        """
        now = self._now if at is None else max(at, self._now)
        held = self._held.get(digest)
        return held.seconds if held is not None and held.available <= now < held.expires else 0.0

    def _by_breakpoints(self, ask: SimulatedRequest) -> Fate:
        rule, blocks = self._rule, ask.blocks
        marks = effective_marks(ask, rule)
        found = max(
            (index for index in looked_up(ask, marks, rule) if self._is_hit(blocks[index])),
            default=-1,
        )
        read = blocks[found].tokens if found >= 0 else 0
        self._refresh(
            blocks[index]
            for index in {found, *(mark.after for mark in marks)}
            if 0 <= index <= found
        )
        written: dict[str, int] = {}
        upto = read
        for mark in marks:
            block = blocks[mark.after]
            if block.tokens <= upto or block.tokens < rule.min_tokens:
                continue
            written[mark.ttl] = written.get(mark.ttl, 0) + block.tokens - upto
            upto = block.tokens
            self._write(block.digest, ask, mark.ttl)
        return Fate(read, written, blocks[-1].tokens - upto)

    def _by_prefix(self, ask: SimulatedRequest) -> Fate:
        rule, blocks = self._rule, ask.blocks
        common = 0
        for block in blocks:
            if not self.readable(block.digest):
                break
            common = block.tokens
        read = common - common % rule.quantum
        if read < rule.min_tokens:
            read = 0
        ttl = ask.ttl if ask.ttl in rule.ttls else rule.default_ttl
        for block in blocks:
            self._write(block.digest, ask, ttl)
        return Fate(read, {}, blocks[-1].tokens - read)

    def _by_units(self, ask: SimulatedRequest) -> Fate:
        """Whole units: the end of an input, of the answer to it, a prefix seen a second time."""
        rule, blocks = self._rule, ask.blocks
        found = -1
        for index, block in enumerate(blocks):
            follows = index == found + 1 and found >= 0 and block.is_answer
            if follows or self.readable(block.digest):
                found = index
        read = blocks[found].tokens if found >= 0 else 0
        read -= read % rule.quantum
        if read < rule.min_tokens:
            read = 0
        common = -1
        for index, block in enumerate(blocks):
            if self._sighted.get(block.digest, 0) <= self._now:
                break
            common = index
        seconds = rule.ttls[rule.default_ttl].seconds
        for block in blocks:
            self._sighted[block.digest] = self._now + seconds
        for index in {common, found, len(blocks) - 1} - {-1}:
            self._write(blocks[index].digest, ask, rule.default_ttl)
        return Fate(read, {}, blocks[-1].tokens - read)

    def _is_hit(self, block: SimulatedBlock) -> bool:
        return block.tokens >= self._rule.min_tokens and self.readable(block.digest) > 0

    def _refresh(self, blocks: Iterable[SimulatedBlock]) -> None:
        if not self._rule.refreshes:
            return
        for block in blocks:
            held = self._held.get(block.digest)
            if held is not None and held.expires > self._now:
                self._held[block.digest] = held._replace(expires=self._now + held.seconds)

    def _write(self, digest: Hashable, ask: SimulatedRequest, ttl: str) -> None:
        seconds = float(self._rule.ttls[ttl].seconds)
        expires = self._now + seconds
        available = self._available(ask)
        held = self._held.get(digest)
        if held is not None and held.expires > self._now:
            # It is there already, or on its way from a request that came a moment before.
            available, expires = min(available, held.available), max(expires, held.expires)
            seconds = max(seconds, held.seconds)
        self._held[digest] = _Held(available, expires, seconds)

    def _available(self, ask: SimulatedRequest) -> float:
        if self._rule.available_after == "end":
            return self._now + (END_SECONDS if ask.end is None else max(0.0, ask.end - ask.at))
        wait = FIRST_BYTE_SECONDS if ask.first_byte is None else ask.first_byte - ask.at
        return self._now + max(0.0, wait)

    def _sweep(self) -> None:
        now = self._now
        self._held = {name: held for name, held in self._held.items() if held.expires > now}
        self._sighted = {name: until for name, until in self._sighted.items() if until > now}
        self._sweep_at = max(_SWEEP_FROM, 2 * (len(self._held) + len(self._sighted)))


def simulate(asks: Iterable[SimulatedRequest], rule: ProviderRule) -> Iterator[Fate]:
    """The fate of each request, in the order in which they are given."""
    simulator = Simulator(rule)
    return (simulator.ask(ask) for ask in asks)


def effective_marks(ask: SimulatedRequest, rule: ProviderRule) -> list[Mark]:
    """The breakpoints at which the provider would write, in order, with their lifetimes.

    It takes the latest `max_writes` of them, its own among those. A longer lifetime behind a
    shorter one, which providers refuse, counts as the shorter one.
    """
    last = len(ask.blocks) - 1
    default = ask.ttl if ask.ttl in rule.ttls else rule.default_ttl
    # At OpenAI the request says for how long, at Anthropic each breakpoint does for itself.
    unsaid = default if rule.looked_up else rule.default_ttl
    marks = {mark.after: mark.ttl or unsaid for mark in ask.marks if 0 <= mark.after <= last}
    if _ends_by_itself(ask, rule):
        ending = (i for i in range(last, -1, -1) if ask.blocks[i].is_endpoint)
        own = next(ending, last) if rule.looked_up else last
        marks.setdefault(own, default)
    effective: list[Mark] = []
    for index in sorted(marks)[-rule.max_writes :]:
        ttl = marks[index] if marks[index] in rule.ttls else default
        if effective and rule.ttls[ttl].seconds > rule.ttls[effective[-1].ttl].seconds:
            ttl = effective[-1].ttl
        effective.append(Mark(index, ttl))
    return effective


def looked_up(ask: SimulatedRequest, marks: Sequence[Mark], rule: ProviderRule) -> Iterator[int]:
    """The blocks behind which a request finds an entry, if there is one."""
    if rule.looked_up:
        explicit = sorted(mark.after for mark in ask.marks if 0 <= mark.after < len(ask.blocks))
        yield from explicit[:2]
        yield from explicit[-rule.looked_up :]
        if _ends_by_itself(ask, rule):
            endpoints = [i for i, block in enumerate(ask.blocks) if block.is_endpoint]
            yield from endpoints[:1]  # the end of the initial developer messages, or the first
            yield from endpoints[-rule.lookback - 1 :]
        return
    for mark in marks:
        ending = ask.blocks[mark.after].position
        for index in range(mark.after, -1, -1):
            if ending - ask.blocks[index].position > rule.lookback:
                break
            yield index


def _ends_by_itself(ask: SimulatedRequest, rule: ProviderRule) -> bool:
    if ask.implicit is None:
        return rule.automatic in ("always", "default")
    return ask.implicit and rule.automatic != "never"


def ask_of(
    rendered: Rendered,
    rate: TokenRate,
    at: float,
    *,
    scope: bytes = b"",
    first_byte: float | None = None,
    end: float | None = None,
) -> SimulatedRequest:
    """A rendered request as it was sent, its tokens estimated; markers are the client's own.

    `scope` sets apart requests that the provider does not let share.
    """
    segments = rendered.segments
    ends = rate.cumulative(len(one.data) for one in segments)
    blocks = [
        SimulatedBlock(
            digest, tokens, one.position, one.endpoint, one.role in ("assistant", "model")
        )
        for digest, tokens, one in zip(prefix_digests(segments, scope), ends, segments, strict=True)
    ]
    marks = tuple(
        Mark(index, one.marker.ttl) for index, one in enumerate(segments) if one.marker is not None
    )
    asked = rendered.asked
    implicit = None
    if rendered.dialect == "messages":
        implicit = asked.automatic is not None
    elif asked.mode:
        implicit = asked.mode != "explicit"
    ttl = asked.automatic.ttl if asked.automatic is not None else asked.ttl
    return SimulatedRequest(at, blocks, marks, implicit, ttl, first_byte, end)
