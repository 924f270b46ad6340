"""What the Redis store owes beyond the contract: on its connections, and if Redis loses things."""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest
import uvloop

from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Entry, Key, Selection
from askonce.stores.context import StoreContext
from askonce.stores.redis.store import RedisStore, open_redis
from tests.fixtures.redis_servers import RedisServer, RedisTls
from tests.fixtures.stores import run_blocking

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Open = Callable[..., RedisStore]
NOW = 1_750_000_000.0


def key(name: str = "q") -> Key:
    return Key("team-a", "openai_chat", name.encode().ljust(32, b"."))


def entry(name: str = "q", **changes: Any) -> Entry:
    plain = Entry(key(name), b'{"answer": 1}', 200, (), NOW, NOW + 60, NOW + 90)
    return msgspec.structs.replace(plain, **changes)


@pytest.fixture
def open_(run: Run, context: StoreContext) -> Iterator[Open]:
    """Opens stores in the mode of the test; all are closed after it."""
    opened: list[RedisStore] = []

    def open_(url: str, **changes: Any) -> RedisStore:
        opened.append(open_redis(url, context._replace(**changes)))
        return opened[-1]

    yield open_
    for store in opened:
        run(store.close())


@pytest.fixture
def prefix() -> str:
    return f"t{random.getrandbits(60):x}"


@pytest.fixture
def url(redis8_url: str, prefix: str) -> str:
    return f"{redis8_url}?prefix={prefix}"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of this test's own, to be stopped and frozen."""
    own = RedisServer(8)
    try:
        yield own.start()
    finally:
        own.close()


def blob_name(prefix: str, name: str = "q") -> str:
    return f"{prefix}:{{team-a/openai_chat/{key(name).digest.hex()}}}:e"


def tagged(store: RedisStore, run: Run, *tags: str) -> Entry:
    return entry(tags=tuple(run(store.epochs(tags)).items()))


# Round trips


def test_a_hit_is_one_command(redis8: RedisServer, url: str, open_: Open, run: Run) -> None:
    store = open_(url)
    run(store.write(tagged(store, run, "a", "b")))
    run(store.read(key()))
    with redis8.client() as client:
        client.config_resetstat()
        for _ in range(20):
            assert run(store.read(key())) is not None
        stats = client.info("commandstats")
    calls = {name: stat["calls"] for name, stat in stats.items()}
    assert calls.pop("cmdstat_mget") == 20
    assert set(calls) <= {"cmdstat_config|resetstat", "cmdstat_info"}


def test_another_ones_bump_costs_a_second_command_once(
    redis8: RedisServer, url: str, open_: Open, run: Run
) -> None:
    store, other = open_(url), open_(url)
    run(store.write(tagged(store, run, "a")))
    run(store.read(key()))
    run(other.epochs(["b"], bump=True))
    with redis8.client() as client:
        client.config_resetstat()
        for _ in range(5):
            assert run(store.read(key())) is not None
        stats = client.info("commandstats")
    assert stats["cmdstat_mget"]["calls"] == 5
    assert stats["cmdstat_evalsha"]["calls"] == 1


def test_a_script_that_redis_forgot_is_sent_again(
    redis8: RedisServer, url: str, open_: Open, run: Run
) -> None:
    store = open_(url)
    run(store.epochs(["a"]))
    with redis8.client() as client:
        client.script_flush()
        late = tagged(store, run, "a")
        client.script_flush()
        assert run(store.epochs(["a"], bump=True))
        client.script_flush()
        assert run(store.write_all([late, entry("r")])) == 1
        client.script_flush()
        lease = run(store.lease(key(), 60))
        client.script_flush()
        run(store.renew([lease], 60))
        client.script_flush()
        assert run(store.write(entry(), fence=lease.fence - 1)) is False


