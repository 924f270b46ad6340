"""The event consumer: reads events from one source, in order, each at least once.

One daemon thread reads one source. The store keeps the cursor, which moves after an event took
effect: events sent while no process was running still count, and so does one whose process was
killed while it handled it. The consumer retries a source that is down, at growing intervals. No
call ever waits for it.
"""

import logging
from typing import Literal

from askonce.core.errors import ConfigError, StoreError
from askonce.core.fail_open import FailOpen
from askonce.core.models import Entry, EventMessage
from askonce.core.protocols import EventReader, Store
from askonce.core.runtime.background import PeriodicWorker
from askonce.invalidation.events import EventProcessor
from askonce.invalidation.sources import EventSource
from askonce.invalidation.target import FOR_GOOD, Invalidation
from askonce.ledger.ledger import Ledger

_PATIENCE = 0.5
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_TRIES = 5
"""Attempts to handle an event whose function fails, before the event is skipped."""
_MAX_COMPLAINTS = 64  # different complaints about a source that are logged

_log = logging.getLogger("askonce.events")


class EventConsumer:
    """Reads one source for one cache; every method blocks.

    Parameters:
        source: The source.
        reader: The open connection to it.
        events: Handles the events.
        store: Keeps the cursor: the most shared store.
        ledger: Counts faults.
    """

    def __init__(
        self,
        source: EventSource,
        reader: EventReader,
        *,
        events: EventProcessor,
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
        self._cursor: str | None = None
        self._stored_cursor: str | None = None
        self._begun = False
        self._pending: list[EventMessage] = []
        self._done: set[Invalidation] = set()  # sweeps carried out for the pending messages
        self._tries = 0
        self._pause = _FIRST_PAUSE
        self._complaints: set[str] = set()
        self._worker = PeriodicWorker(f"askonce-events-{source.name}", self._step)

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    async def close(self) -> None:
        """Stop reading; an event that is being handled is finished."""
        self._worker.stop()
        await self.reader.close()

    async def _step(self) -> float:
        """Read and handle once; return the seconds until the next time."""
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
            self._cursor = self._stored_cursor = None if found is None else found.body.decode()
            self._begun = True
        if not self._pending:
            self._pending = await self._read()
            self._done = set()
        while self._pending and not self._worker.stopped:
            message = self._pending[0]
            await self._handle(message)
            self._pending.pop(0)
            self._tries = 0
            self._cursor = message.cursor or self._cursor
        await self._store_cursor()

    async def _read(self) -> list[EventMessage]:
        try:
            messages = await self.reader.read(self._cursor, _PATIENCE)
        except BaseException as error:
            if self.state != "down" and isinstance(error, StoreError) and not self._worker.stopped:
                _log.warning("source %s is down: %s", self.name, error)
            self.state = "down"
            raise
        self.state = "following"
        return messages

    async def _handle(self, message: EventMessage) -> None:
        """Handle one event; count, log and skip one that cannot be handled."""
        if message.error is not None:
            self._complain(message.error)
            return
        if self._tries == _TRIES:
            self._complain(f"a function for the event {message.event!r} fails")
            return
        self._tries += 1
        try:
            await self._events.process(
                message.event,
                message.data,
                id=message.id,
                who=f"source {self.name}",
                done=self._done,
            )
        except ConfigError as error:
            self._complain(str(error))
        except StoreError:
            self._tries -= 1  # the cache's own store is down: the event waits until it is back
            raise

    async def _store_cursor(self) -> None:
        if self._cursor is None or self._cursor == self._stored_cursor:
            return
        cursor = self._cursor.encode()
        await self._store.write(Entry(self._key, cursor, 200, (), FOR_GOOD, FOR_GOOD, FOR_GOOD))
        self._stored_cursor = self._cursor

    def _complain(self, what: str) -> None:
        self._ledger.count_fault("event")
        if what not in self._complaints and len(self._complaints) < _MAX_COMPLAINTS:
            self._complaints.add(what)
            _log.warning("source %s: an event was skipped: %s", self.name, what)
