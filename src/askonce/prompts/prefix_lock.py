"""Warming: one of several simultaneous calls writes a long prefix into the provider's cache first.

A provider's entry can be read as soon as the first answer begins, so calls that go out together
would all pay for writing it. Whoever comes while a prefix of its own is being written waits for
the first byte of the answer to that call, and no longer than it was told to. Whatever ends that
call, everybody who waits goes on; one of them writes in its place.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from askonce.core.runtime.interface import Event, Runtime
from askonce.prompts.optimizer.reuse_stats import Recent

_Name = tuple[object, bytes]


class PrefixLock:
    """Which prefixes are being written now, and which were written lately; for all flavors."""

    def __init__(self, lock: AbstractContextManager[Any], most: int = 16_384) -> None:
        self._lock = lock
        self._writing: dict[_Name, list[Event]] = {}
        self._warm: Recent[bytes, float] = Recent(most)

    def __len__(self) -> int:
        """How many prefixes are being written now."""
        return len(self._writing)

    async def enter(
        self, prefixes: Sequence[bytes], runtime: Runtime, *, lifetime: float, hold: float
    ) -> "PrefixWrite":
        """Wait while another call writes one of these prefixes, then write what is cold.

        The caller has to `leave` what it gets, whatever happens to it.
        """
        place = runtime.loop_or_process()
        ends = runtime.monotonic() + hold
        waited = False
        while True:
            event: Event | None = None
            with self._lock:
                now = runtime.monotonic()
                cold = [one for one in prefixes if not self._is_warm(one, now, lifetime)]
                written = [one for one in cold if (place, one) in self._writing]
                if not written or now >= ends:
                    mine = [(place, one) for one in cold if (place, one) not in self._writing]
                    self._writing.update({name: [] for name in mine})
                    return PrefixWrite(self, mine, runtime, waited=waited)
                event = runtime.event()
                self._writing[place, written[-1]].append(event)
            waited = True
            await event.wait(max(ends - now, 0.0))

    def _is_warm(self, prefix: bytes, now: float, lifetime: float) -> bool:
        written = self._warm.get(prefix)
        return written is not None and now - written < lifetime

    def _leave(self, names: Sequence[_Name], now: float, *, warm: bool) -> None:
        with self._lock:
            waiting = [event for name in names for event in self._writing.pop(name, ())]
            if warm:
                for _, prefix in names:
                    self._warm.put(prefix, now)
        for event in waiting:
            event.set()


class PrefixWrite:
    """One call's turn; `waited` says whether it had to wait for another one's."""

    def __init__(
        self, warming: PrefixLock, names: Sequence[_Name], runtime: Runtime, *, waited: bool
    ) -> None:
        self._warming = warming
        self._names = names
        self._runtime = runtime
        self.waited = waited

    def leave(self, *, warm: bool) -> None:
        """The answer has begun (`warm`), or will not: whoever waits goes on. Again is nothing."""
        names, self._names = self._names, ()
        if names:
            self._warming._leave(names, self._runtime.monotonic(), warm=warm)
