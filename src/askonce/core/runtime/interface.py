"""The runtime's interface: what the request path needs of time, locks, events and background work.

`threads.SyncRuntime` and `event_loop.AsyncRuntime` implement it, so the path is written once.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]


class Event(Protocol):
    """A flag that is set once and wakes the caller that waits for it."""

    def set(self) -> None: ...

    async def wait(self, timeout: float | None) -> bool:
        """Wait until the event is set; False if `timeout` seconds passed first.

        Parameters:
            timeout: seconds; None waits without a limit.
        """


class Task(Protocol):
    """Work in progress that outlives the call that started it."""

    async def wait(self) -> None:
        """Wait for the end. Cancelling this wait does not cancel the work."""

    async def cancel(self) -> None:
        """Cancel the work and wait until it has ended."""


class Runtime(Protocol):
    """Time, locks, events and background work, in sync or async mode."""

    enforces_timeouts: bool
    """Whether `with_timeout` interrupts work that takes too long."""

    def now(self) -> float:
        """Return seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never jumps."""

    def random(self) -> float:
        """Return a random number above 0 and up to 1."""

    def loop_or_process(self) -> object:
        """Return the event loop, or the process ID in sync mode: flights are shared within it."""

    def lock(self) -> AbstractContextManager[Any]:
        """Return a new lock for a few statements, never to be held across an `await`."""

    def async_lock(self) -> AbstractAsyncContextManager[Any]:
        """Return the one lock of this loop or process that may be held across an `await`."""

    def event(self) -> Event:
        """Return an event that is set where it is awaited: in the same event loop."""

    def thread_event(self) -> Event:
        """Return an event that any thread may set."""

    def start(self, work: Work) -> Task:
        """Start work that its caller waits for or cancels."""

    def run_in_background(self, work: Work) -> None:
        """Run the work without making the caller wait for it."""

    async def compute(self, work: Callable[[], T]) -> T:
        """Return the result of a long computation, which must not block the event loop."""

    async def sleep(self, seconds: float) -> None:
        """Pause this caller and let others run."""

    async def with_timeout(self, seconds: float, work: Awaitable[T]) -> T:
        """Return the work's result.

        Raises TimeoutError after `seconds` if the runtime enforces timeouts; otherwise the work
        takes as long as it takes.
        """

    async def settle(self) -> None:
        """Wait for all background work."""
