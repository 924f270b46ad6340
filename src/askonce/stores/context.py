"""The store context: the lock, clocks and deadline that a store gets from its process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from askonce.core.errors import missing_library
from askonce.core.runtime.interface import Runtime

DEADLINE = 0.25
"""Seconds that one call of a store over the network may take."""


class StoreContext(NamedTuple):
    """What a store needs from the process that opens it.

    Parameters:
        lock: makes a new lock, which need not be reentrant.
        clock: the time in seconds since the Unix epoch.
        loop_or_process: the running event loop in async mode, None in sync mode. Connections
            belong to it.
        suspending: whether calls suspend (async mode) or block (sync mode, the default).
        deadline: seconds that one call may take, measured by `monotonic`. Default: 0.25. While that
            stands still, as in tests, each single wait of a call may take this long.
        monotonic: a clock in seconds that never jumps. Default: one that stands still.
    """

    lock: Callable[[], AbstractContextManager[Any]]
    clock: Callable[[], float]
    loop_or_process: Callable[[], object] = lambda: None
    suspending: bool = False
    deadline: float = DEADLINE
    monotonic: Callable[[], float] = lambda: 0.0

    @classmethod
    def of(cls, runtime: Runtime, deadline: float, *, suspending: bool = False) -> "StoreContext":
        """Take the lock and the clocks of a runtime."""
        return cls(
            runtime.lock,
            runtime.now,
            runtime.loop_or_process,
            suspending,
            deadline,
            runtime.monotonic,
        )


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Wrap imports that need an extra. Raises `ConfigError` if its library is not installed."""
    try:
        yield
    except ImportError as error:
        library = (error.name or extra).partition(".")[0]
        raise missing_library("this address", library, extra) from None
