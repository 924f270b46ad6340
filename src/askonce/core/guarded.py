"""An engine is anything outside that may fail, hang or be down: behind a deadline and a breaker.

It is asked only while its breaker is closed, and never waited for longer than its deadline. An
engine that is down costs its callers nothing: while the breaker is open nobody asks it, and
whether it is well again is looked after behind the callers.
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
    """One engine of one flavor, as the story uses it.

    `breaker` may be shared with another flavor, under the same `lock`. `probe` asks the engine for
    next to nothing. Where calls queue up before the engine sees them (`queues`), lateness says
    nothing about it. `count` counts a failure, beside the boundary's own count.
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
        self._probing = probe
        self._runtime = runtime
        self._boundary = FailOpen(ledger)
        self._deadline = deadline
        self._queues = queues
        self._lock = lock

    async def ask(self, what: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the engine says, in time; None if it failed or is not to be asked now."""
        tick = self._runtime.monotonic
        began = tick()
        with self._lock:
            enters = self.breaker.enter(began)
        if not enters:
            self.look_after()
            return None
        attempt = self._boundary.around(what)
        answer: T | None = None
        fine: bool | None = None
        try:
            with attempt:
                answer = await self._runtime.with_timeout(self._deadline, work())
            if not (attempt.late and self._queues):
                fine = not attempt.failed
        finally:
            now = tick()
            with self._lock:
                # What is interrupted in time is not slow; a busy event loop may be.
                took = 0.0 if self._runtime.enforces_timeouts else now - began
                self.breaker.leave(now, took, fine=fine)
        if attempt.failed:
            self._count()
        return answer

    def look_after(self) -> None:
        """Let a probe look whether the engine is well again, behind the callers."""
        with self._lock:
            due = self.breaker.probe_due(self._runtime.monotonic())
        if due:
            self._runtime.run_in_background(self._probe)

    async def _probe(self) -> None:
        tick = self._runtime.monotonic
        began = tick()
        attempt = self._boundary.around("probe")
        with attempt:
            await self._runtime.with_timeout(self._deadline, self._probing())
        now = tick()
        with self._lock:
            self.breaker.failed(now) if attempt.failed else self.breaker.succeeded(now, now - began)
