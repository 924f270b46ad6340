"""The breakpoint plan: after which blocks a breakpoint pays, and for which lifetime.

A prompt is blocks 1..m with T(i) tokens up to the end of block i. P_t(i) is the probability that a
request finds the prefix up to i alive when it was written for lifetime t. A token then costs
g_t(i) = P_t(i) r + (1 - P_t(i)) w_t, so that breakpoints s_1 < … < s_k cost

    E = sum over j of (T(s_j) - T(s_j-1)) g_t(s_j)  +  T(m) - T(s_k)

where r and w_t are the prices of reading a token and of writing it. Providers want lifetimes that
do not grow along the prompt, at most a few breakpoints, and a minimum number of tokens. The best
plan is a shortest path over (breakpoints used, lifetime, block). As T and g do not fall along the
prompt, the predecessors of one layer form a lower envelope of lines (the convex hull trick), which
is walked once: O(k m |t|) rather than O(k m² |t|²).
"""

from collections.abc import Mapping, Sequence

import msgspec

from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.simulator import Breakpoint

_LEAST_GAIN = 1e-9


class BreakpointPlan(msgspec.Struct, frozen=True):
    """Breakpoints and their expected cost, in input tokens at their full price."""

    breakpoints: tuple[Breakpoint, ...]
    cost: float
    uncached: float

    @property
    def saves(self) -> float:
        return self.uncached - self.cost


class _Line(msgspec.Struct):
    """From this block, a later one costs `start - tokens * g` plus T(later) * g."""

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
) -> BreakpointPlan:
    """Find the cheapest breakpoints under a rule.

    `tokens` are T(1)…T(m), `alive` is P_t(i) by the name of the lifetime; a lifetime that it does
    not name is not used. `candidates` are the blocks that may carry a breakpoint; by default, all.
    """
    whole = float(tokens[-1]) if tokens else 0.0
    # Providers want the longer lifetimes first.
    ttls = sorted(rule.ttls.keys() & alive.keys(), key=lambda ttl: -rule.ttls[ttl].seconds)
    prices = {ttl: _prices(rule, ttl, alive[ttl]) for ttl in ttls}
    allowed = _worth_trying(
        range(len(tokens)) if candidates is None else candidates, tokens, prices, rule
    )
    best: _Step | None = None
    lowest = whole
    layer: dict[str, list[_Step]] = {}
    for used in range(rule.max_writes):
        layer = _next_layer(tokens, allowed, ttls, prices, layer, is_first=used == 0)
        for steps in layer.values():
            for step in steps:
                cost = step.cost + whole - tokens[step.block]
                if cost < lowest - _LEAST_GAIN:
                    best, lowest = step, cost
    return BreakpointPlan(_breakpoints(best), lowest, whole)


def expected_cost(
    tokens: Sequence[int],
    alive: Mapping[str, Sequence[float]],
    breakpoints: Sequence[Breakpoint],
    rule: ProviderRule,
) -> float:
    """Return E of these breakpoints, which must be in the order of the prompt."""
    cost, upto = 0.0, 0
    for one in breakpoints:
        price = _prices(rule, one.ttl, alive[one.ttl])[one.after]
        cost += (tokens[one.after] - upto) * price
        upto = tokens[one.after]
    return cost + (tokens[-1] if tokens else 0) - upto


def _prices(rule: ProviderRule, ttl: str, alive: Sequence[float]) -> list[float]:
    """Return g_t(i); no prefix counts as alive more often than a shorter one."""
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
    """Return the candidates that can be in a best plan.

    A block whose tokens cost as much as without a cache gains nothing. Of blocks with the same
    prices the last one is best: the tokens that it adds would not be cheaper later.
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
    """Return the cheapest path to each block with one more breakpoint, by its lifetime."""
    following: dict[str, list[_Step]] = {}
    cheapest: dict[int, _Step] = {}  # over lifetimes at least as long as `ttl`
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
    """Add a line as steep as any, and drop the lines that are now nowhere the lowest."""
    while len(envelope) > first and envelope[-1].tokens == line.tokens:
        if envelope[-1].start <= line.start:
            return
        envelope.pop()
    while len(envelope) > first + 1 and _is_hidden(envelope[-2], envelope[-1], line):
        envelope.pop()
    envelope.append(line)


def _is_hidden(left: _Line, middle: _Line, right: _Line) -> bool:
    """Return whether the middle line is above the lower of its neighbors everywhere."""
    return (right.start - left.start) * (middle.tokens - left.tokens) <= (
        middle.start - left.start
    ) * (right.tokens - left.tokens)


def _breakpoints(step: _Step | None) -> tuple[Breakpoint, ...]:
    found = []
    while step is not None:
        found.append(Breakpoint(step.block, step.ttl))
        step = step.before
    return tuple(reversed(found))
