"""Events as the library takes them: what they invalidate, once for each id, in both pair."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from askonce.core.errors import ConfigError
from askonce.core.rules.rules import Rules
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.events import EventResult
from askonce.invalidation.target import Invalidation
from askonce.library.cache import Cache
from tests.fixtures.engines import Engines
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said

RULES = (
    Rules()
    .on("product_updated", tags=["product:{product_id}"], pattern="headphones")
    .on("order_shipped", tags=["order:{id}"])
)


async def emit(under_test: CacheUnderTest, event: str, *data: Any, **members: Any) -> EventResult:
    cache: Any = under_test.cache
    result: Any = cache.emit(event, *data, **members)
    found: EventResult = result if under_test.name == "blocking" else await result
    return found


async def ask(under_test: CacheUnderTest, upstream: Scripted, question: str, tags: str = "") -> str:
    headers = {"askonce-tags": tags} if tags else {}
    status, _ = await under_test.ask(call(question, headers=headers), upstream)
    await under_test.settle()
    return "hit" if "; hit" in status else "miss"


def test_an_event_invalidates_its_tags_and_what_matches(under_test: CacheUnderTest) -> None:
    under_test.open(rules=RULES)
    upstream = Scripted(lambda: Script(said()))

    async def scenario() -> None:
        for _ in range(2):
            await ask(under_test, upstream, "What does the lamp cost?", "product:12")
            await ask(under_test, upstream, "Which headphones are good?")
            await ask(under_test, upstream, "Are you open?", "product:7")
        assert upstream.calls == 3
        happened = await emit(under_test, "product_updated", product_id=12)
        assert happened.tags == ("product:12",)
        assert happened.patterns == ("headphones",)
        assert happened.entries == 1
        assert not happened.repeated
        assert await ask(under_test, upstream, "What does the lamp cost?", "product:12") == "miss"
        assert await ask(under_test, upstream, "Which headphones are good?") == "miss"
        assert await ask(under_test, upstream, "Are you open?", "product:7") == "hit"

    under_test.run(scenario)


def test_an_id_counts_once(under_test: CacheUnderTest, clock: Clock) -> None:
    under_test.open(rules=RULES)
    upstream = Scripted(lambda: Script(said()))

    async def scenario() -> None:
        first = await emit(under_test, "order_shipped", {"id": "9"}, event_id="evt-1")
        assert (first.tags, first.repeated, first.id) == (("order:9",), False, "evt-1")
        await ask(under_test, upstream, "Where is it?", "order:9")
        again = await emit(under_test, "order_shipped", {"id": "9"}, event_id="evt-1")
        assert again == EventResult(event="order_shipped", id="evt-1", repeated=True)
        assert await ask(under_test, upstream, "Where is it?", "order:9") == "hit"
        other = await emit(under_test, "order_shipped", {"id": "9"}, event_id="evt-2")
        assert not other.repeated
        assert await ask(under_test, upstream, "Where is it?", "order:9") == "miss"
        clock.forward(8 * 86_400)
        late = await emit(under_test, "order_shipped", id="9", event_id="evt-2")
        assert not late.repeated

    under_test.run(scenario)


@pytest.mark.parametrize("name", ["blocking", "suspending"])
def test_functions_say_what_an_event_invalidates(name: str, clock: Clock) -> None:
    under_test = CacheUnderTest(name, "memory:", clock)
    seen: list[dict[str, Any]] = []
    upstream = Scripted(lambda: Script(said()))

    @under_test.cache.on_event("moved")
    def moved(data: dict[str, Any]) -> list[str | Invalidation]:
        seen.append(data)
        return [f"city:{data['city']}", Invalidation(match="opening hours")]

    @under_test.cache.on_event("moved")
    def nothing(data: dict[str, Any]) -> None:
        data.clear()

    async def scenario() -> None:
        await ask(under_test, upstream, "Where are you?", "city:bern")
        await ask(under_test, upstream, "What are the opening hours?")
        happened = await emit(under_test, "moved", city="bern")
        assert (happened.tags, happened.entries) == (("city:bern",), 1)
        assert seen == [{"city": "bern"}]
        assert await ask(under_test, upstream, "Where are you?", "city:bern") == "miss"
        assert await ask(under_test, upstream, "What are the opening hours?") == "miss"

    under_test.run(scenario)


@pytest.fixture
def cache() -> Any:
    with Cache(rules=RULES) as cache:
        yield cache


def test_an_unknown_event_names_those_that_are_known(cache: Cache) -> None:
    with pytest.raises(ConfigError, match="order_shipped, product_updated"):
        cache.emit("order_shiped", id="1")
    with Cache() as bare, pytest.raises(ConfigError, match="no rule or function"):
        bare.emit("order_shipped")


def test_missing_data_are_named(cache: Cache) -> None:
    with pytest.raises(ConfigError, match="product_id"):
        cache.emit("product_updated")


@pytest.mark.parametrize(
    ("event", "data", "event_id"),
    [
        ("", {}, None),
        ("a b", {}, None),
        ("x" * 129, {}, None),
        ("order_shipped", {"id": "x" * (65 << 10)}, None),
        ("order_shipped", {"id": object()}, None),
        ("order_shipped", {"id": "\ud800"}, None),
        ("order_shipped", {"id": "1"}, ""),
        ("order_shipped", {"id": "1"}, "x" * 513),
        ("order_shipped", [1], None),
    ],
)
def test_an_invalid_event_is_refused(
    cache: Cache, event: str, data: Any, event_id: str | None
) -> None:
    with pytest.raises((ConfigError, TypeError)):
        cache.emit(event, data, event_id=event_id)


def test_unfit_functions_are_refused(cache: Cache) -> None:
    async def later(data: dict[str, Any]) -> None: ...

    with pytest.raises(ConfigError, match="async"):
        cache.on_event("a")(later)  # type: ignore[type-var]
    cache.on_event("a")(lambda data: "a tag, or two")
    with pytest.raises(ConfigError, match="not a tag"):
        cache.emit("a")
    cache.on_event("b")(lambda data: Invalidation())
    with pytest.raises(ConfigError, match="nothing"):
        cache.emit("b")


def test_a_function_that_fails_fails_the_caller_and_is_asked_again(cache: Cache) -> None:
    tries: list[int] = []

    def look_up(data: dict[str, Any]) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise LookupError("the database is away")
        return "t"

    cache.on_event("a")(look_up)
    with pytest.raises(LookupError):
        cache.emit("a", event_id="1")
    assert cache.emit("a", event_id="1").tags == ("t",)


def test_another_process_knows_the_id(engines: Engines) -> None:
    url = engines.plain("sqlite")
    with Cache(url, rules=RULES) as cache:
        assert not cache.emit("order_shipped", id="9", event_id="e").repeated
    with Cache(url, rules=RULES) as cache:
        assert cache.emit("order_shipped", id="9", event_id="e").repeated


def test_every_event_leaves_an_audit_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "audit.log"
    caplog.set_level(logging.INFO, "askonce.audit")
    with Cache(rules=RULES, audit=str(file), clock=lambda: 12.5) as cache:
        cache.emit("product_updated", product_id="7\n8", event_id="e\n1")
        cache.emit("product_updated", product_id="7", event_id="e\n1")
    (line,) = file.read_text().splitlines()
    written = json.loads(line)
    assert written == {
        "at": 12.5,
        "who": "library",
        "what": {"event": "product_updated", "id": "e\n1"},
        "tags": written["tags"],
        "entries": 0,
    }
    assert [record.message for record in caplog.records] == [line]
    assert file.stat().st_mode & 0o077 == 0


def test_an_audit_file_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    with Cache(rules=RULES, audit=str(tmp_path)) as cache:
        assert cache.emit("order_shipped", id="7").tags == ("order:7",)
        assert cache.stats().errors == 1


def test_an_audit_pipe_without_a_reader_holds_nothing_up(tmp_path: Path) -> None:
    pipe = tmp_path / "audit"
    os.mkfifo(pipe)
    with Cache(rules=RULES, audit=str(pipe)) as cache:
        cache.emit("order_shipped", id="7")
        assert cache.stats().errors == 1


@pytest.mark.parametrize("data", [[1], "x", 0, ["id"]])
def test_data_that_are_no_object_are_refused(data: Any) -> None:
    with Cache(rules=RULES) as cache, pytest.raises(ConfigError, match="not an object"):
        cache.emit("order_shipped", data, id="7")


def test_a_function_that_returns_no_tag_is_an_error() -> None:
    with Cache() as cache:
        cache.on_event("x")(lambda data: True)  # type: ignore[type-var]
        with pytest.raises(ConfigError, match="returned True, which is not a tag"):
            cache.emit("x")


def test_an_event_that_names_a_group_refuses_answers_under_way(under_test: CacheUnderTest) -> None:
    """Which groups an answer has is known when it arrives; a bump before would not be noticed."""
    under_test.open(rules=Rules().on("moved", tags=["group:api.openai.com:g"]))
    headers = [("content-type", "application/json"), ("cache-groups", '"g"')]

    async def scenario() -> None:
        async def meanwhile() -> None:
            await emit(under_test, "moved")

        upstream = Scripted(
            lambda: Script(meanwhile, said("old"), headers=headers), lambda: Script(said("new"))
        )
        assert await ask(under_test, upstream, "Where?") == "miss"
        assert await ask(under_test, upstream, "Where?") == "miss"
        assert under_test.cache.stats().not_stored == {"invalidated": 1}

    under_test.run(scenario)


def test_events_that_arrive_together_share_a_sweep() -> None:
    with Cache(rules=RULES) as cache:
        cache.put("Which headphones are good?", "These")
        done: set[Invalidation] = set()

        def take(number: int) -> EventResult:
            events = cache.assembly.invalidation.events
            data = {"product_id": number}
            return run_sync(events.process("product_updated", data, who="me", done=done))

        assert (take(1).entries, take(2).entries) == (1, None)
        assert take(2).tags == ("product:2",)
        assert done == {Invalidation(match="headphones")}