def test_an_entry_lives_in_redis_as_long_as_it_is_of_use(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run
) -> None:
    store = open_(url, clock=lambda: NOW)
    run(store.write(entry("fresh", expires=NOW + 50, stale_until=NOW)))
    run(store.write(entry("stale", expires=NOW, stale_until=NOW + 70)))
    run(store.write(entry("over", expires=NOW - 5, stale_until=NOW - 5)))
    with redis8.client() as client:
        assert 49_000 < client.pttl(blob_name(prefix, "fresh")) <= 50_000
        assert 69_000 < client.pttl(blob_name(prefix, "stale")) <= 70_000
        assert client.pttl(blob_name(prefix, "over")) <= 1


# What Redis loses


@pytest.mark.parametrize(
    "lost", [["epochs"], ["seq"], ["news"], ["epochs", "seq"], ["seq", "news"], None], ids=str
)
def test_lost_books_never_make_an_old_entry_valid(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run, lost: list[str] | None
) -> None:
    store, witness = open_(url), open_(url)
    old = tagged(store, run, "a", "never bumped")
    run(store.write(old))
    run(witness.read(key()))
    with redis8.client() as client:
        blob = client.get(blob_name(prefix))
        assert blob is not None
        bumped = run(store.epochs(["a"], bump=True))
        names = lost or ["epochs", "seq", "news", "tallies", "pepper"]
        client.delete(*[f"{prefix}:{{~}}:{name}" for name in names])
        # As if a copy had come back from anywhere.
        client.set(blob_name(prefix), blob)
    for reader in (witness, open_(url), store):
        assert run(reader.read(key())) is None
        assert run(reader.write(old)) is False
    now = run(open_(url).epochs(["a", "never bumped"]))
    assert now["a"] >= bumped["a"]
    assert (now["a"] > bumped["a"]) == ("epochs" in names)
    run(witness.write(tagged(witness, run, "a")))
    assert run(store.read(key())) is not None


@pytest.mark.parametrize(
    "lost", [["epochs"], ["epochs", "news"], ["epochs", "seq", "news"]], ids=str
)
def test_a_new_index_begins_above_every_number_even_if_the_clock_was_set_back(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run, lost: list[str]
) -> None:
    store = open_(url)
    # Numbers come from Redis's clock; one from its future is as good as a clock set back.
    future = run(store.epochs(["a"]))["a"] + 10**12
    run(store.merge_epochs({"a": future}))
    with redis8.client() as client:
        client.delete(*[f"{prefix}:{{~}}:{name}" for name in lost])
    assert run(store.epochs(["b"]))["b"] > future


@pytest.mark.parametrize("lost", ["news", "epochs", "all"])
def test_a_listener_notices_lost_books(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run, lost: str
) -> None:
    store = open_(url)
    mark = run(store.changes(None, 0)).cursor
    run(store.epochs(["a"], bump=True))
    names = ["epochs", "seq", "news"] if lost == "all" else [lost]
    with redis8.client() as client:
        client.delete(*[f"{prefix}:{{~}}:{name}" for name in names])
    if lost == "epochs":
        run(store.epochs(["a"]))
    news = run(store.changes(mark, 0.0))
    assert news.lost
    assert run(store.changes(news.cursor, 0.0)).empty


def test_a_trimmed_log_is_noticed(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run
) -> None:
    store = open_(url)
    mark = run(store.changes(None, 0)).cursor
    for _ in range(3):
        run(store.epochs(["a"], bump=True))
    with redis8.client() as client:
        client.xtrim(f"{prefix}:{{~}}:news", maxlen=2, approximate=False)
    assert run(store.changes(mark, 0.0)).lost


def test_a_restart_from_an_old_snapshot_revives_nothing(
    server: RedisServer, open_: Open, run: Run
) -> None:
    store = open_(server.url)
    old = tagged(store, run, "a")
    run(store.write(old))
    run(store.write(entry("untagged")))
    with server.client() as client:
        client.save()
    mark = run(store.changes(None, 0)).cursor
    bumped = run(store.epochs(["a"], bump=True))
    server.kill()
    server.start()
    with server.client() as client:
        assert client.exists(blob_name("askonce"))  # the snapshot has it, without the bump
    assert run(store.read(key())) is None  # on a connection that had been closed meanwhile
    assert run(open_(server.url).read(key())) is None
    assert run(store.write(old)) is False
    assert run(store.epochs(["a"]))["a"] > bumped["a"]
    assert run(store.changes(mark, 0.0)).lost
    assert run(store.read(key("untagged"))) == entry("untagged")


