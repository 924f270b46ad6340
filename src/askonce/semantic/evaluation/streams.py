"""A stream of questions, replayed in the order of time against a policy that serves or asks.

There is no exact cache in front of the policy. Remove repeats first to measure what semantic
matching adds to an exact cache.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol

import msgspec

from askonce.core.errors import ConfigError
from askonce.semantic.evaluation.draws import Draws
from askonce.semantic.evaluation.intervals import Share, share
from askonce.semantic.evaluation.json_lines import InvalidObject, LineFault, read_objects, text_of

BUCKETS = 50
"""The most buckets that a stream is divided into."""

NO_INTENT = frozenset({"oos", "out_of_scope"})
"""The intents that mean "out of scope" in data sets (CLINC150 has `oos`)."""


class StreamQuestion(msgspec.Struct, frozen=True):
    """A question and its need; None means out of scope, where every hit is wrong."""

    text: str
    need: str | None


class Candidate(NamedTuple):
    """An entry that may answer: the question that made it, its cosine, and a veto."""

    entry: int
    similarity: float
    vetoed: bool = False


Nearest = Callable[[int, Sequence[int]], Sequence[Candidate]]
"""From the number of a question and the entries so far to the candidates, the nearest first.

Entries are the numbers of the questions that made them, in the order of time. Within one replay the
list only grows at its end, so an index can follow it.
"""

Right = Callable[[Candidate], bool]
"""Would the answer of this entry have been right? The answer of the provider decides."""


class ServingPolicy(Protocol):
    """A policy decides about hits. It serves one replay, because it may keep what it observes."""

    def decide(self, question: int, candidates: Sequence[Candidate]) -> Candidate | None:
        """Return the candidate whose answer is served, or None to ask the provider."""

    def observe(self, question: int, candidates: Sequence[Candidate], right: Right) -> bool:
        """Observe an answer of the provider; return whether it becomes an entry."""


class Bucket(msgspec.Struct, frozen=True):
    """A part of the stream: the questions from `first` (the stream's first is 0) to `last`."""

    first: int
    last: int
    entries: int
    hit_rate: Share
    wrong_share_of_hits: Share


class Replayed(msgspec.Struct, frozen=True):
    """The result of a policy on a stream.

    hit_rate               served questions among all
    wrong_share_of_hits    wrong hits among the hits
    wrong_share_of_all     wrong hits among all questions, which vCache bounds
    out_of_scope_served    served questions among those without a right answer
    entries                the entries of the cache at the end
    """

    hit_rate: Share
    wrong_share_of_hits: Share
    wrong_share_of_all: Share
    out_of_scope_served: Share
    entries: int
    over_time: list[Bucket]


def read_stream(lines: Iterable[str | bytes]) -> tuple[list[StreamQuestion], list[LineFault]]:
    """Read questions from JSON lines with `text`, and `intent` or `need` as the right answer.

    The order of the lines is the order of time. A question is out of scope if it has neither, or
    null, or an intent of `NO_INTENT`.
    """
    return read_objects(lines, _question)


def _question(found: dict[str, Any]) -> StreamQuestion:
    text = text_of(found, "text")
    name = "intent" if found.get("intent") is not None else "need"
    need = found.get(name)
    if need is None or (name == "intent" and need in NO_INTENT):
        return StreamQuestion(text, None)
    if isinstance(need, bool) or not isinstance(need, str | int):
        raise InvalidObject(f"`{name}` is neither a text nor a whole number")
    return StreamQuestion(text, str(need))


def replay(
    questions: Sequence[StreamQuestion],
    nearest: Nearest,
    policy: ServingPolicy,
    *,
    buckets: int = BUCKETS,
) -> Replayed:
    """Ask a policy every question in turn, starting with an empty cache."""
    entries: list[int] = []
    served: list[bool] = []
    wrong: list[bool] = []
    filled: list[int] = []
    for number, question in enumerate(questions):
        right = _right(questions, question)
        candidates = nearest(number, entries) if entries else []
        hit = policy.decide(number, candidates)
        if hit is None and policy.observe(number, candidates, right):
            entries.append(number)
        served.append(hit is not None)
        wrong.append(hit is not None and not right(hit))
        filled.append(len(entries))
    strange = [hit for hit, one in zip(served, questions, strict=True) if one.need is None]
    return Replayed(
        hit_rate=share(sum(served), len(served)),
        wrong_share_of_hits=share(sum(wrong), sum(served)),
        wrong_share_of_all=share(sum(wrong), len(served)),
        out_of_scope_served=share(sum(strange), len(strange)),
        entries=len(entries),
        over_time=_over_time(served, wrong, filled, buckets),
    )


def _right(questions: Sequence[StreamQuestion], asked: StreamQuestion) -> Right:
    def right(candidate: Candidate) -> bool:
        return asked.need is not None and questions[candidate.entry].need == asked.need

    return right


def _over_time(
    served: list[bool], wrong: list[bool], filled: list[int], buckets: int
) -> list[Bucket]:
    """Return buckets of equal length, up to one question; fewer if there are fewer questions."""
    count = min(buckets, len(served))
    edges = [number * len(served) // count for number in range(count + 1)] if count else []
    return [
        Bucket(
            first=first,
            last=end - 1,
            entries=filled[end - 1],
            hit_rate=share(sum(served[first:end]), end - first),
            wrong_share_of_hits=share(sum(wrong[first:end]), sum(served[first:end])),
        )
        for first, end in pairwise(edges)
    ]


def zipf_arrivals(
    questions: Sequence[StreamQuestion], *, count: int, exponent: float, seed: int
) -> list[StreamQuestion]:
    """Draw `count` questions whose needs follow Zipf's law.

    The need of rank r has a weight of r to the power of -`exponent`; 0 makes all equal. The seed
    decides the ranks. The wordings of a need come in a random order, and none is repeated before
    all of them came. A question out of scope is a need of its own.
    """
    wordings: dict[object, list[StreamQuestion]] = {}
    for number, question in enumerate(questions):
        own = number if question.need is None else question.need
        wordings.setdefault(own, []).append(question)
    if not wordings:
        return []
    draws = Draws(seed)
    ranked = draws.shuffled([draws.shuffled(texts) for texts in wordings.values()])
    upto = list(accumulate((rank + 1.0) ** -exponent for rank in range(len(ranked))))
    came = [0] * len(ranked)
    arrived = []
    for _ in range(count):
        rank = _rank_at(upto, draws.share() * upto[-1])
        texts = ranked[rank]
        arrived.append(texts[came[rank] % len(texts)])
        came[rank] += 1
    return arrived


def _rank_at(upto: list[float], place: float) -> int:
    """Return the first rank whose running sum is above a place."""
    low, high = 0, len(upto) - 1
    while low < high:
        middle = (low + high) // 2
        if upto[middle] > place:
            high = middle
        else:
            low = middle + 1
    return low


def mixed_in(
    questions: Sequence[StreamQuestion], strangers: Iterable[str], *, part: float, seed: int
) -> list[StreamQuestion]:
    """Mix out-of-scope questions into a stream, so that they are this part of the whole.

    Both keep their order, and no out-of-scope question comes twice. `ConfigError` if there are too
    few of them.
    """
    if not 0 <= part < 1:
        raise ConfigError(f"out-of-scope questions are a part from 0 to below 1, not {part}")
    needed = round(len(questions) * part / (1 - part))
    strange = [StreamQuestion(text, None) for text in strangers]
    if len(strange) < needed:
        raise ConfigError(
            f"{needed} out-of-scope questions are needed for a part of {part}; "
            f"there are {len(strange)}"
        )
    draws = Draws(seed)
    places = draws.shuffled([True] * needed + [False] * len(questions))
    known, others = iter(questions), iter(strange)
    return [next(others) if stranger else next(known) for stranger in places]
