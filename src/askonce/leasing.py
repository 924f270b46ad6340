"""Leasing: one process of many asks the provider, the others wait for its answer.

A lease is the right to ask one question for a while. It is prolonged for as long as its holder
works on the answer, so a holder that died is replaced when its lease ends. Waiting is bounded:
whoever has waited long enough asks the provider itself. A store that fails grants everything: the
flights of each process still hold.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from askonce.boundary import Boundary
from askonce.protocols import Store
from askonce.records import Key, Lease
from askonce.runtimes import Runtime, Tending
from askonce.shelf import Shelf

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


class Turn(NamedTuple):
    """Whose turn it is: `answered` if another process was faster, else `lease` if one was had.

    `taken` says that somebody else still asks: our patience is over, or we did not want to wait.
    """

    answered: bool = False
    lease: Lease | None = None
    taken: bool = False


class Renewal:
    """The leases that this process holds, prolonged by one daemon thread while there are any."""

    def __init__(
        self, store: Store, seconds: float, *, runtime: Runtime, boundary: Boundary
    ) -> None:
        self.seconds = seconds
        self._store = store
        self._boundary = boundary
        self._guard = runtime.guard()
        self._held: set[Lease] = set()
        self._tending = Tending("askonce-leases", self._step)

    def add(self, lease: Lease) -> None:
        with self._guard:
            self._held.add(lease)
        self._tending.start()

    def drop(self, lease: Lease) -> None:
        with self._guard:
            self._held.discard(lease)

    def stop(self) -> None:
        self._tending.stop()

    async def _step(self) -> float:
        with self._guard:
            held = list(self._held)
        attempt = self._boundary.around("renew")
        with attempt:
            if held:
                await self._store.renew(held, self.seconds)
        return self.seconds / (10 if attempt.failed else 3)


class Leasing:
    """Takes turns with other processes, in one flavor.

    `store` is asked behind `shelf`'s breaker; a wait takes at most `wait` seconds.
    """

    def __init__(
        self, store: Store, shelf: Shelf, renewal: Renewal, *, runtime: Runtime, wait: float
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._renewal = renewal
        self._runtime = runtime
        self._wait = wait

    async def turn(
        self, key: Key, look: Callable[[], Awaitable[bool]], *, wait: bool = True
    ) -> Turn:
        """Wait for the right to ask; `look` says whether the answer has come meanwhile.

        Without `wait`, one attempt is made.
        """
        runtime, seconds = self._runtime, self._renewal.seconds
        until = runtime.tick() + self._wait
        pause = _FIRST_PAUSE
        while True:
            asked = await self._shelf.ask("lease", lambda: self._take(key, seconds))
            if asked is None:
                return Turn()
            if asked:
                self._renewal.add(asked[0])
                # Its last holder may have answered after we looked and before it let go.
                if await look():
                    await self.give_back(asked[0])
                    return Turn(answered=True)
                return Turn(lease=asked[0])
            if not wait or runtime.tick() >= until:
                return Turn(taken=True)
            await runtime.pause(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            if await look():
                return Turn(answered=True)

    async def _take(self, key: Key, seconds: float) -> tuple[Lease, ...]:
        lease = await self._store.lease(key, seconds)
        return () if lease is None else (lease,)

    async def give_back(self, lease: Lease) -> None:
        self._renewal.drop(lease)
        await self._shelf.ask("release", lambda: self._store.release(lease))
