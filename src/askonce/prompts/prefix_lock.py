"""The prefix lock: one of several simultaneous calls writes a long prefix, the others wait.

A provider's entry can be read as soon as the first answer begins, so calls that are sent together
would all pay for writing it. A call whose prefix is being written waits for the first byte of the
answer to the writing call, up to a limit. When that call ends in any way, all waiting calls
continue; after a failure one of them writes instead.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from askonce.core.bounded import BoundedMap
from askonce.core.runtime.interface import Event, Runtime

_Name = tuple[object, bytes]


class PrefixLock:
    """Knows which prefixes are being written and which were written lately, in all modes.

    Parameters:
        lock: guards the state; never held across an await.
        most: how many written prefixes to remember.
    """

    def __init__(self, lock: AbstractContextManager[Any], most: int = 16_384) -> None:
        self._lock = lock
        self._writing: dict[_Name, list[Event]] = {}
        self._written: BoundedMap[bytes, float] = BoundedMap(most)

    def __len__(self) -> int:
        """Return how many prefixes are being written now."""
        return len(self._writing)

    async def acquire(
        self, prefixes: Sequence[bytes], runtime: Runtime, *, lifetime: float, hold: float
    ) -> "HeldPrefixes":
        """Wait while another call writes one of these prefixes, then hold the unwritten ones.

        The caller must `release` the result in every case. `lifetime` is how long a written prefix
        stays in the provider's cache, `hold` how long to wait at most; both in seconds.
        """
        place = runtime.loop_or_process()
        ends = runtime.monotonic() + hold
        waited = False
        while True:
            with self._lock:
                now = runtime.monotonic()
                missing = [one for one in prefixes if not self._is_written(one, now, lifetime)]
                busy = [one for one in missing if (place, one) in self._writing]
                if not busy or now >= ends:
                    own = [(place, one) for one in missing if (place, one) not in self._writing]
                    self._writing.update({name: [] for name in own})
                    return HeldPrefixes(self, own, runtime, waited=waited)
                event = runtime.event()
                self._writing[place, busy[-1]].append(event)
            waited = True
            await event.wait(max(ends - now, 0.0))

    def _is_written(self, prefix: bytes, now: float, lifetime: float) -> bool:
        written = self._written.get(prefix)
        return written is not None and now - written < lifetime

    def _release(self, names: Sequence[_Name], now: float, *, written: bool) -> None:
        with self._lock:
            waiting = [event for name in names for event in self._writing.pop(name, ())]
            if written:
                for _, prefix in names:
                    self._written[prefix] = now
        for event in waiting:
            event.set()


class HeldPrefixes:
    """The prefixes that one call writes; `waited` says whether it waited for another call."""

    def __init__(
        self, lock: PrefixLock, names: Sequence[_Name], runtime: Runtime, *, waited: bool
    ) -> None:
        self._lock = lock
        self._names = names
        self._runtime = runtime
        self.waited = waited

    def release(self, *, written: bool) -> None:
        """Let the waiting calls continue, once the answer has begun (`written`) or failed.

        A second release does nothing.
        """
        names, self._names = self._names, ()
        if names:
            self._lock._release(names, self._runtime.monotonic(), written=written)
