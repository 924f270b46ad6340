"""Leasing: one process of many asks the provider, the others wait for its answer.

A lease is the right to ask one question for a while. It is prolonged for as long as its holder
works on the answer, so a holder that died is replaced when its lease ends. Waiting is bounded:
whoever has waited long enough asks the provider itself. A store that fails grants everything: the
flights of each process still hold.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from askonce.core.errors import StoreError
from askonce.core.fail_open import FailOpen
from askonce.core.models import Key, Lease
from askonce.core.protocols import Store
from askonce.core.runtime.background import PeriodicWorker
from askonce.core.runtime.interface import Runtime
from askonce.stores.tiered.tier import Tier

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_RETRY = 0.1  # seconds until a lease is given back once more


class Turn(NamedTuple):
    """Whose turn it is: `answered` if another process was faster, else `lease` if one was had.

    `taken` says that somebody else still asks: our patience is over, or we did not want to wait.
    """

    answered: bool = False
    lease: Lease | None = None
    taken: bool = False


class LeaseRenewal:
    """The leases that this process holds, prolonged by one daemon thread while there are any."""

    def __init__(
        self, store: Store, seconds: float, *, runtime: Runtime, boundary: FailOpen
    ) -> None:
        self.seconds = seconds
        self._store = store
        self._boundary = boundary
        self._lock = runtime.lock()
        self._place = runtime.loop_or_process
        self._here = runtime.loop_or_process()
        self._held: set[Lease] = set()
        self._over: list[tuple[float, Lease]] = []
        self._tick = runtime.monotonic
        self._due = float("-inf")
        self._worker = PeriodicWorker("askonce-leases", self._step)

    def add(self, lease: Lease) -> None:
        with self._lock:
            if self._here != self._place():
                self._here = self._place()
                self._over.clear()
                self._held.clear()  # after a fork these are the parent's, to prolong and give back
            self._held.add(lease)
        self._worker.start()

    def drop(self, lease: Lease) -> None:
        with self._lock:
            self._held.discard(lease)

    def let_go(self, lease: Lease) -> None:
        """Give a lease back that could not be given back: soon, when the store is well again."""
        with self._lock:
            self._held.discard(lease)
            # What ends by itself meanwhile needs nobody.
            self._over.append((self._tick() + self.seconds, lease))
        self._worker.start()

    def stop(self) -> None:
        self._worker.stop()

    async def _step(self) -> float:
        with self._lock:
            held = list(self._held)
            over, self._over = [one for one in self._over if one[0] > self._tick()], []
        with self._boundary.around("renew") as attempt:
            if held and self._tick() >= self._due:
                await self._store.renew(held, self.seconds)
                self._due = self._tick() + self.seconds / 3
            while over:
                await self._store.release(over[-1][1])
                over.pop()
        with self._lock:
            self._over += over
        return _RETRY if over else self.seconds / (20 if attempt.failed else 10)


class LeaseQueue:
    """Takes turns with other processes, in one flavor.

    `store` is asked behind `tier`'s breaker; a wait takes at most `wait` seconds.
    """

    def __init__(
        self, store: Store, tier: Tier, renewal: LeaseRenewal, *, runtime: Runtime, wait: float
    ) -> None:
        self._store = store
        self._shelf = tier
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
        until = runtime.monotonic() + self._wait
        pause = _FIRST_PAUSE
        while True:
            asked = await self._shelf.ask("lease", lambda: self._take(key, seconds))
            if asked is None:
                return Turn()
            if asked:
                # Its last holder may have answered after we looked and before it let go.
                return await self._unless_answered(asked[0], look)
            if not wait or runtime.monotonic() >= until:
                return Turn(taken=True)
            await runtime.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            if await look():
                return Turn(answered=True)

    async def _unless_answered(self, lease: Lease, look: Callable[[], Awaitable[bool]]) -> Turn:
        """Keep a new lease unless it is of no use, or whoever took it is stopped meanwhile."""
        self._renewal.add(lease)
        kept = False
        try:
            kept = not await look()
        finally:
            if not kept:
                self._let_go(lease)
        return Turn(lease=lease) if kept else Turn(answered=True)

    async def _take(self, key: Key, seconds: float) -> tuple[Lease, ...]:
        """The lease, if it was free; it goes back where nobody waits for it any more."""
        taken: list[Lease] = []
        awaited = True

        async def take() -> None:
            try:
                lease = await self._store.lease(key, seconds)
            except StoreError:
                if awaited:
                    raise
                return
            if lease is not None:
                taken.append(lease)
                if not awaited:
                    self._let_go(lease)

        # A thread that asks for it cannot be called back, so its answer is waited for.
        task = self._runtime.start(take)
        try:
            await task.wait()
        except BaseException:
            awaited = False
            for lease in taken:
                self._let_go(lease)
            raise
        return tuple(taken)

    def _let_go(self, lease: Lease) -> None:
        """Give a lease back, behind."""
        self._renewal.drop(lease)

        async def release() -> bool:
            await self._store.release(lease)
            return True

        async def give_back() -> None:
            if await self._shelf.ask("release", release) is None:
                self._renewal.let_go(lease)

        self._runtime.run_in_background(give_back)
