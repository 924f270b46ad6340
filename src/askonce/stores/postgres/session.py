"""A session is one connection to PostgreSQL, and what may be asked on it.

A session whose exchange failed, timed out or was cancelled is closed and never used again: what
the server still sends would be the answer to somebody else's question.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import generators
from psycopg.waiting import Wait

from askonce.core.errors import StoreError
from askonce.stores.postgres.waiting import Left, Ready, exchange, poll_now

_NEVER = float("-inf")
_TOLD = 10_000  # notifications that say something, kept until they are taken
_GULPS = 1_024  # of what came while nobody read: more than this is no living connection

Rows = list[tuple[Any, ...]]


class PostgresError(StoreError):
    """PostgreSQL refused or could not be asked; `sqlstate` is its reason, where it gave one."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class PostgresSession:
    """One connection, used by one call at a time.

    `until` is the tick at which the call has to end. `held` are the fences of the leases whose
    locks this session holds. All results are binary, so that bytes travel as they are.
    """

    def __init__(self, pgconn: Any, ready: Ready, tick: Left, *, suspends: bool) -> None:
        self.until = _NEVER
        self.held: set[int] = set()
        self._ready = ready
        self._tick = tick
        self._suspends = suspends
        self._heard = False
        self._told: deque[str] = deque(maxlen=_TOLD)
        self._lost = 0
        self._connection: Any = (_Suspending if suspends else _Blocking)(pgconn)
        self._connection.exchange = self._exchange
        self._connection.cursor_factory = psycopg.AsyncRawCursor if suspends else psycopg.RawCursor
        self._connection.prepare_threshold = 0
        self._connection.add_notify_handler(self._hear)

    async def begin(self) -> None:
        """Every statement is a transaction of its own."""
        with _told_as_store_error():
            await self._done(self._connection.set_autocommit(True))

    async def rows(self, statement: str, *parameters: object) -> Rows:
        """What one prepared statement returns: one round trip, once it is prepared."""
        with _told_as_store_error():
            cursor = await self._done(self._connection.execute(statement, parameters, binary=True))
            found: Rows = await self._done(cursor.fetchall()) if cursor.description else []
            return found

    async def repeat(self, statement: str, parameters: Sequence[Sequence[object]]) -> int:
        """Run one statement many times, in one transaction and one trip; the rows it changed."""
        with _told_as_store_error():
            cursor = self._connection.cursor(binary=True)
            await self._done(cursor.executemany(statement, parameters))
            changed: int = cursor.rowcount
            return changed

    async def script(self, text: str) -> None:
        """Send many statements as one message: once begun, it ends without us."""
        with _told_as_store_error():
            await self._done(self._connection.execute(text, prepare=False))

    async def heard(self, seconds: float) -> bool:
        """Wait for a notification, at most so long; has there been one?"""
        with _told_as_store_error():
            if not self._heard:
                until = self._tick() + seconds
                with contextlib.suppress(TimeoutError):
                    await exchange(
                        generators.notifies(self._connection.pgconn),
                        self._connection.pgconn.socket,
                        self._ready,
                        lambda: min(until - self._tick(), seconds),
                    )
            heard, self._heard = self._heard, False
            return heard

    def is_alive(self) -> bool:
        """Is the server still there, as far as this end of the connection knows?"""
        pgconn = self._connection.pgconn
        try:
            for _ in range(_GULPS):
                if not poll_now(pgconn.socket, Wait.R, 0):
                    return True
                pgconn.consume_input()  # a notification, a notice, or goodbye
                while told := pgconn.notifies():
                    self._note(told.extra.decode(errors="replace"))
        except psycopg.Error:
            pass
        return False

    def close(self) -> None:
        """Close the socket at once, whatever was under way."""
        self.until = _NEVER
        self._connection.pgconn.finish()

    async def _exchange(self, generator: Any) -> Any:
        try:
            return await exchange(
                generator,
                self._connection.pgconn.socket,
                self._ready,
                lambda: self.until - self._tick(),
            )
        except psycopg.Error:
            raise  # the server has spoken: the exchange is over
        except BaseException:
            # psycopg would bring the exchange to an orderly end, for which there is no time: closed
            # first, all that it still tries fails at once.
            self.close()
            with contextlib.suppress(psycopg.Error):
                generator.close()
            raise

    async def _done(self, work: Any) -> Any:
        return await work if self._suspends else work

    def take_told(self) -> tuple[list[str], int]:
        """What the notifications said that came since, but for those that said nothing; and how
        many more there were than are kept."""
        told, lost = list(self._told), self._lost
        self._told.clear()
        self._lost = 0
        return told, lost

    def _hear(self, notification: psycopg.Notify) -> None:
        self._note(notification.payload)

    def _note(self, payload: str) -> None:
        self._heard = True
        if payload:
            self._lost += len(self._told) == _TOLD
            self._told.append(payload)


@contextlib.contextmanager
def _told_as_store_error() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise PostgresError("PostgreSQL did not answer within the deadline") from None
    except psycopg.Error as error:
        # From None, and no text of the server's: it may quote what was stored.
        state = f" ({error.sqlstate})" if error.sqlstate else ""
        raise PostgresError(
            f"PostgreSQL failed: {type(error).__name__}{state}", error.sqlstate
        ) from None


class _Blocking(psycopg.Connection[Any]):
    """psycopg's connection, whose waits keep our deadline."""

    exchange: Callable[[Any], Any]

    def wait(self, gen: Any, interval: float = 0, timeout: float | None = None) -> Any:
        try:
            self.exchange(gen).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("a blocking wait has suspended")


class _Suspending(psycopg.AsyncConnection[Any]):
    """psycopg's connection, whose waits keep our deadline and end at once when cancelled."""

    exchange: Callable[[Any], Any]

    async def wait(self, gen: Any, interval: float = 0, timeout: float | None = None) -> Any:
        return await self.exchange(gen)
