"""Sources of events on real servers: nothing is skipped, nothing is given out twice."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import redis

from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import EventMessage
from askonce.core.protocols import EventReader
from askonce.core.runtime.threads import SyncRuntime
from askonce.stores.context import StoreContext
from askonce.stores.open_event_reader import open_event_reader
from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.redis_servers import RedisServer
from tests.fixtures.stores import run_blocking

REDIS = ["redis7_url", "redis8_url", "redis_cluster_url"]


def opened(url: str, *, stream: str = "s", channel: str = "askonce_events") -> EventReader:
    runtime = SyncRuntime()
    context = StoreContext(
        runtime.lock,
        runtime.now,
        runtime.loop_or_process,
        deadline=2.0,
        monotonic=runtime.monotonic,
    )
    return open_event_reader(url, context, name="src", stream=stream, channel=channel)


def read(
    source: EventReader, since: str | None = None, patience: float = 0.0
) -> list[EventMessage]:
    found: list[EventMessage] = run_blocking(source.read(since, patience))
    return found


def events(arrivals: list[EventMessage]) -> list[tuple[str, Any]]:
    return [(arrival.event, arrival.data) for arrival in arrivals]


class Stream:
    """A stream of its own name, and a client that adds to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"events-{uuid.uuid4().hex}"
        cluster = url.startswith("redis+cluster")
        plain = url.replace("redis+cluster", "redis").partition(",")[0]
        self.client: Any = redis.RedisCluster.from_url(plain) if cluster else redis.from_url(plain)

    def add(self, place: str = "*", **fields: str) -> str:
        return str(self.client.xadd(self.name, fields, id=place).decode())

    def source(self) -> EventReader:
        return opened(self.url, stream=self.name)


@pytest.fixture(params=REDIS)
def stream(request: pytest.FixtureRequest) -> Iterator[Stream]:
    made = Stream(str(request.getfixturevalue(request.param)))
    with closing(made.client):
        yield made


def test_a_stream_is_read_from_its_beginning_and_then_on(stream: Stream) -> None:
    first = stream.add(event="a", data='{"n": 1}')
    source = stream.source()
    (got,) = read(source)
    assert got == EventMessage(first, f"src:{first}", "a", {"n": 1})
    assert read(source, got.cursor) == []
    stream.add(event="b", id="own")
    (second,) = read(source, got.cursor, 5.0)
    assert (second.event, second.id, second.data) == ("b", "own", {})
    run_blocking(source.close())
    after = stream.source()
    assert [one.event for one in read(after, got.cursor)] == ["b"]
    run_blocking(after.close())


def test_what_is_no_event_says_so_and_blocks_nothing(stream: Stream) -> None:
    stream.add(data="{}")
    stream.add(event="a", data="{nonsense")
    stream.add(event="a", data="[1]")
    stream.add(event="a", data=json.dumps({"x": "y" * (200 << 10)}))
    stream.add(event="good", data="{}")
    source = stream.source()
    got = read(source)
    assert [one.error is None for one in got] == [False, False, False, False, True]
    assert all("nonsense" not in (one.error or "") for one in got)
    assert all(one.cursor for one in got)
    run_blocking(source.close())


def test_ids_of_other_bytes_are_other_ids(stream: Stream) -> None:
    for id_ in (b"\xfe\x01", b"\xff\x01"):
        stream.client.xadd(stream.name, {"event": "a", "id": id_})
    source = stream.source()
    assert len({one.id for one in read(source)}) == 2
    run_blocking(source.close())


def test_more_than_a_page_comes_in_order(stream: Stream) -> None:
    for number in range(250):
        stream.add(event="a", data=json.dumps({"n": number}))
    source, numbers = stream.source(), []
    while got := read(source):
        numbers += [one.data["n"] for one in got]
    assert numbers == list(range(250))
    run_blocking(source.close())


def test_a_stream_that_was_lost_is_read_from_its_beginning(stream: Stream) -> None:
    stream.add("900-0", event="a")
    source = stream.source()
    assert len(read(source)) == 1
    stream.client.delete(stream.name)
    stream.add("5-0", event="b")
    assert [one.event for one in read(source)] == ["b"]
    assert read(source) == []
    run_blocking(source.close())


