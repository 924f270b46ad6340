"""A stream of questions, replayed in the order they came, against a policy that serves or asks.

No exact layer stands in front: a question whose very words came before is asked of the policy as
any other. Who wants to know what matching by meaning adds takes repeats out first.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol

import msgspec

from askonce.core.errors import ConfigError
from askonce.semantic.evaluation.draws import Draws
from askonce.semantic.evaluation.intervals import Share, share
from askonce.semantic.evaluation.json_lines import LineFault, Wrong, read_objects, text_of

BUCKETS = 50
"""How many stretches of a stream are told apart at most."""

NO_INTENT = frozenset({"oos", "out_of_scope"})
"""How data sets name the intent of what is out of scope (CLINC150 says `oos`)."""


class StreamQuestion(msgspec.Struct, frozen=True):
    """A question and what it is after; None is out of scope, where every hit is wrong."""

    text: str
    need: str | None


class Candidate(NamedTuple):
    """An entry that may answer: which question made it, how near it lies, and a guard's veto."""

    entry: int
    similarity: float
    vetoed: bool = False


Nearest = Callable[[int, Sequence[int]], Sequence[Candidate]]
"""The search: a question's number and the entries so far -> candidates, the nearest first.

Entries are the numbers of the questions that made them, in the order they came; between two calls
of one replay they only grow at the end, so an index can be kept up behind the call.
"""

Right = Callable[[Candidate], bool]
"""Would this entry's answer have been right? It is known once the question has been asked."""


class ServingPolicy(Protocol):
    """What decides about hits. One policy serves one replay: it may learn."""

    def decide(self, question: int, candidates: Sequence[Candidate]) -> Candidate | None:
        """The candidate whose answer is served, or None to ask the provider."""

    def learn(self, question: int, candidates: Sequence[Candidate], right: Right) -> bool:
        """The provider was asked. Does its answer become an entry?"""


class Bucket(msgspec.Struct, frozen=True):
    """A stretch of the stream: the questions from `first` (the stream's first is 0) to `last`."""

    first: int
    last: int
    entries: int
    hit_rate: Share
    wrong_share_of_hits: Share


class Replayed(msgspec.Struct, frozen=True):
    """What a policy made of a stream.

    hit_rate               served questions of all
    wrong_share_of_hits    hits that were wrong, of the hits
    wrong_share_of_all     the same, of all questions: what vCache's bound is about
    out_of_scope_served    questions without a right answer that were served all the same
    entries                how many entries the cache had at the end
    """

    hit_rate: Share
    wrong_share_of_hits: Share
    wrong_share_of_all: Share
    out_of_scope_served: Share
    entries: int
    over_time: list[Bucket]


def read_stream(lines: Iterable[str | bytes]) -> tuple[list[StreamQuestion], list[LineFault]]:
    """Questions out of JSON lines with `text`, and `intent` or `need` as the right answer.

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
        raise Wrong(f"`{name}` is neither a text nor a whole number")
    return StreamQuestion(text, str(need))


def replay(
    questions: Sequence[StreamQuestion],
    nearest: Nearest,
    policy: ServingPolicy,
    *,
    buckets: int = BUCKETS,
) -> Replayed:
    """Ask a policy every question in turn, beginning with an empty cache."""
    entries: list[int] = []
    served: list[bool] = []
    wrong: list[bool] = []
    filled: list[int] = []
    for number, question in enumerate(questions):
        right = _right(questions, question)
        candidates = nearest(number, entries) if entries else []
        hit = policy.decide(number, candidates)
        if hit is None and policy.learn(number, candidates, right):
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
    """Stretches of equal length but for one question; fewer where there are fewer questions."""
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
    """`count` questions whose needs come as often as Zipf's law says.

    The need of rank r comes with a weight of r to the power of -`exponent`; 0 makes all alike.
    A seed decides which need has which rank. A need's wordings come in a drawn order, and none
    comes again before all of them came. A question out of scope is a need of its own.
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
    """The first rank whose running sum lies above a place."""
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
    """The questions with out-of-scope ones among them, which are then this part of the whole.

    Both keep their order of time, and no stranger comes twice. `ConfigError` if there are too few.
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
