"""Connections to one Redis server; one call at a time uses each.

A connection returns to its pool only after its call has read every reply to its commands. One that
failed, timed out or was cancelled on the way is closed, so no reply can reach another call than
its own. That is why this uses redis-py's connections and not its client.

Pools belong to a process and, where calls suspend, to one event loop.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from hiredis import pack_command
from redis.connection import Connection, SSLConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from askonce.core.errors import StoreError
from askonce.stores.context import StoreContext
from askonce.stores.redis.address import RedisAddress, ServerAddress

FAULTS = (RedisError, OSError, UnicodeError)
"""The errors of redis-py; `UnicodeError` for a malformed host name."""

CONNECTIONS = 64
"""Connections of one event loop to one server; further calls wait for their turn."""

_SMALL_BYTES = 16 << 10
_WAIT_MS = 200


def pack(*words: bytes | str | int) -> bytes:
    """Return a command in the wire format."""
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # a tuple of any length
    return packed


_REPLICATION = pack("INFO", "replication")


class SyncConnection:
    """One connection whose calls block."""

    verified = False
    used = False

    def __init__(self, options: dict[str, Any], deadline: float, *, tls: bool) -> None:
        self._deadline = deadline
        self._connection = (SSLConnection if tls else Connection)(**options)

    async def open(self) -> None:
        self._connection.connect()

    async def exchange(self, packed: Sequence[bytes], count: int, patience: float) -> list[Any]:
        """Send commands and read all their replies; error replies are values among them."""
        connection = self._connection
        connection.send_packed_command(packed, check_health=False)
        waits = {"timeout": patience + self._deadline} if patience else {}
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(connection.read_response(**waits))
            except ResponseError as refusal:
                replies.append(refusal)
        self.used = True
        return replies

    async def drop(self) -> None:
        self._connection.disconnect()


class AsyncConnection:
    """One connection whose calls suspend, bound to the event loop that made it."""

    verified = False
    used = False

    def __init__(self, options: dict[str, Any], deadline: float, *, tls: bool) -> None:
        from redis.asyncio.connection import Connection, SSLConnection

        self._deadline = deadline
        self._connection = (SSLConnection if tls else Connection)(**options)

    async def open(self) -> None:
        await self._connection.connect()

    async def exchange(self, packed: Sequence[bytes], count: int, patience: float) -> list[Any]:
        """Send commands and read all their replies; error replies are values among them."""
        connection = self._connection
        # Commands that fit the transport's buffer go out without waiting, so they need no
        # timeout, which would cost a task of its own.
        small = sum(map(len, packed)) < _SMALL_BYTES
        connection.socket_timeout = None if small else self._deadline
        try:
            await connection.send_packed_command(packed, check_health=False)
        except RuntimeError:
            # uvloop raises this if the connection was reset while it was idle.
            raise RedisConnectionError("the connection was reset") from None
        # Not as an argument of `read_response`: it would then return None and leave the reply.
        connection.socket_timeout = patience + self._deadline
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(await connection.read_response())
            except ResponseError as refusal:
                replies.append(refusal)
        self.used = True
        return replies

    async def drop(self) -> None:
        # Without waiting: this also runs while a cancellation is on its way.
        await self._connection.disconnect(nowait=True)


AnyConnection = SyncConnection | AsyncConnection


class ConnectionPool:
    """Idle connections to one server, of one event loop or of all threads; the last used first."""

    def __init__(self, make: Callable[[], AnyConnection], loop: Any, deadline: float) -> None:
        self._loop = loop  # None where calls block
        self.process = os.getpid()
        self._make = make
        self._deadline = deadline
        self._idle: list[AnyConnection] = []
        self._lent = 0
        self._queue: list[Any] = []  # futures of the calls that wait for their turn
        self._closed = False

    async def take(self) -> AnyConnection:
        """Lend a connection; in async mode, wait for a turn if too many are lent."""
        if self._loop is not None:
            if self._lent >= CONNECTIONS:
                await self._turn()
            else:
                self._lent += 1
        try:
            return self._idle.pop()
        except IndexError:  # asking beforehand would race with other threads
            return self._make()

    async def put(self, connection: AnyConnection, *, whole: bool) -> None:
        """Take a connection back; keep it only if its last exchange was whole."""
        if self._loop is not None:
            self._pass_turn()
        if whole and not self._closed:
            self._idle.append(connection)
        else:
            with contextlib.suppress(*FAULTS):
                await connection.drop()

    async def clear(self) -> None:
        """Close every idle connection."""
        while self._idle:
            with contextlib.suppress(*FAULTS, IndexError):
                await self._idle.pop().drop()

    async def close(self) -> None:
        self._closed = True
        await self.clear()

    async def _turn(self) -> None:
        turn = self._loop.create_future()
        self._queue.append(turn)
        alarm = self._loop.call_later(self._deadline, _give_up, turn)
        try:
            await turn
        except BaseException:
            # Cancelled after the turn had come: pass it on.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_turn()
            raise
        finally:
            alarm.cancel()

    def _pass_turn(self) -> None:
        while self._queue:
            turn = self._queue.pop(0)
            if not turn.done():
                turn.set_result(None)
                return
        self._lent -= 1


def _give_up(turn: Any) -> None:
    if not turn.done():
        turn.set_exception(StoreError("too many calls wait for a connection to Redis"))


class Node:
    """One Redis server and the pools of connections to it.

    `verification` returns the packed command that must succeed first on a new connection, before
    an exchange with `verify`.
    """

    def __init__(
        self,
        server: ServerAddress,
        address: RedisAddress,
        context: StoreContext,
        verification: Callable[[], bytes],
    ) -> None:
        self.server = server
        self._address = address
        self._context = context
        self._verification = verification
        self._pools: dict[Any, ConnectionPool] = {}

    async def exchange(
        self,
        packed: Sequence[bytes],
        count: int = 1,
        *,
        verify: bool = False,
        patience: float = 0.0,
        repeatable: bool = False,
        lasting: bool = False,
    ) -> list[Any]:
        """Send commands and return their replies; error replies are values among them.

        Parameters:
            packed: the commands, in the wire format.
            count: how many replies they have. Default: 1.
            verify: send the verification first, if the connection has not passed it yet.
            patience: seconds that a blocking command may take beyond the deadline.
            repeatable: send the commands once more if an idle connection turns out to be closed,
                because the server had restarted.
            lasting: wait until a replica has the writes, if there is one.

        Raises `StoreError` for every fault of the connection.
        """
        pool = self._pool()
        connection = await pool.take()
        reused, whole = connection.used, False
        try:
            replies = await self._converse(connection, packed, count, verify, patience, lasting)
            whole = True
        except FAULTS as fault:
            if not (reused and repeatable and _is_cut(fault)):
                raise StoreError(f"Redis at {self.server} fails: {fault_text(fault)}") from None
        finally:
            await pool.put(connection, whole=whole)
        if not whole:
            await pool.clear()
            return await self.exchange(packed, count, verify=verify, patience=patience)
        return replies

    async def close(self) -> None:
        """Close the idle connections of this loop; busy ones close after their call."""
        pool = self._pools.pop(self._context.loop_or_process(), None)
        if pool is not None and pool.process == os.getpid():
            await pool.close()

    async def _converse(
        self,
        connection: AnyConnection,
        packed: Sequence[bytes],
        count: int,
        verify: bool,
        patience: float,
        lasting: bool,
    ) -> list[Any]:
        began, fresh = self._context.monotonic(), not connection.used
        if fresh:
            await connection.open()
        if verify and not connection.verified:
            (answer,) = await connection.exchange([self._verification()], 1, 0.0)
            if isinstance(answer, ResponseError):
                return [answer] * count
            connection.verified = True
        if fresh and self._context.monotonic() - began >= self._context.deadline:
            # Each step kept its timeout, but together they took too long.
            raise StoreError(f"Redis at {self.server} is too slow")
        if not lasting:
            return await connection.exchange(packed, count, patience)
        *replies, replication = await connection.exchange(
            [*packed, _REPLICATION], count + 1, patience
        )
        if "state=online" in str(replication):
            wait_ms = min(_WAIT_MS, int(self._context.deadline * 800))
            (copies,) = await connection.exchange([pack("WAIT", 1, wait_ms)], 1, 0.0)
            if isinstance(copies, ResponseError):
                text = fault_text(copies)
                raise StoreError(f"Redis does not say whether a replica has the change: {text}")
            if copies == 0:
                raise StoreError(f"no replica of Redis at {self.server} has the change yet")
        return replies

    def _pool(self) -> ConnectionPool:
        owner = self._context.loop_or_process()
        pool = self._pools.get(owner)
        if pool is None or pool.process != os.getpid():
            # A forked child drops its parent's connections and sends nothing on them.
            if pool is not None:
                self._pools.pop(owner, None)
            pool = self._pools.setdefault(owner, self._new_pool(owner))
        return pool

    def _new_pool(self, owner: Any) -> ConnectionPool:
        address, deadline = self._address, self._context.deadline
        options: dict[str, Any] = {
            "host": self.server.host,
            "port": self.server.port,
            "db": address.db,
            "username": address.user,
            "password": address.password,
            "socket_timeout": deadline,
            "socket_connect_timeout": deadline,
            "protocol": 3,
            "driver_info": None,
        }
        if address.tls:
            options |= {
                "ssl_ca_certs": address.files.get("ca"),
                "ssl_certfile": address.files.get("cert"),
                "ssl_keyfile": address.files.get("key"),
                "ssl_check_hostname": True,
            }
        kind = AsyncConnection if self._context.suspending else SyncConnection
        loop = owner if self._context.suspending else None
        if loop is not None:
            for other in [other for other in self._pools if other.is_closed()]:
                self._pools.pop(other, None)
        return ConnectionPool(lambda: kind(options, deadline, tls=address.tls), loop, deadline)


def fault_text(fault: BaseException) -> str:
    """Describe a fault without the parts of a command that a server's error may quote."""
    code = str(fault).partition(" ")[0]
    if type(fault) is ResponseError:
        return code if code.isupper() else "it refuses the command"
    return str(fault).partition("\n")[0] or type(fault).__name__


def _is_cut(fault: BaseException) -> bool:
    """Did the connection end, rather than time out or be refused?"""
    refused = isinstance(fault, AuthenticationError | BusyLoadingError)
    return isinstance(fault, RedisConnectionError) and not refused
