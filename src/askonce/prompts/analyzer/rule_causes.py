"""Why a prefix that was seen before was not read, though nothing in it had changed.

Then the provider's rules are the cause: the prefix is too short, no breakpoint stands where one is
needed, the entry had expired, or the request that wrote it had not been answered yet.
"""

from decimal import Decimal
from typing import NamedTuple

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.findings import LossEvent
from askonce.prompts.analyzer.hindsight import SeenPrefix
from askonce.prompts.analyzer.prompt_shapes import PromptShape
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.simulator import Fate, SimulatedRequest, effective_marks, looked_up


class Written(NamedTuple):
    """An entry that some request wrote: when it could first be read, and when it was last used."""

    ready: float
    used: float


class Entries:
    """Remembers every breakpoint at which a request wrote, also long after it expired."""

    def __init__(self) -> None:
        self._written: dict[int, Written] = {}

    def note(self, shape: PromptShape, ask: SimulatedRequest, rule: ProviderRule) -> None:
        """A request writes, or renews, entries at its breakpoints."""
        for mark in effective_marks(ask, rule):
            if mark.after >= len(shape) or shape.tokens[mark.after] < rule.min_tokens:
                continue
            digest = shape.chained[mark.after]
            held = self._written.get(digest)
            alive = held is not None and shape.ts <= held.used + rule.ttls[mark.ttl].seconds
            ready = min(held.ready, shape.ready) if alive and held else shape.ready
            self._written[digest] = Written(ready, shape.ts)

    def of(self, shape: PromptShape, block: int) -> Written | None:
        return self._written.get(shape.chained[block])


def missed_by_rule(
    shape: PromptShape,
    ask: SimulatedRequest,
    rule: ProviderRule,
    *,
    seen: SeenPrefix,
    fate: Fate,
    entries: Entries,
    earlier_line: int,
) -> LossEvent | None:
    """The cause, if the request read less than what had been seen of it before."""
    whole = shape.before(seen.blocks)
    lost = whole - fate.read
    if lost < max(1, rule.quantum):
        return None
    if whole < rule.min_tokens:
        cause, block = Cause.BELOW_MINIMUM, seen.blocks - 1
    elif rule.matching == "breakpoint":
        found = _by_breakpoints(shape, ask, rule, seen, fate, entries)
        if found is None:
            return None
        cause, block = found
    elif seen.ready > shape.ts:
        cause, block = Cause.COLD_START, seen.blocks - 1
    elif shape.ts - seen.ts > min(life.seconds for life in rule.ttls.values()):
        cause, block = Cause.TTL_GAP, seen.blocks - 1
    else:
        return None
    place = shape.places[block]
    return LossEvent(
        cause=cause,
        confidence=0.9 if rule.confidence == "high" else 0.7,
        pointer=place.pointer,
        lost=lost,
        line=shape.line,
        earlier_line=earlier_line,
        token=whole,
        write=write_price(rule, fate),
        cachable=cause is not Cause.BELOW_MINIMUM,
    )


def write_price(rule: ProviderRule | None, fate: Fate) -> Decimal:
    """What the request paid for tokens that it could have read: the price of writing, if any."""
    lives = [] if rule is None else [rule.ttls[ttl] for ttl, count in fate.written.items() if count]
    return max((life.write for life in lives), default=Decimal(1))


def _by_breakpoints(
    shape: PromptShape,
    ask: SimulatedRequest,
    rule: ProviderRule,
    seen: SeenPrefix,
    fate: Fate,
    entries: Entries,
) -> tuple[Cause, int] | None:
    marks = effective_marks(ask, rule)
    last = seen.blocks - 1
    found = set(looked_up(ask, marks, rule))
    for block in range(last, -1, -1):
        if shape.tokens[block] <= max(fate.read, rule.min_tokens - 1):
            break
        written = entries.of(shape, block)
        if written is None:
            continue
        if block in found:
            gap = Cause.COLD_START if written.ready > shape.ts else Cause.TTL_GAP
            return gap, block
        if any(mark.after >= block for mark in marks):
            return Cause.LOOK_BACK, block
        return Cause.BREAKPOINT_MISSING, block
    if seen.ready > shape.ts:
        return None if marks else (Cause.BREAKPOINT_MISSING, last)
    asked_for = bool(ask.marks) or (rule.automatic == "request" and bool(ask.implicit))
    late = asked_for and any(mark.after > last for mark in marks)
    return (Cause.BREAKPOINT_TOO_LATE if late else Cause.BREAKPOINT_MISSING), last
