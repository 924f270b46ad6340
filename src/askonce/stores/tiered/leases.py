"""Leases: one process of many asks the provider, and the others wait for its answer.

A lease is the right to ask one question for a while. Its holder renews it for as long as it works
on the answer, so the lease of a process that died ends soon. Waiting is bounded: a caller that has
waited long enough asks the provider itself. When the store fails, every caller may ask; the
single flight of each process still holds.
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

_FIRST_PAUSE = 0.005  # seconds between two attempts to get a lease, at first
_LONGEST_PAUSE = 0.1
_RETRY = 0.1  # seconds until a release that failed is tried once more


class LeaseResult(NamedTuple):
    """How an attempt to get a lease ended.

    `answered`: another process was faster, and its answer is there. `lease`: the lease, if this
    caller got it. `taken`: another process still has it; the caller did not wait, or long enough.
    """

    answered: bool = False
    lease: Lease | None = None
    taken: bool = False


class LeaseRenewal:
    """The leases that this process holds, renewed by one daemon thread while there are any.

    Args:
        store: The sync store that gave the leases.
        seconds: How long a lease lasts.
        runtime: The sync runtime.
        boundary: Counts renewals that fail.
    """

    def __init__(
        self, store: Store, seconds: float, *, runtime: Runtime, boundary: FailOpen
    ) -> None:
        self.seconds = seconds
        self._store = store
        self._boundary = boundary
        self._lock = runtime.lock()
        self._place = runtime.loop_or_process
        self._here: object = None
        self._held: set[Lease] = set()
        self._unreleased: list[tuple[float, Lease]] = []
        self._tick = runtime.monotonic
        self._due = float("-inf")
        self._worker = PeriodicWorker("askonce-leases", self._step)

    def add(self, lease: Lease) -> None:
        """Renew a lease from now on."""
        with self._lock:
            moved = self._here != self._place()
            if moved:
                # After a fork the leases are the parent's, to renew and to release.
                self._here = self._place()
                self._unreleased.clear()
                self._held.clear()
            self._held.add(lease)
        if moved:
            self._worker.start()

    def drop(self, lease: Lease) -> None:
        """Stop renewing a lease."""
        with self._lock:
            self._held.discard(lease)

    async def release(self, lease: Lease, tier: Tier, store: Store) -> None:
        """Release a lease of `store`, behind the breaker of `tier`; if that fails, soon again."""
        self.drop(lease)

        async def release() -> bool:
            await store.release(lease)
            return True

        if await tier.ask("release", release) is None:
            with self._lock:
                # After this time the lease has ended by itself.
                self._unreleased.append((self._tick() + self.seconds, lease))
            self._worker.start()

    def stop(self) -> None:
        """Stop the thread for good."""
        self._worker.stop()

    async def _step(self) -> float:
        with self._lock:
            held = list(self._held)
            now = self._tick()
            over, self._unreleased = [one for one in self._unreleased if one[0] > now], []
        with self._boundary.around("renew") as attempt:
            if held and self._tick() >= self._due:
                await self._store.renew(held, self.seconds)
                self._due = self._tick() + self.seconds / 3
            while over:
                await self._store.release(over[-1][1])
                over.pop()
        with self._lock:
            self._unreleased += over
        return _RETRY if over else self.seconds / (20 if attempt.failed else 10)


class LeaseAcquirer:
    """Gets leases for one mode (sync or async), and waits for those that others hold.

    Args:
        store: The store that gives the leases.
        tier: The tier behind whose breaker the store is asked.
        renewal: Renews the leases.
        runtime: The runtime that work in the background uses.
        wait: The longest wait, in seconds.
    """

    def __init__(
        self, store: Store, tier: Tier, renewal: LeaseRenewal, *, runtime: Runtime, wait: float
    ) -> None:
        self._store = store
        self._tier = tier
        self._renewal = renewal
        self._runtime = runtime
        self._wait = wait

    async def acquire(
        self, key: Key, look: Callable[[], Awaitable[bool]], *, wait: bool = True
    ) -> LeaseResult:
        """Get the lease of a question, or wait for its answer.

        Args:
            key: The question.
            look: Returns whether the answer has come meanwhile.
            wait: False for one attempt only.
        """
        runtime, seconds = self._runtime, self._renewal.seconds
        until = runtime.monotonic() + self._wait
        pause = _FIRST_PAUSE
        while True:
            taken = await self._tier.ask("lease", lambda: self._take(key, seconds))
            if taken is None:
                return LeaseResult()
            if taken:
                # Its last holder may have answered after we looked and before it released it.
                return await self._unless_answered(taken[0], look)
            if not wait or runtime.monotonic() >= until:
                return LeaseResult(taken=True)
            await runtime.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            if await look():
                return LeaseResult(answered=True)

    async def _unless_answered(
        self, lease: Lease, look: Callable[[], Awaitable[bool]]
    ) -> LeaseResult:
        """Keep a new lease unless the answer is there, or the caller is cancelled meanwhile."""
        self._renewal.add(lease)
        kept = False
        try:
            kept = not await look()
        finally:
            if not kept:
                self._release(lease)
        return LeaseResult(lease=lease) if kept else LeaseResult(answered=True)

    async def _take(self, key: Key, seconds: float) -> tuple[Lease, ...]:
        """Take the lease if it is free; release it if its caller is gone by then."""
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
                    self._release(lease)

        # A thread that asks for the lease cannot be called back, so its result is awaited.
        task = self._runtime.start(take)
        try:
            await task.wait()
        except BaseException:
            awaited = False
            for lease in taken:
                self._release(lease)
            raise
        return tuple(taken)

    def _release(self, lease: Lease) -> None:
        """Release a lease in the background."""
        self._renewal.drop(lease)

        async def release() -> None:
            await self._renewal.release(lease, self._tier, self._store)

        self._runtime.run_in_background(release)
