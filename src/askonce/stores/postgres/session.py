"""The session: one connection to PostgreSQL and the statements that run on it.

A session whose exchange failed, timed out or was cancelled is closed and never used again: the
server's late reply would answer another call.
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
_KEPT_PAYLOADS = 10_000  # payloads of notifications, until the caller takes them
_MOST_READS = 1_024  # of input that came meanwhile: a connection that needs more is broken

Rows = list[tuple[Any, ...]]


class PostgresError(StoreError):
    """PostgreSQL refused or did not answer; `sqlstate` is its reason, if it gave one."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class PostgresSession:
    """One connection, used by one call at a time.

    `until` is the monotonic time at which the call must end. `held` are the fences of the leases
    whose locks this session holds. All results are binary, so that bytes arrive unchanged.
    """

    def __init__(self, pgconn: Any, ready: Ready, monotonic: Left, *, suspends: bool) -> None:
        self.until = _NEVER
        self.held: set[int] = set()
        self._ready = ready
        self._monotonic = monotonic
        self._suspends = suspends
        self._is_notified = False
        self._payloads: deque[str] = deque(maxlen=_KEPT_PAYLOADS)
        self._lost = 0
        self._connection: Any = (_AsyncConnection if suspends else _SyncConnection)(pgconn)
        self._connection.exchange = self._exchange
        self._connection.cursor_factory = psycopg.AsyncRawCursor if suspends else psycopg.RawCursor
        self._connection.prepare_threshold = 0
        self._connection.add_notify_handler(self._on_notification)

    async def begin(self) -> None:
        """Make every statement a transaction of its own."""
        with _translated_errors():
            await self._done(self._connection.set_autocommit(True))

    async def rows(self, statement: str, *parameters: object) -> Rows:
        """Run one prepared statement and return its rows: one round trip, once it is prepared."""
        with _translated_errors():
            cursor = await self._done(self._connection.execute(statement, parameters, binary=True))
            found: Rows = await self._done(cursor.fetchall()) if cursor.description else []
            return found

    async def repeat(self, statement: str, parameters: Sequence[Sequence[object]]) -> int:
        """Run a statement many times in one transaction and one trip; return the rows changed."""
        with _translated_errors():
            cursor = self._connection.cursor(binary=True)
            await self._done(cursor.executemany(statement, parameters))
            changed: int = cursor.rowcount
            return changed

    async def script(self, text: str) -> None:
        """Send many statements as one message, which the server finishes without us."""
        with _translated_errors():
            await self._done(self._connection.execute(text, prepare=False))

    async def wait_for_notification(self, seconds: float) -> bool:
        """Wait up to `seconds` for a notification; return whether there was one."""
        with _translated_errors():
            if not self._is_notified:
                until = self._monotonic() + seconds
                with contextlib.suppress(TimeoutError):
                    await exchange(
                        generators.notifies(self._connection.pgconn),
                        self._connection.pgconn.socket,
                        self._ready,
                        lambda: min(until - self._monotonic(), seconds),
                    )
            notified, self._is_notified = self._is_notified, False
            return notified

    def is_alive(self) -> bool:
        """Is the connection still open, as far as this end knows?"""
        pgconn = self._connection.pgconn
        try:
            for _ in range(_MOST_READS):
                if not poll_now(pgconn.socket, Wait.R, 0):
                    return True
                pgconn.consume_input()  # a notification, a notice, or the end
                while notification := pgconn.notifies():
                    self._note(notification.extra.decode(errors="replace"))
        except psycopg.Error:
            pass
        return False

    def close(self) -> None:
        """Close the socket at once, even during an exchange."""
        self.until = _NEVER
        self._connection.pgconn.finish()

    async def _exchange(self, generator: Any) -> Any:
        try:
            return await exchange(
                generator,
                self._connection.pgconn.socket,
                self._ready,
                lambda: self.until - self._monotonic(),
            )
        except psycopg.Error:
            raise  # the server has answered: the exchange is over
        except BaseException:
            # psycopg would end the exchange in order, for which there is no time: on a closed
            # socket, its attempts fail at once.
            self.close()
            with contextlib.suppress(psycopg.Error):
                generator.close()
            raise

    async def _done(self, work: Any) -> Any:
        return await work if self._suspends else work

    def take_payloads(self) -> tuple[list[str], int]:
        """Return the payloads of notifications since the last call, and the number lost."""
        payloads, lost = list(self._payloads), self._lost
        self._payloads.clear()
        self._lost = 0
        return payloads, lost

    def _on_notification(self, notification: psycopg.Notify) -> None:
        self._note(notification.payload)

    def _note(self, payload: str) -> None:
        self._is_notified = True
        if payload:
            self._lost += len(self._payloads) == _KEPT_PAYLOADS
            self._payloads.append(payload)


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise PostgresError("PostgreSQL did not answer within the deadline") from None
    except psycopg.Error as error:
        # From None, and without the server's text, which may quote stored values.
        state = f" ({error.sqlstate})" if error.sqlstate else ""
        raise PostgresError(
            f"PostgreSQL failed: {type(error).__name__}{state}", error.sqlstate
        ) from None


class _SyncConnection(psycopg.Connection[Any]):
    """psycopg's blocking connection, whose waits keep our deadline."""

    exchange: Callable[[Any], Any]

    def wait(self, gen: Any, interval: float = 0, timeout: float | None = None) -> Any:
        try:
            self.exchange(gen).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("a blocking wait has suspended")


class _AsyncConnection(psycopg.AsyncConnection[Any]):
    """psycopg's suspending connection, whose waits keep our deadline and end at cancellation."""

    exchange: Callable[[Any], Any]

    async def wait(self, gen: Any, interval: float = 0, timeout: float | None = None) -> Any:
        return await self.exchange(gen)
