"""A blocking store behind an event loop: the same answers, and the loop never blocks."""

import asyncio
import threading
from pathlib import Path

from askonce.core.models import Entry, Key, Selection
from askonce.core.runtime.event_loop import ThreadRunner
from askonce.stores.sqlite.store import SqliteStore
from askonce.stores.threaded import ThreadedStore


def entry(n: int) -> Entry:
    key = Key("team", "text", n.to_bytes(32, "big"))
    return Entry(key, b"%d" % n, 200, (), 0.0, 10.0, 10.0)


def test_every_verb_reaches_the_store_inside(tmp_path: Path) -> None:
    async def story() -> None:
        inside = SqliteStore(tmp_path / "a.db", lock=threading.Lock(), clock=lambda: 0.0)
        store = ThreadedStore(inside, ThreadRunner("test"))
        await asyncio.gather(*[store.write(entry(n)) for n in range(600)])
        assert await store.read(entry(7).key) == entry(7)
        found = {e.body async for e in store.scan(Selection(namespace="team"))}
        assert found == {b"%d" % n for n in range(600)}
        assert store.pushes_changes is inside.pushes_changes
        mark = (await store.changes(None, 0)).cursor
        bumped = await store.epochs(["t"], bump=True)
        assert await store.epochs(["t"]) == bumped
        assert (await store.changes(mark, 0)).epochs == bumped
        await store.merge_epochs({"t": bumped["t"] + 1})
        assert await store.epochs(["t"]) == {"t": bumped["t"] + 1}
        lease = await store.lease(entry(1).key, 5)
        assert lease is not None
        assert await store.lease(entry(1).key, 5) is None
        await store.renew([lease], 5)
        assert await store.write(entry(1), fence=lease.fence)
        await store.release(lease)
        later = await store.lease(entry(1).key, 5)
        assert later is not None
        assert not await store.write(entry(1), fence=lease.fence)
        assert await store.write_all([entry(1), entry(2)]) == 2
        assert await store.migrate() == []
        assert await store.counters({"calls": 2}) == {"calls": 2}
        assert len(await store.pepper()) == 32
        assert await store.remove(Selection(keys=(entry(7).key,))) == 1
        assert await store.check() == []
        await store.close()

    asyncio.run(story())


def test_the_loop_goes_on_while_the_database_is_locked(tmp_path: Path) -> None:
    async def story() -> None:
        inside = SqliteStore(
            tmp_path / "a.db", lock=threading.Lock(), clock=lambda: 0.0, busy_timeout_ms=10_000
        )
        run = ThreadRunner("test")
        store = ThreadedStore(inside, run)
        await store.write(entry(1))
        locked, unlock = threading.Event(), threading.Event()

        async def hold() -> None:
            locked.set()
            unlock.wait(10)

        holding = asyncio.create_task(run(hold))
        reading = asyncio.create_task(store.read(entry(1).key))
        while not locked.is_set():
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.done(), "it waits its turn in the thread, not in the loop"
        unlock.set()
        await holding
        assert await reading == entry(1)
        await store.close()

    asyncio.run(story())
