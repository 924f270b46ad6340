"""Reports as plain numbers, for JSON: a share is its rate, and its interval stands beside it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from askonce.semantic.evaluation.guard_effects import GuardEffect
from askonce.semantic.evaluation.intervals import Share, share
from askonce.semantic.evaluation.pair_reports import PairReport
from askonce.semantic.evaluation.pairs import Point
from askonce.semantic.evaluation.stream_reports import Run, StreamReport
from askonce.semantic.evaluation.streams import Bucket, Replayed

DIGITS = 6
NOT_FOR_PAIRS = "vCache learns from answers over time, and pairs have no time; see the streams"


class SearchCost(msgspec.Struct, frozen=True):
    """What finding the nearest entry takes, in microseconds a question, among so many entries.

    `ours` is AskOnce's index; `scan` compares the question with one entry after another, as
    tutorials do, and is given all entries in memory, which tutorials still have to fetch.
    """

    entries: int
    ours_us: float
    scan_us: float

    @property
    def ratio(self) -> float:
        """How many times as long the scan takes."""
        return self.scan_us / self.ours_us


def plain_share(one: Share | None) -> tuple[float | None, list[float] | None]:
    """The rate, and both ends of its interval; None where there is none."""
    if one is None or one.rate is None:
        return None, None
    return _rounded(one.rate), [_rounded(one.low), _rounded(one.high)]


def plain_shares(shares: Mapping[str, Share | None]) -> dict[str, Any]:
    """Rates by name, and under `intervals` both ends of each."""
    told = {name: plain_share(one) for name, one in shares.items()}
    return {
        **{name: rate for name, (rate, _) in told.items()},
        "intervals": {name: ends for name, (_, ends) in told.items()},
    }


def plain_pairs(report: PairReport, search: SearchCost | None) -> dict[str, Any]:
    """A set of pairs; `compared` has no guards."""
    return {
        "kind": "pairs",
        "name": report.name,
        "pairs": report.pairs,
        "same": report.same,
        "different": report.pairs - report.same,
        "without_vector": report.without_vector,
        "threshold": report.threshold,
        **plain_shares(
            {
                **_point_shares(report.point),
                "recall_at_precision_95": report.recall_at_precision_95,
            }
        ),
        "served": report.point.precision.total,
        "curve": [_plain_point(point) for point in report.curve],
        "compared": {
            "fixed": [_plain_point(point, intervals=True) for point in report.fixed],
            "recall_at_precision_95": plain_shares(
                {"recall_at_precision_95": report.bare_recall_at_precision_95}
            )["recall_at_precision_95"],
            "curve": [_plain_point(point) for point in report.bare_curve],
            "scan": _plain_search(search),
            "vcache": {"applicable": False, "why": NOT_FOR_PAIRS},
        },
        "guards": [_plain_effect(effect) for effect in report.guards],
    }


def plain_stream(report: StreamReport, search: SearchCost | None) -> dict[str, Any]:
    """A stream; `compared` has no guards."""
    return {
        "kind": "stream",
        "name": report.name,
        "questions": report.questions,
        "needs": report.needs,
        "out_of_scope": report.served.replayed.out_of_scope_served.total,
        "without_vector": report.without_vector,
        **_plain_run("threshold", report.served),
        "exact_repeats": _rounded(report.repeats.rate or 0.0),
        "curve": [_plain_run("threshold", run, over_time=False) for run in report.curve],
        "compared": {
            "fixed": [_plain_run("threshold", run) for run in report.fixed],
            "scan": _plain_search(search),
            "vcache": [_plain_run("delta", run) for run in report.vcache],
        },
        "guards": [_plain_effect(effect) for effect in report.guards],
    }


def _rounded(number: float) -> float:
    return round(number, DIGITS)


def _point_shares(point: Point) -> dict[str, Share | None]:
    return {
        "recall": point.recall,
        "wrong_rate": point.wrong_rate,
        "precision": point.precision,
    }


def _plain_point(point: Point, *, intervals: bool = False) -> dict[str, Any]:
    shares = plain_shares(_point_shares(point))
    if not intervals:
        del shares["intervals"]
    return {"threshold": _rounded(point.threshold), **shares}


def _plain_replayed(replayed: Replayed, *, over_time: bool = True) -> dict[str, Any]:
    told = plain_shares(
        {
            "hit_rate": replayed.hit_rate,
            "wrong_share_of_hits": replayed.wrong_share_of_hits,
            "wrong_share_of_all": replayed.wrong_share_of_all,
            "out_of_scope_served": replayed.out_of_scope_served,
        }
    )
    told["entries"] = replayed.entries
    if over_time:
        told["over_time"] = [
            {
                "first": bucket.first,
                "last": bucket.last,
                "entries": bucket.entries,
                "hits": bucket.wrong_share_of_hits.total,
                "wrong": bucket.wrong_share_of_hits.count,
                **plain_shares(
                    {
                        "hit_rate": bucket.hit_rate,
                        "wrong_share_of_hits": bucket.wrong_share_of_hits,
                    }
                ),
            }
            for bucket in replayed.over_time
        ]
    return told


def _plain_run(number: str, run: Run, *, over_time: bool = True) -> dict[str, Any]:
    return {
        number: run.number,
        **_plain_replayed(run.replayed, over_time=over_time),
        "without_repeats": {
            "questions": run.fresh.hit_rate.total,
            **_plain_replayed(run.fresh, over_time=False),
        },
    }


def _plain_search(search: SearchCost | None) -> dict[str, Any]:
    same = {"decides_as": "fixed"}
    if search is None:
        return same
    return {
        **same,
        "entries": search.entries,
        "ours_us": round(search.ours_us, 1),
        "scan_us": round(search.scan_us, 1),
        "times_as_long": round(search.ratio, 2),
    }


def _plain_effect(effect: GuardEffect) -> dict[str, Any]:
    return {
        "guard": effect.guard,
        **plain_shares(
            {"recall_lost": effect.recall_lost, "wrong_prevented": effect.wrong_prevented}
        ),
        "same_vetoed": effect.recall_lost.count,
        "same_proposed": effect.recall_lost.total,
        "different_vetoed": effect.wrong_prevented.count,
        "different_proposed": effect.wrong_prevented.total,
    }


def joined(over_time: Sequence[Mapping[str, Any]], count: int) -> list[Bucket]:
    """The stretches of a plain stream, neighbors put together so that there are `count` at most."""
    count = min(count, len(over_time))
    edges = [number * len(over_time) // count for number in range(count + 1)] if count else []
    found = []
    for start, end in pairwise(edges):
        some = over_time[start:end]
        first, last = some[0]["first"], some[-1]["last"]
        hits, wrong = (sum(one[name] for one in some) for name in ("hits", "wrong"))
        found.append(
            Bucket(
                first=first,
                last=last,
                entries=some[-1]["entries"],
                hit_rate=share(hits, last - first + 1),
                wrong_share_of_hits=share(wrong, hits),
            )
        )
    return found
