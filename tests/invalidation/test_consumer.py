"""Following sources on real servers, through outages, kills and repeats."""

import contextlib
import functools
import json
import multiprocessing
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis

from askonce.core.errors import ConfigError, StoreError
from askonce.core.rules.rules import Rules
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.sources import EventSource, sources_of
from askonce.library.cache import AsyncCache, Cache
from tests.fixtures.engines import Engines
from tests.fixtures.redis_servers import RedisServer

RULES = Rules().on("product_updated", tags=["product:{product_id}"])
PATIENCE_S = 20.0


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        threading.Event().wait(0.01)


class Sender:
    """A source of its own, and a way to send to it."""

    def __init__(self, kind: str, url: str) -> None:
        self.name = f"e{uuid.uuid4().hex[:12]}"
        self._kind = kind
        self._url = url
        self.source = EventSource(url, "shop", stream=self.name, channel=self.name)

    def send(self, event: str = "product_updated", id_: str | None = None, **data: str) -> None:
        text = json.dumps(data)
        if self._kind == "postgres":
            with psycopg.connect(self._url) as db:
                db.execute(f"SELECT {self.name}_emit(%s, %s, %s)", (event, text, id_))
            return
        fields = {"event": event, "data": text} | ({} if id_ is None else {"id": id_})
        plain = self._url.replace("redis+cluster", "redis").partition(",")[0]
        cluster = plain != self._url
        make: Any = redis.RedisCluster if cluster else redis.Redis
        with contextlib.closing(make.from_url(plain)) as client:
            client.xadd(self.name, fields)


@pytest.fixture(params=["redis7", "redis8", "redis-cluster", "postgres"])
def sender(request: pytest.FixtureRequest) -> Sender:
    fixture = request.param.replace("-", "_") + "_url"
    made = Sender(request.param, str(request.getfixturevalue(fixture)))
    if request.param == "postgres":
        # As `askonce migrate` would: a sender may come before the first consumer.
        with Cache(sources=[made.source]) as cache:
            (following,) = cache.assembly.invalidation.consumers
            run_sync(following.reader.migrate())
    return made


def opened(url: str, sender: Sender, **settings: Any) -> Cache:
    return Cache(url, rules=RULES, sources=[sender.source], **settings)


def put(cache: Cache, product: str) -> None:
    assert cache.put(f"price of {product}?", "9", tags=[f"product:{product}"])


def gone(cache: Cache, product: str) -> bool:
    return cache.get(f"price of {product}?") is None


@pytest.mark.parametrize("kind", [Cache, AsyncCache])
def test_an_event_that_was_sent_invalidates(kind: Any, sender: Sender, engines: Engines) -> None:
    url = engines.plain("sqlite")
    cache = kind(url, rules=RULES, sources=[sender.source])
    try:
        with Cache(url) as other:
            put(other, "1")
            put(other, "2")
            cache.assembly.services.sync if kind is Cache else cache.assembly.services.async_  # noqa: B018
            until(
                lambda: cache.assembly.invalidation.sources() == {"shop": "following"}, "it follows"
            )
            sender.send(product_id="1")
            until(lambda: gone(other, "1"), "the event arrives")
            assert not gone(other, "2")
    finally:
        run_sync(cache.assembly.close(cache.assembly.services.sync))


def test_an_event_sent_while_no_process_ran_counts(sender: Sender, engines: Engines) -> None:
    url = engines.plain("sqlite")
    sender.send(product_id="0")  # before the first consumer
    with opened(url, sender) as cache:
        put(cache, "warm-up")
        sender.send(product_id="warm-up")
        until(lambda: gone(cache, "warm-up"), "the first event arrives")
    with Cache(url) as cache:
        put(cache, "1")
        put(cache, "0")
        sender.send(product_id="1")
        assert not gone(cache, "1")
    with opened(url, sender) as cache:
        until(lambda: gone(cache, "1"), "what was sent meanwhile counts")
        assert not gone(cache, "0")  # handled events do not come again