def test_what_was_damaged_is_a_miss_and_check_finds_it(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run
) -> None:
    store = open_(url)
    for name in ("whole", "bits", "type"):
        run(store.write(entry(name)))
    with redis8.client() as client:
        client.setrange(blob_name(prefix, "bits"), 20, b"?")
        client.delete(blob_name(prefix, "type"))
        client.rpush(blob_name(prefix, "type"), "x")
        client.set(f"{prefix}:{{no key}}:e", "x")
    assert run(store.read(key("bits"))) is None
    assert run(store.read(key("type"))) is None
    assert store.damaged == 1
    assert len(run(store.check())) == 3
    assert len(run(store.check(fix=True))) == 3
    assert run(store.check()) == []
    assert run(store.read(key("whole"))) == entry("whole")


def test_an_index_of_another_run_is_replaced_on_an_old_connection_too(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run
) -> None:
    """A server that was replica for a while, and promoted again before it had heard of a bump."""
    store = open_(url)
    old = tagged(store, run, "a")
    mark = run(store.changes(None, 0)).cursor
    with redis8.client() as client:
        client.hset(f"{prefix}:{{~}}:epochs", "run", "0123456789abcdef")
    assert run(store.epochs(["a"]))["a"] > dict(old.tags)["a"]
    assert run(store.write(old)) is False
    assert run(store.changes(mark, 0.0)).lost


def test_a_refusal_is_neither_damage_nor_a_missing_entry(
    redis8: RedisServer, prefix: str, url: str, open_: Open, run: Run
) -> None:
    run(open_(url).write(entry()))
    with redis8.client() as client:
        client.execute_command(f"ACL SETUSER {prefix} on >pw ~* +@all -get")
        try:
            store = open_(url.replace("//", f"//{prefix}:pw@"))
            with pytest.raises(StoreError, match="get"):
                run(store.check(fix=True))
            with pytest.raises(StoreError, match="get"):
                run(store.remove(Selection(expired_before=NOW)))
            run(store.close())
        finally:
            client.execute_command(f"ACL DELUSER {prefix}")
    assert run(open_(url).read(key())) == entry()


def test_a_pepper_is_adopted_by_an_empty_store_only(url: str, open_: Open, run: Run) -> None:
    store = open_(url)
    own = run(store.pepper())
    assert run(store.adopt(own)) is True
    assert run(store.adopt(b"p" * 32)) is True
    assert run(store.pepper()) == b"p" * 32
    run(store.write(entry()))
    assert run(store.adopt(own)) is False
    assert run(store.pepper()) == b"p" * 32


# Connections


