"""The async mode: the runtime of asyncio event loops, and blocking work run beside them."""

import asyncio
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, TypeVar

from askonce.core.runtime.interface import Event, Task, Work
from askonce.core.runtime.threads import positive_random, run_sync

T = TypeVar("T")


class _LoopEvent:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None) -> bool:
        if timeout is None:
            await self._future
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._future
        except TimeoutError:
            return False
        return True


class _ThreadSafeLoopEvent(_LoopEvent):
    def set(self) -> None:
        # A closed loop has no caller left that waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(super().set)


class _LoopTask:
    def __init__(self, work: Work) -> None:
        self._task = asyncio.get_running_loop().create_task(work())

    async def wait(self) -> None:
        await asyncio.shield(self._task)

    async def cancel(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


class AsyncRuntime:
    """The runtime of asyncio event loops; flights are shared within one loop.

    Parameters:
        clock: seconds since the Unix epoch. Default: `time.time`.
        monotonic: seconds on a clock that never jumps. Default: `time.perf_counter`.
    """

    enforces_timeouts = True

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now = clock
        self.monotonic = monotonic
        self.random = positive_random
        self._computing = ThreadRunner("askonce-compute")
        self._tasks: set[asyncio.Task[None]] = set()
        self._async_locks: weakref.WeakKeyDictionary[Any, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    def loop_or_process(self) -> object:
        return asyncio.get_running_loop()

    def lock(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def async_lock(self) -> AbstractAsyncContextManager[Any]:
        return self._async_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    def event(self) -> Event:
        return _LoopEvent()

    def thread_event(self) -> Event:
        return _ThreadSafeLoopEvent()

    def start(self, work: Work) -> Task:
        return _LoopTask(work)

    def run_in_background(self, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def compute(self, work: Callable[[], T]) -> T:
        async def run() -> T:
            return work()

        return await self._computing(run)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def with_timeout(self, seconds: float, work: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:
            # If the loop itself is late, the result may have arrived and be waiting for its turn:
            # the work gets the same time once more.
            due = loop.time() + seconds
            alarm = loop.call_at(due, _expire, limit, loop, due, seconds)
            try:
                return await work
            finally:
                alarm.cancel()

    async def settle(self) -> None:
        loop = asyncio.get_running_loop()
        # A copy, because other loops add to the set in their own threads.
        while mine := [task for task in list(self._tasks) if task.get_loop() is loop]:
            await asyncio.wait(mine)


def _expire(
    limit: asyncio.Timeout, loop: asyncio.AbstractEventLoop, due: float, seconds: float
) -> None:
    late = loop.time() - due > _LATE
    limit.reschedule(loop.time() + (seconds if late else 0))


_LATE = 0.02  # seconds; a loop that is later than this cannot say that others are slow


class ThreadRunner:
    """Runs blocking coroutines in threads of their own, one after another by default.

    Parameters:
        name: the prefix of the threads' names.
        threads: how many coroutines may run at the same time. Default: 1.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name = name
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._pid = os.getpid()

    async def __call__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._pid != os.getpid():  # a fork has no threads of its parent
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            self._pid = os.getpid()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: run_sync(work()))

    def close(self) -> None:
        self._pool.shutdown(wait=False)


async def run_in_thread(name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run one blocking coroutine in a thread of its own."""
    thread = ThreadRunner(name)
    try:
        return await thread(work)
    finally:
        thread.close()


async def run_every(seconds: float, work: Work) -> None:
    """Do the work every `seconds` until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await work()


_BEFORE_WATCHING = 0.01  # seconds; most work ends earlier, and a watcher costs as much as a hit


async def run_unless(
    stopped: Callable[[], Coroutine[Any, Any, None]], work: Coroutine[Any, Any, None]
) -> bool:
    """Do the work and return True; cancel it and return False if `stopped` returns first."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    watching: list[asyncio.Task[None]] = []
    was_stopped = False

    async def watch() -> None:
        nonlocal was_stopped
        await stopped()
        was_stopped = True
        task.cancel()

    alarm = loop.call_later(_BEFORE_WATCHING, lambda: watching.append(loop.create_task(watch())))
    try:
        await work
    except asyncio.CancelledError:
        if was_stopped and task.uncancel() <= before:
            return False
        raise
    finally:
        alarm.cancel()
        for watcher in watching:
            watcher.cancel()
            await asyncio.wait([watcher])
    return True
