"""The simulator of a provider's prompt cache: what its rules read and write for each request.

Each request reads a prefix that an earlier one wrote, writes more of it, and pays in full for the
rest. The rules say what can be read: up to a breakpoint that both requests have, any common prefix,
or a unit of the provider's own. An entry becomes readable when the answer to its request begins.

Providers lose entries early, and route requests past them; neither is simulated. So the result
is what the rules allow, not the bill.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from askonce.prompts.provider.rules import ProviderRule

FIRST_BYTE_SECONDS = 1.0
END_SECONDS = 10.0
"""When an answer begins and ends after its request, if a log does not say."""

_SWEEP_FROM = 100_000


class SimulatedBlock(NamedTuple):
    """A piece of a prompt as a cache sees it.

    digest       identifies the prompt up to the block's end
    tokens       counts the prompt up to the block's end
    position     the block's number, as a look-back counts blocks
    is_endpoint  the block ends a message after which a provider may end an entry by itself
    is_answer    the model wrote the block
    """

    digest: Hashable
    tokens: int
    position: int = 0
    is_endpoint: bool = False
    is_answer: bool = False


class Breakpoint(NamedTuple):
    """A breakpoint after a block, by its index; an empty `ttl` is the provider's default."""

    after: int
    ttl: str = ""


class SimulatedRequest(msgspec.Struct, frozen=True):
    """One request; times are in seconds.

    at           when it was sent
    blocks       its prompt
    breakpoints  the client's own
    implicit     the provider may end entries by itself; None for its default
    ttl          the lifetime that the request asks for as a whole; empty for the default
    first_byte   when its answer began; None if unknown
    end          when its answer ended; None if unknown
    """

    at: float
    blocks: Sequence[SimulatedBlock]
    breakpoints: tuple[Breakpoint, ...] = ()
    implicit: bool | None = None
    ttl: str = ""
    first_byte: float | None = None
    end: float | None = None


class SimulatedUsage(msgspec.Struct, frozen=True):
    """One request's input tokens, each counted once.

    `read` from the cache, `written` to it by lifetime, `uncached` neither.
    """

    read: int = 0
    written: dict[str, int] = {}
    uncached: int = 0

    @property
    def total(self) -> int:
        return self.read + sum(self.written.values()) + self.uncached

    def cost(self, rule: ProviderRule) -> Decimal:
        """Return the cost in input tokens at their full price."""
        writes = (rule.ttls[ttl].write * tokens for ttl, tokens in self.written.items())
        return self.uncached + self.read * rule.read + sum(writes, Decimal(0))


class _CacheEntry(NamedTuple):
    """An entry, readable from `available` until `expires`, and for `seconds` after each use."""

    available: float
    expires: float
    seconds: float


