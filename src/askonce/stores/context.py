"""What a store needs of the process that opens it, and of what is installed there."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from askonce.core.errors import missing_library

DEADLINE = 0.25
"""Seconds that one call of a store over the network may take."""


class StoreContext(NamedTuple):
    """What a store needs of the process that opens it.

    `lock` makes a lock; `clock` returns seconds since the Unix epoch; `loop_or_process` returns the
    event loop of a suspending caller (None in a thread). `deadline` is how many seconds one call
    may take by `monotonic`, a clock that never jumps; while that stands still, each of its waits
    may take as long.
    """

    lock: Callable[[], AbstractContextManager[Any]]
    clock: Callable[[], float]
    loop_or_process: Callable[[], object] = lambda: None
    suspending: bool = False
    deadline: float = DEADLINE
    monotonic: Callable[[], float] = lambda: 0.0


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around imports of what only an extra brings. Raises `ConfigError` where it is missing."""
    try:
        yield
    except ImportError as error:
        library = (error.name or extra).partition(".")[0]
        raise missing_library("this address", library, extra) from None
