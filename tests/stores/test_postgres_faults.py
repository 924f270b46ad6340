"""A PostgreSQL store whose server restarts, dies or freezes, and whose callers are cancelled."""

import asyncio
import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from askonce.core.errors import StoreError
from askonce.core.models import Entry, Key
from askonce.core.protocols import Store
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from askonce.stores.postgres.store import PostgresStore
from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.stores import Run, run_blocking

DEADLINE = 0.5
SLACK = 2.0  # for a busy machine; a call that hung would take far longer

Call = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture
def context(mode: str) -> StoreContext:
    """Real time, and a short deadline."""
    if mode == "blocking":
        return StoreContext(threading.Lock, time.time, deadline=DEADLINE, monotonic=time.monotonic)
    return StoreContext(
        threading.Lock, time.time, asyncio.get_running_loop, True, DEADLINE, time.monotonic
    )


@pytest.fixture
def store(postgres_server: PostgresServer, context: StoreContext, run: Run) -> Iterator[Store]:
    """A store that has been used, on a server of this test's own."""
    patient = context._replace(deadline=20.0)
    first = open_store(postgres_server.url, patient)
    run(first.migrate())
    run(first.close())
    store = open_store(postgres_server.url, context)
    run(retried(lambda: store.write(entry(1))))
    yield store
    run(store.close())


def numbered(number: int) -> Key:
    return Key("team-a", "openai_chat", number.to_bytes(32))


def entry(number: int, **changes: Any) -> Entry:
    now = time.time()
    body = b"%d" % number
    return Entry(numbered(number), body, 200, (), now, now + 60, now + 60, **changes)


async def retried(call: Call, times: int = 5) -> Any:
    """What a call gives after its server was away; several connections may have gone with it."""
    for _ in range(times - 1):
        try:
            return await call()
        except StoreError:
            continue
    return await call()


async def refused(call: Call) -> float:
    """How long a call takes to fail as a store's call may."""
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        await call()
    assert "\n" not in str(caught.value)
    return time.monotonic() - began


def every_call(store: Store) -> dict[str, Call]:
    return {
        "read": lambda: store.read(numbered(1)),
        "write": lambda: store.write(entry(2)),
        "write_all": lambda: store.write_all([entry(3), entry(4)]),
        "epochs": lambda: store.epochs(["a"], bump=True),
        "lease": lambda: store.lease(numbered(1), 60),
        "changes": lambda: store.changes(None, 0),
    }


def test_a_restart_between_two_calls_is_not_noticed(
    store: Store, postgres_server: PostgresServer, run: Run
) -> None:
    epochs = run(store.epochs(["a"], bump=True))
    pepper = run(store.pepper())
    mark = run(store.changes(None, 0)).cursor
    assert run(store.lease(numbered(1), 60)) is not None
    postgres_server.stop()
    postgres_server.start()
    assert run(store.read(numbered(1))) is not None
    assert run(store.epochs(["a"])) == epochs
    assert run(store.pepper()) == pepper
    assert run(store.changes(mark, 0)).empty
    assert run(store.lease(numbered(1), 60)) is not None  # its holder's session ended


def test_a_server_that_is_away_is_an_error_until_it_is_back(
    store: Store, postgres_server: PostgresServer, run: Run
) -> None:
    postgres_server.stop()
    for call in every_call(store).values():
        assert run(refused(call)) < DEADLINE + SLACK
    postgres_server.start()
    for call in every_call(store).values():
        run(call())


def test_a_crash_loses_entries_at_most(
    store: Store, postgres_server: PostgresServer, run: Run
) -> None:
    asked = run(store.epochs(["a"]))
    run(store.write(entry(7, tags=tuple(asked.items()))))
    bumped = run(store.epochs(["a"], bump=True))
    pepper = run(store.pepper())
    run(store.counters({"hits": 3}))
    postgres_server.kill()
    postgres_server.start()
    assert run(retried(lambda: store.epochs(["a"]))) == bumped
    assert run(store.read(numbered(7))) is None
    assert run(store.write(entry(7, tags=tuple(asked.items())))) is False
    assert run(store.pepper()) == pepper
    assert run(store.counters({})) == {"hits": 3}
    assert run(store.write(entry(7, tags=tuple(bumped.items())))) is True


def test_a_frozen_server_costs_no_more_than_the_deadline(
    store: Store, postgres_server: PostgresServer, run: Run
) -> None:
    calls = every_call(store)
    for call in calls.values():
        run(call())
    run(store.release(run(retried(lambda: store.lease(numbered(9), 60)))))
    mark = run(store.changes(None, 0)).cursor
    postgres_server.freeze()
    try:
        # The first time on connections that were fine, the second while connecting.
        for _ in range(2):
            for name, call in calls.items():
                assert run(refused(call)) < DEADLINE + SLACK, name
            assert run(refused(lambda: store.changes(mark, 0.3))) < 0.3 + DEADLINE + SLACK
        began = time.monotonic()
        run(store.close())
        assert time.monotonic() - began < SLACK
    finally:
        postgres_server.thaw()
    for call in calls.values():
        run(retried(call))


