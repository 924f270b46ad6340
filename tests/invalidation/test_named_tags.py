"""A named target is invalidated or refused, never ignored: tags, events, counts, ill stores."""

import time

import pytest

from askonce import Cache, ConfigError, Rules, StoreError
from askonce.invalidation.target import Invalidation
from tests.fixtures.engines import Engines

NO_TAGS = ["a,b", "a b", "é", "\0", "x" * 257, "~swept", "", "\ud800"]


@pytest.mark.parametrize("tag", NO_TAGS)
def test_a_tag_that_no_answer_can_carry_is_an_error(tag: str) -> None:
    with Cache() as cache:
        with pytest.raises(ConfigError, match="tag"):
            cache.invalidate(tags=[tag])
        with pytest.raises(ConfigError, match="tag"):
            cache.put("question", "answer", tags=[tag])
        with pytest.raises(ConfigError, match="tag"):
            cache.get("question", tags=[tag])


@pytest.mark.parametrize("tag", NO_TAGS)
def test_a_function_names_no_such_tag_either(tag: str) -> None:
    with Cache() as cache:
        cache.on_event("alone")(lambda _: [tag])
        cache.on_event("within")(lambda _: Invalidation(tags=(tag,)))
        for event in ("alone", "within"):
            with pytest.raises(ConfigError, match="tag"):
                cache.emit(event)


def test_another_event_of_the_same_id_is_another_event() -> None:
    rules = Rules().on("product_updated", tags=["p:{id}"]).on("price_updated", tags=["c:{id}"])
    with Cache(rules=rules) as cache:
        assert not cache.emit("product_updated", {"id": "9"}, event_id="9").repeated
        assert not cache.emit("price_updated", {"id": "9"}, event_id="9").repeated
        assert cache.emit("product_updated", {"id": "9"}, event_id="9").repeated
        assert cache.emit("price_updated", {"id": "9"}, event_id="9").repeated
        with pytest.raises(ConfigError, match="is unknown"):
            cache.emit("order_shipped", event_id="9")


@pytest.mark.parametrize("engine", ["sqlite", "redis8", "postgres"])
def test_what_another_process_removes_by_itself_is_counted(engines: Engines, engine: str) -> None:
    url = engines.plain(engine)
    with Cache(url) as writer, Cache(url) as other:
        for number in range(40):
            writer.put(f"question {number}", "answer")
        end = time.monotonic() + 20
        while other.invalidate(match="question", dry_run=True).entries != 40:
            assert time.monotonic() < end
        assert other.invalidate(match="question").entries == 40


def test_a_store_that_hangs_is_said_to_at_once(engines: Engines) -> None:
    url, proxy = engines.proxied("redis8")
    assert proxy is not None
    rules = Rules().on("product_updated", pattern="product")
    with Cache(url, rules=rules) as cache:
        cache.put("question", "answer")
        assert cache.invalidate(match="other").entries == 0
        proxy.freeze()
        began = time.monotonic()
        with pytest.raises(StoreError):
            cache.invalidate(match="question")
        with pytest.raises(StoreError):
            cache.invalidate(match="question", dry_run=True)
        with pytest.raises(StoreError):
            cache.emit("product_updated")
        assert time.monotonic() - began < 15  # a long look is given 30 s
        proxy.thaw()


def test_rules_that_are_none_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"Rules\(\)"):
        Cache(rules=[("price", "5m")])  # type: ignore[arg-type]
