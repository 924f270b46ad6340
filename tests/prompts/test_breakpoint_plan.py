"""Where breakpoints pay: equal to trying everything, and the closed forms."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations, product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.prompts.optimizer.breakpoint_plan import (
    BreakpointPlan,
    breaks_even,
    expected_cost,
    padding_pays_from,
    plan,
    prolonging_pays_above,
)
from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.simulator import Mark

BOOK = load_rules()


def rule_of(provider: str, model: str) -> ProviderRule:
    found = BOOK.rule(provider, model)
    assert found is not None
    return found


OPUS, SOL = rule_of("anthropic", "claude-opus-5"), rule_of("openai", "gpt-5.6-sol")
CHEAP = rule_of("anthropic", "claude-fable-5-1")


def all_plans(
    tokens: Sequence[int], rule: ProviderRule, ttls: Sequence[str], most: int
) -> Iterator[tuple[Mark, ...]]:
    """Every legal set of breakpoints."""
    allowed = [at for at, upto in enumerate(tokens) if upto >= rule.min_tokens]
    for count in range(most + 1):
        for chosen in combinations(allowed, count):
            for named in product(ttls, repeat=count):
                seconds = [rule.ttls[ttl].seconds for ttl in named]
                if seconds == sorted(seconds, reverse=True):
                    yield tuple(map(Mark, chosen, named))


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


@settings(max_examples=400, deadline=None)
@given(prompt=prompts(), most=st.integers(0, 4))
def test_the_plan_is_as_good_as_trying_everything(
    prompt: tuple[ProviderRule, list[int], dict[str, list[float]]], most: int
) -> None:
    rule, tokens, alive = prompt

    chosen = plan(tokens, alive, rule, most=most)

    every = all_plans(tokens, rule, list(rule.ttls), most)
    best = min(expected_cost(tokens, alive, marks, rule) for marks in every)
    assert chosen.cost == pytest.approx(best, abs=1e-6)
    assert expected_cost(tokens, alive, chosen.marks, rule) == pytest.approx(chosen.cost, abs=1e-6)
    assert chosen.marks in set(all_plans(tokens, rule, list(rule.ttls), most))
    assert chosen.cost <= chosen.uncached == tokens[-1]


def test_nothing_is_marked_that_does_not_pay() -> None:
    assert plan([], {}, OPUS) == BreakpointPlan((), 0.0, 0.0)
    assert plan([5000], {"5m": [0.2]}, OPUS).marks == ()
    assert plan([5000], {"5m": [0.23]}, OPUS).marks == (Mark(0, "5m"),)
    assert plan([511], {"5m": [1.0]}, OPUS).marks == ()
    assert plan([5000], {"5m": [1.0]}, OPUS, most=0).marks == ()
    assert plan([5000], {}, OPUS).marks == ()
    assert plan([5000], {"in_memory": [1.0]}, rule_of("openai", "gpt-5.4")).marks == ()


def test_a_shared_prefix_is_marked_at_its_end_and_the_tail_is_not() -> None:
    tokens, alive = [4000, 8000, 8500], {"5m": [0.95, 0.9, 0.0], "1h": [0.97, 0.93, 0.0]}
    chosen = plan(tokens, alive, OPUS)
    assert [mark.after for mark in chosen.marks][-1] == 1
    assert chosen.saves > 0.6 * 8500


def test_only_candidates_are_marked_and_12h_only_where_it_can_be_asked_for() -> None:
    tokens, alive = [4000, 8000], {"30m": [0.3, 0.3], "12h": [1.0, 1.0]}
    assert plan(tokens, alive, SOL, dialect="responses").marks == (Mark(1, "12h"),)
    assert plan(tokens, alive, SOL, dialect="chat").marks == (Mark(1, "30m"),)
    assert plan(tokens, alive, SOL, candidates=[0]).marks == (Mark(0, "12h"),)


def test_closed_forms() -> None:
    def percent(share: Decimal) -> float:
        return round(float(share) * 100, 1)

    tenth, twentieth = Decimal("0.1"), Decimal("0.05")
    for write, read, share in [
        (Decimal("1.25"), tenth, 21.7),
        (Decimal(2), tenth, 52.6),
        (Decimal("2.5"), tenth, 62.5),
        (Decimal("1.25"), twentieth, 20.8),
        (Decimal("2.5"), twentieth, 61.2),
        (Decimal(1), tenth, 0.0),
    ]:
        assert percent(breaks_even(write, read)) == share
    for part, ratio in [("0.1", "1.652"), ("0.05", "1.625"), ("0.025", "1.612")]:
        found = prolonging_pays_above(Decimal("1.25"), Decimal(2), Decimal(part))
        assert round(found, 3) == Decimal(ratio)
    assert round(prolonging_pays_above(Decimal("1.25"), Decimal("2.5"), tenth), 3) == Decimal(
        "2.087"
    )
    assert round(padding_pays_from(1024, Decimal("1.25"), tenth, 10)) == 220


@settings(deadline=None)
@given(share=st.floats(0, 1), rule=st.sampled_from([OPUS, SOL, CHEAP]))
def test_the_closed_form_is_what_the_plan_does(share: float, rule: ProviderRule) -> None:
    ttl = rule.default_ttl
    even = float(breaks_even(rule.ttls[ttl].write, rule.read))
    if abs(share - even) > 1e-6:
        marked = plan([10_000], {ttl: [share]}, rule).marks
        assert bool(marked) == (share > even)


def test_more_breakpoints_never_cost_more() -> None:
    many = msgspec.structs.replace(OPUS, max_writes=8)
    tokens = [1000 * (at + 1) for at in range(20)]
    alive = {"5m": [1 - at / 20 for at in range(20)]}
    costs = [plan(tokens, alive, many, most=most).cost for most in range(9)]
    assert costs == sorted(costs, reverse=True)
