"""Streams: questions in the order they came, against a policy; and how streams are made."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.errors import ConfigError
from askonce.semantic.evaluation.json_lines import LineFault
from askonce.semantic.evaluation.policies import FixedThreshold
from askonce.semantic.evaluation.streams import (
    Candidate,
    Nearest,
    Right,
    StreamQuestion,
    mixed_in,
    read_stream,
    replay,
    zipf_arrivals,
)


def by_letters(questions: Sequence[StreamQuestion]) -> Nearest:
    """A search that compares the sets of letters; exact, the older entry first among equals."""

    def similarity(a: str, b: str) -> float:
        return len(set(a) & set(b)) / len(set(a) | set(b))

    def nearest(number: int, entries: Sequence[int]) -> list[Candidate]:
        text = questions[number].text
        found = [Candidate(entry, similarity(text, questions[entry].text)) for entry in entries]
        return sorted(found, key=lambda one: -one.similarity)[:5]

    return nearest


SIX = [
    StreamQuestion("abc", "x"),
    StreamQuestion("abcd", "x"),  # 0.75 to the first: a right hit
    StreamQuestion("abce", "y"),  # the same, but wrong
    StreamQuestion("xyz", "z"),
    StreamQuestion("xyzw", None),  # out of scope: wrong
    StreamQuestion("qrs", None),
]


def test_a_stream_is_replayed_in_order() -> None:
    told = replay(SIX, by_letters(SIX), FixedThreshold(0.7))
    assert (told.hit_rate.count, told.hit_rate.total) == (3, 6)
    assert (told.wrong_share_of_hits.count, told.wrong_share_of_hits.total) == (2, 3)
    assert (told.wrong_share_of_all.count, told.wrong_share_of_all.total) == (2, 6)
    assert (told.out_of_scope_served.count, told.out_of_scope_served.total) == (1, 2)
    assert told.entries == 3
    assert [bucket.entries for bucket in told.over_time] == [1, 1, 1, 2, 2, 3]
    assert [bucket.hit_rate.count for bucket in told.over_time] == [0, 1, 1, 0, 1, 0]


def test_out_of_scope_is_wrong_even_for_the_same_words() -> None:
    twice = [StreamQuestion("abc", None)] * 2
    told = replay(twice, by_letters(twice), FixedThreshold(0.9))
    assert told.wrong_share_of_hits.count == told.hit_rate.count == 1


def test_an_empty_stream_says_nothing() -> None:
    told = replay([], by_letters([]), FixedThreshold(0.9))
    assert told.hit_rate.rate is None
    assert told.over_time == []


def test_a_policy_sees_only_entries_and_learns_only_what_was_asked() -> None:
    class Watching:
        def __init__(self) -> None:
            self.asked: list[int] = []

        def decide(self, question: int, candidates: Sequence[Candidate]) -> Candidate | None:
            assert {one.entry for one in candidates} <= {n for n in self.asked if n % 2 == 0}
            return candidates[0] if candidates and question % 5 == 4 else None

        def observe(self, question: int, candidates: Sequence[Candidate], right: Right) -> bool:
            assert question % 5 != 4
            assert all(right(one) == (one.entry % 3 == question % 3) for one in candidates)
            self.asked.append(question)
            return question % 2 == 0

    questions = [StreamQuestion(f"{number}", str(number % 3)) for number in range(40)]

    def nearest(number: int, entries: Sequence[int]) -> list[Candidate]:
        return [Candidate(entry, 0.5) for entry in entries]

    told = replay(questions, nearest, Watching())
    assert told.hit_rate.count == 8


@given(
    st.lists(
        st.builds(StreamQuestion, st.text("abcd", min_size=1), st.sampled_from(["x", "y", None]))
    ),
    st.integers(1, 60),
)
def test_stretches_add_up_to_the_whole(questions: list[StreamQuestion], buckets: int) -> None:
    told = replay(questions, by_letters(questions), FixedThreshold(0.6), buckets=buckets)
    stretches = told.over_time
    assert len(stretches) == min(buckets, len(questions))
    assert sum(one.hit_rate.total for one in stretches) == len(questions)
    assert sum(one.hit_rate.count for one in stretches) == told.hit_rate.count
    assert sum(one.wrong_share_of_hits.count for one in stretches) == (
        told.wrong_share_of_hits.count
    )
    for one, later in pairwise(stretches):
        assert later.first == one.last + 1
        assert abs(later.hit_rate.total - one.hit_rate.total) <= 1
    assert told.entries == len(questions) - told.hit_rate.count
    assert msgspec.json.decode(msgspec.json.encode(told))["entries"] == told.entries


def test_streams_are_read_and_faults_are_told_by_line() -> None:
    questions, faults = read_stream(
        [
            '{"text": "a", "intent": "card"}',
            '{"text": "b", "need": 7, "file": "f"}',
            '{"text": "c", "intent": null, "need": "n"}',
            '{"text": "d", "intent": null}',
            '{"text": "e"}',
            '{"text": "f", "intent": "oos"}',
            '{"text": "g", "intent": true}',
            '{"text": "h", "need": ["n"]}',
            '{"intent": "card"}',
            '{"text": "  ", "intent": "card"}',
        ]
    )
    assert [(one.text, one.need) for one in questions] == [
        ("a", "card"), ("b", "7"), ("c", "n"), ("d", None), ("e", None), ("f", None),
    ]  # fmt: skip
    assert faults == [
        LineFault(7, "`intent` is neither a text nor a whole number"),
        LineFault(8, "`need` is neither a text nor a whole number"),
        LineFault(9, "`text` is missing"),
        LineFault(10, "`text` is not a text"),
    ]


KNOWN = [StreamQuestion(f"{need}/{number}", f"{need}") for need in range(20) for number in range(3)]


def test_arrivals_follow_zipfs_law() -> None:
    arrived = zipf_arrivals(KNOWN, count=50_000, exponent=1.0, seed=4)
    often = [count for _, count in Counter(one.need for one in arrived).most_common(10)]
    weights = [1 / rank for rank in range(1, 21)]
    for count, weight in zip(often, weights, strict=False):
        assert count == pytest.approx(50_000 * weight / sum(weights), rel=0.1)


def test_arrivals_are_even_at_an_exponent_of_zero() -> None:
    arrived = zipf_arrivals(KNOWN, count=40_000, exponent=0.0, seed=4)
    assert all(1800 < count < 2200 for count in Counter(one.need for one in arrived).values())


def test_no_wording_comes_again_before_all_of_them_came() -> None:
    arrived = zipf_arrivals(KNOWN, count=1000, exponent=1.2, seed=1)
    for need in {one.need for one in arrived}:
        texts = [one.text for one in arrived if one.need == need]
        rounds = [texts[first : first + 3] for first in range(0, len(texts), 3)]
        assert all(len(set(part)) == len(part) for part in rounds)


def test_a_question_out_of_scope_is_a_need_of_its_own() -> None:
    strange = [StreamQuestion("a", None), StreamQuestion("b", None)]
    arrived = zipf_arrivals(strange, count=1000, exponent=0.0, seed=1)
    assert all(count > 400 for count in Counter(one.text for one in arrived).values())
    assert zipf_arrivals([], count=5, exponent=1.0, seed=1) == []


def test_a_seed_decides_the_arrivals() -> None:
    def arrivals(seed: int) -> list[StreamQuestion]:
        return zipf_arrivals(KNOWN, count=100, exponent=1.0, seed=seed)

    assert arrivals(1) == arrivals(1)
    assert arrivals(1) != arrivals(2)


@given(st.integers(0, 40), st.floats(0, 0.5), st.integers())
def test_mixing_keeps_both_orders_and_the_share(size: int, part: float, seed: int) -> None:
    questions = KNOWN[:size]
    strangers = [f"stranger {number}" for number in range(60)]
    mixed = mixed_in(questions, strangers, part=part, seed=seed)
    assert [one for one in mixed if one.need is not None] == questions
    strange = [one.text for one in mixed if one.need is None]
    assert strange == strangers[: len(strange)]
    assert abs(len(strange) - part * len(mixed)) <= 1
    assert mixed == mixed_in(questions, strangers, part=part, seed=seed)


def test_too_few_strangers_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="15 out-of-scope questions are needed"):
        mixed_in(KNOWN, ["one"], part=0.2, seed=0)
    with pytest.raises(ConfigError, match="from 0 to below 1"):
        mixed_in(KNOWN, ["one"], part=1.0, seed=0)