def test_a_key_that_is_no_stream_is_an_error(redis8_url: str) -> None:
    stream = Stream(redis8_url)
    with closing(stream.client):
        stream.client.set(stream.name, "x")
        source = stream.source()
        with pytest.raises(StoreError):
            read(source)
        run_blocking(source.close())


def test_a_redis_that_starts_again_is_read_on() -> None:
    server = RedisServer(8)
    server.start()
    try:
        source = opened(server.url)
        assert read(source) == []
        server.stop()
        with pytest.raises(StoreError):
            read(source)
        server.start()
        with server.client() as client:
            client.xadd("s", {"event": "a"})
        assert [one.event for one in read(source, None, 1.0)] == ["a"]
        run_blocking(source.close())
    finally:
        server.close()


# PostgreSQL


class Table:
    """A schema of its own and the source in it."""

    def __init__(self, url: str) -> None:
        self.plain = url
        self.schema = f"e{uuid.uuid4().hex[:12]}"
        self.url = f"{url}?schema={self.schema}"

    def source(self) -> EventReader:
        return opened(self.url)

    def connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.plain, autocommit=True)

    def emit(self, db: "psycopg.Connection[Any]", *args: object) -> None:
        holes = ", ".join(["%s"] * len(args))
        db.execute(f"SELECT {self.schema}.askonce_emit({holes})", args)


@pytest.fixture
def table(postgres_url: str) -> Table:
    return Table(postgres_url)


def test_migrate_makes_the_table_once(table: Table) -> None:
    source = table.source()
    (line,) = run_blocking(source.migrate())
    assert line == (
        f"made the table askonce_events and the function askonce_emit in schema {table.schema}"
    )
    assert run_blocking(source.migrate()) == []
    run_blocking(source.close())


