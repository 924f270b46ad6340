"""The circuit breaker: decides whether a failing backend is worth calling. Time is a parameter.

A closed breaker lets every call through. It opens after a run of failures, or when half of the
latest calls failed; a call that was too slow counts as failed. An open breaker lets no call
through, and after a pause one probe. The probe's success closes it, its failure doubles the pause.
(M. Nygard, "Release It!", 2007.)

Calls to a backend that hangs fail only at their deadline. So a closed breaker also refuses calls
while several wait and none of them has ended for a while.
"""

import enum
from collections import deque


class BreakerState(enum.StrEnum):
    """Whether calls go through; the words of metrics and of `/healthz`."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class CircuitBreaker:
    """The breaker of one backend. Not thread-safe: callers hold a lock.

    All times are in seconds; `now` is on a clock that never jumps.

    Parameters:
        slow: a call that takes longer counts as failed.
        stall: after so long without the end of any call, waiting calls block new ones. Default:
            never.
        run: how many failures in a row open the breaker, and how many calls must wait to stall.
        window: how many of the latest calls count; half of them failing opens the breaker.
        shortest_pause: from opening to the first probe.
        longest_pause: the pause doubles after each failed probe, up to this.
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
        """Whether calls go through."""
        return self.state is BreakerState.CLOSED

    def enter(self, now: float) -> bool:
        """Return whether a call may go through; if so, its end is reported to `leave`."""
        if self.state is not BreakerState.CLOSED:
            return False
        if not self._waiting:
            self._progress = now
        elif self._waiting >= self._run_limit and now - self._progress > self._stall:
            return False
        self._waiting += 1
        return True

    def leave(self, now: float, took: float, *, fine: bool | None) -> None:
        """Report the end of a call after `took` seconds; `fine` is None if its caller gave up."""
        self._waiting -= 1
        self._progress = now
        if fine:
            self.succeeded(now, took)
        elif fine is not None:
            self.failed(now)

    def probe_due(self, now: float) -> bool:
        """Return whether a probe may go through; True only once for each pause."""
        if self.state is BreakerState.CLOSED or now < self._reopens:
            return False
        self.state = BreakerState.PROBING
        self._reopens = now + self._longest_pause * 2  # in case the probe never ends
        return True

    def succeeded(self, now: float, took: float) -> None:
        """Report a success after `took` seconds; too slow counts as a failure."""
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
        """Report a failure."""
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
