"""A guarded backend: anything outside that may fail or hang, behind a deadline and a breaker.

It is called only while its breaker is closed, and for at most its deadline. A backend that is down
costs callers nothing: an open breaker refuses calls, and a probe in the background finds out when
the backend works again.

A closed breaker lets every call through. It opens after a run of failures, or when half of the
latest calls failed; a call that was too slow counts as failed. An open breaker lets no call
through, and after a pause one probe. The probe's success closes it, its failure doubles the pause.
(M. Nygard, "Release It!", 2007.)

Calls to a backend that hangs fail only at their deadline. So a closed breaker also refuses calls
while several wait and none of them has ended for a while.
"""

import enum
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from askonce.core.fail_open import FailOpen
from askonce.core.protocols import FaultCounter
from askonce.core.runtime.interface import Runtime

T = TypeVar("T")


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


class GuardedBackend:
    """One backend in one mode, with its deadline and its breaker.

    Parameters:
        name: the backend's name in logs and metrics.
        probe: a call that costs the backend next to nothing.
        runtime: the runtime of this mode.
        ledger: counts faults.
        breaker: may be shared with the other mode, under the same `lock`.
        lock: guards the breaker.
        deadline: seconds that a call may take.
        count: called for each failure, in addition to the fault's own count.
        queues: True if calls wait in a queue before the backend sees them; then a timeout does not
            count against the backend. Default: False.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[object]],
        *,
        runtime: Runtime,
        ledger: FaultCounter,
        breaker: CircuitBreaker,
        lock: AbstractContextManager[Any],
        deadline: float,
        count: Callable[[], None],
        queues: bool = False,
    ) -> None:
        self.name = name
        self._count = count
        self.breaker = breaker
        self._probe_backend = probe
        self._runtime = runtime
        self._fail_open = FailOpen(ledger)
        self._deadline = deadline
        self._queues = queues
        self._lock = lock

    async def ask(self, what: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return the result of `work`; None if it failed, took too long or the breaker is open.

        Parameters:
            what: the kind of call, such as `read`, for the fault count and the log.
            work: starts the call.
        """
        clock = self._runtime.monotonic
        began = clock()
        with self._lock:
            enters = self.breaker.enter(began)
        if not enters:
            self.probe_if_due()
            return None
        attempt = self._fail_open.around(what)
        answer: T | None = None
        fine: bool | None = None
        try:
            with attempt:
                answer = await self._runtime.with_timeout(self._deadline, work())
            if not (attempt.late and self._queues):
                fine = not attempt.failed
        finally:
            now = clock()
            with self._lock:
                # A call that was interrupted in time is not slow; a busy event loop may be.
                took = 0.0 if self._runtime.enforces_timeouts else now - began
                self.breaker.leave(now, took, fine=fine)
        if attempt.failed:
            self._count()
        return answer

    def probe_if_due(self) -> None:
        """Start a probe in the background, if one is due."""
        with self._lock:
            due = self.breaker.probe_due(self._runtime.monotonic())
        if due:
            self._runtime.run_in_background(self._probe)

    async def _probe(self) -> None:
        clock = self._runtime.monotonic
        began = clock()
        attempt = self._fail_open.around("probe")
        with attempt:
            await self._runtime.with_timeout(self._deadline, self._probe_backend())
        now = clock()
        with self._lock:
            self.breaker.failed(now) if attempt.failed else self.breaker.succeeded(now, now - began)