def test_a_table_is_read_from_its_beginning_and_then_on(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    with closing(table.connect()) as db:
        table.emit(db, "a", '{"n": 1}')
        (first,) = read(source)
        assert (first.event, first.data) == ("a", {"n": 1})
        assert first.id is not None
        assert read(source, first.cursor) == []
        table.emit(db, "b", "{}", "own")
        (second,) = read(source, first.cursor, 5.0)
        assert (second.event, second.id) == ("b", "own")
    after = table.source()
    assert "b" in [one.event for one in read(after, first.cursor)]
    run_blocking(after.close())
    run_blocking(source.close())


def test_transactions_that_end_out_of_order_lose_nothing(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    with closing(psycopg.connect(table.plain)) as early, closing(table.connect()) as late:
        table.emit(early, "early")  # has the lower number and is not there yet
        table.emit(late, "late")
        got = read(source)
        assert [one.event for one in got] == ["late"]  # which did not wait for it
        mark = got[-1].cursor
        assert read(source, mark) == []
        table.emit(late, "later")
        got = read(source, mark)
        assert [one.event for one in got] == ["later"]
        mark = got[-1].cursor
        again = table.source()  # a process that starts here
        assert {one.event for one in read(again, mark)} <= {"late", "later"}
        early.commit()
        for one in (source, again):
            assert [arrival.event for arrival in read(one, mark, 5.0)] == ["early"]
            assert read(one, mark) == []
            run_blocking(one.close())
    fresh = table.source()  # a process that was down when the early one ended
    assert "early" in [one.event for one in read(fresh, mark)]
    run_blocking(fresh.close())


def test_a_transaction_that_is_rolled_back_was_no_event(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    with closing(psycopg.connect(table.plain)) as db, closing(table.connect()) as other:
        table.emit(db, "never")
        db.rollback()
        table.emit(other, "after")
    assert [one.event for one in read(source)] == ["after"]
    run_blocking(source.close())


def test_more_rows_than_a_page_while_a_transaction_is_long(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    with closing(psycopg.connect(table.plain)) as long, closing(table.connect()) as db:
        table.emit(long, "long")
        for number in range(230):
            table.emit(db, "a", json.dumps({"n": number}))
        numbers = []
        while got := read(source):
            numbers += [one.data["n"] for one in got]
        assert numbers == list(range(230))
        with db.transaction():  # many rows of one transaction
            for _ in range(150):
                table.emit(db, "b")
        count = 0
        while got := read(source):
            count += len(got)
        assert count == 150
        long.commit()
    assert [one.event for one in read(source)] == ["long"]
    run_blocking(source.close())


def test_a_cursor_of_another_server_starts_at_the_beginning(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    with closing(table.connect()) as db:
        table.emit(db, "a")
    far = "999999999999:999999999999:"
    assert [one.event for one in read(source, f"{far} {far} 999999999990 7")] == ["a"]
    assert read(source) == []
    run_blocking(source.close())


def test_a_plain_notification_is_an_event_now(table: Table) -> None:
    source = table.source()
    assert read(source) == []
    with closing(table.connect()) as db:
        db.execute("""NOTIFY askonce_events, '{"event": "a", "data": {"n": 1}, "id": "i"}'""")
        assert read(source, None, 5.0) == [EventMessage(None, "i", "a", {"n": 1})]
        db.execute("NOTIFY askonce_events, 'what?'")
        (bad,) = read(source, None, 5.0)
        assert bad.error is not None
        assert "what" not in bad.error
    run_blocking(source.close())


def test_a_storm_of_notifications_loses_none_or_says_so(table: Table) -> None:
    source = table.source()
    assert read(source) == []
    for count, lost in ((3_000, 0), (10_050, 1)):
        with closing(table.connect()) as db:
            many = "SELECT pg_notify('askonce_events', '{\"event\": \"' || n || '\"}')"
            db.execute(f"{many} FROM generate_series(1, {count}) AS n")
        got: list[EventMessage] = []
        while arrivals := read(source, None, 0.2):
            got += arrivals
        assert len([one for one in got if one.error is not None]) == lost
        assert len(got) - lost == min(count, 10_000)
        assert got[-1].event == str(count)
    run_blocking(source.close())


def test_very_many_rows_of_one_transaction_are_read_behind_a_long_one(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    many = f"SELECT {table.schema}.askonce_emit('x') FROM generate_series(1, 30000)"
    with closing(psycopg.connect(table.plain)) as long, closing(table.connect()) as db:
        table.emit(long, "long")
        db.execute(many)
        places = []
        mark = None
        for _ in range(150):
            got = read(source)
            places += [one.id for one in got]
            mark = got[-1].cursor
        run_blocking(source.close())
        source = table.source()  # a process that goes on from there
        while got := read(source, mark):
            places += [one.id for one in got]
        assert len(places) == len(set(places)) == 30_000
        long.commit()
    assert [one.event for one in read(source)] == ["long"]
    run_blocking(source.close())


def test_a_table_that_was_dropped_is_created_again(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    with closing(table.connect()) as db:
        db.execute(f"DROP TABLE {table.schema}.askonce_events")
        assert read(source) == []
        table.emit(db, "a", "{}", "")  # and an empty id is none
    (got,) = read(source)
    assert got.event == "a"
    assert got.id
    run_blocking(source.close())


def test_old_rows_go(table: Table) -> None:
    source = table.source()
    run_blocking(source.migrate())
    with closing(table.connect()) as db:
        insert = f"INSERT INTO {table.schema}.askonce_events (event, sent) VALUES"
        db.execute(f"{insert} ('old', now() - interval '8 days'), ('new', now())")
    assert [one.event for one in read(source)] == ["new"]
    run_blocking(source.close())


def test_a_postgres_that_starts_again_is_read_on(postgres_server: PostgresServer) -> None:
    table = Table(postgres_server.url)
    source = table.source()
    run_blocking(source.migrate())
    with closing(table.connect()) as db:
        table.emit(db, "a")
    (first,) = read(source)
    postgres_server.kill()
    with pytest.raises(StoreError):
        read(source, first.cursor)
    postgres_server.start()
    with closing(table.connect()) as db:
        table.emit(db, "b")
    assert [one.event for one in read(source, first.cursor)] == ["b"]
    run_blocking(source.close())


def test_wrong_addresses_say_so() -> None:
    with pytest.raises(ConfigError):
        opened("redis://h/nowhere")
    with pytest.raises(ConfigError):
        opened("postgresql://h/db?bogus=1")
