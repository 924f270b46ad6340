"""The two flavors of one story: blocking and suspending.

The request path is written once, as `async def`. In the blocking flavor the edges are coroutines
that block instead of suspending, and `finish` steps the story's coroutine to its end without an
event loop. This is the only file of the core that knows threads, event loops and clocks.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]


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


class Bell(Protocol):
    """Rung once; wakes the one who waits for it."""

    def ring(self) -> None: ...

    async def heard(self, patience: float | None) -> bool:
        """Wait until it rings; False if `patience` seconds passed first."""


class Labor(Protocol):
    """Work under way that outlives whoever started it."""

    async def done(self) -> None:
        """Wait for the end. Being cancelled here does not cancel the work."""

    async def stop(self) -> None:
        """Cancel it and wait until it has ended."""


class Runtime(Protocol):
    """What the story needs of the outside world's time and threads."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""

    def tick(self) -> float:
        """Seconds on a clock that never jumps."""

    def place(self) -> object:
        """Where flights can be shared: one event loop, or all threads."""

    def guard(self) -> AbstractContextManager[Any]:
        """A lock for a few statements; never held across an `await`."""

    def bell(self) -> Bell: ...

    def start(self, work: Work) -> Labor: ...

    def behind(self, work: Work) -> None:
        """Do the work after the caller was answered."""

    async def aside(self, work: Work) -> None:
        """Do the work behind where that can be done without a thread more, else now."""

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The work's result; TimeoutError after `seconds` where work can be interrupted."""

    async def settle(self) -> None:
        """Wait for all work behind."""


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


class Blocking:
    """The runtime of ordinary threads."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        ticker: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now = clock
        self.tick = ticker
        self._lock = threading.Lock()
        self._behind: ThreadPoolExecutor | None = None

    def place(self) -> object:
        return None

    def guard(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def bell(self) -> Bell:
        return _Event()

    def start(self, work: Work) -> Labor:
        return _Inline(work)

    def behind(self, work: Work) -> None:
        with self._lock:
            if self._behind is None:
                self._behind = ThreadPoolExecutor(4, thread_name_prefix="askonce-behind")
            self._behind.submit(lambda: finish(work()))

    async def aside(self, work: Work) -> None:
        await work()

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        return await work

    async def settle(self) -> None:
        with self._lock:
            pool, self._behind = self._behind, None
        if pool is not None:
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

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        ticker: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.now = clock
        self.tick = ticker
        self._tasks: set[asyncio.Task[None]] = set()

    def place(self) -> object:
        return asyncio.get_running_loop()

    def guard(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def bell(self) -> Bell:
        return _Future()

    def start(self, work: Work) -> Labor:
        return _Task(work)

    def behind(self, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aside(self, work: Work) -> None:
        self.behind(work)

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        async with asyncio.timeout(seconds):
            return await work

    async def settle(self) -> None:
        loop = asyncio.get_running_loop()
        while mine := [task for task in self._tasks if task.get_loop() is loop]:
            await asyncio.wait(mine)


class InThread:
    """Runs blocking coroutines one after another in a thread of their own."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def __call__(self, story: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: finish(story()))

    def close(self) -> None:
        self._pool.shutdown(wait=False)


async def every(seconds: float, work: Work) -> None:
    """Do the work again and again until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        await work()


async def unless(stopped: Awaitable[Any], work: Coroutine[Any, Any, None]) -> bool:
    """Do the work unless `stopped` comes true first, which cancels it; True if it was done."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stopped)
    try:
        await asyncio.wait([doing, stopping], return_when=asyncio.FIRST_COMPLETED)
        finished = doing.done()
    finally:
        stopping.cancel()
        doing.cancel()
        await asyncio.wait([doing, stopping])
    if finished:
        doing.result()
    return finished
