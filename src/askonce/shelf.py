"""A shelf is a layer below memory: a store behind a deadline and a circuit breaker.

The store is asked only while its breaker is closed, and never waited for longer than its deadline.
A store that is down costs its callers nothing: while the breaker is open nobody asks it, and
whether it is well again is looked after behind the callers.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from askonce.accounting import Ledger
from askonce.boundary import Boundary
from askonce.breaker import Breaker
from askonce.protocols import Store
from askonce.records import Entry, Key
from askonce.runtimes import Runtime

T = TypeVar("T")

_NOBODY = Key("~askonce", "probe", bytes(32))


class Shelf:
    """One store of one flavor, as the story uses it.

    `breaker` may be shared with another flavor, under the same `guard`. Where calls queue up
    before the store sees them (`queues`), lateness says nothing about the store.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        *,
        runtime: Runtime,
        ledger: Ledger,
        breaker: Breaker,
        guard: AbstractContextManager[Any],
        deadline: float,
        queues: bool = False,
    ) -> None:
        self.name = name
        self.store = store
        self.breaker = breaker
        self._runtime = runtime
        self._ledger = ledger
        self._boundary = Boundary(ledger)
        self._deadline = deadline
        self._queues = queues
        self._guard = guard

    async def read(self, key: Key) -> Entry | None:
        """The store's entry; None also where the store cannot say."""
        return await self.ask("read", lambda: self.store.read(key))

    async def ask(self, what: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the store says, in time; None if it failed or is not to be asked now."""
        tick = self._runtime.tick
        began = tick()
        with self._guard:
            enters = self.breaker.enter(began)
        if not enters:
            self.look_after()
            return None
        attempt = self._boundary.around(what)
        answer: T | None = None
        fine: bool | None = None
        try:
            with attempt:
                answer = await self._runtime.within(self._deadline, work())
            if not (attempt.late and self._queues):
                fine = not attempt.failed
        finally:
            now = tick()
            with self._guard:
                # What is interrupted in time is not slow; a busy event loop may be.
                took = 0.0 if self._runtime.interrupts else now - began
                self.breaker.leave(now, took, fine=fine)
        if attempt.failed:
            self._ledger.layer(self.name, "errors")
        return answer

    def look_after(self) -> None:
        """Let a probe look whether the store is well again, behind the callers."""
        with self._guard:
            due = self.breaker.probe_due(self._runtime.tick())
        if due:
            self._runtime.behind(self._probe)

    async def _probe(self) -> None:
        tick = self._runtime.tick
        began = tick()
        attempt = self._boundary.around("probe")
        with attempt:
            await self._runtime.within(self._deadline, self.store.read(_NOBODY))
        now = tick()
        with self._guard:
            self.breaker.failed(now) if attempt.failed else self.breaker.succeeded(now, now - began)
