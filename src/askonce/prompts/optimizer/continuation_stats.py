"""Continuation statistics: how often conversations continue, so whether a prompt's end pays.

The next call of a conversation reads what was written at the end of this one, if it comes in time.
All later calls read what the next call writes or refreshes, whether this one wrote or not, so only
the chance of a next call counts. It is learned for each stage of a conversation: one that has
continued before is likelier to continue. Newer observations weigh more.

A next call takes a while to come. An end counts only once it is as old as the average delay between
calls; otherwise a busy hour would look as if no conversation ever continued.
"""

import math
from collections import deque
from collections.abc import Iterable

STAGES = 4
"""The first call, the second, the third, and all after it."""

_FORGETTING = 0.005
_CONFIDENT_FROM = 20  # ends; with fewer, the error bar is no wider, or nothing would ever be marked
_DELAY_WEIGHT = 0.05
_PENDING = 2_048


class ContinuationStats:
    """How often the conversations of one route continue. Times and lifetimes are in seconds."""

    def __init__(self) -> None:
        self._ends = [0.0] * STAGES
        self._continued: dict[float, list[float]] = {}
        self._pending: deque[tuple[float, int]] = deque()
        self._delay = 0.0

    def add_end(self, stage: int, now: float) -> None:
        """Note that a call ended at this stage; it is open whether the conversation continues."""
        pending = self._pending
        pending.append((now, min(stage, STAGES - 1)))
        while pending and (now - pending[0][0] >= self._delay or len(pending) > _PENDING):
            self._count(pending.popleft()[1])

    def add_continuation(self, stage: int, after: float, lifetimes: Iterable[float]) -> None:
        """Note that a call continued from an end of this stage, `after` seconds later."""
        self._delay += _DELAY_WEIGHT * (after - self._delay)
        for lifetime in lifetimes:
            counts = self._continued.setdefault(lifetime, [0.0] * STAGES)
            if after < lifetime:
                counts[min(stage, STAGES - 1)] += 1

    def _count(self, stage: int) -> None:
        self._ends[stage] = self._ends[stage] * (1 - _FORGETTING) + 1
        for counts in self._continued.values():
            counts[stage] *= 1 - _FORGETTING

    def chance(self, stage: int, lifetime: float, errors: float) -> float:
        """Estimate how likely a call continues from an end of this stage within a lifetime.

        `errors` is how many standard errors to add, or to subtract if negative. A stage with few
        observations is taken to be like the others.
        """
        continued = self._continued.get(lifetime)
        if continued is None:
            return 0.0
        stage = min(stage, STAGES - 1)
        overall = sum(continued) / (sum(self._ends) + 1)
        ended = self._ends[stage] + 1
        rate = min((continued[stage] + overall) / ended, 1.0)
        error = math.sqrt(rate * (1 - rate) / max(ended, _CONFIDENT_FROM))
        return min(max(rate + errors * error, 0.0), 1.0)
