"""The rights in docs/guides/operating.md and `deploy/redis.conf` suffice, and give no more."""

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis

from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Store
from askonce.core.runtime.threads import run_sync
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from tests.docs.pages import ROOT, blocks
from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.redis_servers import RedisServer

PAGE = ROOT / "docs" / "guides" / "operating.md"


class ConfiguredRedis(RedisServer):
    """A Redis with `deploy/redis.conf`, but for its memory and where it listens."""

    def settings(self, port: int) -> list[str]:
        return [str(ROOT / "deploy" / "redis.conf"), *super().settings(port)]


def stored(number: int, *tags: tuple[str, int], size: int = 100) -> Entry:
    now = time.time()
    return Entry(
        key=Key("team", "text", number.to_bytes(32, "big")),
        body=bytes(number % 251 for _ in range(size)),
        status=200,
        headers=(),
        created=now,
        expires=now + 600,
        stale_until=now + 600,
        question=f"question {number}",
        tags=tags,
    )


@contextlib.contextmanager
def opened(url: str) -> Iterator[Store]:
    store = open_store(url, StoreContext(threading.Lock, time.time, deadline=5.0))
    try:
        yield store
    finally:
        run_sync(store.close())


async def does_everything(store: Store) -> None:
    """Every operation of a store that is used by a gateway or a command."""
    mark = (await store.changes(None, 0)).cursor
    before = await store.epochs(["a", "b"])
    entry = stored(1, *before.items())
    lease = await store.lease(entry.key, 5)
    assert lease is not None
    await store.renew([lease], 5)
    assert await store.write(entry, fence=lease.fence)
    await store.release(lease)
    assert await store.read(entry.key) == entry
    assert await store.write_all([stored(2), stored(3)]) == 2
    raised = await store.epochs(["a"], bump=True)
    assert await store.read(entry.key) is None
    await store.merge_epochs({"b": raised["a"]})
    news = await store.changes(mark, 0.05)
    assert not news.lost
    assert news.epochs["a"] == raised["a"]
    assert len([found async for found in store.scan(Selection(namespace="team"))]) == 2
    assert await store.remove(Selection(keys=(stored(2).key,))) == 1
    assert (await store.counters({"calls": 2}))["calls"] >= 2
    assert await store.check(fix=True) == []
    assert len(await store.pepper()) == 32


# Redis


@pytest.fixture(params=[7, 8])
def guarded(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A Redis that knows the user of the page and no other."""
    (block,) = [block for block in blocks(PAGE, "text") if block.text.startswith("user askonce")]
    server = RedisServer(request.param, "--user", "default", "off", *_options(block.text))
    with contextlib.closing(server):
        yield server.start()


def _options(line: str) -> list[str]:
    name, *rules = line.split()[1:]
    return ["--user", name, *rules]


def test_the_redis_user_of_the_page_may_do_all_that_askonce_does(guarded: RedisServer) -> None:
    url = guarded.url.replace("://", "://askonce:PASSWORD@")

    with opened(url) as store:
        run_sync(does_everything(store))


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "CONFIG GET maxmemory", "KEYS *", "GET elsewhere", "SHUTDOWN"]
)
def test_the_redis_user_of_the_page_may_do_nothing_else(guarded: RedisServer, command: str) -> None:
    with (
        guarded.client(username="askonce", password="PASSWORD") as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())


def test_under_pressure_the_configured_redis_drops_answers_alone() -> None:
    server = ConfiguredRedis(8, "--maxmemory", "8mb")
    with contextlib.closing(server), opened(server.start().url) as store:
        pepper = run_sync(store.pepper())
        first = run_sync(store.epochs(["a"]))
        old = stored(0, *first.items())
        assert run_sync(store.write(old))
        raised = run_sync(store.epochs(["a"], bump=True))

        for start in range(1, 12_001, 1_000):
            run_sync(store.write_all([stored(n, size=1_500) for n in range(start, start + 1_000)]))

        with server.client() as client:
            assert client.info("stats")["evicted_keys"] > 1_000
        assert run_sync(store.epochs(["a"])) == raised
        assert run_sync(store.pepper()) == pepper
        assert run_sync(store.read(old.key)) is None
        assert run_sync(store.write(msgspec.structs.replace(old, tags=tuple(raised.items()))))


# PostgreSQL


@pytest.fixture
def granted(postgres_server: PostgresServer) -> str:
    """A database in which the page's roles and rights were made; its address without a user."""
    (block,) = [block for block in blocks(PAGE, "sql") if "CREATE ROLE" in block.text]
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(block.text.encode())
    return f"127.0.0.1:{postgres_server.port}/postgres"


def migrate(url: str, folder: Path) -> None:
    (folder / "askonce.toml").write_text(f'[store]\nurl = "{url}"\n')
    command = [sys.executable, "-m", "askonce.cli", "migrate"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


def test_the_postgresql_roles_of_the_page_are_enough(granted: str, tmp_path: Path) -> None:
    migrate(f"postgresql://askonce_owner:OWNERS-PASSWORD@{granted}", tmp_path)

    url = f"postgresql://askonce:PASSWORD@{granted}"
    with opened(url) as store:
        run_sync(does_everything(store))
    with (
        psycopg.connect(url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DROP TABLE askonce.entries")


def test_the_other_statements_of_the_page_work(granted: str, tmp_path: Path) -> None:
    owner = f"postgresql://askonce_owner:OWNERS-PASSWORD@{granted}"
    migrate(owner, tmp_path)
    others = [block.text for block in blocks(PAGE, "sql") if "CREATE ROLE" not in block.text]

    with psycopg.connect(owner, autocommit=True) as connection:
        for statement in others:
            connection.execute(statement.encode())
    assert all(re.search(r"askonce\.entries", statement) for statement in others)
