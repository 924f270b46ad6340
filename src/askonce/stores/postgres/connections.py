"""The connections of a PostgreSQL store: made when needed, borrowed for a call, given back."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
from psycopg import generators
from psycopg.conninfo import make_conninfo

from askonce.core.errors import StoreError
from askonce.stores.context import StoreContext
from askonce.stores.postgres.address import PostgresAddress
from askonce.stores.postgres.session import PostgresError, PostgresSession
from askonce.stores.postgres.waiting import (
    Loop,
    LoopPermits,
    Permits,
    ThreadPermits,
    exchange,
    ready_in,
    ready_in_thread,
)


class PostgresConnections:
    """At most `most` sessions for each place (a thread's process, or an event loop).

    The last one given back is the first to be borrowed. `greet` makes a new session ready for
    use. A child process after a fork begins with none: its parent's sockets are not its own.
    """

    def __init__(
        self,
        address: PostgresAddress,
        context: StoreContext,
        greet: Callable[[PostgresSession], Awaitable[None]],
        *,
        most: int = 8,
    ) -> None:
        self._address = address
        self._ground = context
        self._greet = greet
        self._most = most
        self._pools: dict[tuple[int, object], _Pool] = {}
        self._closed = False

    @asynccontextmanager
    async def borrowed(self, seconds: float | None = None) -> AsyncIterator[PostgresSession]:
        """A session for one call, which has to end within `seconds` (else the deadline)."""
        pool, tick = self._pool(), self._ground.monotonic
        patience = self._ground.deadline if seconds is None else seconds
        until = tick() + patience
        try:
            await pool.permits.take(patience)
        except TimeoutError:
            raise StoreError(f"all {self._most} connections to PostgreSQL are busy") from None
        session = None
        try:
            session = pool.idle_session() or await self._connect(until)
            session.until = until
            yield session
        except BaseException:
            if session is not None:
                session.close()
            raise
        else:
            pool.keep(session)
        finally:
            pool.permits.give()

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        self._closed = True  # what a thread that was under way opens after this is not kept
        pools, self._pools = self._pools, {}
        for place, pool in pools.items():
            if place[0] == os.getpid():
                pool.close()
            else:
                self._pools[place] = pool  # a parent's: closing it would speak on its socket

    def _pool(self) -> "_Pool":
        place = (os.getpid(), self._ground.loop_or_process())
        pool = self._pools.get(place)
        if pool is None:
            self._forget_ended_loops()
            permits = (
                LoopPermits(self._most, cast("Loop", place[1]))
                if self._ground.suspending
                else ThreadPermits(self._most)
            )
            pool = self._pools.setdefault(place, _Pool(permits, closed=self._closed))
        return pool

    def _forget_ended_loops(self) -> None:
        if not self._ground.suspending:
            return
        for place, pool in list(self._pools.items()):
            if place[0] == os.getpid() and cast("Loop", place[1]).is_closed():
                pool.close()
                self._pools.pop(place, None)

    async def _connect(self, until: float) -> PostgresSession:
        tick, suspends = self._ground.monotonic, self._ground.suspending
        loop = cast("Loop", self._ground.loop_or_process())
        ready = ready_in(loop) if suspends else ready_in_thread
        # A statement that nobody waits for any more ends by itself, in time.
        timeout_ms = max(1000, round(2000 * self._ground.deadline))
        given = self._address.parameters
        options = f"-c statement_timeout={timeout_ms} {given.get('options', '')}"
        parameters = {"application_name": "askonce", **given, "options": options}
        try:
            if suspends:
                parameters |= await _resolved(parameters, loop)
            conninfo = make_conninfo("", **parameters)
            pgconn = await exchange(generators.connect(conninfo), -1, ready, lambda: until - tick())
        except TimeoutError:
            raise PostgresError(
                "PostgreSQL did not accept a connection within the deadline"
            ) from None
        except (psycopg.Error, OSError, UnicodeError) as error:
            # From None: no text of libpq's goes out uncensored.
            raise PostgresError(self._address.censored(f"no PostgreSQL: {error}")) from None
        session = PostgresSession(pgconn, ready, tick, suspends=suspends)
        session.until = until
        try:
            await session.begin()
            await self._greet(session)
        except BaseException:
            session.close()
            raise
        return session


class _Pool:
    def __init__(self, permits: Permits, *, closed: bool) -> None:
        self.permits = permits
        self._idle: list[PostgresSession] = []
        self._closed = closed

    def idle_session(self) -> PostgresSession | None:
        while True:
            try:
                session = self._idle.pop()
            except IndexError:
                return None
            if session.is_alive():
                return session
            session.close()

    def keep(self, session: PostgresSession) -> None:
        self._idle.append(session)
        if self._closed:
            self.close()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()


async def _resolved(parameters: dict[str, Any], loop: Loop) -> dict[str, str]:
    """Host names as addresses: libpq would look them up itself, and block the event loop."""
    hosts = str(parameters.get("host") or "").split(",")
    if "hostaddr" in parameters or all(not host or host.startswith(("/", "@")) for host in hosts):
        return {}
    ports = str(parameters.get("port") or "5432").split(",")
    found: list[tuple[str, str, str]] = []
    for place, host in enumerate(hosts):
        port = ports[place if len(ports) > 1 else 0]
        if not host or host.startswith(("/", "@")):
            found.append((host, "", port))
            continue
        infos = await loop.getaddrinfo(host, port or "5432", type=1)  # SOCK_STREAM
        found += [(host, info[4][0], port) for info in infos]
    names, addresses, numbers = zip(*found, strict=True)
    return {"host": ",".join(names), "hostaddr": ",".join(addresses), "port": ",".join(numbers)}
