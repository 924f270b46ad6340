"""The report on a stream: threshold with guards, beside bare thresholds and vCache."""

from collections.abc import Callable, Sequence

import msgspec

from askonce.semantic.evaluation.guard_effects import GuardEffect, Proposed, effects_of
from askonce.semantic.evaluation.intervals import Share, share
from askonce.semantic.evaluation.pair_reports import FIXED
from askonce.semantic.evaluation.policies import FixedThreshold, VCache
from askonce.semantic.evaluation.streams import (
    Candidate,
    Nearest,
    Replayed,
    ServingPolicy,
    StreamQuestion,
    replay,
)
from askonce.semantic.guards import Text, Veto, judge
from askonce.semantic.operating_point import CANDIDATES

DELTAS = (0.01, 0.02, 0.05)
"""The error bounds of vCache."""

Search = Callable[[int, Sequence[int]], Sequence[tuple[int, float]]]
"""From the number of a question and the entries so far to the nearest entries and their cosines.

One search serves one replay, with a fixed limit of results.
"""

MakeSearch = Callable[[Sequence[StreamQuestion], int], Search]
"""Make a search from the questions of a stream and the limit of results."""


class Run(msgspec.Struct, frozen=True):
    """The one number of a policy, its result on the stream, and its result without repeats."""

    number: float
    replayed: Replayed
    fresh: Replayed


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report on one stream.

    `served` is the result in service: the nearest few, the threshold and the guards. `curve` moves
    the threshold and keeps the guards. `fixed` and `vcache` have no guards and use only the nearest
    entry, as published. `repeats` is the share of questions whose exact words came before: an exact
    cache serves those, so each policy also replays the stream without them.
    """

    name: str
    questions: int
    needs: int
    without_vector: int
    threshold: float
    repeats: Share
    served: Run
    curve: list[Run]
    fixed: list[Run]
    vcache: list[Run]
    guards: list[GuardEffect]


def report_stream(
    name: str,
    questions: Sequence[StreamQuestion],
    search: MakeSearch,
    read: Callable[[str], Text],
    *,
    threshold: float,
    without_vector: int = 0,
) -> StreamReport:
    """Replay a stream against every policy, each with an empty cache at the start."""

    def guarded(asked: Sequence[StreamQuestion], at: float, notes: list[Proposed]) -> Replayed:
        nearest = _guarded(asked, search(asked, CANDIDATES), read, at, notes)
        return replay(asked, nearest, FixedThreshold(at))

    def bare(policy: Callable[[float], ServingPolicy], number: float) -> Run:
        return Run(
            number,
            *(
                replay(asked, _plain(search(asked, 1)), policy(number))
                for asked in (questions, fresh)
            ),
        )

    fresh = without_repeats(questions)
    notes: list[Proposed] = []
    served = Run(threshold, guarded(questions, threshold, notes), guarded(fresh, threshold, []))
    return StreamReport(
        name=name,
        questions=len(questions),
        needs=len({question.need for question in questions} - {None}),
        without_vector=without_vector,
        threshold=threshold,
        repeats=share(len(questions) - len(fresh), len(questions)),
        served=served,
        curve=[
            served
            if at == threshold
            else Run(at, guarded(questions, at, []), guarded(fresh, at, []))
            for at in sorted({*FIXED, threshold})
        ],
        fixed=[bare(FixedThreshold, at) for at in FIXED],
        vcache=[bare(VCache, delta) for delta in DELTAS],
        guards=effects_of(notes),
    )


def without_repeats(questions: Sequence[StreamQuestion]) -> list[StreamQuestion]:
    """Return the questions whose exact words did not come before, in their order."""
    first: dict[str, StreamQuestion] = {}
    for question in questions:
        first.setdefault(question.text, question)
    return list(first.values())


def _plain(search: Search) -> Nearest:
    def nearest(number: int, entries: Sequence[int]) -> list[Candidate]:
        return [Candidate(entry, similarity) for entry, similarity in search(number, entries)]

    return nearest


def _guarded(
    questions: Sequence[StreamQuestion],
    search: Search,
    read: Callable[[str], Text],
    threshold: float,
    notes: list[Proposed],
) -> Nearest:
    """Find the nearest few, judge them as in service, and note the pair of the nearest one."""

    def nearest(number: int, entries: Sequence[int]) -> list[Candidate]:
        found = search(number, entries)
        asked = questions[number]
        candidates = []
        for place, (entry, similarity) in enumerate(found):
            other = questions[entry]
            reason = judge(read(asked.text), read(other.text), similarity, threshold).reason
            candidates.append(Candidate(entry, similarity, reason not in (Veto.OK, Veto.FAR)))
            if place == 0 and similarity >= threshold:
                same = asked.need is not None and asked.need == other.need
                notes.append(Proposed(read(asked.text), read(other.text), same))
        return candidates

    return nearest
