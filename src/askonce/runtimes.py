"""The two flavors of one story: blocking and suspending.

The request path is written once, as `async def`. In the blocking flavor the edges are coroutines
that block instead of suspending, and `finish` steps the story's coroutine to its end without an
event loop. This is the only file of the core that knows threads, event loops and clocks.
"""

import asyncio
import contextlib
import os
import random
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, TypeVar

from askonce.running import Bell as Bell
from askonce.running import Labor as Labor
from askonce.running import Runtime as Runtime
from askonce.running import Work as Work

T = TypeVar("T")

_ROUNDS = 3
"""Work behind may leave more of it; but whoever settles waits for no end of other callers."""


def _chance() -> float:
    return 1.0 - random.random()  # noqa: S311 - nothing secret hangs on it


def finish(story: Coroutine[Any, Any, T]) -> T:
    """Step a coroutine that never suspends to its end and return what it returns.

    Raises RuntimeError if it suspends: a suspending edge was given to the blocking flavor.
    """
    try:
        story.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    story.close()
    raise RuntimeError("a blocking story met an edge that suspends")


def leaf_guard() -> AbstractContextManager[Any]:
    """A lock for a few statements that take no other lock; held over a fork.

    So a forked child finds it free, and what it guards whole.
    """
    lock = threading.Lock()
    _leaves.add(lock)
    return lock


_leaves: "weakref.WeakSet[Any]" = weakref.WeakSet()
_held: list[list[Any]] = []


def _hold_leaves() -> None:
    locks = list(_leaves)
    for lock in locks:
        lock.acquire()
    _held.append(locks)


def _free_leaves() -> None:
    for lock in _held.pop():
        lock.release()


os.register_at_fork(before=_hold_leaves, after_in_parent=_free_leaves, after_in_child=_free_leaves)


class _Event:
    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        self._event.set()

    async def heard(self, patience: float | None) -> bool:
        return self._event.wait(patience)


class _Inline:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def done(self) -> None:
        await self._work()

    async def stop(self) -> None:
        """Nothing to do: whoever runs it is the one who waits for it."""


