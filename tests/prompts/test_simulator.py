"""What each provider's rules read and write for a sequence of requests."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.simulator import (
    Breakpoint,
    SimulatedBlock,
    SimulatedRequest,
    SimulatedUsage,
    Simulator,
)

BOOK = load_rules()


def rule_of(provider: str, model: str) -> ProviderRule:
    found = BOOK.rule(provider, model)
    assert found is not None
    return found


OPUS = rule_of("anthropic", "claude-opus-5")  # at least 512 tokens
SOL = rule_of("openai", "gpt-5.6-sol")
OLD = rule_of("openai", "gpt-5.4")
DEEPSEEK = rule_of("deepseek", "deepseek-v4-pro")


def blocks(*names: str, size: int = 1000, ends: str = "") -> list[SimulatedBlock]:
    """Return a block for each name; prompts with the same beginning share digests."""
    return [
        SimulatedBlock("/".join(names[: at + 1]), size * (at + 1), at, name in ends, name.isupper())
        for at, name in enumerate(names)
    ]


def simulate(rule: ProviderRule, *requests: SimulatedRequest) -> list[SimulatedUsage]:
    simulator = Simulator(rule)
    return [simulator.send(request) for request in requests]


def usages(
    rule: ProviderRule, *requests: SimulatedRequest
) -> list[tuple[int, dict[str, int], int]]:
    return [(usage.read, usage.written, usage.uncached) for usage in simulate(rule, *requests)]


def test_a_marked_prefix_is_written_once_and_read_while_it_lives() -> None:
    requests = [
        SimulatedRequest(at, blocks("s", tail), (Breakpoint(0),))
        for at, tail in [(0, "a"), (100, "b"), (399, "c"), (700, "d")]
    ]
    assert usages(OPUS, *requests) == [
        (0, {"5m": 1000}, 1000),
        (1000, {}, 1000),
        (1000, {}, 1000),  # reading at 100 gave it another 5 minutes
        (0, {"5m": 1000}, 1000),
    ]


def test_an_hour_costs_more_and_lasts_longer() -> None:
    requests = [
        SimulatedRequest(at, blocks("s", "a"), (Breakpoint(0, "1h"),)) for at in (0, 3000, 7000)
    ]
    assert usages(OPUS, *requests)[1:] == [(1000, {}, 1000), (0, {"1h": 1000}, 1000)]
    assert SimulatedUsage(0, {"1h": 1000}, 1000).cost(OPUS) == 3000
    assert SimulatedUsage(1000, {"5m": 400}, 100).cost(OPUS) == Decimal(700)


def test_concurrent_cold_requests_all_pay_for_writing() -> None:
    requests = [SimulatedRequest(at, blocks("s", "a"), (Breakpoint(0),)) for at in (0, 0, 0.5, 1.5)]
    assert [read for read, _, _ in usages(OPUS, *requests)] == [0, 0, 0, 1000]
    early = SimulatedRequest(0, blocks("s", "a"), (Breakpoint(0),), first_byte=0.2)
    assert [read for read, _, _ in usages(OPUS, early, *requests[2:])] == [0, 1000, 1000]


def test_below_the_minimum_nothing_is_cached() -> None:
    requests = [
        SimulatedRequest(at, blocks("s", "a", size=300), (Breakpoint(0), Breakpoint(1)))
        for at in (0, 10)
    ]
    assert usages(OPUS, *requests) == [(0, {"5m": 600}, 0), (600, {}, 0)]
    requests = [SimulatedRequest(at, blocks("s", size=511), (Breakpoint(0),)) for at in (0, 10)]
    assert usages(OPUS, *requests) == [(0, {}, 511), (0, {}, 511)]


def test_look_back_finds_the_end_of_the_last_turn_up_to_20_blocks() -> None:
    names = [chr(97 + at) for at in range(26)]
    early, reach, beyond = (blocks(*names[:count]) for count in (3, 23, 24))

    def end(known: list[SimulatedBlock]) -> tuple[Breakpoint, ...]:
        return (Breakpoint(len(known) - 1),)

    first = SimulatedRequest(0, early, end(early))
    assert usages(OPUS, first, SimulatedRequest(9, reach, end(reach)))[1] == (
        3000,
        {"5m": 20_000},
        0,
    )
    assert usages(OPUS, first, SimulatedRequest(9, beyond, end(beyond)))[1] == (
        0,
        {"5m": 24_000},
        0,
    )
    kept = SimulatedRequest(9, beyond, (Breakpoint(2), *end(beyond)))
    assert usages(OPUS, first, kept)[1] == (3000, {"5m": 21_000}, 0)


def test_only_the_latest_four_breakpoints_count() -> None:
    known = blocks("a", "b", "c", "d", "e")
    first, second = (
        SimulatedRequest(0, known, tuple(Breakpoint(at) for at in range(5))),
        SimulatedRequest(9, known[:1], (Breakpoint(0),)),
    )
    assert usages(OPUS, first, second) == [(0, {"5m": 5000}, 0), (0, {"5m": 1000}, 0)]


def test_lifetimes_do_not_grow_along_the_prompt() -> None:
    known = blocks("a", "b", "c")
    request = SimulatedRequest(
        0, known, (Breakpoint(0, "1h"), Breakpoint(1, "5m"), Breakpoint(2, "1h"))
    )
    assert usages(OPUS, request) == [(0, {"1h": 1000, "5m": 2000}, 0)]


def test_the_marker_of_a_whole_request_is_at_its_last_block() -> None:
    first, second = blocks("a", "b"), blocks("a", "b", "C", "d")
    requests = SimulatedRequest(0, first, implicit=True), SimulatedRequest(9, second, implicit=True)
    assert usages(OPUS, *requests) == [(0, {"5m": 2000}, 0), (2000, {"5m": 2000}, 0)]
    assert usages(OPUS, SimulatedRequest(0, first)) == [(0, {}, 2000)]


def test_since_5_6_one_shot_traffic_pays_more_than_without_a_cache() -> None:
    def requests(marks: tuple[Breakpoint, ...], implicit: bool | None) -> list[SimulatedRequest]:
        tails = enumerate("abcdefgh")
        return [
            SimulatedRequest(10.0 * at, blocks("s", tail, size=4000, ends=tail), marks, implicit)
            for at, tail in tails
        ]

    def cost(*chosen: Any) -> Decimal:
        return sum((usage.cost(SOL) for usage in simulate(SOL, *requests(*chosen))), Decimal(0))

    uncached = 8 * 8000
    assert cost((), None) == Decimal("1.25") * uncached
    assert cost((), False) == uncached
    assert cost((Breakpoint(0),), False) < Decimal("0.7") * uncached


def test_since_5_6_there_is_no_fallback_to_a_shorter_prefix() -> None:
    known = blocks("s", "a", "b", ends="b")
    marked = SimulatedRequest(0, known, (Breakpoint(0),), implicit=False)
    assert (
        usages(SOL, marked, SimulatedRequest(9, known, (Breakpoint(0),), implicit=False))[1][0]
        == 1000 - 1000
    )
    long = blocks("s", "a", "b", size=2000, ends="b")
    first = SimulatedRequest(0, long, (Breakpoint(2),), implicit=False)
    assert (
        usages(
            SOL, first, SimulatedRequest(9, long, (Breakpoint(0), Breakpoint(1)), implicit=False)
        )[1][0]
        == 0
    )
    assert (
        usages(SOL, first, SimulatedRequest(9, long, (Breakpoint(2),), implicit=False))[1][0]
        == 6000
    )
    # What was written implicitly is found by a breakpoint at the same boundary, and only so.
    implicit = SimulatedRequest(0, long)
    assert (
        usages(SOL, implicit, SimulatedRequest(9, long, (Breakpoint(2),), implicit=False))[1][0]
        == 6000
    )
    assert (
        usages(SOL, implicit, SimulatedRequest(9, long, (Breakpoint(1),), implicit=False))[1][0]
        == 0
    )


def test_since_5_6_a_conversation_is_found_by_its_earlier_endings() -> None:
    first = blocks("s", "u", size=2000, ends="su")
    second = blocks("s", "u", "A", "v", size=2000, ends="suv")
    assert usages(SOL, SimulatedRequest(0, first), SimulatedRequest(9, second)) == [
        (0, {"30m": 4000}, 0),
        (4000, {"30m": 4000}, 0),
    ]


def test_before_5_6_any_prefix_is_read_rounded_down() -> None:
    requests = (
        SimulatedRequest(0, blocks("s", "a", size=1500)),
        SimulatedRequest(9, blocks("s", "b", size=1500)),
    )
    assert usages(OLD, *requests) == [(0, {}, 3000), (1408, {}, 1592)]
    small = [SimulatedRequest(at, blocks("s", size=1000)) for at in (0, 9)]
    assert usages(OLD, *small)[1] == (0, {}, 1000)
    late = requests[0], SimulatedRequest(301, blocks("s", "b", size=1500))
    assert usages(OLD, *late)[1] == (0, {}, 3000)
    asked = [SimulatedRequest(at, blocks("s", size=1500), ttl="24h") for at in (0, 301)]
    assert usages(OLD, *asked)[1] == (1408, {}, 92)


def test_deepseek_reads_whole_units() -> None:
    # A+B and A+C both miss, A+D finds A: it was seen twice.
    requests = [
        SimulatedRequest(20.0 * at, blocks("s", tail, size=640)) for at, tail in enumerate("abc")
    ]
    assert [read for read, _, _ in usages(DEEPSEEK, *requests)] == [0, 0, 640]
    # The end of an input is a unit, and so is the answer behind it.
    turn = (
        SimulatedRequest(0, blocks("s", "a", size=640)),
        SimulatedRequest(20, blocks("s", "a", "B", "c", size=640)),
    )
    assert usages(DEEPSEEK, *turn)[1][0] == 1920


def test_clocks_out_of_order_do_not_break_it() -> None:
    requests = [SimulatedRequest(at, blocks("s", "a"), (Breakpoint(0),)) for at in (100, 0, 101)]
    assert [read for read, _, _ in usages(OPUS, *requests)] == [0, 0, 1000]
    assert usages(OPUS, SimulatedRequest(0, [])) == [(0, {}, 0)]


def test_the_expired_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("askonce.prompts.simulator._SWEEP_FROM", 100)
    simulator = Simulator(OLD)
    for at in range(2000):
        simulator.send(SimulatedRequest(float(at), blocks(str(at), size=2000)))
    assert len(simulator._entries) < 1000


STEP = st.tuples(
    st.floats(0, 4000, allow_nan=False),
    st.lists(st.sampled_from("abC"), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.integers(-1, 9), st.sampled_from(["", "5m", "1h", "12h", "?"])), max_size=6
    ),
    st.sampled_from([None, True, False]),
)


@given(steps=st.lists(STEP, max_size=12), rule=st.sampled_from([OPUS, SOL, OLD, DEEPSEEK]))
def test_every_token_is_counted_once(steps: list[Any], rule: ProviderRule) -> None:
    simulator = Simulator(rule)
    for at, names, marks, implicit in steps:
        known = blocks(*names, size=500, ends="ab")
        usage = simulator.send(
            SimulatedRequest(at, known, tuple(Breakpoint(*mark) for mark in marks), implicit)
        )
        assert usage.read + sum(usage.written.values()) + usage.uncached == known[-1].tokens
        assert min(usage.read, usage.uncached, *usage.written.values(), 0) == 0
        assert not usage.read or usage.read >= rule.min_tokens
        assert usage.written.keys() <= rule.ttls.keys()
