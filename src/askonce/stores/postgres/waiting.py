"""Waits for PostgreSQL, in sync and async mode, within the deadline.

psycopg writes its exchanges with the server as generators that yield the events they wait for: the
socket readable, or writable. `exchange` drives such a generator and waits with a `Ready`, which
polls, or awaits a future of the event loop. So the deadline holds against a frozen server and a
network that drops everything, also while connecting.
"""

import queue
import select
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import psycopg
from psycopg.waiting import Ready as Readiness
from psycopg.waiting import Wait

Left = Callable[[], float]
Ready = Callable[[int, Wait, float], Awaitable[Readiness]]
"""Waits until a socket is ready, up to so many seconds; then raises `TimeoutError`."""


class Loop(Protocol):
    """The methods of an event loop that this module uses."""

    def create_future(self) -> Any: ...
    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any: ...
    def add_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> Any: ...
    def add_writer(self, fd: int, callback: Callable[..., object], *args: Any) -> Any: ...
    def remove_reader(self, fd: int) -> bool: ...
    def remove_writer(self, fd: int) -> bool: ...
    def is_closed(self) -> bool: ...
    async def getaddrinfo(self, host: str, port: Any, *, type: int) -> list[Any]: ...  # noqa: A002


async def exchange(generator: Any, socket: int, ready: Ready, left: Left) -> Any:
    """Run one of psycopg's generators to its end. Raises `TimeoutError` if no time is left."""
    try:
        wanted = next(generator)
        while True:
            # While connecting, the socket may change; the generator then yields it too.
            where, what = wanted if isinstance(wanted, tuple) else (socket, wanted)
            seconds = left()
            if seconds <= 0:
                raise TimeoutError
            wanted = generator.send(await ready(where, what, seconds))
    except StopIteration as end:
        return end.value


async def ready_in_thread(socket: int, wanted: Wait, seconds: float) -> Readiness:
    """Block until a socket is ready: the `Ready` of sync mode."""
    ready = poll_now(socket, wanted, seconds)
    if not ready:
        raise TimeoutError
    return ready


def poll_now(socket: int, wanted: Wait, seconds: float) -> Readiness:
    """Wait up to `seconds` and return what the socket is ready for, perhaps nothing."""
    if socket < 0:
        raise psycopg.OperationalError("the connection is closed")
    poll = select.poll()
    mask = (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0)
    poll.register(socket, mask)
    events = poll.poll(seconds * 1000)
    if not events:
        return Readiness.NONE
    event = events[0][1]
    if event & select.POLLNVAL:
        raise psycopg.OperationalError("the connection is closed")
    if event & ~mask:  # an error, or the end: libpq finds out which
        return Readiness(int(wanted))
    readable = Readiness.R if event & select.POLLIN else Readiness.NONE
    return Readiness(readable | (Readiness.W if event & select.POLLOUT else Readiness.NONE))


def ready_in(loop: Loop) -> Ready:
    """Return the `Ready` of async mode, which suspends in an event loop."""

    async def ready(socket: int, wanted: Wait, seconds: float) -> Readiness:
        future = loop.create_future()

        def settle(readiness: Readiness) -> None:
            if not future.done():
                future.set_result(readiness)

        timer = loop.call_later(seconds, settle, Readiness.NONE)
        if wanted & Wait.R:
            loop.add_reader(socket, settle, Readiness.R)
        if wanted & Wait.W:
            loop.add_writer(socket, settle, Readiness.W)
        try:
            readiness: Readiness = await future
        finally:
            timer.cancel()
            loop.remove_reader(socket)
            loop.remove_writer(socket)
        if not readiness:
            raise TimeoutError
        return readiness

    return ready


class Permits(Protocol):
    """Bounds the connections in use at once."""

    async def take(self, seconds: float) -> None:
        """Wait for a permit. Raises `TimeoutError` if there is none for so long."""

    def give(self) -> None:
        """Return a permit."""


class ThreadPermits:
    """Permits for threads, which block."""

    def __init__(self, most: int) -> None:
        self._permits: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(most):
            self._permits.put(None)

    async def take(self, seconds: float) -> None:
        try:
            self._permits.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None

    def give(self) -> None:
        self._permits.put(None)


class LoopPermits:
    """Permits for the tasks of one event loop, first come, first served."""

    def __init__(self, most: int, loop: Loop) -> None:
        self._free = most
        self._loop = loop
        self._waiting: deque[Any] = deque()

    async def take(self, seconds: float) -> None:
        if self._free:
            self._free -= 1
            return
        future = self._loop.create_future()
        timer = self._loop.call_later(seconds, _expire, future)
        self._waiting.append(future)
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.give()  # cancelled just after our turn came
            raise
        finally:
            timer.cancel()

    def give(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1


def _expire(future: Any) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
