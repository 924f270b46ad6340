"""Following: events out of a source, taken in order, each at least once.

One daemon thread follows one source. How far it came is kept as a mark in the most shared store,
and written after the effect: an event that was sent while nobody listened still counts, and so does
one whose process was killed while it took it. A source that is down is asked again and again, at
longer and longer intervals, and no call ever waits for it.
"""

import logging
from typing import Literal

from askonce.core.errors import ConfigError, StoreError
from askonce.core.fail_open import FailOpen
from askonce.core.models import Entry, EventMessage
from askonce.core.protocols import EventReader, Store
from askonce.core.runtime.background import PeriodicWorker
from askonce.invalidation.events import EventHandler
from askonce.invalidation.sources import EventSource
from askonce.invalidation.target import Invalidation
from askonce.ledger.ledger import Ledger

_PATIENCE = 0.5
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_TRIES = 5
"""How often a function that fails is asked about one event, before the event is skipped."""
_SAID = 64  # different complaints of a source that are logged

_FOR_GOOD = 1e11  # seconds since the Unix epoch: the last to leave where the oldest go first

_log = logging.getLogger("askonce.events")


class EventConsumer:
    """Follows one source for one cache; everything is blocking here."""

    def __init__(
        self,
        source: EventSource,
        reader: EventReader,
        *,
        events: EventHandler,
        store: Store,
        ledger: Ledger,
    ) -> None:
        self.name = source.name
        self.reader = reader
        self.state: Literal["starting", "following", "down"] = "starting"
        self._key = source.key
        self._events = events
        self._store = store
        self._ledger = ledger
        self._boundary = FailOpen(ledger)
        self._mark: str | None = None
        self._kept: str | None = None
        self._begun = False
        self._pending: list[EventMessage] = []
        self._swept: set[Invalidation] = set()  # since these arrived
        self._tries = 0
        self._pause = _FIRST_PAUSE
        self._complaints: set[str] = set()
        self._worker = PeriodicWorker(f"askonce-events-{source.name}", self._step)

    def start(self) -> None:
        self._worker.start()

    async def close(self) -> None:
        """Stop following; what is being taken now is still taken."""
        self._worker.stop()
        await self.reader.close()

    async def _step(self) -> float:
        """One exchange; how many seconds until the next."""
        attempt = self._boundary.around("source")
        with attempt:
            try:
                await self._exchange()
            except StoreError:
                if not self._worker.stopped:
                    raise
        if attempt.failed:
            pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
            return pause
        self._pause = _FIRST_PAUSE
        return 0.0

    async def _exchange(self) -> None:
        if not self._begun:
            found = await self._store.read(self._key)
            self._mark = self._kept = None if found is None else found.body.decode()
            self._begun = True
        if not self._pending:
            self._pending = await self._read()
            self._swept = set()
        while self._pending and not self._worker.stopped:
            arrival = self._pending[0]
            await self._take(arrival)
            self._pending.pop(0)
            self._tries = 0
            self._mark = arrival.cursor or self._mark
        await self._keep_mark()

    async def _read(self) -> list[EventMessage]:
        try:
            arrivals = await self.reader.read(self._mark, _PATIENCE)
        except BaseException as error:
            if self.state != "down" and isinstance(error, StoreError) and not self._worker.stopped:
                _log.warning("source %s is down: %s", self.name, error)
            self.state = "down"
            raise
        self.state = "following"
        return arrivals

    async def _take(self, arrival: EventMessage) -> None:
        """Take one event; one that nobody can take is counted, told once and passed over."""
        if arrival.error is not None:
            self._complain(arrival.error)
            return
        if self._tries == _TRIES:
            self._complain(f"a function for the event {arrival.event!r} fails")
            return
        self._tries += 1
        try:
            await self._events.take(
                arrival.event,
                arrival.data,
                id=arrival.id,
                who=f"source {self.name}",
                swept=self._swept,
            )
        except ConfigError as error:
            self._complain(str(error))
        except StoreError:
            self._tries -= 1  # the cache's own store is down: the event waits until it is well
            raise

    async def _keep_mark(self) -> None:
        if self._mark is None or self._mark == self._kept:
            return
        told = self._mark.encode()
        await self._store.write(Entry(self._key, told, 200, (), _FOR_GOOD, _FOR_GOOD, _FOR_GOOD))
        self._kept = self._mark

    def _complain(self, what: str) -> None:
        self._ledger.count_fault("event")
        if what not in self._complaints and len(self._complaints) < _SAID:
            self._complaints.add(what)
            _log.warning("source %s: an event was skipped: %s", self.name, what)
