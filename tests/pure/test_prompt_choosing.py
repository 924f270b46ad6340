"""Breakpoints chosen as requests come, by what became of the ones before."""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from askonce.prompt_rules import load_rules
from askonce.prompts.choosing import Chooser
from askonce.prompts.provider_rules import Rule
from askonce.prompts.simulating import Ask, Block, Fate, Mark, Simulator
from askonce.prompts.visits import Visits

BOOK = load_rules()


def rule_of(provider: str, model: str) -> Rule:
    found = BOOK.rule(provider, model)
    assert found is not None
    return found


OPUS, SOL = rule_of("anthropic", "claude-opus-5"), rule_of("openai", "gpt-5.6-sol")
OLD = rule_of("openai", "gpt-5.4")
Arrivals = list[tuple[float, list[Block]]]


def prompt(*names: str) -> list[Block]:
    """A block of 1,000 tokens for each name."""
    return [
        Block(names[: at + 1], 1000 * (at + 1), at, is_endpoint=True) for at in range(len(names))
    ]


def one_shot(count: int, gap: float) -> Arrivals:
    """A system prompt of 4,000 tokens that all share, and a question of each one's own."""
    return [(gap * at, prompt("s1", "s2", "s3", "s4", f"q{at}")) for at in range(count)]


def conversations(count: int) -> Arrivals:
    """Conversations without anything in common, each of ten turns a minute apart."""
    turns = [
        (each * 17.0 + turn * 60.0, prompt(*(f"{each}.{part}" for part in range(2 * turn + 1))))
        for each in range(count)
        for turn in range(10)
    ]
    return sorted(turns, key=lambda turn: turn[0])


def strangers(count: int) -> Arrivals:
    return [(float(at), prompt(f"a{at}", f"b{at}")) for at in range(count)]


def chosen(rule: Rule, arrivals: Arrivals) -> list[tuple[tuple[Mark, ...], Fate]]:
    chooser, told = Chooser(rule), []
    for at, blocks in arrivals:
        plan = chooser.choose(blocks, at)
        told.append((plan.marks, chooser.sent(Ask(at, blocks, plan.marks, implicit=False))))
    return told


def cost(rule: Rule, arrivals: Arrivals, mark: Callable[[int], set[int]]) -> Decimal:
    """What it costs with breakpoints by a fixed rule over the number of blocks."""
    simulator = Simulator(rule)
    asks: Iterator[Ask] = (
        Ask(at, blocks, tuple(Mark(one) for one in sorted(mark(len(blocks)))), implicit=False)
        for at, blocks in arrivals
    )
    return sum((simulator.ask(ask).cost(rule) for ask in asks), Decimal(0))


@pytest.mark.parametrize("rule", [OPUS, SOL], ids=["opus", "sol"])
def test_a_shared_system_prompt_is_marked_and_what_follows_it_is_not(rule: Rule) -> None:
    told = chosen(rule, one_shot(200, 20.0))
    marks, fate = told[-1]
    assert [mark.behind for mark in marks] == [3]
    assert (fate.read, fate.written, fate.uncached) == (4000, {}, 1000)


@pytest.mark.parametrize("rule", [OPUS, SOL], ids=["opus", "sol"])
def test_a_conversation_is_marked_at_its_end(rule: Rule) -> None:
    told = chosen(rule, conversations(40))
    late = [(marks, fate) for marks, fate in told[200:] if fate.total > 3000]
    ends = [bool(marks) and marks[-1].behind == fate.total // 1000 - 1 for marks, fate in late]
    assert sum(ends) > 0.95 * len(ends)
    assert sum(fate.read for _, fate in late) > 0.8 * sum(fate.total for _, fate in late)


def test_what_never_comes_again_is_not_written() -> None:
    told = chosen(OPUS, strangers(300))
    assert all(marks == () for marks, _ in told[100:])
    written = sum(sum(fate.written.values()) for _, fate in told)
    assert written < 0.1 * sum(fate.total for _, fate in told)


def test_a_longer_lifetime_is_chosen_where_the_gaps_are_long() -> None:
    marks, fate = chosen(OPUS, one_shot(100, 600.0))[-1]
    assert {mark.ttl for mark in marks} == {"1h"}
    assert fate.read == 4000


def test_it_is_at_least_as_good_as_fixed_breakpoints_on_mixed_traffic() -> None:
    arrivals = sorted(
        [*one_shot(300, 7.0), *conversations(40), *strangers(400)], key=lambda one: one[0]
    )
    own = sum((fate.cost(OPUS) for _, fate in chosen(OPUS, arrivals)), Decimal(0))
    for fixed in (lambda _: {0}, lambda blocks: {blocks - 1}, lambda blocks: {3, blocks - 1}):
        assert own < cost(OPUS, arrivals, fixed)


def test_a_rule_without_breakpoints_has_no_plan() -> None:
    chooser, blocks = Chooser(OLD), prompt("a", "b")
    assert chooser.choose(blocks, 0.0).marks == ()
    assert chooser.choose([], 0.0).saves == 0
    assert chooser.sent(Ask(0.0, blocks)).uncached == 2000
    assert chooser.sent(Ask(9.0, blocks)).read == 1920


def test_only_blocks_that_can_be_marked_are() -> None:
    chooser, blocks = Chooser(OPUS), prompt("s1", "s2", "s3")
    for at in range(50):
        chooser.sent(Ask(10.0 * at, blocks))
    assert [mark.behind for mark in chooser.choose(blocks, 500.0, candidates=[0, 1]).marks] == [1]
    assert chooser.choose(blocks, 500.0, most=0).marks == ()


def test_visits_estimate_what_was_not_followed_yet() -> None:
    """Gaps of 100 s on average, a half never followed: half of it shows within 70 s already."""
    draws, visits, comings = random.Random(3), Visits({"5m": 300.0, "30m": 1800.0}), []
    for number in range(4000):
        at = number * 0.5
        comings.append((at, number))
        if draws.random() < 0.5:
            comings.append((at + draws.expovariate(1 / 100), number))
    for at, number in sorted(comings):
        if at < 2000:
            visits.visit([number], at)
    expected = visits.followed([-1])
    assert abs(expected["5m"][0] - 0.475) < 0.03
    assert abs(expected["30m"][0] - 0.5) < 0.03


def test_shares_never_grow_along_a_prompt_and_memory_is_bounded() -> None:
    draws, visits = random.Random(5), Visits({"5m": 300.0, "1h": 3600.0}, most=500)
    for at in range(2000):
        digests = [("p", draws.randrange(3)), ("q", draws.randrange(50)), ("r", at)]
        for shares in visits.followed(digests).values():
            assert shares == sorted(shares, reverse=True)
            assert all(0 <= share <= 1 for share in shares)
        visits.visit(digests, float(at * 10))
        assert len(visits) <= 500
    assert visits.last_seen(("r", 1999)) == 19_990.0
    assert visits.last_seen(("r", 0)) is None
    five, hour = visits.followed([("p", 1), ("q", 1), ("r", -1)]).values()
    assert all(short <= long + 1e-9 for short, long in zip(five, hour, strict=True))
    assert five[0] > 0.9
