"""The sync mode: coroutines that block, run to their end without an event loop.

The request path is written once, as `async def`. In sync mode its backends are coroutines that
block instead of suspending, and `run_sync` steps them to their end.
"""

import os
import random
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, TypeVar

from askonce.core.runtime.interface import Event, Task, Work

T = TypeVar("T")

_ROUNDS = 3
"""How often `settle` waits for background work that background work has started.

A limit, because other callers may start new work without end."""


def positive_random() -> float:
    """Return a random number above 0 and up to 1."""
    return 1.0 - random.random()  # noqa: S311 - nothing secret hangs on it


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Step a coroutine that never suspends to its end and return its result.

    Raises RuntimeError if it suspends: a backend of the async mode was given to the sync mode.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine of the sync mode suspended; its backend is an async one")


def fork_safe_lock() -> AbstractContextManager[Any]:
    """Return a lock for a few statements that take no other lock.

    A fork takes every such lock first, so a child finds it free and its data consistent.
    """
    lock = threading.Lock()
    _fork_safe.add(lock)
    return lock


_fork_safe: "weakref.WeakSet[Any]" = weakref.WeakSet()
_held: list[list[Any]] = []


def _acquire_all() -> None:
    locks = list(_fork_safe)
    for lock in locks:
        lock.acquire()
    _held.append(locks)


def _release_all() -> None:
    for lock in _held.pop():
        lock.release()


os.register_at_fork(before=_acquire_all, after_in_parent=_release_all, after_in_child=_release_all)


class _ThreadEvent:
    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout: float | None) -> bool:
        return self._event.wait(timeout)


class _InlineTask:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def wait(self) -> None:
        await self._work()

    async def cancel(self) -> None:
        """Do nothing: the work runs only inside `wait`."""


class _AsyncLock:
    """An async lock that blocks its thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *error: object) -> None:
        self._lock.release()


class SyncRuntime:
    """The runtime of ordinary threads.

    Parameters:
        clock: seconds since the Unix epoch. Default: `time.time`.
        monotonic: seconds on a clock that never jumps. Default: `time.perf_counter`.
    """

    enforces_timeouts = False

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now = clock
        self.monotonic = monotonic
        self.random = positive_random
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pool_pid = 0
        self._async_lock = _AsyncLock()

    def loop_or_process(self) -> object:
        return os.getpid()  # a forked child has none of its parent's threads

    def lock(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def async_lock(self) -> AbstractAsyncContextManager[Any]:
        return self._async_lock

    def event(self) -> Event:
        return _ThreadEvent()

    def thread_event(self) -> Event:
        return _ThreadEvent()

    def start(self, work: Work) -> Task:
        return _InlineTask(work)

    def run_in_background(self, work: Work) -> None:
        try:
            with self._lock:
                if self._pool is None or self._pool_pid != os.getpid():
                    self._pool = ThreadPoolExecutor(4, thread_name_prefix="askonce-behind")
                    self._pool_pid = os.getpid()
                self._pool.submit(lambda: run_sync(work()))
        except RuntimeError:
            # The main thread has ended, and no pool takes work any more.
            run_sync(work())

    async def compute(self, work: Callable[[], T]) -> T:
        return work()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - the sync mode blocks

    async def with_timeout(self, seconds: float, work: Awaitable[T]) -> T:
        return await work

    async def settle(self) -> None:
        for _ in range(_ROUNDS):
            with self._lock:
                pool, self._pool = self._pool, None
            if pool is None or self._pool_pid != os.getpid():
                return
            pool.shutdown(wait=True)
