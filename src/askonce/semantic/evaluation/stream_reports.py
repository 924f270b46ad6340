"""What a stream says about the matcher that serves, beside bare thresholds and vCache."""

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
"""The bounds that vCache is asked to keep."""

Search = Callable[[int, Sequence[int]], Sequence[tuple[int, float]]]
"""A question's number and the entries so far -> the nearest entries and how near they lie.

One search serves one replay, and finds at most so many entries as it was made for.
"""

MakeSearch = Callable[[Sequence[StreamQuestion], int], Search]
"""The questions of a stream, and how many of the nearest are wanted."""


class Run(msgspec.Struct, frozen=True):
    """A policy by its one number, what it made of the stream, and of that without repeats."""

    number: float
    replayed: Replayed
    fresh: Replayed


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """One stream, measured.

    `served` is what would be served: the nearest few, the threshold and the guards. `curve` moves
    the threshold and keeps the guards. `fixed` has no guards, and neither has `vcache`; both look
    at the nearest one only, as they are published. `repeats` is the share of questions whose very
    words came before: an exact cache has those, so each policy also replays the others alone.
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
    """Replay a stream against everything it is compared with, each with an empty cache."""

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
    """The questions whose very words did not come before, in their order."""
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
    """The nearest few, each judged as serving would; notes what the nearest one proposed."""

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
