"""Planning: behind which blocks a breakpoint pays, and for how long.

A prompt is blocks 1..m with T(i) tokens up to the end of block i. P_t(i) is the probability that a
request finds the prefix up to i alive when it was written for lifetime t. A token then costs
g_t(i) = P_t(i) r + (1 - P_t(i)) w_t, so that breakpoints s_1 < … < s_k cost

    E = sum over j of (T(s_j) - T(s_j-1)) g_t(s_j)  +  T(m) - T(s_k)

Providers want lifetimes that do not grow along the prompt, at most a few breakpoints, and a least
number of tokens. The best plan is a shortest path over (breakpoints used, lifetime, block). As T
and g do not fall along the prompt, the predecessors of one layer form a lower envelope of lines
that is walked once: O(k m |t|) rather than O(k m² |t|²).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.simulator import Mark

_LEAST_GAIN = 1e-9


class BreakpointPlan(msgspec.Struct, frozen=True):
    """Breakpoints and what they are expected to cost, in input tokens at their full price."""

    marks: tuple[Mark, ...]
    cost: float
    uncached: float

    @property
    def saves(self) -> float:
        return self.uncached - self.cost


class _Line(msgspec.Struct):
    """Reaching a later block from this one costs `start - tokens * g`, and T(later) * g."""

    tokens: float
    start: float
    block: int
    step: "_Step | None"


class _Step(msgspec.Struct):
    block: int
    ttl: str
    cost: float
    before: "_Step | None"


def plan(
    tokens: Sequence[int],
    alive: Mapping[str, Sequence[float]],
    rule: ProviderRule,
    *,
    candidates: Sequence[int] | None = None,
    most: int | None = None,
    dialect: str = "",
) -> BreakpointPlan:
    """The cheapest breakpoints under a rule.

    `tokens` are T(1)…T(m), `alive` is P_t(i) by the name of the lifetime; a lifetime that it does
    not name is not used. `candidates` are the blocks that may carry a breakpoint (all of them
    otherwise), `most` is how many breakpoints are free, `dialect` excludes lifetimes that it
    cannot ask for.
    """
    whole = float(tokens[-1]) if tokens else 0.0
    ttls = _lifetimes(rule, alive, dialect)
    free = min(rule.max_writes, rule.max_writes if most is None else most)
    prices = {ttl: _prices(rule, ttl, alive[ttl]) for ttl in ttls}
    allowed = _worth_trying(
        range(len(tokens)) if candidates is None else candidates, tokens, prices, rule
    )
    best: _Step | None = None
    lowest = whole
    layer: dict[str, list[_Step]] = {}
    for used in range(max(free, 0)):
        layer = _next_layer(tokens, allowed, ttls, prices, layer, is_first=used == 0)
        for steps in layer.values():
            for step in steps:
                cost = step.cost + whole - tokens[step.block]
                if cost < lowest - _LEAST_GAIN:
                    best, lowest = step, cost
    return BreakpointPlan(_marks(best), lowest, whole)


def expected_cost(
    tokens: Sequence[int],
    alive: Mapping[str, Sequence[float]],
    marks: Sequence[Mark],
    rule: ProviderRule,
) -> float:
    """E of the breakpoints given, which have to be in the order of the prompt."""
    cost, upto = 0.0, 0
    for mark in marks:
        price = _prices(rule, mark.ttl, alive[mark.ttl])[mark.after]
        cost += (tokens[mark.after] - upto) * price
        upto = tokens[mark.after]
    return cost + (tokens[-1] if tokens else 0) - upto


def breaks_even(write: Decimal, read: Decimal) -> Decimal:
    """The share of requests that have to find a prefix, above which marking it pays."""
    return Decimal(0) if write <= 1 else (write - 1) / (write - read)


def prolonging_pays_above(short: Decimal, long: Decimal, read: Decimal) -> Decimal:
    """Between two lifetimes: the longer one pays above this ratio of misses.

    It is P(gap > short lifetime) / P(gap > long lifetime).
    """
    return (long - read) / (short - read)


def padding_pays_from(minimum: int, write: Decimal, read: Decimal, uses: int) -> Decimal:
    """From how many tokens on a prefix used so often is worth padding up to the minimum."""
    return minimum * (read + (write - read) / uses)


def _lifetimes(rule: ProviderRule, alive: Mapping[str, Sequence[float]], dialect: str) -> list[str]:
    """The names of the lifetimes to choose from, the longest first."""
    usable = [
        ttl
        for ttl, life in rule.ttls.items()
        if ttl in alive and (not life.dialects or not dialect or dialect in life.dialects)
    ]
    return sorted(usable, key=lambda ttl: -rule.ttls[ttl].seconds)


def _prices(rule: ProviderRule, ttl: str, alive: Sequence[float]) -> list[float]:
    """g_t(i): no prefix is alive more often than a shorter one."""
    write, read = float(rule.ttls[ttl].write), float(rule.read)
    fall, prices, least = write - read, [], 1.0
    for share in alive:
        if share < least:
            least = max(share, 0.0)
        prices.append(write - fall * least)
    return prices


def _worth_trying(
    candidates: Sequence[int],
    tokens: Sequence[int],
    prices: Mapping[str, Sequence[float]],
    rule: ProviderRule,
) -> list[int]:
    """The candidates that can be in a best plan.

    A token that costs as much as without a cache gains nothing, and of blocks with the same
    prices the last one reaches farthest: what it takes in would cost no less further on.
    """
    kept: list[int] = []
    after: tuple[float, ...] = ()
    for block in reversed(candidates):
        if tokens[block] < rule.min_tokens:
            break
        here = tuple(by_block[block] for by_block in prices.values())
        if here != after and here and min(here) < 1.0:
            kept.append(block)
            after = here
    kept.reverse()
    return kept


def _next_layer(
    tokens: Sequence[int],
    allowed: Sequence[int],
    ttls: Sequence[str],
    prices: Mapping[str, Sequence[float]],
    layer: Mapping[str, Sequence[_Step]],
    *,
    is_first: bool,
) -> dict[str, list[_Step]]:
    """The cheapest way to each block with one more breakpoint, by its lifetime."""
    following: dict[str, list[_Step]] = {}
    cheapest: dict[int, _Step] = {}  # over lifetimes at least as long as the one at hand
    for ttl in ttls:
        for step in layer.get(ttl, ()):
            held = cheapest.get(step.block)
            if held is None or step.cost < held.cost:
                cheapest[step.block] = step
        envelope = [_Line(0.0, 0.0, -1, None)] if is_first else []
        first, steps = 0, []
        for block in allowed:
            price = prices[ttl][block]
            while first + 1 < len(envelope) and _at(envelope[first + 1], price) <= _at(
                envelope[first], price
            ):
                first += 1
            if envelope:
                line = envelope[first]
                cost = _at(line, price) + tokens[block] * price
                steps.append(_Step(block, ttl, cost, line.step))
            if block in cheapest:
                step = cheapest[block]
                _put(envelope, _Line(float(tokens[block]), step.cost, block, step), first)
                first = min(first, len(envelope) - 1)
        following[ttl] = steps
    return following


def _at(line: _Line, price: float) -> float:
    return line.start - line.tokens * price


def _put(envelope: list[_Line], line: _Line, first: int) -> None:
    """Add a line as steep as any: those that are nowhere the lowest from now on go."""
    while len(envelope) > first and envelope[-1].tokens == line.tokens:
        if envelope[-1].start <= line.start:
            return
        envelope.pop()
    while len(envelope) > first + 1 and _is_hidden(envelope[-2], envelope[-1], line):
        envelope.pop()
    envelope.append(line)


def _is_hidden(left: _Line, middle: _Line, right: _Line) -> bool:
    """Is the middle line above the lower of its neighbors everywhere?"""
    return (right.start - left.start) * (middle.tokens - left.tokens) <= (
        middle.start - left.start
    ) * (right.tokens - left.tokens)


def _marks(step: _Step | None) -> tuple[Mark, ...]:
    marks = []
    while step is not None:
        marks.append(Mark(step.block, step.ttl))
        step = step.before
    return tuple(reversed(marks))