def test_waiting_for_a_free_connection_counts(
    store: Store, postgres_server: PostgresServer, run: Run, mode: str
) -> None:
    run(store.migrate())
    calls = [lambda: store.write(entry(5))] * 24
    with psycopg.connect(postgres_server.url) as other:
        other.execute("LOCK TABLE askonce.entries")
        began = time.monotonic()
        if mode == "blocking":
            with ThreadPoolExecutor(24) as threads:
                answers = list(threads.map(lambda call: failure_of(run_blocking, call), calls))
        else:
            answers = run(gathered(calls))
        assert time.monotonic() - began < 2 * DEADLINE + SLACK
        other.rollback()
    assert all(isinstance(answer, StoreError) for answer in answers)
    assert run(retried(lambda: store.write(entry(5)), times=10)) is True


def test_a_call_that_finds_no_free_connection_says_so(store: Store, run: Run) -> None:
    """Every connection is held for the whole test, so the machine's load decides nothing."""
    assert isinstance(store, PostgresStore)
    connections = store._connections

    async def writes_while_all_are_held() -> None:
        async with contextlib.AsyncExitStack() as held:
            for _ in range(connections._most):
                await held.enter_async_context(connections.borrowed(30.0))
            with pytest.raises(StoreError, match="connections to PostgreSQL are busy"):
                await store.write(entry(5))

    run(writes_while_all_are_held())
    assert run(retried(lambda: store.write(entry(5)), times=10)) is True


def failure_of(run: Run, call: Call) -> object:
    try:
        return run(call())
    except StoreError as error:
        return error


async def gathered(calls: list[Call]) -> list[object]:
    return list(await asyncio.gather(*(call() for call in calls), return_exceptions=True))


def suspending(url: str, deadline: float = 10.0) -> Store:
    context = StoreContext(
        threading.Lock, time.time, asyncio.get_running_loop, True, deadline, time.monotonic
    )
    return open_store(f"{url}?schema=cancelled", context)


def test_a_cancelled_call_never_answers_another(postgres_url: str) -> None:
    chance = random.Random(7)
    rounds = 100

    async def reads(store: Store, number: int) -> None:
        found = await store.read(numbered(number))
        assert found is not None
        assert (found.key, found.body) == (numbered(number), b"%d" % number)

    async def writes(store: Store, number: int) -> None:
        assert await store.write_all([entry(number), entry(number + 1)]) == 2

    async def story() -> int:
        store = suspending(postgres_url)
        try:
            await store.write_all([entry(number) for number in range(16)])
            cancelled = 0
            for _ in range(rounds):
                calls = [reads(store, number) for number in range(16)]
                calls += [writes(store, number) for number in range(0, 16, 4)]
                tasks = [asyncio.create_task(call) for call in calls]
                for _ in range(chance.randrange(16)):
                    await asyncio.sleep(0)
                for task in chance.sample(tasks, 8):
                    task.cancel()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                errors = [answer for answer in answers if answer is not None]
                assert all(isinstance(error, asyncio.CancelledError) for error in errors)
                cancelled += len(errors)
            # Nothing leaked: as many as ever may be at work at once, and all are served.
            await asyncio.gather(*(reads(store, number) for number in range(16)))
            return cancelled
        finally:
            await store.close()

    assert asyncio.run(story()) > rounds


def test_cancelling_takes_no_time_even_if_the_server_is_frozen(
    postgres_server: PostgresServer,
) -> None:
    async def story() -> None:
        store = suspending(postgres_server.url, deadline=30.0)
        await store.write(entry(1))
        # A connection for each, so that none is only just connecting.
        await asyncio.gather(*(store.read(numbered(1)) for _ in range(3)))
        postgres_server.freeze()
        try:
            calls = [store.read(numbered(1)), store.write_all([entry(2)]), store.pepper()]
            tasks = [asyncio.create_task(call) for call in calls]
            await asyncio.sleep(0.1)
            began = time.monotonic()
            for task in tasks:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert time.monotonic() - began < SLACK
            assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 3
        finally:
            postgres_server.thaw()
        assert await store.read(numbered(1)) is not None
        await store.close()

    asyncio.run(story())


FORKING = """
import os, sys, threading, time
from askonce.core.models import Entry, Key
from askonce.core.runtime.threads import run_sync
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from askonce.stores.postgres.store import PostgresStore

key = Key("team-a", "openai_chat", b"f" * 32)
now = time.time()
store = open_store(sys.argv[1], StoreContext(threading.Lock, time.time, deadline=20.0))
run_sync(store.write(Entry(key, b"parent", 200, (), now, now + 60, now + 60)))
lease = run_sync(store.lease(key, 60))
mark = run_sync(store.changes(None, 0)).cursor
child = os.fork()
if not child:
    assert run_sync(store.read(key)).body == b"parent"
    assert run_sync(store.lease(key, 60)) is None  # it is the parent's
    run_sync(store.epochs(["a"], bump=True))
    run_sync(store.close())
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
# The child's end has not ended the parent's sessions.
run_sync(store.renew([lease], 60))
assert run_sync(store.lease(key, 60)) is None
assert list(run_sync(store.changes(mark, 0)).epochs) == ["a"]
assert run_sync(store.read(key)).body == b"parent"
run_sync(store.close())
"""


def test_a_child_has_connections_of_its_own(postgres_url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", FORKING, f"{postgres_url}?schema=forked"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
