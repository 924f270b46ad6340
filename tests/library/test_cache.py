"""The library as a developer uses it: texts, remembered functions, stats, check, close."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from askonce import AsyncCache, Cache, CacheClosed, ConfigError
from tests.fixtures.scripted import Clock

QUESTION = "What is your return policy?"


class Door:
    """The same words on a `Cache` and on an awaited `AsyncCache`."""

    def __init__(self, name: str, url: str, clock: Clock) -> None:
        self.blocking = name == "blocking"
        self._loop = None if self.blocking else asyncio.new_event_loop()
        self.make: Callable[..., Any] = Cache if self.blocking else AsyncCache
        self.cache: Any = self.make(url, clock=clock)

    def __getattr__(self, verb: str) -> Any:
        if verb == "close" and not self.blocking:
            verb = "aclose"
        method = getattr(self.cache, verb)

        def called(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            if not asyncio.iscoroutine(result):
                return result
            assert self._loop is not None
            return self._loop.run_until_complete(result)

        return called

    def end(self) -> None:
        self.close()
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["blocking", "suspending"])
def under_test(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", "sqlite"])
def door(under_test: str, request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Any:
    url = "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'a.db'}"
    door = Door(under_test, url, clock)
    yield door
    door.end()


def test_a_text_is_found_again_with_its_layer_and_age(door: Door, clock: Clock) -> None:
    assert door.get(QUESTION, scope="support") is None
    assert door.put(QUESTION, "30 days.", scope="support", ttl=timedelta(hours=1), tags=["p"])
    clock.forward(60)
    answer = door.get(QUESTION, scope="support")
    assert (answer.text, answer.layer, answer.age, answer.ttl) == ("30 days.", "memory", 60, 3540)
    assert str(answer.key).startswith("local/text/")
    stats = door.stats()
    assert (stats.calls, stats.hits, stats.misses, stats.stored) == (2, 1, 1, 1)
    assert stats.saved_usd == Decimal(0)


def test_scope_namespace_and_question_must_be_equal(door: Door) -> None:
    door.put(QUESTION, "30 days.", scope="support", namespace="a")
    assert door.get(QUESTION, scope="sales", namespace="a") is None
    assert door.get(QUESTION, scope="support", namespace="b") is None
    assert door.get(QUESTION, namespace="a") is None
    assert door.get(QUESTION + " ", scope="support", namespace="a") is None
    assert door.get(QUESTION, scope="support", namespace="a").text == "30 days."


def test_a_text_expires_and_reading_does_not_keep_it(door: Door, clock: Clock) -> None:
    door.put(QUESTION, "30 days.", ttl="1m")
    for _ in range(5):
        clock.forward(11)
        assert door.get(QUESTION) is not None
    assert door.get(QUESTION, max_age=timedelta(seconds=54)) is None
    clock.forward(5)
    assert door.get(QUESTION) is None


def test_an_invalidated_tag_takes_its_texts_with_it(door: Door) -> None:
    door.put("a", "1", tags=["policy", "eu"])
    door.put("b", "2", tags=["eu"])
    door.put("c", "3")
    door.invalidate(tags=["policy"])
    assert [door.get(q) and door.get(q).text for q in "abc"] == [None, "2", "3"]
    door.put("a", "new", tags=["policy"])
    assert door.get("a").text == "new"


def test_a_sqlite_cache_remembers_across_openings(
    under_test: str, tmp_path: Path, clock: Clock
) -> None:
    url = f"sqlite:{tmp_path / 'answers.db'}"
    first = Door(under_test, url, clock)
    first.put(QUESTION, "30 days \u2028 caf\u00e9 \U0001f600.", tags=["p"])
    first.end()
    second = Door(under_test, url, clock)
    answer = second.get(QUESTION)
    assert (answer.text, answer.layer) == ("30 days \u2028 caf\u00e9 \U0001f600.", "sqlite")
    assert second.get(QUESTION).layer == "memory"
    assert second.check() == []
    second.invalidate(tags=["p"])
    second.end()
    third = Door(under_test, url, clock)
    assert third.get(QUESTION) is None
    third.end()


def test_a_closed_cache_says_so_and_closes_twice(door: Door) -> None:
    door.put("a", "1")
    door.close()
    door.close()
    with pytest.raises(CacheClosed):
        door.get("a")


# Functions.


class Policy(msgspec.Struct):
    name: str
    days: int
    price: Decimal


def test_a_function_runs_once_and_keeps_its_types(door: Door, clock: Clock) -> None:
    ran = []

    @door.remember(ttl="1h")
    def policy(name: str, *, days: int = 30) -> Policy:
        """Look it up."""
        ran.append(name)
        return Policy(name, days, Decimal("1.10"))

    first, second = policy("returns"), policy("returns", days=30)
    assert first == second == Policy("returns", 30, Decimal("1.10"))
    assert first is not second, "a caller who changes its result changes no other caller's"
    assert ran == ["returns"]
    policy("returns", days=31)
    assert len(ran) == 2
    assert policy.__doc__ == "Look it up."
    clock.forward(3_600)
    policy("returns")
    assert len(ran) == 3


def test_an_async_function_is_remembered_by_either_cache(under_test: str, clock: Clock) -> None:
    ran = []

    async def main() -> None:
        cache: Any = Cache(clock=clock) if under_test == "blocking" else AsyncCache(clock=clock)

        @cache.remember(tags=["t"])
        async def slow(n: int) -> list[int]:
            ran.append(n)
            await asyncio.sleep(0)
            return [n]

        assert await asyncio.gather(*[slow(1) for _ in range(20)]) == [[1]] * 20
        assert ran == [1]
        assert cache.stats().joined == 19
        if under_test == "blocking":
            cache.invalidate(tags=["t"])
        else:
            await cache.invalidate(tags=["t"])
        await slow(1)
        assert ran == [1, 1]

    asyncio.run(main())


def test_threads_share_one_run(clock: Clock) -> None:
    ran = []
    inside = threading.Event()
    with Cache(clock=clock) as cache:

        @cache.remember()
        def slow(n: int) -> int:
            ran.append(n)
            assert inside.wait(10)
            return n

        threads = [threading.Thread(target=slow, args=(1,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        while cache.assembly.services.sync.context.flights._recordings and (
            next(iter(cache.assembly.services.sync.context.flights._recordings.values())).joined
            < 19
        ):
            pass
        inside.set()
        for thread in threads:
            thread.join(10)
        assert ran == [1]


def test_errors_are_not_remembered_and_reach_the_caller(door: Door) -> None:
    ran = []

    @door.remember()
    def fails(n: int) -> int:
        ran.append(n)
        raise KeyError(n)

    for _ in range(2):
        with pytest.raises(KeyError):
            fails(1)
    assert ran == [1, 1]


def test_what_json_cannot_carry_is_passed_through(door: Door) -> None:
    @door.remember()
    def made(n: int) -> object:
        return threading.Lock()

    @door.remember()
    def taken(x: object) -> int:
        return 1

    assert type(made(1)) is type(threading.Lock())
    assert made(1) is not made(1)
    assert taken(threading.Lock()) == 1
    assert door.stats().not_stored["not-json"] == 3


def test_versions_and_namespaces_keep_functions_apart(door: Door) -> None:
    def answer(version: str, namespace: str | None = None) -> Any:
        @door.remember(version=version, namespace=namespace)
        def same() -> str:
            return f"{version} {namespace}"

        return same

    assert answer("1")() == "1 None"
    assert answer("2")() == "2 None"
    assert answer("1", "a")() == "1 a"


# Settings.


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ttl": "soon"}, "ttl is not a duration: 'soon'"),
        ({"ttl": timedelta(seconds=-1)}, "ttl is negative"),
        ({"memory": "lots"}, "memory is not a size: 'lots'"),
        ({"sampling": "pool"}, "sampling cannot be 'pool'; write"),
        ({"url": "memcached:x"}, "no store has the scheme 'memcached'"),
        ({"namespace": "a/b"}, "namespace"),
        ({"namespace": ""}, "namespace"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings: dict[str, Any], said: str) -> None:
    for make in (Cache, AsyncCache):
        with pytest.raises(ConfigError) as raised:
            make(**settings)
        assert said in str(raised.value)
        assert "\n" not in str(raised.value)


def test_constructing_touches_no_disk(tmp_path: Path) -> None:
    Cache(f"sqlite:{tmp_path / 'never.db'}")
    assert list(tmp_path.iterdir()) == []
