"""Causes in the provider's rules: why an unchanged prefix that was seen before was not read.

The prefix is too short, a breakpoint is missing, the entry had expired, or the request that wrote
it had not been answered yet.
"""

from decimal import Decimal
from typing import NamedTuple

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.findings import LossEvent
from askonce.prompts.analyzer.fingerprints import PromptFingerprint
from askonce.prompts.analyzer.offline_optimum import SeenPrefix
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.simulator import (
    SimulatedRequest,
    SimulatedUsage,
    effective_breakpoints,
    looked_up_blocks,
)


class WrittenEntry(NamedTuple):
    """An entry that a request wrote: when it could first be read, and when it was last used."""

    ready: float
    used: float


class WrittenEntries:
    """Remembers every breakpoint at which a request wrote, even after the entry expired."""

    def __init__(self) -> None:
        self._written: dict[int, WrittenEntry] = {}

    def add(self, prompt: PromptFingerprint, sent: SimulatedRequest, rule: ProviderRule) -> None:
        """Add the entries that a request writes or renews at its breakpoints."""
        for point in effective_breakpoints(sent, rule):
            if point.after >= len(prompt) or prompt.tokens[point.after] < rule.min_tokens:
                continue
            digest = prompt.chained[point.after]
            held = self._written.get(digest)
            alive = held is not None and prompt.ts <= held.used + rule.ttls[point.ttl].seconds
            ready = min(held.ready, prompt.ready) if alive and held else prompt.ready
            self._written[digest] = WrittenEntry(ready, prompt.ts)

    def find(self, prompt: PromptFingerprint, block: int) -> WrittenEntry | None:
        return self._written.get(prompt.chained[block])


def find_rule_cause(
    prompt: PromptFingerprint,
    sent: SimulatedRequest,
    rule: ProviderRule,
    *,
    seen: SeenPrefix,
    usage: SimulatedUsage,
    entries: WrittenEntries,
    earlier_line: int,
) -> LossEvent | None:
    """Find the cause if the request read less than the prefix that had been seen before."""
    whole = prompt.before(seen.blocks)
    lost = whole - usage.read
    if lost < max(1, rule.quantum):
        return None
    if whole < rule.min_tokens:
        cause, block = Cause.BELOW_MINIMUM, seen.blocks - 1
    elif rule.matching == "breakpoint":
        found = _by_breakpoints(prompt, sent, rule, seen, usage, entries)
        if found is None:
            return None
        cause, block = found
    elif seen.ready > prompt.ts:
        cause, block = Cause.COLD_START, seen.blocks - 1
    elif prompt.ts - seen.ts > min(life.seconds for life in rule.ttls.values()):
        cause, block = Cause.TTL_GAP, seen.blocks - 1
    else:
        return None
    place = prompt.places[block]
    return LossEvent(
        cause=cause,
        confidence=0.9 if rule.confidence == "high" else 0.7,
        pointer=place.pointer,
        lost=lost,
        line=prompt.line,
        earlier_line=earlier_line,
        token=whole,
        write=write_price(rule, usage),
        cachable=cause is not Cause.BELOW_MINIMUM,
    )


def write_price(rule: ProviderRule | None, usage: SimulatedUsage) -> Decimal:
    """Return what a token cost that was not read: the write price, or the input price of 1."""
    lives = (
        [] if rule is None else [rule.ttls[ttl] for ttl, count in usage.written.items() if count]
    )
    return max((life.write for life in lives), default=Decimal(1))


def _by_breakpoints(
    prompt: PromptFingerprint,
    sent: SimulatedRequest,
    rule: ProviderRule,
    seen: SeenPrefix,
    usage: SimulatedUsage,
    entries: WrittenEntries,
) -> tuple[Cause, int] | None:
    breakpoints = effective_breakpoints(sent, rule)
    last = seen.blocks - 1
    found = set(looked_up_blocks(sent, breakpoints, rule))
    for block in range(last, -1, -1):
        if prompt.tokens[block] <= max(usage.read, rule.min_tokens - 1):
            break
        written = entries.find(prompt, block)
        if written is None:
            continue
        if block in found:
            gap = Cause.COLD_START if written.ready > prompt.ts else Cause.TTL_GAP
            return gap, block
        if any(point.after >= block for point in breakpoints):
            return Cause.LOOK_BACK, block
        return Cause.BREAKPOINT_MISSING, block
    if seen.ready > prompt.ts:
        return None if breakpoints else (Cause.BREAKPOINT_MISSING, last)
    asked_for = bool(sent.breakpoints) or (rule.automatic == "request" and bool(sent.implicit))
    late = asked_for and any(point.after > last for point in breakpoints)
    return (Cause.BREAKPOINT_TOO_LATE if late else Cause.BREAKPOINT_MISSING), last