def test_a_cancelled_read_never_leaves_its_reply_to_another(redis8_url: str, prefix: str) -> None:
    names = [str(number) for number in range(8)]
    chance = random.Random(5)

    async def read(store: RedisStore) -> int:
        name = chance.choice(names)
        found = await store.read(key(name))
        assert found == entry(name, body=name.encode() * 20_000)
        return 1

    async def story() -> int:
        context = StoreContext(threading.Lock, lambda: 0.0, asyncio.get_running_loop, True, 5.0)
        store = open_redis(f"{redis8_url}?prefix={prefix}", context)
        for name in names:
            await store.write(entry(name, body=name.encode() * 20_000))
        whole = 0
        for _ in range(100):
            tasks = [asyncio.create_task(read(store)) for _ in range(5)]
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            for task in tasks[1:]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [one for one in done if isinstance(one, Exception)]
            assert wrong == []
            whole += done.count(1)
        await store.close()
        return whole

    assert 100 <= asyncio.run(story()) < 500


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_idle_connection_that_was_reset_is_replaced(
    url: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def story() -> None:
        context = StoreContext(threading.Lock, lambda: 0.0, asyncio.get_running_loop, True, 5.0)
        store = open_redis(url, context)
        await store.write(entry())
        (pool,) = store._route._node._pools.values()  # type: ignore[attr-defined]
        for wire in pool._idle:
            wire._connection._writer.transport.abort()
        await asyncio.sleep(0)
        assert await store.read(key()) == entry()
        await store.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


def test_many_tasks_share_a_bounded_number_of_connections(redis8: RedisServer, prefix: str) -> None:
    async def story() -> list[Entry | None]:
        context = StoreContext(threading.Lock, lambda: 0.0, asyncio.get_running_loop, True, 5.0)
        store = open_redis(f"{redis8.url}?prefix={prefix}", context)
        await store.write(entry())
        found = await asyncio.gather(*[store.read(key()) for _ in range(500)])
        await store.close()
        return found

    with redis8.client() as client:
        client.config_resetstat()
        assert asyncio.run(story()) == [entry()] * 500
        assert client.info("stats")["total_connections_received"] <= 65


def test_threads_share_one_store(url: str) -> None:
    store = open_redis(url, StoreContext(threading.Lock, lambda: 0.0, deadline=5.0))
    faults: list[object] = []

    def work(name: str) -> None:
        for number in range(50):
            written = entry(name, body=b"%d" % number)
            run_blocking(store.write(written))
            if (found := run_blocking(store.read(written.key))) != written:
                faults.append(found)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run_blocking(store.close())
    assert faults == []


def test_a_frozen_server_fails_calls_in_time_and_answers_none_of_them_later(
    server: RedisServer, open_: Open, run: Run
) -> None:
    store = open_(server.url, deadline=0.2, monotonic=time.monotonic)
    for name in ("a", "b"):
        run(store.write(entry(name)))
    mark = run(store.changes(None, 0)).cursor
    server.freeze()
    began = time.monotonic()
    for call in (
        lambda: store.read(key("a")),
        lambda: store.write(entry("a", body=b"x" * 5_000_000)),
        lambda: store.epochs(["t"], bump=True),
        lambda: store.changes(mark, 0.1),
    ):
        with pytest.raises(StoreError):
            run(call())
    assert time.monotonic() - began < 3
    server.thaw()
    assert run(store.read(key("b"))) == entry("b")


def test_a_server_that_is_gone_is_an_error_and_comes_back(
    server: RedisServer, open_: Open, run: Run
) -> None:
    store = open_(server.url)
    run(store.write(entry()))
    server.stop()
    for _ in range(2):
        with pytest.raises(StoreError):
            run(store.read(key()))
    server.start()
    assert run(store.read(key())) is None
    assert run(store.write(entry())) is True


FORKING = """
import os, sys, threading
from askonce.core.models import Entry, Key
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store

def run(story):
    try:
        story.send(None)
    except StopIteration as end:
        return end.value

store = open_store(sys.argv[1], StoreContext(threading.Lock, lambda: 0.0, deadline=5.0))
entries = [Entry(Key("n", "f", bytes([n]) * 32), bytes([n]) * 5000, 200, (), 1.0, 9e9, 9e9)
           for n in range(2)]
for entry in entries:
    run(store.write(entry))
child = os.fork()
mine = entries[bool(child)]
wrong = sum(run(store.read(mine.key)) != mine for _ in range(500))
if not child:
    os._exit(wrong > 0)
_, status = os.waitpid(child, 0)
run(store.close())
sys.exit(wrong > 0 or status)
"""


def test_a_forked_child_does_not_use_its_parents_connections(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING, url], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


# TLS, users, roles


def test_tls_and_a_user_with_few_permissions(redis_tls: RedisTls, open_: Open, run: Run) -> None:
    store = open_(redis_tls.url)
    asked = tagged(store, run, "a")
    assert run(store.write(asked)) is True
    assert run(store.read(key())) == asked
    mark = run(store.changes(None, 0)).cursor
    assert run(store.epochs(["a"], bump=True))
    assert run(store.remove(Selection())) == 1
    assert run(store.changes(mark, 0.1)).removed == (Selection(),)
    lease = run(store.lease(key(), 5))
    run(store.renew([lease], 5))
    run(store.release(lease))
    assert run(store.counters({"hits": 1}))["hits"] >= 1
    assert len(run(store.pepper())) == 32
    assert run(store.check(fix=True)) == []


@pytest.mark.parametrize("fault", ["password", "authority", "permission"])
def test_a_refused_login_is_explained_without_the_password(
    redis_tls: RedisTls, open_: Open, run: Run, fault: str
) -> None:
    url = {
        "password": redis_tls.url.replace("s3cr", "hunter2"),
        "authority": redis_tls.url.partition("?")[0],
        "permission": redis_tls.url + "&prefix=elsewhere",
    }[fault]
    with pytest.raises(StoreError) as caught:
        run(open_(url).epochs(["a"]))
    shown = "".join(map(str, (caught.value, caught.value.__cause__, caught.value.__context__)))
    assert "hunter2" not in shown
    assert "s3cr" not in str(caught.value)
    words = {"password": "password", "authority": "certificate", "permission": "permission"}
    assert words[fault] in str(caught.value).lower()


def test_a_replica_is_no_place_for_a_store(redis_pair: Any, open_: Open, run: Run) -> None:
    with pytest.raises(StoreError, match="replica"):
        run(open_(redis_pair.replica.url).read(key()))


def test_an_invalidation_whose_copies_cannot_be_counted_is_an_error(
    redis_pair: Any, open_: Open, run: Run, prefix: str
) -> None:
    with redis_pair.master.client() as client:
        client.execute_command(f"ACL SETUSER {prefix} on >pw ~* +@all -wait")
        try:
            url = f"{redis_pair.master.url}?prefix={prefix}".replace("//", f"//{prefix}:pw@")
            with pytest.raises(StoreError, match="wait"):
                run(open_(url).epochs(["a"], bump=True))
        finally:
            client.execute_command(f"ACL DELUSER {prefix}")


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:s3cret@",
        "redis://user:s3cret@host:notaport",
        "redis://user:s3cret@host:99999",
        "redis://user:s3c@ret/x@host",
        "redis://user:s3cret@host/answers",
        "redis://user:s3cret@host/1/2",
        "redis://user@host",
        "redis://a,b",
        "redis://[::1",
        "redis://host?timeout=s3cret",
        "redis://host?ca=/ca.pem",
        "redis://host?prefix=a&prefix=b",
        "redis://host?prefix=",
        "redis://host?prefix=a{b}",
        "rediss://host?key=/key.pem",
        "redis+sentinel://host",
        "redis+sentinel://host/",
        "redis+cluster://host/3",
        "redis+cluster://user:s3cret@host/answers",
        "redis://host#s3cret",
    ],
)
def test_a_wrong_address_is_explained_in_one_line_without_its_password(
    url: str, context: StoreContext
) -> None:
    with pytest.raises(ConfigError) as caught:
        open_redis(url, context)
    message = str(caught.value)
    assert "s3c" not in message
    assert "\n" not in message
    assert caught.value.__cause__ is None


def test_every_part_of_an_address_counts() -> None:
    from askonce.stores.redis.address import ServerAddress, parse_address

    url = "rediss+sentinel://u:p%40ss@[::1],b:1/answers/2?prefix=p&ca=/ca&cert=/c&key=/k"
    address = parse_address(url)
    assert address.servers == (ServerAddress("::1", 26379), ServerAddress("b", 1))
    assert (address.kind, address.service, address.db) == ("sentinel", "answers", 2)
    assert (address.user, address.password, address.prefix) == ("u", "p@ss", "p")
    assert (address.tls, address.files) == (True, {"ca": "/ca", "cert": "/c", "key": "/k"})
    assert "p@ss" not in repr(address)
    assert parse_address("redis://:pw@host").user is None