class _Turnstile:
    """A lock for a flavor that blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *error: object) -> None:
        self._lock.release()


class Blocking:
    """The runtime of ordinary threads."""

    interrupts = False

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        ticker: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now = clock
        self.tick = ticker
        self.chance = _chance
        self._lock = threading.Lock()
        self._behind: ThreadPoolExecutor | None = None
        self._behind_in = 0
        self._turnstile = _Turnstile()

    def place(self) -> object:
        return os.getpid()  # a forked child has none of its parent's threads

    def guard(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def turnstile(self) -> AbstractAsyncContextManager[Any]:
        return self._turnstile

    def bell(self) -> Bell:
        return _Event()

    def far_bell(self) -> Bell:
        return _Event()

    def start(self, work: Work) -> Labor:
        return _Inline(work)

    def behind(self, work: Work) -> None:
        try:
            with self._lock:
                if self._behind is None or self._behind_in != os.getpid():
                    self._behind = ThreadPoolExecutor(4, thread_name_prefix="askonce-behind")
                    self._behind_in = os.getpid()
                self._behind.submit(lambda: finish(work()))
        except RuntimeError:
            # The main thread has ended, and no other one takes work any more.
            finish(work())

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this flavor blocks

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        return await work

    async def settle(self) -> None:
        for _ in range(_ROUNDS):
            with self._lock:
                pool, self._behind = self._behind, None
            if pool is None or self._behind_in != os.getpid():
                return
            pool.shutdown(wait=True)


class _Future:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def ring(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def heard(self, patience: float | None) -> bool:
        if patience is None:
            await self._future
            return True
        try:
            async with asyncio.timeout(patience):
                await self._future
        except TimeoutError:
            return False
        return True


class _FarFuture(_Future):
    def ring(self) -> None:
        # The loop is closed where whoever waited is gone with it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(super().ring)


class _Task:
    def __init__(self, work: Work) -> None:
        self._task = asyncio.get_running_loop().create_task(work())

    async def done(self) -> None:
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


class Suspending:
    """The runtime of asyncio event loops; flights are shared within one loop."""

    interrupts = True

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        ticker: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now = clock
        self.tick = ticker
        self.chance = _chance
        self._tasks: set[asyncio.Task[None]] = set()
        self._turnstiles: weakref.WeakKeyDictionary[Any, asyncio.Lock] = weakref.WeakKeyDictionary()

    def place(self) -> object:
        return asyncio.get_running_loop()

    def guard(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def turnstile(self) -> AbstractAsyncContextManager[Any]:
        return self._turnstiles.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    def bell(self) -> Bell:
        return _Future()

    def far_bell(self) -> Bell:
        return _FarFuture()

    def start(self, work: Work) -> Labor:
        return _Task(work)

    def behind(self, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:
            # Where the loop itself is late, what is waited for may have come long ago and waits for
            # its turn as well: then it gets the same time once more.
            due = loop.time() + seconds
            alarm = loop.call_at(due, _sound, limit, loop, due, seconds)
            try:
                return await work
            finally:
                alarm.cancel()

    async def settle(self) -> None:
        loop = asyncio.get_running_loop()
        # Of a copy: other loops add to it in their own threads.
        while mine := [task for task in list(self._tasks) if task.get_loop() is loop]:
            await asyncio.wait(mine)


class Tending:
    """Does one small piece of work again and again, in a daemon thread of its own.

    The work says how many seconds to pause before the next time. It is a method; the thread ends
    when it is stopped or when the method's object is gone. It is never inherited by a fork.
    """

    def __init__(self, name: str, work: Callable[[], Coroutine[Any, Any, float]]) -> None:
        self._name = name
        self._work = weakref.WeakMethod(work)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def start(self) -> bool:
        """Start, unless it runs already in this process or was stopped for good."""
        if self._thread is not None and self._pid == os.getpid():
            return False
        with self._lock:
            if self._stopped.is_set() or (self._thread is not None and self._pid == os.getpid()):
                return False
            self._pid = os.getpid()
            args = (self._work, self._stopped)
            self._thread = threading.Thread(target=_tend, args=args, name=self._name, daemon=True)
            self._thread.start()
            return True

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Stop for good; the piece of work under way is still done."""
        self._stopped.set()


def _tend(
    work: "weakref.WeakMethod[Callable[[], Coroutine[Any, Any, float]]]", stopped: threading.Event
) -> None:
    while not stopped.is_set():
        piece = work()
        if piece is None:
            return
        pause = finish(piece())
        del piece
        stopped.wait(pause)


def _sound(
    limit: asyncio.Timeout, loop: asyncio.AbstractEventLoop, due: float, seconds: float
) -> None:
    late = loop.time() - due > _LATE
    limit.reschedule(loop.time() + (seconds if late else 0))


_LATE = 0.02  # seconds after which a loop is too busy to say that others are slow


class InThread:
    """Runs blocking coroutines in a thread of their own one after another, or in a few."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name = name
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._pid = os.getpid()

    async def __call__(self, story: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._pid != os.getpid():  # the parent's thread was not forked
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: finish(story()))

    def close(self) -> None:
        self._pool.shutdown(wait=False)


async def once_in_thread(name: str, story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run one blocking coroutine in a thread of its own."""
    thread = InThread(name)
    try:
        return await thread(story)
    finally:
        thread.close()


async def every(seconds: float, work: Work) -> None:
    """Do the work again and again until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await work()


_BEFORE_WATCHING = 0.01  # seconds; most work is done by then, and watching costs as much as a hit


async def unless(
    stopped: Callable[[], Coroutine[Any, Any, None]], work: Coroutine[Any, Any, None]
) -> bool:
    """Do the work unless `stopped` comes true first, which cancels it; True if it was done."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    watching: list[asyncio.Task[None]] = []
    came = False

    async def watch() -> None:
        nonlocal came
        await stopped()
        came = True
        task.cancel()

    alarm = loop.call_later(_BEFORE_WATCHING, lambda: watching.append(loop.create_task(watch())))
    try:
        await work
    except asyncio.CancelledError:
        if came and task.uncancel() <= before:
            return False
        raise
    finally:
        alarm.cancel()
        for watcher in watching:
            watcher.cancel()
            await asyncio.wait([watcher])
    return True
