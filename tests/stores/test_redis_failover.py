"""The Redis store on servers that replace each other: sentinels, and a cluster of six nodes."""

import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest

from askonce.core.errors import StoreError
from askonce.core.models import Entry, Key, Selection
from askonce.stores.context import StoreContext
from askonce.stores.redis.store import RedisStore, open_redis
from tests.fixtures.redis_servers import RedisCluster, RedisPair, RedisServer, poll
from tests.fixtures.stores import run_blocking

Run = Callable[[Coroutine[Any, Any, Any]], Any]
NOW = 1_750_000_000.0
EPOCHS = b"askonce:{~}:epochs"


def key(name: str = "q") -> Key:
    return Key("team-a", "openai_chat", name.encode().ljust(32, b"."))


def entry(name: str = "q", **changes: Any) -> Entry:
    plain = Entry(key(name), b'{"answer": 1}', 200, (), NOW, NOW + 60, NOW + 90)
    return msgspec.structs.replace(plain, **changes)


def entry_name(name: str = "q", prefix: str = "askonce") -> bytes:
    return f"{prefix}:{{team-a/openai_chat/{key(name).digest.hex()}}}:e".encode()


def tagged(store: RedisStore, run: Run, tag: str) -> Entry:
    return entry("tagged", tags=tuple(run(store.epochs([tag])).items()))


def succeeds(run: Run, call: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], bool]:
    def attempt() -> bool:
        try:
            run(call())
        except StoreError:
            return False
        return True

    return attempt


@pytest.fixture
def pair() -> Iterator[RedisPair]:
    own = RedisPair(8)
    try:
        yield own.start()
    finally:
        own.close()


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    own = RedisCluster(8)
    try:
        yield own.start()
    finally:
        own.close()


@pytest.fixture
def store(request: pytest.FixtureRequest, run: Run, context: StoreContext) -> Iterator[RedisStore]:
    """A store with a short deadline, on the test's own pair or cluster."""
    own = next(name for name in ("pair", "cluster") if name in request.fixturenames)
    url = request.getfixturevalue(own).url
    opened = open_redis(url, context._replace(deadline=0.5))
    yield opened
    run(opened.close())


# Sentinels


def test_the_store_follows_the_master_that_sentinels_elect(
    pair: RedisPair, store: RedisStore, run: Run
) -> None:
    old = tagged(store, run, "a")
    run(store.write(old))
    bumped = run(store.epochs(["a"], bump=True))
    pair.master.kill()
    with pytest.raises(StoreError):
        run(store.epochs(["a"]))
    poll("the replica takes over", succeeds(run, lambda: store.epochs(["a"], bump=True)))
    assert run(store.read(old.key)) is None
    assert run(store.write(old)) is False
    assert run(store.epochs(["a"]))["a"] > bumped["a"]
    assert run(store.write(entry())) is True
    assert run(store.read(key())) == entry()


def test_an_invalidation_that_no_replica_has_is_an_error(
    pair: RedisPair, store: RedisStore, run: Run
) -> None:
    run(store.write(entry()))
    assert run(store.epochs(["a"], bump=True))
    pair.replica.freeze()
    with pytest.raises(StoreError, match="replica"):
        run(store.epochs(["a"], bump=True))
    with pytest.raises(StoreError, match="replica"):
        run(store.remove(Selection(keys=(key(),))))
    pair.replica.thaw()
    poll("the replica is back", succeeds(run, lambda: store.epochs(["a"], bump=True)))


# A cluster


@pytest.fixture
def shared(redis_cluster: RedisCluster, run: Run, context: StoreContext) -> Iterator[RedisStore]:
    """A store on the cluster of the session, which no test may break."""
    opened = open_redis(f"{redis_cluster.url}?prefix=moving", context)
    yield opened
    run(opened.remove(Selection()))
    run(opened.close())


def test_entries_are_spread_and_bulk_reaches_them_all(
    redis_cluster: RedisCluster, shared: RedisStore, run: Run
) -> None:
    many = [entry(str(number)) for number in range(300)]
    assert run(shared.write_all(many)) == 300
    names = [entry_name(str(number), "moving") for number in range(30)]
    assert len({redis_cluster.master_of(name).port for name in names}) == 3
    assert run(shared.remove(Selection(keys=tuple(one.key for one in many)))) == 300


def test_a_slot_on_the_move_is_followed(
    redis_cluster: RedisCluster, shared: RedisStore, run: Run
) -> None:
    """First by ASK, while the slot moves; then by MOVED."""
    name = entry_name("moving", "moving")
    source = redis_cluster.master_of(name)
    target = next(n for n in redis_cluster.nodes[:3] if n.port != source.port)
    assert run(shared.read(key("moving"))) is None
    with source.client() as here, target.client() as there:
        slot = here.execute_command("CLUSTER", "KEYSLOT", name)
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (here, there)]
        there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        try:
            assert run(shared.write(entry("moving"))) is True
            assert run(shared.read(key("moving"))) == entry("moving")
            assert there.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
            for client in (there, here):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
            poll("the slot has moved", lambda: redis_cluster.agrees(name, target))
            assert run(shared.read(key("moving"))) == entry("moving")
            assert run(shared.write_all([entry("moving", body=b"new"), entry("other")])) == 2
            assert run(shared.remove(Selection(keys=(key("moving"),)))) == 1
        finally:
            for client in (there, here):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[0])
            # Gossip would take it away again without an epoch later than the other one's.
            here.execute_command("CLUSTER", "BUMPEPOCH")
    poll("the slot is back", lambda: redis_cluster.agrees(name, source))


def test_a_cluster_that_loses_the_index_master_revives_nothing(
    cluster: RedisCluster, store: RedisStore, run: Run
) -> None:
    old = tagged(store, run, "a")
    run(store.write(old))
    mark = run(store.changes(None, 0)).cursor
    bumped = run(store.epochs(["a"], bump=True))
    fallen = cluster.master_of(EPOCHS)
    fallen.kill()
    poll("a replica takes over", succeeds(run, lambda: store.epochs(["a"])))
    assert run(store.epochs(["a"]))["a"] > bumped["a"]
    assert run(store.read(old.key)) is None
    assert run(store.write(old)) is False
    assert run(store.changes(mark, 0.0)).lost
    fallen.start()
    poll("bumps work", succeeds(run, lambda: store.epochs(["a"], bump=True)))
    assert run(store.write(tagged(store, run, "a"))) is True
    assert run(store.read(old.key)) is not None


def test_a_frozen_node_costs_one_deadline_and_only_its_own_slots(cluster: RedisCluster) -> None:
    context = StoreContext(threading.Lock, lambda: 0.0, deadline=0.3, monotonic=time.monotonic)
    store = open_redis(cluster.url, context)
    owners: dict[str, RedisServer] = {}
    for name in map(str, range(12)):
        run_blocking(store.write(entry(name)))
        owners[name] = cluster.master_of(entry_name(name))
    frozen = owners["0"]
    frozen.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(StoreError):
            run_blocking(store.read(key("0")))
        assert time.monotonic() - began < 0.6
        for name, owner in owners.items():
            if owner is not frozen:
                assert run_blocking(store.read(key(name))) == entry(name)
        poll("its replica takes over", succeeds(run_blocking, lambda: store.read(key("0"))))
    finally:
        frozen.thaw()
        run_blocking(store.close())
