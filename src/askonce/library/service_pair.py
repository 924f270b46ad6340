"""The services of both modes of one cache: opened at first use, closed for good."""

import functools
from collections.abc import Callable

from askonce.core.errors import CacheClosed
from askonce.core.runtime.event_loop import AsyncRuntime
from askonce.core.runtime.threads import SyncRuntime
from askonce.pipeline.services import Services
from askonce.stores.tiered.tier_stack import Runtimes


class ServicePair:
    """The services of the sync and of the async mode. A cache of one mode serves the other, too.

    Args:
        open_: Opens the services of a runtime.
        runtimes: The cache's runtimes.
    """

    def __init__(
        self, open_: Callable[[SyncRuntime | AsyncRuntime], Services], runtimes: Runtimes
    ) -> None:
        self.closed = False
        self._open = open_
        self._runtimes = runtimes
        self._lock = runtimes.sync.lock()

    @functools.cached_property
    def sync(self) -> Services:
        """The services for threads. Raises CacheClosed."""
        return self._opened("sync", self._runtimes.sync)

    @functools.cached_property
    def async_(self) -> Services:
        """The services for event loops. Raises CacheClosed."""
        return self._opened("async_", self._runtimes.async_)

    def ensure_open(self) -> None:
        """Raise CacheClosed after `close`."""
        if self.closed:
            raise CacheClosed("this cache is closed; open another one")

    def close(self) -> None:
        """Refuse further use."""
        self.closed = True
        for name in ("sync", "async_"):
            self.__dict__.pop(name, None)

    def _opened(self, name: str, runtime: SyncRuntime | AsyncRuntime) -> Services:
        self.ensure_open()
        with self._lock:  # two services of one mode would be two sets of flights
            found: Services | None = self.__dict__.get(name)
            if found is None:
                found = self.__dict__[name] = self._open(runtime)
        return found
