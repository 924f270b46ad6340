"""Pairs: what a threshold finds and what it gets wrong, over the whole curve."""

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.semantic.evaluation.json_lines import LineFault
from askonce.semantic.evaluation.pairs import (
    Pair,
    Point,
    Scored,
    curve_of,
    judge_at,
    read_pairs,
    recall_at_precision,
)

SCORED = st.lists(
    st.builds(
        Scored,
        st.integers(-20, 20).map(lambda score: score / 20),
        st.booleans(),
        st.booleans(),
    ),
    max_size=60,
)

FOUR = [Scored(0.9, True), Scored(0.9, False, True), Scored(0.8, False), Scored(0.7, True)]


def counts(point: Point) -> tuple[tuple[int, int], ...]:
    shares = (point.recall, point.wrong_rate, point.precision)
    return tuple((one.count, one.total) for one in shares)


def test_an_operating_point_is_what_is_served() -> None:
    assert counts(judge_at(FOUR, 0.85)) == ((1, 2), (0, 2), (1, 1))
    assert counts(judge_at(FOUR, 0.8)) == ((1, 2), (1, 2), (1, 2))
    assert counts(judge_at(FOUR, 0.0)) == ((2, 2), (1, 2), (2, 3))


def test_where_nothing_is_served_there_is_no_precision() -> None:
    point = judge_at(FOUR, 0.95)
    assert counts(point) == ((0, 2), (0, 2), (0, 0))
    assert point.precision.rate is None
    assert point.recall.rate == 0.0


def test_a_score_that_is_no_number_is_never_served() -> None:
    scored = [*FOUR, Scored(math.nan, True)]
    assert counts(judge_at(scored, -1.0)) == ((2, 3), (1, 2), (2, 3))
    assert [point.threshold for point in curve_of(scored)] == [0.9, 0.8, 0.7]


@given(SCORED)
def test_the_curve_is_the_points_at_every_score(scored: list[Scored]) -> None:
    curve = curve_of(scored)
    assert [point.threshold for point in curve] == sorted(
        {one.similarity for one in scored}, reverse=True
    )
    assert curve == [judge_at(scored, point.threshold) for point in curve]


@given(SCORED)
def test_what_is_served_adds_up(scored: list[Scored]) -> None:
    for point in curve_of(scored):
        assert point.precision.count == point.recall.count
        assert point.precision.total == point.recall.count + point.wrong_rate.count
        assert point.recall.total + point.wrong_rate.total == len(scored)


@given(SCORED)
def test_a_lower_threshold_never_finds_less(scored: list[Scored]) -> None:
    curve = curve_of(scored)
    for point, lower in pairwise(curve):
        assert lower.recall.count >= point.recall.count
        assert lower.wrong_rate.count >= point.wrong_rate.count


@given(SCORED)
def test_more_vetoes_never_serve_more(scored: list[Scored]) -> None:
    bare = [Scored(one.similarity, one.same) for one in scored]
    guarded = judge_at(scored, 0.5)
    assert guarded.recall.count <= judge_at(bare, 0.5).recall.count
    assert guarded.wrong_rate.count <= judge_at(bare, 0.5).wrong_rate.count


@given(st.integers(2, 200), st.integers(1, 700))
def test_a_curve_is_thinned_and_keeps_its_ends(points: int, size: int) -> None:
    scored = [Scored(number / size, number % 3 == 0) for number in range(size)]
    curve = curve_of(scored, points=points)
    thresholds = [point.threshold for point in curve]
    assert len(curve) == min(points, size)
    assert thresholds == sorted(set(thresholds), reverse=True)
    assert (thresholds[0], thresholds[-1]) == ((size - 1) / size, 0.0)
    assert curve[-1] == judge_at(scored, 0.0)


def test_a_curve_has_two_points_at_least() -> None:
    with pytest.raises(ValueError, match="two points"):
        curve_of(FOUR, points=1)


def test_nothing_makes_an_empty_curve() -> None:
    assert curve_of([]) == []
    assert recall_at_precision([]) is None


def test_the_highest_recall_at_a_precision() -> None:
    # 19 right, then a wrong one: exactly 0.95. Then another wrong one and a late right one.
    scored = [Scored(1 - number / 100, True) for number in range(19)]
    scored += [Scored(0.5, False), Scored(0.4, False), Scored(0.3, True)]
    found = recall_at_precision(scored)
    assert found is not None
    assert (found.count, found.total) == (19, 20)
    assert recall_at_precision([Scored(0.9, False), Scored(0.5, True)]) is None
    assert recall_at_precision([Scored(0.9, False, True), Scored(0.5, True)]) is not None


@given(SCORED, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_it_is_the_best_of_the_curve(scored: list[Scored], precision: float) -> None:
    good = [
        point.recall.count
        for point in curve_of(scored)
        if point.recall.count and (point.precision.rate or 0.0) >= precision
    ]
    found = recall_at_precision(scored, precision)
    assert (found.count if found else None) == (max(good) if good else None)


def test_a_point_can_be_written_as_json() -> None:
    told = msgspec.json.decode(msgspec.json.encode(judge_at(FOUR, 0.95)))
    assert told["precision"] == {"count": 0, "total": 0, "rate": None, "low": 0.0, "high": 1.0}


def test_pairs_are_read_and_faults_are_told_by_line() -> None:
    lines: list[str | bytes] = [
        '{"a": "x", "b": "y", "same": 1}\n',
        b'{"a": "x", "b": "z", "same": false, "more": 1}',
        "\n",
        "not json",
        "[1]",
        '{"a": "x", "b": "y"}',
        '{"a": "x", "b": "y", "same": 2}',
        '{"a": "x", "b": "y", "same": "1"}',
        '{"a": 7, "b": "y", "same": 1}',
        '{"b": "y", "same": 1}',
        b'{"a": "\xff", "b": "y", "same": 1}',
        '{"a": "\ud800", "b": "y", "same": 1}',
        "[" * 100_000,
        '{"a": "last", "b": "one", "same": true}',
    ]
    pairs, faults = read_pairs(lines)
    assert pairs == [Pair("x", "y", True), Pair("x", "z", False), Pair("last", "one", True)]
    assert faults == [
        LineFault(4, "not JSON"),
        LineFault(5, "not a JSON object"),
        LineFault(6, "`same` is missing"),
        LineFault(7, "`same` is neither true nor false"),
        LineFault(8, "`same` is neither true nor false"),
        LineFault(9, "`a` is not a text"),
        LineFault(10, "`a` is missing"),
        LineFault(11, "not JSON"),
        LineFault(12, "not JSON"),
        LineFault(13, "not JSON"),
    ]


@given(st.lists(st.text() | st.binary()))
def test_no_line_is_fatal(lines: list[str | bytes]) -> None:
    pairs, faults = read_pairs(lines)
    assert len(pairs) + len(faults) == sum(bool(line.strip()) for line in lines)
