"""Reports: the operating point equals serving, each guard has its effect, and shares are rates."""

import math

import pytest

from askonce.semantic.evaluation.guard_effects import Proposed, effects_of
from askonce.semantic.evaluation.intervals import share
from askonce.semantic.evaluation.json_reports import (
    SearchCost,
    merge_buckets,
    pairs_as_dict,
    share_values,
    shares_as_dict,
    stream_as_dict,
)
from askonce.semantic.evaluation.pair_reports import FIXED, report_pairs
from askonce.semantic.evaluation.pairs import Pair
from askonce.semantic.evaluation.stream_reports import DELTAS, Search, report_stream
from askonce.semantic.evaluation.streams import StreamQuestion
from askonce.semantic.guards import GUARDS, judge, prepare

PAIRS = [
    Pair("How do I pay?", "How can I pay?", True),
    Pair("What is 2 + 2?", "What is 2 + 3?", False),
    Pair("Is it safe?", "Is it not safe?", False),
    Pair("Who is he?", "Who is he?", True),
    Pair("ก", "ข", True),
]
SIMILARITIES = [0.95, 0.97, 0.85, 1.0, math.nan]


def test_the_operating_point_is_what_serving_decides() -> None:
    report = report_pairs("set", PAIRS, SIMILARITIES, prepare, threshold=0.9)
    served = [
        judge(prepare(pair.a), prepare(pair.b), similarity, 0.9).yes
        for pair, similarity in zip(PAIRS, SIMILARITIES, strict=True)
    ]

    assert served == [True, False, False, True, False]
    assert (report.point.recall.count, report.point.recall.total) == (2, 3)
    assert (report.point.wrong_rate.count, report.point.wrong_rate.total) == (0, 2)
    assert report.point.threshold == 0.9
    assert report.without_vector == 1


def test_thresholds_without_guards_serve_what_guards_veto() -> None:
    report = report_pairs("set", PAIRS, SIMILARITIES, prepare, threshold=0.9)
    at = {point.threshold: point for point in report.fixed}

    assert tuple(at) == FIXED
    assert at[0.95].wrong_rate.count == 1
    assert at[0.80].wrong_rate.count == 2
    assert max(point.wrong_rate.count for point in report.curve) == 0
    assert max(point.wrong_rate.count for point in report.bare_curve) == 2


def test_every_guard_is_asked_alone_and_then_all() -> None:
    proposed = [
        Proposed(prepare("What is 2 + 2?"), prepare("What is 2 + 3?"), False),
        Proposed(prepare("Is 5 not odd?"), prepare("Is 6 odd?"), False),
        Proposed(prepare("How do I pay?"), prepare("How can I pay?"), True),
        Proposed(prepare("Not 7?"), prepare("not  7?"), True),  # the same words: no guard is asked
    ]
    effects = {effect.guard: effect for effect in effects_of(proposed)}

    assert list(effects) == [*(str(reason) for reason, _ in GUARDS), "all"]
    assert effects["numbers"].wrong_prevented.rate == 1.0
    assert effects["negation"].wrong_prevented.rate == 0.5
    assert effects["all"].wrong_prevented.rate == 1.0
    assert effects["all"].recall_lost.count == 0


def test_a_share_of_nothing_is_null() -> None:
    assert share_values(share(0, 0)) == share_values(None) == (None, None)
    assert share_values(share(0, 4)) == (0.0, [0.0, pytest.approx(0.489891, abs=1e-6)])
    assert shares_as_dict({"x": None}) == {"x": None, "intervals": {"x": None}}
    rate, ends = share_values(share(1, 3))
    assert rate == 0.333333
    assert ends == [round(end, 6) for end in ends or []]


def by_length(questions: list[StreamQuestion], limit: int) -> Search:
    """Texts of the same length are the same, and all others are far."""

    def search(number: int, entries: object) -> list[tuple[int, float]]:
        assert isinstance(entries, list)
        size = len(questions[number].text)
        near = [entry for entry in entries if len(questions[entry].text) == size]
        return [(entry, 0.95) for entry in near][:limit]

    return search


STREAM = [
    StreamQuestion("Is 5 odd?", "five"),
    StreamQuestion("Is 6 odd?", "six"),  # a guard speaks against the first
    StreamQuestion("Is 6 odd?", "six"),  # the second nearest is right
    StreamQuestion("Is 7 odd?", None),
]


def test_a_stream_looks_beyond_what_a_guard_vetoes() -> None:
    report = report_stream("set", STREAM, by_length, prepare, threshold=0.9)  # type: ignore[arg-type]

    assert report.served.replayed.hit_rate.count == 1
    assert report.served.replayed.wrong_share_of_hits.count == 0
    assert report.served.replayed.out_of_scope_served.count == 0
    assert (report.repeats.count, report.served.fresh.hit_rate.total) == (1, 3)
    bare = {run.number: run.replayed for run in report.fixed}
    assert bare[0.95].hit_rate.count == 3
    assert bare[0.95].wrong_share_of_hits.count == 3
    assert bare[0.97].hit_rate.count == 0
    assert [run.number for run in report.vcache] == list(DELTAS)
    assert [effect.wrong_prevented.count for effect in report.guards][-1] == 3


def test_what_is_plain_has_all_that_is_promised() -> None:
    report = report_pairs("set", PAIRS, SIMILARITIES, prepare, threshold=0.9)
    values = pairs_as_dict(report, SearchCost(10, 20.0, 300.0))
    promised = {"recall", "wrong_rate", "precision", "recall_at_precision_95"}

    assert promised <= values.keys()
    assert promised == values["intervals"].keys()
    assert values["compared"]["scan"] == {
        "decides_as": "fixed",
        "entries": 10,
        "ours_us": 20.0,
        "scan_us": 300.0,
        "times_as_long": 15.0,
    }
    assert pairs_as_dict(report, None)["compared"]["scan"] == {"decides_as": "fixed"}


def test_stretches_of_a_plain_stream_are_put_together() -> None:
    report = report_stream("set", STREAM, by_length, prepare, threshold=0.9)  # type: ignore[arg-type]
    values = stream_as_dict(report, None)
    first, second = merge_buckets(values["over_time"], 2)

    assert (first.first, first.last, second.first, second.last) == (0, 1, 2, 3)
    assert (first.hit_rate.count, second.hit_rate.count) == (0, 1)
    assert second.wrong_share_of_hits.total == 1
    assert merge_buckets([], 5) == []
    assert len(merge_buckets(values["over_time"], 50)) == 4
