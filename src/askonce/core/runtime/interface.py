"""What the story needs of time and threads; `runtimes.py` has both flavors of it."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]


class Event(Protocol):
    """Rung once; wakes the one who waits for it."""

    def set(self) -> None: ...

    async def wait(self, timeout: float | None) -> bool:
        """Wait until it rings; False if `patience` seconds passed first."""


class Task(Protocol):
    """Work under way that outlives whoever started it."""

    async def wait(self) -> None:
        """Wait for the end. Being cancelled here does not cancel the work."""

    async def cancel(self) -> None:
        """Cancel it and wait until it has ended."""


class Runtime(Protocol):
    """What the story needs of the outside world's time and threads."""

    enforces_timeouts: bool
    """Does `within` end what takes too long?"""

    def now(self) -> float:
        """Seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""

    def random(self) -> float:
        """A random number above 0 and up to 1."""

    def loop_or_process(self) -> object:
        """Where flights can be shared: one event loop, or all threads of a process."""

    def lock(self) -> AbstractContextManager[Any]:
        """A lock for a few statements; never held across an `await`."""

    def async_lock(self) -> AbstractAsyncContextManager[Any]:
        """Lets callers of one place in one at a time; may be held across an `await`."""

    def event(self) -> Event:
        """A bell that is rung in the place where it is heard."""

    def thread_event(self) -> Event:
        """A bell that any thread may ring."""

    def start(self, work: Work) -> Task: ...

    def run_in_background(self, work: Work) -> None:
        """Do the work after the caller was answered."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and others work."""

    async def with_timeout(self, seconds: float, work: Awaitable[T]) -> T:
        """The work's result; TimeoutError after `seconds` where work can be interrupted."""

    async def settle(self) -> None:
        """Wait for all work behind."""
