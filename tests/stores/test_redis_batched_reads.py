"""Batched reads: each caller gets its own value, whichever of them is cancelled or fails."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from askonce.core.errors import StoreError
from askonce.stores.redis.batched_reads import BatchedReads


class Slow:
    """Reads that end when the test ends them."""

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
        """End the oldest trip under way, and let every task go on."""
        oldest = self.ends.pop(0)
        oldest.set_exception(error) if error is not None else oldest.set_result(None)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def batched(slow: Slow) -> BatchedReads:
    return BatchedReads(slow, asyncio.get_running_loop)


async def started(reads: BatchedReads, count: int) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(reads.read(b"%d" % number)) for number in range(count)]
    await settle()
    return tasks


def test_a_single_read_goes_at_once_and_later_ones_share_a_trip() -> None:
    async def scenario() -> None:
        slow = Slow()
        tasks = await started(batched(slow), 6)
        assert slow.trips == [[b"0"]]
        await slow.end()
        assert slow.trips[1:] == [[b"1", b"2", b"3", b"4", b"5"]]
        await slow.end()
        assert [task.result() for task in tasks] == [(b"value of %d" % n, b"7") for n in range(6)]

    asyncio.run(scenario())


def test_an_error_reaches_every_read_of_its_batch_and_no_other() -> None:
    async def scenario() -> None:
        slow = Slow()
        reads = batched(slow)
        tasks = await started(reads, 5)
        await slow.end()
        await slow.end(StoreError("cut"))
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ended] == [tuple, *[StoreError] * 4]
        again = await started(reads, 1)
        await slow.end()
        assert again[0].result() == (b"value of 0", b"7")

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_a_cancelled_read_leaves_the_others_their_values(cancelled: int) -> None:
    """Cancel a single read, the read that goes out for a batch, and another one of the batch."""

    async def scenario() -> None:
        slow = Slow()
        tasks = await started(batched(slow), 5)
        if cancelled:
            await slow.end()
        tasks[cancelled].cancel()
        await settle()
        while slow.ends:
            await slow.end() if not slow.ends[0].cancelled() else slow.ends.pop(0)
            await settle()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ended.pop(cancelled), asyncio.CancelledError)
        assert ended == [(b"value of %d" % n, b"7") for n in range(5) if n != cancelled]

    asyncio.run(scenario())


def test_a_read_cancelled_just_before_it_goes_out_is_replaced() -> None:
    async def scenario() -> None:
        slow = Slow()
        tasks = await started(batched(slow), 4)
        slow.ends.pop(0).set_result(None)
        await asyncio.sleep(0)  # the first has its value, the second is about to go out
        tasks[1].cancel()
        await settle()
        while slow.ends:
            await slow.end()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ended.pop(1), asyncio.CancelledError)
        assert ended == [(b"value of %d" % n, b"7") for n in (0, 2, 3)]

    asyncio.run(scenario())


def test_thousands_of_reads_get_their_own_values_while_some_are_cancelled() -> None:
    choose = random.Random(5)

    async def quick(names: Sequence[bytes]) -> tuple[list[Any], Any]:
        for _ in range(choose.randrange(4)):
            await asyncio.sleep(0)
        if choose.random() < 0.1:
            raise StoreError("cut")
        return [b"value of " + name for name in names], b"7"

    async def scenario() -> None:
        reads = BatchedReads(quick, asyncio.get_running_loop)
        counts = {"own": 0, "cut": 0, "cancelled": 0}

        async def caller(seed: int) -> None:
            for number in range(100):
                name = b"%d:%d" % (seed, number)
                task = asyncio.create_task(reads.read(name))
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
                    counts["cancelled"] += 1

        await asyncio.wait_for(asyncio.gather(*[caller(seed) for seed in range(40)]), 30)
        assert min(counts.values()) > 50

    asyncio.run(scenario())
