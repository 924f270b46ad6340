"""What each provider's rules make of a sequence of requests."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.provider.tokens import DEFAULT_RATE
from askonce.prompts.requests.render import render
from askonce.prompts.simulator import (
    Fate,
    Mark,
    SimulatedBlock,
    SimulatedRequest,
    Simulator,
    ask_of,
    simulate,
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
    """A block for each name, which shares its digest with all prompts that begin alike."""
    return [
        SimulatedBlock("/".join(names[: at + 1]), size * (at + 1), at, name in ends, name.isupper())
        for at, name in enumerate(names)
    ]


def fates(rule: ProviderRule, *asks: SimulatedRequest) -> list[tuple[int, dict[str, int], int]]:
    return [(fate.read, fate.written, fate.uncached) for fate in simulate(asks, rule)]


def test_a_marked_prefix_is_written_once_and_read_while_it_lives() -> None:
    asks = [
        SimulatedRequest(at, blocks("s", tail), (Mark(0),))
        for at, tail in [(0, "a"), (100, "b"), (399, "c"), (700, "d")]
    ]
    assert fates(OPUS, *asks) == [
        (0, {"5m": 1000}, 1000),
        (1000, {}, 1000),
        (1000, {}, 1000),  # reading at 100 gave it another 5 minutes
        (0, {"5m": 1000}, 1000),
    ]


def test_an_hour_costs_more_and_lasts_longer() -> None:
    asks = [SimulatedRequest(at, blocks("s", "a"), (Mark(0, "1h"),)) for at in (0, 3000, 7000)]
    assert fates(OPUS, *asks)[1:] == [(1000, {}, 1000), (0, {"1h": 1000}, 1000)]
    assert Fate(0, {"1h": 1000}, 1000).cost(OPUS) == 3000
    assert Fate(1000, {"5m": 400}, 100).cost(OPUS) == Decimal(700)
    assert Fate(1000).usd(OPUS, Decimal("0.000005")) == Decimal("0.0005")
    assert Fate(1000).usd(OPUS, None) is None


def test_concurrent_cold_requests_all_pay_for_writing() -> None:
    asks = [SimulatedRequest(at, blocks("s", "a"), (Mark(0),)) for at in (0, 0, 0.5, 1.5)]
    assert [read for read, _, _ in fates(OPUS, *asks)] == [0, 0, 0, 1000]
    told = SimulatedRequest(0, blocks("s", "a"), (Mark(0),), first_byte=0.2)
    assert [read for read, _, _ in fates(OPUS, told, *asks[2:])] == [0, 1000, 1000]


def test_below_the_minimum_nothing_is_cached() -> None:
    asks = [SimulatedRequest(at, blocks("s", "a", size=300), (Mark(0), Mark(1))) for at in (0, 10)]
    assert fates(OPUS, *asks) == [(0, {"5m": 600}, 0), (600, {}, 0)]
    asks = [SimulatedRequest(at, blocks("s", size=511), (Mark(0),)) for at in (0, 10)]
    assert fates(OPUS, *asks) == [(0, {}, 511), (0, {}, 511)]


def test_look_back_finds_the_end_of_the_last_turn_up_to_20_blocks() -> None:
    names = [chr(97 + at) for at in range(26)]
    early, reach, beyond = (blocks(*names[:count]) for count in (3, 23, 24))

    def end(known: list[SimulatedBlock]) -> tuple[Mark, ...]:
        return (Mark(len(known) - 1),)

    first = SimulatedRequest(0, early, end(early))
    assert fates(OPUS, first, SimulatedRequest(9, reach, end(reach)))[1] == (
        3000,
        {"5m": 20_000},
        0,
    )
    assert fates(OPUS, first, SimulatedRequest(9, beyond, end(beyond)))[1] == (0, {"5m": 24_000}, 0)
    kept = SimulatedRequest(9, beyond, (Mark(2), *end(beyond)))
    assert fates(OPUS, first, kept)[1] == (3000, {"5m": 21_000}, 0)


def test_only_the_latest_four_breakpoints_count() -> None:
    known = blocks("a", "b", "c", "d", "e")
    first, second = (
        SimulatedRequest(0, known, tuple(Mark(at) for at in range(5))),
        SimulatedRequest(9, known[:1], (Mark(0),)),
    )
    assert fates(OPUS, first, second) == [(0, {"5m": 5000}, 0), (0, {"5m": 1000}, 0)]


def test_lifetimes_do_not_grow_along_the_prompt() -> None:
    known = blocks("a", "b", "c")
    ask = SimulatedRequest(0, known, (Mark(0, "1h"), Mark(1, "5m"), Mark(2, "1h")))
    assert fates(OPUS, ask) == [(0, {"1h": 1000, "5m": 2000}, 0)]


def test_the_marker_of_a_whole_request_is_at_its_last_block() -> None:
    first, second = blocks("a", "b"), blocks("a", "b", "C", "d")
    asks = SimulatedRequest(0, first, implicit=True), SimulatedRequest(9, second, implicit=True)
    assert fates(OPUS, *asks) == [(0, {"5m": 2000}, 0), (2000, {"5m": 2000}, 0)]
    assert fates(OPUS, SimulatedRequest(0, first)) == [(0, {}, 2000)]


def test_since_5_6_one_shot_traffic_pays_more_than_without_a_cache() -> None:
    def asks(marks: tuple[Mark, ...], implicit: bool | None) -> list[SimulatedRequest]:
        tails = enumerate("abcdefgh")
        return [
            SimulatedRequest(10.0 * at, blocks("s", tail, size=4000, ends=tail), marks, implicit)
            for at, tail in tails
        ]

    def cost(*chosen: Any) -> Decimal:
        return sum((fate.cost(SOL) for fate in simulate(asks(*chosen), SOL)), Decimal(0))

    uncached = 8 * 8000
    assert cost((), None) == Decimal("1.25") * uncached
    assert cost((), False) == uncached
    assert cost((Mark(0),), False) < Decimal("0.7") * uncached


def test_since_5_6_there_is_no_fallback_to_a_shorter_prefix() -> None:
    known = blocks("s", "a", "b", ends="b")
    marked = SimulatedRequest(0, known, (Mark(0),), implicit=False)
    assert (
        fates(SOL, marked, SimulatedRequest(9, known, (Mark(0),), implicit=False))[1][0]
        == 1000 - 1000
    )
    long = blocks("s", "a", "b", size=2000, ends="b")
    first = SimulatedRequest(0, long, (Mark(2),), implicit=False)
    assert (
        fates(SOL, first, SimulatedRequest(9, long, (Mark(0), Mark(1)), implicit=False))[1][0] == 0
    )
    assert fates(SOL, first, SimulatedRequest(9, long, (Mark(2),), implicit=False))[1][0] == 6000
    # What was written implicitly is found by a breakpoint at the same boundary, and only so.
    implicit = SimulatedRequest(0, long)
    assert fates(SOL, implicit, SimulatedRequest(9, long, (Mark(2),), implicit=False))[1][0] == 6000
    assert fates(SOL, implicit, SimulatedRequest(9, long, (Mark(1),), implicit=False))[1][0] == 0


def test_since_5_6_a_conversation_is_found_by_its_earlier_endings() -> None:
    first = blocks("s", "u", size=2000, ends="su")
    second = blocks("s", "u", "A", "v", size=2000, ends="suv")
    assert fates(SOL, SimulatedRequest(0, first), SimulatedRequest(9, second)) == [
        (0, {"30m": 4000}, 0),
        (4000, {"30m": 4000}, 0),
    ]


def test_before_5_6_any_prefix_is_read_rounded_down() -> None:
    asks = (
        SimulatedRequest(0, blocks("s", "a", size=1500)),
        SimulatedRequest(9, blocks("s", "b", size=1500)),
    )
    assert fates(OLD, *asks) == [(0, {}, 3000), (1408, {}, 1592)]
    small = [SimulatedRequest(at, blocks("s", size=1000)) for at in (0, 9)]
    assert fates(OLD, *small)[1] == (0, {}, 1000)
    late = asks[0], SimulatedRequest(301, blocks("s", "b", size=1500))
    assert fates(OLD, *late)[1] == (0, {}, 3000)
    asked = [SimulatedRequest(at, blocks("s", size=1500), ttl="24h") for at in (0, 301)]
    assert fates(OLD, *asked)[1] == (1408, {}, 92)


def test_deepseek_reads_whole_units() -> None:
    # A+B and A+C both miss, A+D finds A: it was seen twice.
    asks = [
        SimulatedRequest(20.0 * at, blocks("s", tail, size=640)) for at, tail in enumerate("abc")
    ]
    assert [read for read, _, _ in fates(DEEPSEEK, *asks)] == [0, 0, 640]
    # The end of an input is a unit, and so is the answer behind it.
    turn = (
        SimulatedRequest(0, blocks("s", "a", size=640)),
        SimulatedRequest(20, blocks("s", "a", "B", "c", size=640)),
    )
    assert fates(DEEPSEEK, *turn)[1][0] == 1920


def test_clocks_out_of_order_do_not_break_it() -> None:
    asks = [SimulatedRequest(at, blocks("s", "a"), (Mark(0),)) for at in (100, 0, 101)]
    assert [read for read, _, _ in fates(OPUS, *asks)] == [0, 0, 1000]
    assert fates(OPUS, SimulatedRequest(0, [])) == [(0, {}, 0)]


def test_the_expired_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("askonce.prompts.simulator._SWEEP_FROM", 100)
    simulator = Simulator(OLD)
    for at in range(2000):
        simulator.ask(SimulatedRequest(float(at), blocks(str(at), size=2000)))
    assert len(simulator._held) < 1000


def test_a_request_as_it_was_sent() -> None:
    request = {
        "model": "claude-opus-5",
        "system": [
            {"type": "text", "text": "x" * 3600, "cache_control": {"type": "ephemeral"}},
        ],
        "messages": [{"role": "user", "content": "y" * 360}],
    }
    ask = ask_of(render(request, "messages", rule=OPUS), DEFAULT_RATE, 5.0)
    assert ask.marks == (Mark(1, ""),)
    assert ask.implicit is False
    assert 1000 <= ask.blocks[1].tokens <= 1010
    assert fates(OPUS, ask)[0][1] == {"5m": ask.blocks[1].tokens}
    automatic = request | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ask = ask_of(render(automatic, "messages", rule=OPUS), DEFAULT_RATE, 5.0)
    assert (ask.implicit, ask.ttl) == (True, "1h")
    # An explicit breakpoint without a lifetime is for 5 minutes, and nothing behind it for more.
    assert fates(OPUS, ask)[0][1].keys() == {"5m"}
    older = {"model": "gpt-5.4", "prompt_cache_retention": "24h", "messages": []}
    assert ask_of(render(older, "chat", rule=OLD), DEFAULT_RATE, 0).ttl == "24h"
    chat = {"model": "gpt-5.6-sol", "prompt_cache_options": {"mode": "explicit"}, "messages": []}
    assert ask_of(render(chat, "chat", rule=SOL), DEFAULT_RATE, 0).implicit is False


STEP = st.tuples(
    st.floats(0, 4000, allow_nan=False),
    st.lists(st.sampled_from("abC"), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.integers(-1, 9), st.sampled_from(["", "5m", "1h", "12h", "?"])), max_size=6
    ),
    st.sampled_from([None, True, False]),
)


@settings(deadline=None)
@given(steps=st.lists(STEP, max_size=12), rule=st.sampled_from([OPUS, SOL, OLD, DEEPSEEK]))
def test_every_token_is_counted_once(steps: list[Any], rule: ProviderRule) -> None:
    simulator = Simulator(rule)
    for at, names, marks, implicit in steps:
        known = blocks(*names, size=500, ends="ab")
        fate = simulator.ask(
            SimulatedRequest(at, known, tuple(Mark(*mark) for mark in marks), implicit)
        )
        assert fate.total == known[-1].tokens
        assert min(fate.read, fate.uncached, *fate.written.values(), 0) == 0
        assert not fate.read or fate.read >= rule.min_tokens
        assert fate.written.keys() <= rule.ttls.keys()
