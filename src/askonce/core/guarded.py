"""A guarded backend: anything outside that may fail or hang, behind a deadline and a breaker.

It is called only while its breaker is closed, and for at most its deadline. A backend that is down
costs callers nothing: an open breaker refuses calls, and a probe in the background finds out when
the backend works again.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from askonce.core.breaker import CircuitBreaker
from askonce.core.fail_open import FailOpen
from askonce.core.protocols import FaultCounter
from askonce.core.runtime.interface import Runtime

T = TypeVar("T")


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
