"""The fail-open boundary: the one place where a fault of the cache stops being a caller's problem.

Everything that only the cache needs (reading a store, folding a stream, writing an entry) runs
inside `boundary.around(...)`. A fault there is counted and logged, and the call goes on as if
there were no cache. Whatever the provider's client raises never passes through here.
"""

import logging
from types import TracebackType

from askonce.core.protocols import FaultCounter

_log = logging.getLogger("askonce.boundary")


class FailOpen:
    """Counts faults and lets the call go on."""

    def __init__(self, faults: FaultCounter) -> None:
        self._faults = faults

    def around(self, what: str) -> "Attempt":
        return Attempt(what, self._faults)


class Attempt:
    """Work that may fail without failing the call.

    `failed` says whether it did, and `late` that it took too long.
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
            return False  # nothing happened, or the caller itself is being stopped
        self.failed = True
        self.late = isinstance(error, TimeoutError)
        if self._faults.count_fault(self.what):
            # Only the kind: an error's text may quote a prompt or an answer.
            _log.warning("%s failed (%s); calls go on without it", self.what, type(error).__name__)
        return True


class HeldError:
    """Holds back an error of the provider's client while a stale answer might stand in for it."""

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
