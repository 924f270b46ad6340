"""The sync mode: coroutines that block, run to their end without an event loop.

The request path is written once, as `async def`. In sync mode its backends are coroutines that
block instead of suspending, and `run_sync` steps them to their end. Only `core.runtime` knows
threads, event loops and clocks.
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
"""Work behind may leave more of it; but whoever settles waits for no end of other callers."""


def positive_random() -> float:
    return 1.0 - random.random()  # noqa: S311 - nothing secret hangs on it


def run_sync(story: Coroutine[Any, Any, T]) -> T:
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


def fork_safe_lock() -> AbstractContextManager[Any]:
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
        """Nothing to do: whoever runs it is the one who waits for it."""


class _AsyncLock:
    """A lock for a flavor that blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *error: object) -> None:
        self._lock.release()


class SyncRuntime:
    """The runtime of ordinary threads."""

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
        self._behind: ThreadPoolExecutor | None = None
        self._behind_in = 0
        self._turnstile = _AsyncLock()

    def loop_or_process(self) -> object:
        return os.getpid()  # a forked child has none of its parent's threads

    def lock(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def async_lock(self) -> AbstractAsyncContextManager[Any]:
        return self._turnstile

    def event(self) -> Event:
        return _ThreadEvent()

    def thread_event(self) -> Event:
        return _ThreadEvent()

    def start(self, work: Work) -> Task:
        return _InlineTask(work)

    def run_in_background(self, work: Work) -> None:
        try:
            with self._lock:
                if self._behind is None or self._behind_in != os.getpid():
                    self._behind = ThreadPoolExecutor(4, thread_name_prefix="askonce-behind")
                    self._behind_in = os.getpid()
                self._behind.submit(lambda: run_sync(work()))
        except RuntimeError:
            # The main thread has ended, and no other one takes work any more.
            run_sync(work())

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this flavor blocks

    async def with_timeout(self, seconds: float, work: Awaitable[T]) -> T:
        return await work

    async def settle(self) -> None:
        for _ in range(_ROUNDS):
            with self._lock:
                pool, self._behind = self._behind, None
            if pool is None or self._behind_in != os.getpid():
                return
            pool.shutdown(wait=True)
