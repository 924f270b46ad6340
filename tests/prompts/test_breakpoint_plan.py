"""Where breakpoints pay: as good as trying all plans, and the closed form for one block."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.prompts.optimizer.breakpoint_plan import (
    BreakpointPlan,
    expected_cost,
    plan,
)
from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.simulator import Breakpoint

BOOK = load_rules()


def rule_of(provider: str, model: str) -> ProviderRule:
    found = BOOK.rule(provider, model)
    assert found is not None
    return found


OPUS, SOL = rule_of("anthropic", "claude-opus-5"), rule_of("openai", "gpt-5.6-sol")
CHEAP = rule_of("anthropic", "claude-fable-5-1")


def all_plans(tokens: Sequence[int], rule: ProviderRule) -> Iterator[tuple[Breakpoint, ...]]:
    """Yield every legal set of breakpoints."""
    allowed = [at for at, upto in enumerate(tokens) if upto >= rule.min_tokens]
    for count in range(rule.max_writes + 1):
        for chosen in combinations(allowed, count):
            for named in product(rule.ttls, repeat=count):
                seconds = [rule.ttls[ttl].seconds for ttl in named]
                if seconds == sorted(seconds, reverse=True):
                    yield tuple(map(Breakpoint, chosen, named))


@st.composite
def prompts(draw: st.DrawFn) -> tuple[ProviderRule, list[int], dict[str, list[float]]]:
    rule = draw(st.sampled_from([OPUS, SOL, CHEAP]))
    sizes = draw(st.lists(st.integers(0, 3000), min_size=1, max_size=7))
    tokens = [sum(sizes[: at + 1]) for at in range(len(sizes))]
    shares = st.lists(st.floats(0, 1), min_size=len(sizes), max_size=len(sizes))
    falling = st.booleans()
    alive = {}
    for ttl in rule.ttls:
        drawn = draw(shares)
        alive[ttl] = sorted(drawn, reverse=True) if draw(falling) else drawn
    return rule, tokens, alive


@settings(max_examples=400)
@given(prompt=prompts(), most=st.integers(0, 4))
def test_the_plan_is_as_good_as_trying_everything(
    prompt: tuple[ProviderRule, list[int], dict[str, list[float]]], most: int
) -> None:
    rule, tokens, alive = prompt

    rule = msgspec.structs.replace(rule, max_writes=most)
    chosen = plan(tokens, alive, rule)

    every = all_plans(tokens, rule)
    best = min(expected_cost(tokens, alive, marks, rule) for marks in every)
    assert chosen.cost == pytest.approx(best, abs=1e-6)
    assert expected_cost(tokens, alive, chosen.breakpoints, rule) == pytest.approx(
        chosen.cost, abs=1e-6
    )
    assert chosen.breakpoints in set(all_plans(tokens, rule))
    assert chosen.cost <= chosen.uncached == tokens[-1]


def test_nothing_is_marked_that_does_not_pay() -> None:
    assert plan([], {}, OPUS) == BreakpointPlan((), 0.0, 0.0)
    assert plan([5000], {"5m": [0.2]}, OPUS).breakpoints == ()
    assert plan([5000], {"5m": [0.23]}, OPUS).breakpoints == (Breakpoint(0, "5m"),)
    assert plan([511], {"5m": [1.0]}, OPUS).breakpoints == ()
    assert (
        plan([5000], {"5m": [1.0]}, msgspec.structs.replace(OPUS, max_writes=0)).breakpoints == ()
    )
    assert plan([5000], {}, OPUS).breakpoints == ()
    assert plan([5000], {"in_memory": [1.0]}, rule_of("openai", "gpt-5.4")).breakpoints == ()


def test_a_shared_prefix_is_marked_at_its_end_and_the_tail_is_not() -> None:
    tokens, alive = [4000, 8000, 8500], {"5m": [0.95, 0.9, 0.0], "1h": [0.97, 0.93, 0.0]}
    chosen = plan(tokens, alive, OPUS)
    assert [mark.after for mark in chosen.breakpoints][-1] == 1
    assert chosen.saves > 0.6 * 8500


def test_only_candidates_are_marked_and_only_with_lifetimes_that_are_given() -> None:
    tokens, long = [4000, 8000], {"30m": [0.3, 0.3], "12h": [1.0, 1.0]}
    assert plan(tokens, long, SOL).breakpoints == (Breakpoint(1, "12h"),)
    assert plan(tokens, {"30m": long["30m"]}, SOL).breakpoints == (Breakpoint(1, "30m"),)
    assert plan(tokens, long, SOL, candidates=[0]).breakpoints == (Breakpoint(0, "12h"),)


@given(share=st.floats(0, 1), rule=st.sampled_from([OPUS, SOL, CHEAP]))
def test_one_block_is_marked_above_the_break_even_share(share: float, rule: ProviderRule) -> None:
    ttl = rule.default_ttl
    write = rule.ttls[ttl].write
    even = float((write - 1) / (write - rule.read)) if write > 1 else 0.0
    if abs(share - even) > 1e-6:
        marked = plan([10_000], {ttl: [share]}, rule).breakpoints
        assert bool(marked) == (share > even)


def test_more_breakpoints_never_cost_more() -> None:
    rules = [msgspec.structs.replace(OPUS, max_writes=most) for most in range(9)]
    tokens = [1000 * (at + 1) for at in range(20)]
    alive = {"5m": [1 - at / 20 for at in range(20)]}
    costs = [plan(tokens, alive, rule).cost for rule in rules]
    assert costs == sorted(costs, reverse=True)
