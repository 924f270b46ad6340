"""Connections to one Redis server, each lent to one call at a time.

A connection goes back to its pool only after its call has read every reply that it asked for. One
that failed, timed out or was cancelled on the way is closed, so no reply can ever reach another
call than its own. That is why this works on redis-py's connections and not on its client.

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
"""What redis-py raises; UnicodeError for a host name that cannot be one."""

CONNECTIONS = 64
"""Connections of one event loop to one server; further calls wait for their turn."""

_SMALL_BYTES = 16 << 10
_WAIT_MS = 200


def pack(*words: bytes | str | int) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # a tuple of any length
    return packed


_REPLICATION = pack("INFO", "replication")


class SyncConnections:
    """One connection whose calls block."""

    greeted = False
    used = False

    def __init__(self, options: dict[str, Any], deadline: float, *, tls: bool) -> None:
        self._deadline = deadline
        self._connection = (SSLConnection if tls else Connection)(**options)

    async def open(self) -> None:
        self._connection.connect()  # type: ignore[no-untyped-call]

    async def exchange(self, packed: Sequence[bytes], count: int, patience: float) -> list[Any]:
        """Send commands and read all their replies; error replies are values among them."""
        connection = self._connection
        connection.send_packed_command(  # type: ignore[no-untyped-call]
            packed, check_health=False
        )
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
        self._connection.disconnect()  # type: ignore[no-untyped-call]


class AsyncConnections:
    """One connection whose calls suspend, in the event loop that they were made in."""

    greeted = False
    used = False

    def __init__(self, options: dict[str, Any], deadline: float, *, tls: bool) -> None:
        from redis.asyncio.connection import Connection, SSLConnection

        self._deadline = deadline
        self._connection = (SSLConnection if tls else Connection)(**options)

    async def open(self) -> None:
        await self._connection.connect()  # type: ignore[no-untyped-call]

    async def exchange(self, packed: Sequence[bytes], count: int, patience: float) -> list[Any]:
        """Send commands and read all their replies; error replies are values among them."""
        connection = self._connection
        # What fits the transport's buffer is sent without waiting, so it needs no timeout, which
        # would cost a task of its own.
        small = sum(map(len, packed)) < _SMALL_BYTES
        connection.socket_timeout = None if small else self._deadline
        try:
            await connection.send_packed_command(packed, check_health=False)
        except RuntimeError:
            # So uvloop says that the connection was reset while it was idle.
            raise RedisConnectionError("the connection was reset") from None
        # Not as an argument of `read_response`: that one would end in None and leave the reply.
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


Wire = SyncConnections | AsyncConnections


class ConnectionPool:
    """Idle connections of one place to one server, the last used first."""

    def __init__(self, make: Callable[[], Wire], loop: Any, deadline: float) -> None:
        self._loop = loop  # None where calls block
        self.process = os.getpid()
        self._make = make
        self._deadline = deadline
        self._idle: list[Wire] = []
        self._lent = 0
        self._queue: list[Any] = []  # futures of the calls that wait for their turn
        self._closed = False

    async def take(self) -> Wire:
        if self._loop is not None:
            if self._lent >= CONNECTIONS:
                await self._turn()
            else:
                self._lent += 1
        try:
            return self._idle.pop()
        except IndexError:  # asking beforehand would race with other threads
            return self._make()

    async def put(self, wire: Wire, *, whole: bool) -> None:
        """Take a connection back: to be used again if its last exchange was whole."""
        if self._loop is not None:
            self._pass_turn()
        if whole and not self._closed:
            self._idle.append(wire)
        else:
            with contextlib.suppress(*FAULTS):
                await wire.drop()

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
            # Cancelled when the turn had come already: it is the next one's.
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

    `greeting` is a packed command for each new connection that will be used for what `greet`s.
    """

    def __init__(
        self,
        server: ServerAddress,
        address: RedisAddress,
        context: StoreContext,
        greeting: Callable[[], bytes],
    ) -> None:
        self.server = server
        self._address = address
        self._ground = context
        self._greeting = greeting
        self._pools: dict[Any, ConnectionPool] = {}

    async def exchange(
        self,
        packed: Sequence[bytes],
        count: int = 1,
        *,
        greet: bool = False,
        patience: float = 0.0,
        repeatable: bool = False,
        lasting: bool = False,
    ) -> list[Any]:
        """Send commands, return their replies; error replies are values among them.

        With `lasting`, a replica has what was written, if there is one. What is `repeatable` is
        sent once more if an idle connection turns out to be closed: the server had restarted.
        """
        pool = self._pool()
        wire = await pool.take()
        reused, whole = wire.used, False
        try:
            replies = await self._speak(wire, packed, count, greet, patience, lasting)
            whole = True
        except FAULTS as fault:
            if not (reused and repeatable and _is_cut(fault)):
                raise StoreError(f"Redis at {self.server} fails: {fault_text(fault)}") from None
        finally:
            await pool.put(wire, whole=whole)
        if not whole:
            await pool.clear()
            return await self.exchange(packed, count, greet=greet, patience=patience)
        return replies

    async def close(self) -> None:
        """Close the idle connections of this place; busy ones are closed after their call."""
        pool = self._pools.pop(self._ground.loop_or_process(), None)
        if pool is not None and pool.process == os.getpid():
            await pool.close()

    async def _speak(
        self,
        wire: Wire,
        packed: Sequence[bytes],
        count: int,
        greet: bool,
        patience: float,
        lasting: bool,
    ) -> list[Any]:
        began, fresh = self._ground.monotonic(), not wire.used
        if fresh:
            await wire.open()
        if greet and not wire.greeted:
            (answer,) = await wire.exchange([self._greeting()], 1, 0.0)
            if isinstance(answer, ResponseError):
                return [answer] * count
            wire.greeted = True
        if fresh and self._ground.monotonic() - began >= self._ground.deadline:
            # Each step was just quick enough, but together they were not.
            raise StoreError(f"Redis at {self.server} is too slow")
        if not lasting:
            return await wire.exchange(packed, count, patience)
        *replies, replication = await wire.exchange([*packed, _REPLICATION], count + 1, patience)
        if "state=online" in str(replication):
            wait_ms = min(_WAIT_MS, int(self._ground.deadline * 800))
            (copies,) = await wire.exchange([pack("WAIT", 1, wait_ms)], 1, 0.0)
            if isinstance(copies, ResponseError):
                text = fault_text(copies)
                raise StoreError(f"Redis does not say whether a replica has the change: {text}")
            if copies == 0:
                raise StoreError(f"no replica of Redis at {self.server} has the change yet")
        return replies

    def _pool(self) -> ConnectionPool:
        place = self._ground.loop_or_process()
        pool = self._pools.get(place)
        if pool is None or pool.process != os.getpid():
            # In a forked child the parent's connections are let go without a word to the server.
            if pool is not None:
                self._pools.pop(place, None)
            pool = self._pools.setdefault(place, self._new_pool(place))
        return pool

    def _new_pool(self, place: Any) -> ConnectionPool:
        address, deadline = self._address, self._ground.deadline
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
        kind = AsyncConnections if self._ground.suspending else SyncConnections
        loop = place if self._ground.suspending else None
        if loop is not None:
            for other in [other for other in self._pools if other.is_closed()]:
                self._pools.pop(other, None)
        return ConnectionPool(lambda: kind(options, deadline, tls=address.tls), loop, deadline)


def fault_text(fault: BaseException) -> str:
    """What went wrong, without what an answer of the server may quote of a command."""
    code = str(fault).partition(" ")[0]
    if type(fault) is ResponseError:
        return code if code.isupper() else "it refuses the command"
    return str(fault).partition("\n")[0] or type(fault).__name__


def _is_cut(fault: BaseException) -> bool:
    """Did the connection end, rather than time out or be refused?"""
    refused = isinstance(fault, AuthenticationError | BusyLoadingError)
    return isinstance(fault, RedisConnectionError) and not refused
