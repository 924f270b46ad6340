"""The circuit breaker decides whether a sick store is worth asking; time is a parameter.

Closed, every call goes through. It opens after a run of failures, or when half of the latest
calls failed, where a call that was too slow counts as failed. Open, no call goes through, and
after a pause one probe may look whether the store is well again. The probe's success closes it,
its failure doubles the pause. (M. Nygard, "Release It!", 2007.)

A store that hangs has not failed yet: its calls fail only when their time is over. So a closed
breaker also holds calls back while several wait and none of them has ended for a while.
"""

import enum
from collections import deque


class BreakerState(enum.StrEnum):
    """Whether calls go through; the words of metrics and of `/healthz`."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class CircuitBreaker:
    """One store's breaker. Not safe by itself: its callers hold a guard.

    Times are seconds on a clock that never jumps. A call that takes longer than `slow` counts as
    failed; after `stall` seconds without the end of any, calls that wait hold back new ones.
    """

    __slots__ = (
        "_latest", "_longest_pause", "_pause", "_progress", "_reopens", "_run", "_run_limit",
        "_shortest_pause", "_slow", "_stall", "_waiting", "opened", "state",
    )  # fmt: skip

    def __init__(
        self,
        *,
        slow: float,
        stall: float = 1e9,
        run: int = 5,
        window: int = 20,
        shortest_pause: float = 0.25,
        longest_pause: float = 2.0,
    ) -> None:
        self.state = BreakerState.CLOSED
        self.opened = 0
        """How often it opened."""
        self._slow = slow
        self._stall = stall
        self._waiting = 0
        self._progress = 0.0
        self._run_limit = run
        self._run = 0
        self._latest: deque[bool] = deque(maxlen=window)
        self._shortest_pause = self._pause = shortest_pause
        self._longest_pause = longest_pause
        self._reopens = 0.0

    @property
    def closed(self) -> bool:
        return self.state is BreakerState.CLOSED

    def enter(self, now: float) -> bool:
        """May a call go through? Whoever may, says by `leave` how it went."""
        if self.state is not BreakerState.CLOSED:
            return False
        if not self._waiting:
            self._progress = now
        elif self._waiting >= self._run_limit and now - self._progress > self._stall:
            return False
        self._waiting += 1
        return True

    def leave(self, now: float, took: float, *, fine: bool | None) -> None:
        """A call has ended after `took` seconds; `fine` is None where its caller gave it up."""
        self._waiting -= 1
        self._progress = now
        if fine:
            self.succeeded(now, took)
        elif fine is not None:
            self.failed(now)

    def probe_due(self, now: float) -> bool:
        """May one probe go through? True only for the first who asks."""
        if self.state is BreakerState.CLOSED or now < self._reopens:
            return False
        self.state = BreakerState.PROBING
        self._reopens = now + self._longest_pause * 2  # should the probe never come back
        return True

    def succeeded(self, now: float, took: float) -> None:
        """A call ended well after `took` seconds; too slow is as bad as failed."""
        if took > self._slow:
            self.failed(now)
        elif self.state is BreakerState.CLOSED:
            self._run = 0
            self._latest.append(True)
        elif self.state is BreakerState.PROBING:
            self.state = BreakerState.CLOSED
            self._run = 0
            self._latest.clear()
            self._pause = self._shortest_pause

    def failed(self, now: float) -> None:
        if self.state is BreakerState.PROBING:
            self._pause = min(self._pause * 2, self._longest_pause)
            self._open(now)
        elif self.state is BreakerState.CLOSED:
            self._run += 1
            self._latest.append(False)
            many = len(self._latest) == self._latest.maxlen
            if self._run >= self._run_limit or (
                many and self._latest.count(False) * 2 >= len(self._latest)
            ):
                self.opened += 1
                self._open(now)

    def _open(self, now: float) -> None:
        self.state = BreakerState.OPEN
        self._reopens = now + self._pause
