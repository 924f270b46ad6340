"""The fail-open boundary: the one place that keeps faults of the cache from failing a call.

All work that only the cache needs (reading a store, folding a stream, writing an entry) runs
inside `FailOpen.around(...)`. A fault there is counted and logged, and the call continues as if
there were no cache. Errors of the provider's client never pass through here.
"""

import logging
from types import TracebackType

from askonce.core.protocols import FaultCounter

_log = logging.getLogger("askonce.boundary")


class FailOpen:
    """Turns faults of the cache into counts and log lines.

    Parameters:
        faults: counts them, and decides which are worth a line in the log.
    """

    def __init__(self, faults: FaultCounter) -> None:
        self._faults = faults

    def around(self, what: str) -> "Attempt":
        """Return the context manager for one piece of work; `what` names it, such as `read`."""
        return Attempt(what, self._faults)


class Attempt:
    """A context manager that swallows and counts any exception of the work inside it.

    Afterwards `failed` is True if there was one, and `late` if it was a timeout.
    """

    __slots__ = ("_faults", "failed", "late", "what")

    def __init__(self, what: str, faults: FaultCounter) -> None:
        self.what = what
        self._faults = faults
        self.failed = False
        self.late = False

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False  # no error, or the caller itself is being cancelled
        self.failed = True
        self.late = isinstance(error, TimeoutError)
        if self._faults.count_fault(self.what):
            # Only the type: an error's text may quote a prompt or an answer.
            _log.warning("%s failed (%s); calls go on without it", self.what, type(error).__name__)
        return True


class HeldError:
    """A context manager that keeps an error of the provider's client, to serve stale instead."""

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> "HeldError":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, Exception):
            self.error = error
            return True
        return False
