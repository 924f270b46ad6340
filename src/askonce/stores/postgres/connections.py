"""Connections to PostgreSQL: opened when needed, borrowed for one call, returned."""

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
    """A pool of sessions for each event loop, or in sync mode for each process.

    The last session returned is the first to be borrowed. A child process starts with an empty
    pool after a fork: its parent's sockets are not its own.

    Parameters:
        address: the database.
        context: the clocks and deadline of the calling process.
        prepare: makes a new session ready for use, for example creates missing tables.
        most: sessions of one pool. Default: 8.
    """

    def __init__(
        self,
        address: PostgresAddress,
        context: StoreContext,
        prepare: Callable[[PostgresSession], Awaitable[None]],
        *,
        most: int = 8,
    ) -> None:
        self._address = address
        self._context = context
        self._prepare = prepare
        self._most = most
        self._pools: dict[tuple[int, object], _Pool] = {}
        self._closed = False

    @asynccontextmanager
    async def borrowed(self, seconds: float | None = None) -> AsyncIterator[PostgresSession]:
        """Lend a session for one call, which must end within `seconds` (default: the deadline)."""
        pool, monotonic = self._pool(), self._context.monotonic
        if seconds is None:
            seconds = self._context.deadline
        until = monotonic() + seconds
        try:
            await pool.permits.take(seconds)
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
        """Close idle sessions now, and borrowed ones when they are returned."""
        self._closed = True  # a session that another thread opens after this is not kept
        pools, self._pools = self._pools, {}
        for owner, pool in pools.items():
            if owner[0] == os.getpid():
                pool.close()
            else:
                self._pools[owner] = pool  # the parent's: closing it would send on its socket

    def _pool(self) -> "_Pool":
        owner = (os.getpid(), self._context.loop_or_process())
        pool = self._pools.get(owner)
        if pool is None:
            self._forget_ended_loops()
            permits = (
                LoopPermits(self._most, cast("Loop", owner[1]))
                if self._context.suspending
                else ThreadPermits(self._most)
            )
            pool = self._pools.setdefault(owner, _Pool(permits, closed=self._closed))
        return pool

    def _forget_ended_loops(self) -> None:
        if not self._context.suspending:
            return
        for owner, pool in list(self._pools.items()):
            if owner[0] == os.getpid() and cast("Loop", owner[1]).is_closed():
                pool.close()
                self._pools.pop(owner, None)

    async def _connect(self, until: float) -> PostgresSession:
        monotonic, suspends = self._context.monotonic, self._context.suspending
        loop = cast("Loop", self._context.loop_or_process())
        ready = ready_in(loop) if suspends else ready_in_thread
        # The server ends a statement that we have given up on.
        timeout_ms = max(1000, round(2000 * self._context.deadline))
        given = self._address.parameters
        options = f"-c statement_timeout={timeout_ms} {given.get('options', '')}"
        parameters = {"application_name": "askonce", **given, "options": options}
        try:
            if suspends:
                parameters |= await _resolved(parameters, loop)
            conninfo = make_conninfo("", **parameters)
            connecting = generators.connect(conninfo)
            pgconn = await exchange(connecting, -1, ready, lambda: until - monotonic())
        except TimeoutError:
            raise PostgresError(
                "PostgreSQL did not accept a connection within the deadline"
            ) from None
        except (psycopg.Error, OSError, UnicodeError) as error:
            # From None: libpq's text may hold the password.
            raise PostgresError(self._address.censored(f"no PostgreSQL: {error}")) from None
        session = PostgresSession(pgconn, ready, monotonic, suspends=suspends)
        session.until = until
        try:
            await session.begin()
            await self._prepare(session)
        except BaseException:
            session.close()
            raise
        return session


class _Pool:
    """The sessions of one event loop or process."""

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
    """Resolve host names here: libpq would do it itself, and block the event loop."""
    hosts = str(parameters.get("host") or "").split(",")
    if "hostaddr" in parameters or all(not host or host.startswith(("/", "@")) for host in hosts):
        return {}
    ports = str(parameters.get("port") or "5432").split(",")
    found: list[tuple[str, str, str]] = []
    for number, host in enumerate(hosts):
        port = ports[number if len(ports) > 1 else 0]
        if not host or host.startswith(("/", "@")):
            found.append((host, "", port))
            continue
        infos = await loop.getaddrinfo(host, port or "5432", type=1)  # SOCK_STREAM
        found += [(host, info[4][0], port) for info in infos]
    names, addresses, numbers = zip(*found, strict=True)
    return {"host": ",".join(names), "hostaddr": ",".join(addresses), "port": ",".join(numbers)}
