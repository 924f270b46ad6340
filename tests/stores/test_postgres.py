"""What is PostgreSQL's own about its store: its tables, its log, its leases."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Store
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from askonce.stores.postgres import schema
from askonce.stores.postgres import store as store_module
from tests.fixtures.postgres_server import PASSWORD
from tests.fixtures.stores import run_blocking as run

GROUND = StoreContext(threading.Lock, time.time, deadline=5.0, monotonic=time.monotonic)
KEY = Key("team-a", "openai_chat", b"q" * 32)

Open = Callable[..., Store]


@pytest.fixture
def url(postgres_url: str) -> str:
    """The address of a schema of this test's own, which is not there yet."""
    return f"{postgres_url}?schema=t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def new_store(url: str) -> Iterator[Open]:
    """Opens a blocking store at the test's schema; all are closed after the test."""
    opened: list[Store] = []

    def new_store(**changes: Any) -> Store:
        opened.append(open_store(url, GROUND._replace(**changes)))
        return opened[-1]

    yield new_store
    for store in opened:
        run(store.close())


@pytest.fixture
def sql(postgres_url: str, url: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Runs a statement as an operator would; `{schema}` is the test's."""
    schema = url.rpartition("=")[2]
    with psycopg.connect(postgres_url, autocommit=True) as db:

        def sql(text: str) -> list[tuple[Any, ...]]:
            cursor = db.execute(text.replace("{schema}", schema))
            return cursor.fetchall() if cursor.description else []

        yield sql


Sql = Callable[[str], list[tuple[Any, ...]]]


def entry(key: Key = KEY, body: bytes = b"{}", **changes: Any) -> Entry:
    now = time.time()
    life = {"created": now, "expires": now + 60, "stale_until": now + 60, **changes}
    return Entry(key, body, 200, (), **life)


def numbered(number: int) -> Key:
    return KEY._replace(digest=number.to_bytes(32))


# The tables

FIRST_USE = """
import sys, threading, time
from askonce.core.runtime.threads import run_sync
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store

store = open_store(sys.argv[1], StoreContext(threading.Lock, time.time, deadline=20.0))
print("ready", flush=True)
sys.stdin.readline()
print(run_sync(store.pepper()).hex(), run_sync(store.epochs(["a"], bump=True))["a"])
run_sync(store.close())
"""


def test_eight_processes_may_be_the_first_at_once(url: str, sql: Sql) -> None:
    command = [sys.executable, "-W", "error", "-c", FIRST_USE, url]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    done = [process.communicate("go\n", timeout=60) for process in processes]
    assert [error for _, error in done] == [""] * 8
    peppers, epochs = zip(*(out.split() for out, _ in done), strict=True)
    assert len(set(peppers)) == 1
    assert len(set(epochs)) == 8
    assert sql("SELECT count(*), min(version) FROM {schema}.meta") == [(1, 1)]


def test_migrating_says_what_it_did(new_store: Open) -> None:
    (line,) = run(new_store().migrate())
    assert "made the tables" in line
    assert run(new_store().migrate()) == []


def test_tables_of_a_later_version_are_left_alone(new_store: Open, sql: Sql) -> None:
    run(new_store().migrate())
    sql("UPDATE {schema}.meta SET version = 2")
    for call in (new_store().read(KEY), new_store().migrate(), new_store().write(entry())):
        with pytest.raises(StoreError, match=r"format 2; .* upgrade it"):
            run(call)
    assert sql("SELECT version FROM {schema}.meta") == [(2,)]


def test_tables_of_an_earlier_version_are_renewed_and_keep_what_they_hold(
    new_store: Open, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(new_store().write(entry()))
    step = "ALTER TABLE {schema}.tallies ADD COLUMN since timestamptz;"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    (line,) = run(new_store().migrate())
    assert "from format 1 to 2" in line
    assert run(new_store().migrate()) == []
    assert run(new_store().read(KEY)) is not None
    assert sql("SELECT count(since) FROM {schema}.tallies") == [(0,)]


def test_a_step_that_fails_leaves_nothing_half_done(
    new_store: Open, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = schema.STEPS
    monkeypatch.setattr(schema, "STEPS", (*steps, "SELECT 1 / 0;"))
    with pytest.raises(StoreError):
        run(new_store().migrate())
    assert sql("SELECT to_regnamespace('{schema}')") == [(None,)]


def test_a_schema_that_was_dropped_comes_back_empty_and_is_news(new_store: Open, sql: Sql) -> None:
    store = new_store()
    asked = run(store.epochs(["a", "b"], bump=True))
    late = entry(tags=tuple(asked.items()))
    assert run(store.write(late))
    mark = run(store.changes(None, 0)).cursor
    sql("DROP SCHEMA {schema} CASCADE")
    with pytest.raises(StoreError):
        run(store.read(KEY))
    assert run(store.read(KEY)) is None
    # Epochs that were captured before mean nothing now.
    assert run(store.write(late)) is False
    assert min(run(store.epochs(["a", "z"])).values()) > max(asked.values())
    assert run(store.changes(mark, 0)).lost


def test_numbers_are_above_all_that_a_lost_future_gave_out(new_store: Open, sql: Sql) -> None:
    """A restored backup, or a replica that took over, knows nothing of the latest bumps."""
    store = new_store()
    run(store.epochs(["a"], bump=True))
    for name in ("epochs", "counter", "changes"):
        sql(f"CREATE TABLE {{schema}}.old_{name} AS SELECT * FROM {{schema}}.{name}")
    lost = run(store.epochs(["a", "b"], bump=True))
    mark = run(store.changes(None, 0)).cursor
    for name in ("epochs", "counter", "changes"):
        sql(f"DELETE FROM {{schema}}.{name}")
        sql(f"INSERT INTO {{schema}}.{name} SELECT * FROM {{schema}}.old_{name}")
    assert run(store.epochs(["a"], bump=True))["a"] > lost["a"]
    assert run(store.changes(mark, 0)).lost


# What happens between bumps and writes


def test_no_write_outlives_a_bump_that_it_raced_with(new_store: Open) -> None:
    rounds = 150
    writer, bumper = new_store(), new_store()
    start = threading.Barrier(2)

    def write(number: int, asked: dict[str, int]) -> bool:
        start.wait(10)
        return bool(run(writer.write(entry(numbered(number), tags=tuple(asked.items())))))

    def bump() -> None:
        start.wait(10)
        run(bumper.epochs(["a"], bump=True))

    stored = 0
    with ThreadPoolExecutor(2) as threads:
        for number in range(rounds):
            asked = run(writer.epochs(["a"]))
            writing, bumping = threads.submit(write, number, asked), threads.submit(bump)
            bumping.result(10)
            assert run(bumper.read(numbered(number))) is None
            stored += writing.result(10)
            assert run(bumper.read(numbered(number))) is None
    assert run(collect(bumper)) == []
    assert 0 < stored < rounds, "the two never raced"


async def collect(store: Store) -> list[Entry]:
    return [found async for found in store.scan(Selection())]


def test_concurrent_bumps_are_announced_once_and_in_order(new_store: Open) -> None:
    stores = [new_store() for _ in range(4)]
    listener = new_store()
    mark = run(listener.changes(None, 0)).cursor
    given: list[dict[str, int]] = []
    heard: dict[str, int] = {}

    def bump(store: Store, name: str) -> None:
        given.extend(run(store.epochs([f"{name}{number}"], bump=True)) for number in range(40))

    with ThreadPoolExecutor(4) as threads:
        bumping = [
            threads.submit(bump, store, name) for store, name in zip(stores, "abcd", strict=True)
        ]
        while len(heard) < 160:
            news = run(listener.changes(mark, 5))
            assert not news.empty
            assert not news.lost
            assert not heard.keys() & news.epochs.keys()
            heard, mark = heard | news.epochs, news.cursor
        for one in bumping:
            one.result(10)
    assert heard == {tag: epoch for one in given for tag, epoch in one.items()}
    assert len(set(heard.values())) == 160


# News


def test_a_notification_wakes_the_listener_at_once(new_store: Open) -> None:
    listener, other = new_store(), new_store()
    mark = run(listener.changes(None, 0)).cursor
    run(other.pepper())
    with ThreadPoolExecutor(1) as threads:
        hearing = threads.submit(lambda: (run(listener.changes(mark, 20)), time.monotonic()))
        bumped, now = run(other.epochs(["a"], bump=True)), time.monotonic()
        news, then = hearing.result(30)
    assert news.epochs == bumped
    assert then - now < 5


def test_a_change_whose_notification_was_lost_is_found_all_the_same(
    new_store: Open, sql: Sql
) -> None:
    listener = new_store()
    mark = run(listener.changes(None, 0)).cursor
    sql("""INSERT INTO {schema}.changes (number, what)
        SELECT last + 1, '{"bumped":["a"]}' FROM {schema}.counter""")
    assert list(run(listener.changes(mark, 0.05)).epochs) == ["a"]
    mark = run(listener.changes(None, 0)).cursor
    with ThreadPoolExecutor(1) as threads:
        hearing = threads.submit(lambda: run(listener.changes(mark, 0.3)))
        sql("""INSERT INTO {schema}.changes (number, what)
            SELECT last + 2, '{"bumped":["b"]}' FROM {schema}.counter""")
        assert list(hearing.result(30).epochs) == ["b"]


def test_a_log_that_was_trimmed_past_the_mark_is_lost(
    new_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "KEPT", 20)
    monkeypatch.setattr(store_module, "_TRIM_EVERY", 1)
    store = new_store()
    marks = [run(store.changes(None, 0)).cursor]
    for number in range(40):
        run(store.epochs([f"t{number}"], bump=True))
        marks.append(run(store.changes(None, 0)).cursor)
    assert run(store.changes(marks[0], 0)).lost
    assert run(store.changes(marks[19], 0)).lost
    assert list(run(store.changes(marks[20], 0)).epochs) == [
        f"t{number}" for number in range(20, 40)
    ]


def test_removals_do_not_fill_the_log_for_good(
    new_store: Open, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "KEPT", 10)
    monkeypatch.setattr(store_module, "_TRIM_EVERY", 5)
    store = new_store()
    for _ in range(40):
        run(store.remove(Selection(keys=(KEY,))))
    ((lines,),) = sql("SELECT count(*) FROM {schema}.changes")
    assert 10 <= lines <= 16


def test_a_change_that_a_later_version_wrote_is_lost(new_store: Open, sql: Sql) -> None:
    store = new_store()
    mark = run(store.changes(None, 0)).cursor
    sql("""INSERT INTO {schema}.changes (number, what)
        SELECT last + 1, '{"bumped": 3}' FROM {schema}.counter""")
    assert run(store.changes(mark, 0)).lost


# Leases

HOLDER = """
import sys, threading, time
from askonce.core.models import Key
from askonce.core.runtime.threads import run_sync
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store

store = open_store(sys.argv[1], StoreContext(threading.Lock, time.time, deadline=20.0))
print(run_sync(store.lease(Key("team-a", "openai_chat", b"q" * 32), 600)).fence, flush=True)
sys.stdin.readline()
"""


def test_a_holder_that_is_killed_is_replaced_at_once(new_store: Open, url: str) -> None:
    store = new_store()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        fence = int(holder.stdout.readline())
        assert run(store.lease(KEY, 5)) is None
        os.kill(holder.pid, signal.SIGKILL)
        lease = until(lambda: run(store.lease(KEY, 5)))
    assert lease.fence > fence
    assert run(store.write(entry(), fence=fence)) is False
    assert run(store.write(entry(), fence=lease.fence)) is True


def test_a_holder_that_only_hangs_loses_its_lease_when_its_time_is_over(new_store: Open) -> None:
    hanging, other = new_store(), new_store()
    lost = run(hanging.lease(KEY, 0.2))
    assert lost is not None
    assert run(other.lease(KEY, 5)) is None
    taken = until(lambda: run(other.lease(KEY, 5)))
    run(hanging.renew([lost], 60))
    run(hanging.release(lost))
    assert run(hanging.lease(KEY, 5)) is None
    assert run(hanging.write(entry(), fence=lost.fence)) is False
    assert run(other.write(entry(), fence=taken.fence)) is True


def test_a_lease_ends_with_the_session_that_held_it(new_store: Open, sql: Sql) -> None:
    holder, other = new_store(), new_store()
    until(lambda: None if locks(sql) else True)
    lost = run(holder.lease(KEY, 600))
    assert lost is not None
    ((pid,),) = locks(sql)
    sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    run(holder.renew([lost], 600))
    assert until(lambda: run(other.lease(KEY, 5))).fence > lost.fence


def test_one_of_many_threads_gets_the_lease(new_store: Open) -> None:
    stores = [new_store() for _ in range(3)]
    with ThreadPoolExecutor(12) as threads:
        for number in range(20):
            key = numbered(number)
            asking = [
                threads.submit(lambda s=store, k=key: run(s.lease(k, 60)))  # type: ignore[misc]
                for store in stores * 4
            ]
            assert sum(one.result(10) is not None for one in asking) == 1


def test_released_locks_are_gone(new_store: Open, sql: Sql) -> None:
    store = new_store()
    for number in range(5):
        lease = run(store.lease(numbered(number), 60))
        assert lease is not None
        run(store.release(lease))
    expired = run(store.lease(KEY, 0))
    assert expired is not None
    run(store.renew([expired], 60))
    assert run(store.lease(KEY, 60)) is not None
    assert until(lambda: True if len(locks(sql)) == 1 else None)


def locks(sql: Sql) -> list[tuple[Any, ...]]:
    """The sessions that hold leases; those of earlier tests may just be ending."""
    return sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")


def until(found: Callable[[], Any]) -> Any:
    """What is found at last, asked again and again for ten seconds at most."""
    give_up = time.monotonic() + 10
    while (answer := found()) is None:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return answer


# Entries


def test_expired_entries_are_swept_and_others_stay(new_store: Open, sql: Sql) -> None:
    store = new_store()
    past = time.time() - 100
    for number in range(5):
        run(store.write(entry(numbered(number), expires=past, stale_until=past)))
    for _ in range(64):
        run(store.write(entry()))
    assert sql("SELECT count(*) FROM {schema}.entries") == [(1,)]
    assert run(store.read(KEY)) is not None


def test_a_lifetime_is_counted_by_the_clock_of_the_writer(new_store: Open, sql: Sql) -> None:
    hour = 3600.0
    store = new_store(clock=lambda: time.time() - hour)
    now = time.time() - hour
    run(store.write(entry(created=now, expires=now + 60, stale_until=now + 50)))
    ((rest,),) = sql(
        "SELECT usable_until - extract(epoch FROM clock_timestamp()) FROM {schema}.entries"
    )
    assert 50 < rest <= 60


def test_damage_is_a_miss_until_check_removes_it(new_store: Open, sql: Sql) -> None:
    store = new_store()
    for number in range(4):
        run(store.write(entry(numbered(number), tags=tuple(run(store.epochs(["a"])).items()))))
    sql("UPDATE {schema}.entries SET blob = '\\x00' WHERE digest = '\\x" + "00" * 32 + "'")
    sql("UPDATE {schema}.entries SET tags = '{}', epochs = '{}' WHERE get_byte(digest, 31) = 1")
    sql("UPDATE {schema}.entries SET namespace = 'team-b' WHERE get_byte(digest, 31) = 2")
    assert run(store.read(numbered(0))) is None
    assert run(store.read(numbered(2)._replace(namespace="team-b"))) is None
    assert len(run(store.check())) == 3
    assert len(run(store.check(fix=True))) == 3
    assert run(store.check()) == []
    assert [found.key for found in run(collect(store))] == [numbered(3)]


def test_a_name_that_is_no_unicode_is_damage_and_stops_no_scan(new_store: Open, sql: Sql) -> None:
    store = new_store()
    for number in range(2):
        run(store.write(entry(numbered(number))))
    sql("UPDATE {schema}.entries SET namespace = '\\xff' WHERE get_byte(digest, 31) = 1")
    assert [found.key for found in run(collect(store))] == [numbered(0)]
    assert len(run(store.check(fix=True))) == 1
    assert run(store.check()) == []


def test_large_entries_come_in_pages_that_fit_in_memory(new_store: Open) -> None:
    store = new_store()
    large = [entry(numbered(number), body=os.urandom(3 << 20)) for number in range(4)]
    assert run(store.write_all(large)) == 4
    assert {found.key: found.body for found in run(collect(store))} == {
        one.key: one.body for one in large
    }


def test_text_that_is_no_unicode_is_refused_and_not_quoted(new_store: Open) -> None:
    store = new_store()
    for call in (
        store.read(KEY._replace(namespace="secret\ud800")),
        store.epochs(["secret\ud800"], bump=True),
        store.remove(Selection(namespace="secret\ud800")),
    ):
        with pytest.raises(StoreError) as caught:
            run(call)
        assert "secret" not in str(caught.value)


def test_one_store_serves_several_event_loops(url: str) -> None:
    context = GROUND._replace(loop_or_process=asyncio.get_running_loop, suspending=True)
    store = open_store(url, context)

    async def use(number: int) -> None:
        await store.write(entry(numbered(number)))
        found = await asyncio.gather(*(store.read(numbered(number)) for _ in range(20)))
        assert {one.key for one in found if one} == {numbered(number)}

    async def end() -> None:
        await store.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: asyncio.run(use(number)), range(8)))
    asyncio.run(end())


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{PASSWORD}@db/answers?bogus=1",
        f"postgresql://me:{PASSWORD}@db/answers?schema=pg_mine",
        f"postgresql://me:{PASSWORD}@db/answers?schema=a;drop",
        f"postgresql://me:{PASSWORD}@db/answers?schema=",
        f"postgresql://me:{PASSWORD}@[db/answers",
        f"postgresql://me:{PASSWORD}%zz@db/answers",
    ],
)
def test_a_wrong_address_is_one_line_without_its_password(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(address, GROUND)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("part", "instead", "says"),
    [(f":{PASSWORD}@", ":wr0ng@", "password"), ("/postgres?", "/nowhere?", "nowhere")],
)
def test_a_refused_login_is_explained(url: str, part: str, instead: str, says: str) -> None:
    store = open_store(url.replace(part, instead), GROUND)
    with pytest.raises(StoreError, match=says) as caught:
        run(store.read(KEY))
    assert "\n" not in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_what_libpq_understands_may_stand_in_the_address(url: str, sql: Sql) -> None:
    store = open_store(f"{url}&options=-c%20work_mem%3D3MB&application_name=a+b", GROUND)
    run(store.pepper())
    (found,) = sql("SELECT application_name FROM pg_stat_activity WHERE application_name ~ '^a.b'")
    run(store.close())
    assert found == ("a+b",)


def test_opening_connects_to_nothing() -> None:
    run(open_store("postgresql://someone@nowhere.invalid/db", GROUND).close())