class Simulator:
    """One provider's cache under one rule. Requests are sent in the order of time.

    A request from before the last one counts as sent together with it. Requests that must not
    share entries, as of different tenants, need different digests.
    """

    def __init__(self, rule: ProviderRule) -> None:
        self._rule = rule
        self._entries: dict[Hashable, _CacheEntry] = {}
        self._seen_until: dict[Hashable, float] = {}
        self._now = float("-inf")
        self._sweep_at = _SWEEP_FROM

    def send(self, request: SimulatedRequest) -> SimulatedUsage:
        """Return what the request reads and writes, and update the entries."""
        self._now = max(self._now, request.at)
        if len(self._entries) + len(self._seen_until) > self._sweep_at:
            self._sweep()
        if not request.blocks:
            return SimulatedUsage()
        match self._rule.matching:
            case "breakpoint":
                return self._by_breakpoints(request)
            case "prefix":
                return self._by_prefix(request)
            case "unit":
                return self._by_units(request)

    def _is_readable(self, digest: Hashable) -> bool:
        entry = self._entries.get(digest)
        return entry is not None and entry.available <= self._now < entry.expires

    def _by_breakpoints(self, request: SimulatedRequest) -> SimulatedUsage:
        rule, blocks = self._rule, request.blocks
        breakpoints = effective_breakpoints(request, rule)
        found = max(
            (
                index
                for index in looked_up_blocks(request, breakpoints, rule)
                if self._is_hit(blocks[index])
            ),
            default=-1,
        )
        read = blocks[found].tokens if found >= 0 else 0
        self._refresh(
            blocks[index]
            for index in {found, *(point.after for point in breakpoints)}
            if 0 <= index <= found
        )
        written: dict[str, int] = {}
        upto = read
        for point in breakpoints:
            block = blocks[point.after]
            if block.tokens <= upto or block.tokens < rule.min_tokens:
                continue
            written[point.ttl] = written.get(point.ttl, 0) + block.tokens - upto
            upto = block.tokens
            self._write(block.digest, request, point.ttl)
        return SimulatedUsage(read, written, blocks[-1].tokens - upto)

    def _by_prefix(self, request: SimulatedRequest) -> SimulatedUsage:
        rule, blocks = self._rule, request.blocks
        common = 0
        for block in blocks:
            if not self._is_readable(block.digest):
                break
            common = block.tokens
        read = common - common % rule.quantum
        if read < rule.min_tokens:
            read = 0
        ttl = request.ttl if request.ttl in rule.ttls else rule.default_ttl
        for block in blocks:
            self._write(block.digest, request, ttl)
        return SimulatedUsage(read, {}, blocks[-1].tokens - read)

    def _by_units(self, request: SimulatedRequest) -> SimulatedUsage:
        """Read whole units: to the end of an input or of its answer, or a prefix seen twice."""
        rule, blocks = self._rule, request.blocks
        found = -1
        for index, block in enumerate(blocks):
            follows = index == found + 1 and found >= 0 and block.is_answer
            if follows or self._is_readable(block.digest):
                found = index
        read = blocks[found].tokens if found >= 0 else 0
        read -= read % rule.quantum
        if read < rule.min_tokens:
            read = 0
        common = -1
        for index, block in enumerate(blocks):
            if self._seen_until.get(block.digest, 0) <= self._now:
                break
            common = index
        seconds = rule.ttls[rule.default_ttl].seconds
        for block in blocks:
            self._seen_until[block.digest] = self._now + seconds
        for index in {common, found, len(blocks) - 1} - {-1}:
            self._write(blocks[index].digest, request, rule.default_ttl)
        return SimulatedUsage(read, {}, blocks[-1].tokens - read)

    def _is_hit(self, block: SimulatedBlock) -> bool:
        return block.tokens >= self._rule.min_tokens and self._is_readable(block.digest)

    def _refresh(self, blocks: Iterable[SimulatedBlock]) -> None:
        if not self._rule.refreshes:
            return
        for block in blocks:
            entry = self._entries.get(block.digest)
            if entry is not None and entry.expires > self._now:
                self._entries[block.digest] = entry._replace(expires=self._now + entry.seconds)

    def _write(self, digest: Hashable, request: SimulatedRequest, ttl: str) -> None:
        seconds = float(self._rule.ttls[ttl].seconds)
        expires = self._now + seconds
        available = self._available(request)
        entry = self._entries.get(digest)
        if entry is not None and entry.expires > self._now:
            # An earlier request wrote it, or is writing it now.
            available, expires = min(available, entry.available), max(expires, entry.expires)
            seconds = max(seconds, entry.seconds)
        self._entries[digest] = _CacheEntry(available, expires, seconds)

    def _available(self, request: SimulatedRequest) -> float:
        if self._rule.available_after == "end":
            wait = END_SECONDS if request.end is None else request.end - request.at
        elif request.first_byte is None:
            wait = FIRST_BYTE_SECONDS
        else:
            wait = request.first_byte - request.at
        return self._now + max(0.0, wait)

    def _sweep(self) -> None:
        now = self._now
        self._entries = {
            name: entry for name, entry in self._entries.items() if entry.expires > now
        }
        self._seen_until = {name: until for name, until in self._seen_until.items() if until > now}
        self._sweep_at = max(_SWEEP_FROM, 2 * (len(self._entries) + len(self._seen_until)))


def effective_breakpoints(request: SimulatedRequest, rule: ProviderRule) -> list[Breakpoint]:
    """Return the breakpoints at which the provider writes, in order, with their lifetimes.

    It takes the last `max_writes` of them, including its own. A longer lifetime after a shorter
    one, which providers refuse, counts as the shorter one.
    """
    last = len(request.blocks) - 1
    default = request.ttl if request.ttl in rule.ttls else rule.default_ttl
    # At OpenAI the request sets the lifetime, at Anthropic each breakpoint does.
    unsaid = default if rule.looked_up else rule.default_ttl
    breakpoints = {
        point.after: point.ttl or unsaid
        for point in request.breakpoints
        if 0 <= point.after <= last
    }
    if _ends_by_itself(request, rule):
        ending = (i for i in range(last, -1, -1) if request.blocks[i].is_endpoint)
        own = next(ending, last) if rule.looked_up else last
        breakpoints.setdefault(own, default)
    effective: list[Breakpoint] = []
    for index in sorted(breakpoints)[-rule.max_writes :]:
        ttl = breakpoints[index] if breakpoints[index] in rule.ttls else default
        if effective and rule.ttls[ttl].seconds > rule.ttls[effective[-1].ttl].seconds:
            ttl = effective[-1].ttl
        effective.append(Breakpoint(index, ttl))
    return effective


def looked_up_blocks(
    request: SimulatedRequest, breakpoints: Sequence[Breakpoint], rule: ProviderRule
) -> Iterator[int]:
    """Return the blocks after which the provider looks for an entry."""
    if rule.looked_up:
        explicit = sorted(
            point.after for point in request.breakpoints if 0 <= point.after < len(request.blocks)
        )
        yield from explicit[:2]
        yield from explicit[-rule.looked_up :]
        if _ends_by_itself(request, rule):
            endpoints = [i for i, block in enumerate(request.blocks) if block.is_endpoint]
            yield from endpoints[:1]  # the end of the initial developer messages, or the first
            yield from endpoints[-rule.lookback - 1 :]
        return
    for point in breakpoints:
        ending = request.blocks[point.after].position
        for index in range(point.after, -1, -1):
            if ending - request.blocks[index].position > rule.lookback:
                break
            yield index


def _ends_by_itself(request: SimulatedRequest, rule: ProviderRule) -> bool:
    if request.implicit is None:
        return rule.automatic in ("always", "default")
    return request.implicit and rule.automatic != "never"