def test_an_event_that_cannot_be_handled_is_counted_and_skipped(
    sender: Sender, engines: Engines, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(engines.plain("sqlite"), sender) as cache:
        put(cache, "1")
        sender.send("unheard_of")
        sender.send("unheard_of")
        sender.send("product_updated")  # lacks its member
        sender.send(product_id="1")
        until(lambda: gone(cache, "1"), "the good one arrives")
        assert cache.assembly.ledger.counters()["fault:event"] == 3
    text = [r.getMessage() for r in caplog.records if r.name == "askonce.events"]
    assert len(text) == 2
    assert "product_updated" in text[0]


def test_a_function_that_always_fails_does_not_block_the_others(
    sender: Sender, engines: Engines
) -> None:
    with opened(engines.plain("sqlite"), sender) as cache:
        tries: list[int] = []

        @cache.on_event("broken")
        def fail(data: dict[str, Any]) -> str:
            tries.append(1)
            raise LookupError("no")

        put(cache, "1")
        sender.send("broken")
        sender.send(product_id="1")
        until(lambda: gone(cache, "1"), "the good one arrives")
        assert len(tries) == 5


def test_the_same_id_twice_is_one_event(sender: Sender, engines: Engines) -> None:
    with opened(engines.plain("sqlite"), sender) as cache:
        put(cache, "1")
        sender.send(id_="e1", product_id="1")
        until(lambda: gone(cache, "1"), "the event arrives")
        emit = functools.partial(cache.emit, "product_updated", product_id="1", event_id="e1")
        until(lambda: emit().repeated, "its id is known, which is written after the effect")
        put(cache, "1")
        put(cache, "2")
        sender.send(id_="e1", product_id="1")
        sender.send(id_="e2", product_id="2")
        until(lambda: gone(cache, "2"), "the next one arrives")
        assert not gone(cache, "1")


def _killed_before_the_cursor_moves(url: str, source: EventSource) -> None:
    """A process that ends between the effect of an event and the move of its cursor."""
    import os

    from askonce.invalidation.consumer import EventConsumer

    async def die(self: EventConsumer) -> None:
        if self._cursor is not None:
            os._exit(9)

    EventConsumer._store_cursor = die  # type: ignore[method-assign]
    cache = Cache(url, rules=RULES, sources=[source])
    cache.assembly.services.sync  # noqa: B018
    threading.Event().wait(PATIENCE_S)


def test_an_event_survives_a_process_killed_before_its_cursor_moved(
    sender: Sender, engines: Engines
) -> None:
    url = engines.plain("sqlite")
    with Cache(url) as cache:
        put(cache, "1")
    sender.send(product_id="1")
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_killed_before_the_cursor_moves, args=(url, sender.source))
    child.start()
    child.join(PATIENCE_S + 10)
    assert child.exitcode == 9
    with opened(url, sender) as cache:
        assert gone(cache, "1")  # the effect was there
        put(cache, "1")
        put(cache, "2")
        sender.send(product_id="2")
        until(lambda: gone(cache, "2"), "it goes on")
        assert not gone(cache, "1")  # and did not happen twice: the place is its id


def test_a_source_that_is_down_fails_no_call_and_comes_back(engines: Engines) -> None:
    server = RedisServer(8)
    server.start()
    sender = Sender("redis8", server.url)
    try:
        with opened(engines.plain("sqlite"), sender) as cache:
            put(cache, "1")
            until(
                lambda: cache.assembly.invalidation.sources()["shop"] == "following", "it follows"
            )
            server.stop()
            until(
                lambda: cache.assembly.invalidation.sources()["shop"] == "down",
                "it is seen to be down",
            )
            assert not gone(cache, "1")
            assert cache.assembly.ledger.counters()["fault:source"] > 0
            server.start()
            sender.send(product_id="1")
            until(lambda: gone(cache, "1"), "it follows again")
            assert cache.assembly.invalidation.sources() == {"shop": "following"}
    finally:
        server.close()


def test_the_caches_own_store_may_be_down_meanwhile(redis8_url: str) -> None:
    server = RedisServer(8, "--appendonly", "yes")
    server.start()
    sender = Sender("redis8", redis8_url)
    try:
        with opened(server.url, sender, memory="1 MiB") as cache:
            cache.put("warm?", "1")
            until(
                lambda: cache.assembly.invalidation.sources()["shop"] == "following", "it follows"
            )
            server.kill()
            sender.send(product_id="1")
            until(lambda: cache.assembly.ledger.counters().get("fault:source", 0) > 0, "it fails")
            server.start()
            place = sender.source.key
            store = cache.assembly.stack.shared_store
            assert store is not None

            def taken() -> bool:
                with contextlib.suppress(StoreError):
                    return run_sync(store.read(place)) is not None
                return False

            until(taken, "the event is taken at last")
            assert run_sync(store.epochs(["product:1"]))["product:1"] > 0
    finally:
        server.close()


@pytest.mark.parametrize(
    "wrong",
    [
        ["sqlite:x.db"],
        [EventSource("redis://h", "a b")],
        [EventSource("redis://h", "a"), EventSource("redis://i", "a")],
        ["redis://h", "redis://i"],
        [EventSource("redis://h", stream="a b")],
        [EventSource("postgresql://h/d", channel='x"; DROP')],
    ],
)
def test_invalid_sources_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        sources_of(wrong)


def test_a_cursor_depends_on_the_place_and_not_on_the_password() -> None:
    one = EventSource("redis://u:p@h:1/0", "a")
    assert one.key == EventSource("redis://u:q@h:1/0", "a").key
    assert one.key != EventSource("redis://u:p@h:1/1", "a").key
    assert one.key != EventSource("redis://u:p@h:1/0", "a", stream="t").key
