"""Reads that travel together: each gets its own value, whoever is stopped and whatever fails."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from askonce.core.errors import StoreError
from askonce.stores.redis.batched_reads import BatchedReads


@pytest.fixture(autouse=True)
def two_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("askonce.stores.redis.batched_reads._LANES", 2)


class Slow:
    """Reads that end when the test says so."""

    def __init__(self) -> None:
        self.trips: list[list[bytes]] = []
        self.ends: list[asyncio.Future[None]] = []

    async def __call__(self, names: Sequence[bytes]) -> tuple[list[Any], Any]:
        self.trips.append(list(names))
        end = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        await end
        return [b"value of " + name for name in names], b"7"

    async def end(self, error: BaseException | None = None) -> None:
        """End the oldest trip under way, and let everybody go on."""
        oldest = self.ends.pop(0)
        oldest.set_exception(error) if error is not None else oldest.set_result(None)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def lanes(slow: Slow) -> BatchedReads:
    return BatchedReads(slow, asyncio.get_running_loop)


async def started(them: BatchedReads, count: int) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(them.read(b"%d" % number)) for number in range(count)]
    await settle()
    return tasks


def test_a_single_read_waits_for_nobody_and_late_ones_travel_together() -> None:
    async def story() -> None:
        slow = Slow()
        tasks = await started(lanes(slow), 6)
        assert slow.trips == [[b"0"], [b"1"]]
        await slow.end()
        assert slow.trips[2:] == [[b"2", b"3", b"4", b"5"]]
        await slow.end()
        await slow.end()
        assert [task.result() for task in tasks] == [(b"value of %d" % n, b"7") for n in range(6)]

    asyncio.run(story())


def test_an_error_reaches_those_who_travelled_and_nobody_else() -> None:
    async def story() -> None:
        slow = Slow()
        them = lanes(slow)
        tasks = await started(them, 5)
        await slow.end()
        await slow.end()
        await slow.end(StoreError("cut"))
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ended] == [tuple, tuple, StoreError, StoreError, StoreError]
        again = await started(them, 1)
        await slow.end()
        assert again[0].result() == (b"value of 0", b"7")

    asyncio.run(story())


@pytest.mark.parametrize("stopped", [0, 2, 3])
def test_who_is_stopped_leaves_the_others_their_reads(stopped: int) -> None:
    """The one on its way alone, the one who reads for all, and one who is read for."""

    async def story() -> None:
        slow = Slow()
        tasks = await started(lanes(slow), 5)
        if stopped:
            await slow.end()
        tasks[stopped].cancel()
        await settle()
        while slow.ends:
            await slow.end() if not slow.ends[0].cancelled() else slow.ends.pop(0)
            await settle()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ended.pop(stopped), asyncio.CancelledError)
        assert ended == [(b"value of %d" % n, b"7") for n in range(5) if n != stopped]

    asyncio.run(story())


def test_who_is_stopped_the_moment_the_lane_is_handed_over_passes_it_on() -> None:
    async def story() -> None:
        slow = Slow()
        tasks = await started(lanes(slow), 4)
        slow.ends.pop(0).set_result(None)
        await asyncio.sleep(0)  # the first one has its value; the third was told to read, and ...
        tasks[2].cancel()
        await settle()
        while slow.ends:
            await slow.end()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ended.pop(2), asyncio.CancelledError)
        assert ended == [(b"value of %d" % n, b"7") for n in (0, 1, 3)]

    asyncio.run(story())


def test_thousands_of_reads_some_of_them_stopped_all_get_their_own() -> None:
    choose = random.Random(5)

    async def quick(names: Sequence[bytes]) -> tuple[list[Any], Any]:
        for _ in range(choose.randrange(4)):
            await asyncio.sleep(0)
        if choose.random() < 0.1:
            raise StoreError("cut")
        return [b"value of " + name for name in names], b"7"

    async def story() -> None:
        them = BatchedReads(quick, asyncio.get_running_loop)
        counts = {"own": 0, "cut": 0, "stopped": 0}

        async def caller(seed: int) -> None:
            for number in range(100):
                name = b"%d:%d" % (seed, number)
                task = asyncio.create_task(them.read(name))
                for _ in range(choose.randrange(6)):
                    await asyncio.sleep(0)
                if choose.random() < 0.3:
                    task.cancel()
                try:
                    assert await task == (b"value of " + name, b"7")
                    counts["own"] += 1
                except StoreError:
                    counts["cut"] += 1
                except asyncio.CancelledError:
                    counts["stopped"] += 1

        await asyncio.wait_for(asyncio.gather(*[caller(seed) for seed in range(40)]), 30)
        assert min(counts.values()) > 50

    asyncio.run(story())
