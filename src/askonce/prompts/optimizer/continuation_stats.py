"""Talks: how often conversations go on, and so whether the end of a prompt is worth writing.

What is written at an end is read by the next call of its conversation, if there is one in time.
All calls after that read what the next one writes or refreshes, whether this one wrote or not: so
the chance that counts is that of a next call. It is learned for each stage apart, since a
conversation that has gone on before is likelier to go on. Newer ones weigh more.

A next call takes a while to come. An end counts only once it is as old as ends are on average when
their conversation goes on: else a busy hour looks as if nobody ever went on.
"""

import math
from collections import deque
from collections.abc import Iterable

STAGES = 4
"""The first call, the second, the third, and all after it."""

_FORGETS = 0.005
_SURE_FROM = 20  # ends; fewer say no less, or a single conversation would never be helped
_FOLLOWS = 0.05
_WAITING = 2_048


class ContinuationStats:
    """The conversations of one route."""

    def __init__(self) -> None:
        self._ends = [0.0] * STAGES
        self._on: dict[float, list[float]] = {}
        self._waiting: deque[tuple[float, int]] = deque()
        self._delay = 0.0

    def end(self, stage: int, now: float) -> None:
        """A call ends here; whether another one goes on from it is to be seen."""
        waiting = self._waiting
        waiting.append((now, min(stage, STAGES - 1)))
        while waiting and (now - waiting[0][0] >= self._delay or len(waiting) > _WAITING):
            self._count(waiting.popleft()[1])

    def goes_on(self, stage: int, after: float, lifetimes: Iterable[float]) -> None:
        """A call went on from an end of this stage, so many seconds after it."""
        self._delay += _FOLLOWS * (after - self._delay)
        for lifetime in lifetimes:
            counts = self._on.setdefault(lifetime, [0.0] * STAGES)
            if after < lifetime:
                counts[min(stage, STAGES - 1)] += 1

    def _count(self, stage: int) -> None:
        self._ends[stage] = self._ends[stage] * (1 - _FORGETS) + 1
        for counts in self._on.values():
            counts[stage] *= 1 - _FORGETS

    def chance(self, stage: int, lifetime: float, lean: float) -> float:
        """How likely another call goes on from an end of this stage, within a lifetime.

        `lean` is how many standard errors are added, or taken away. A stage of which little is
        known is taken to be like the others.
        """
        on = self._on.get(lifetime)
        if on is None:
            return 0.0
        stage = min(stage, STAGES - 1)
        overall = sum(on) / (sum(self._ends) + 1)
        ended = self._ends[stage] + 1
        rate = min((on[stage] + overall) / ended, 1.0)
        doubt = math.sqrt(rate * (1 - rate) / max(ended, _SURE_FROM))
        return min(max(rate + lean * doubt, 0.0), 1.0)
