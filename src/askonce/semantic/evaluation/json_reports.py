"""Reports as JSON: a share is its rate, with its interval beside it."""

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
    """The time to find the nearest of so many entries, in microseconds for each question.

    `ours_us` is for AskOnce's index; `scan_us` for comparing one entry after another, as tutorials
    do, but with all entries in memory, which tutorials still have to fetch.
    """

    entries: int
    ours_us: float
    scan_us: float

    @property
    def ratio(self) -> float:
        """The time of the scan, as a multiple of ours."""
        return self.scan_us / self.ours_us


def share_values(one: Share | None) -> tuple[float | None, list[float] | None]:
    """Return the rate and both ends of its interval; None if there is no share."""
    if one is None or one.rate is None:
        return None, None
    return _rounded(one.rate), [_rounded(one.low), _rounded(one.high)]


def shares_as_dict(shares: Mapping[str, Share | None]) -> dict[str, Any]:
    """Return the rates by name, and under `intervals` both ends of each."""
    values = {name: share_values(one) for name, one in shares.items()}
    return {
        **{name: rate for name, (rate, _) in values.items()},
        "intervals": {name: ends for name, (_, ends) in values.items()},
    }


def pairs_as_dict(report: PairReport, search: SearchCost | None) -> dict[str, Any]:
    """Return the report of a set of pairs; `compared` has no guards."""
    return {
        "kind": "pairs",
        "name": report.name,
        "pairs": report.pairs,
        "same": report.same,
        "different": report.pairs - report.same,
        "without_vector": report.without_vector,
        "threshold": report.threshold,
        **shares_as_dict(
            {
                **_point_shares(report.point),
                "recall_at_precision_95": report.recall_at_precision_95,
            }
        ),
        "served": report.point.precision.total,
        "curve": [_point_as_dict(point) for point in report.curve],
        "compared": {
            "fixed": [_point_as_dict(point, intervals=True) for point in report.fixed],
            "recall_at_precision_95": shares_as_dict(
                {"recall_at_precision_95": report.bare_recall_at_precision_95}
            )["recall_at_precision_95"],
            "curve": [_point_as_dict(point) for point in report.bare_curve],
            "scan": _search_as_dict(search),
            "vcache": {"applicable": False, "why": NOT_FOR_PAIRS},
        },
        "guards": [_effect_as_dict(effect) for effect in report.guards],
    }


def stream_as_dict(report: StreamReport, search: SearchCost | None) -> dict[str, Any]:
    """Return the report of a stream; `compared` has no guards."""
    return {
        "kind": "stream",
        "name": report.name,
        "questions": report.questions,
        "needs": report.needs,
        "out_of_scope": report.served.replayed.out_of_scope_served.total,
        "without_vector": report.without_vector,
        **_run_as_dict("threshold", report.served),
        "exact_repeats": _rounded(report.repeats.rate or 0.0),
        "curve": [_run_as_dict("threshold", run, over_time=False) for run in report.curve],
        "compared": {
            "fixed": [_run_as_dict("threshold", run) for run in report.fixed],
            "scan": _search_as_dict(search),
            "vcache": [_run_as_dict("delta", run) for run in report.vcache],
        },
        "guards": [_effect_as_dict(effect) for effect in report.guards],
    }


def _rounded(number: float) -> float:
    return round(number, DIGITS)


def _point_shares(point: Point) -> dict[str, Share | None]:
    return {
        "recall": point.recall,
        "wrong_rate": point.wrong_rate,
        "precision": point.precision,
    }


def _point_as_dict(point: Point, *, intervals: bool = False) -> dict[str, Any]:
    shares = shares_as_dict(_point_shares(point))
    if not intervals:
        del shares["intervals"]
    return {"threshold": _rounded(point.threshold), **shares}


def _replayed_as_dict(replayed: Replayed, *, over_time: bool = True) -> dict[str, Any]:
    values = shares_as_dict(
        {
            "hit_rate": replayed.hit_rate,
            "wrong_share_of_hits": replayed.wrong_share_of_hits,
            "wrong_share_of_all": replayed.wrong_share_of_all,
            "out_of_scope_served": replayed.out_of_scope_served,
        }
    )
    values["entries"] = replayed.entries
    if over_time:
        values["over_time"] = [
            {
                "first": bucket.first,
                "last": bucket.last,
                "entries": bucket.entries,
                "hits": bucket.wrong_share_of_hits.total,
                "wrong": bucket.wrong_share_of_hits.count,
                **shares_as_dict(
                    {
                        "hit_rate": bucket.hit_rate,
                        "wrong_share_of_hits": bucket.wrong_share_of_hits,
                    }
                ),
            }
            for bucket in replayed.over_time
        ]
    return values


def _run_as_dict(number: str, run: Run, *, over_time: bool = True) -> dict[str, Any]:
    return {
        number: run.number,
        **_replayed_as_dict(run.replayed, over_time=over_time),
        "without_repeats": {
            "questions": run.fresh.hit_rate.total,
            **_replayed_as_dict(run.fresh, over_time=False),
        },
    }


def _search_as_dict(search: SearchCost | None) -> dict[str, Any]:
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


def _effect_as_dict(effect: GuardEffect) -> dict[str, Any]:
    return {
        "guard": effect.guard,
        **shares_as_dict(
            {"recall_lost": effect.recall_lost, "wrong_prevented": effect.wrong_prevented}
        ),
        "same_vetoed": effect.recall_lost.count,
        "same_proposed": effect.recall_lost.total,
        "different_vetoed": effect.wrong_prevented.count,
        "different_proposed": effect.wrong_prevented.total,
    }


def merge_buckets(over_time: Sequence[Mapping[str, Any]], count: int) -> list[Bucket]:
    """Merge neighboring buckets of a stream's report, so that at most `count` remain."""
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
