"""Sources of events as the settings name them."""

from typing import Any

import pytest

from askonce.config.load import load
from askonce.config.show import show
from askonce.core.errors import ConfigError
from askonce.invalidation.sources import CHANNEL, STREAM, EventSource, sources_of

FILE = """
[sources.shop]
url = "redis://me:hunter2-hunter2@h/0"
stream = "shop:events"
[sources.db]
url = "postgresql://h/d"
"""


def test_tables_are_sources_in_the_order_of_the_file() -> None:
    shop, db = load(FILE, {}).sources
    assert shop == EventSource("redis://me:hunter2-hunter2@h/0", "shop", "shop:events", CHANNEL)
    assert db == EventSource("postgresql://h/d", "db", STREAM, CHANNEL)


def test_shown_settings_mean_the_same_without_the_password() -> None:
    shown = show(load(FILE, {}))
    assert "hunter2" not in shown
    again = load(shown, {}).sources
    assert [(one.name, one.stream) for one in again] == [("shop", "shop:events"), ("db", STREAM)]


def test_the_environment_may_hold_the_address() -> None:
    environ = {"ASKONCE_SOURCES__SHOP__URL": "redis://other"}
    assert load(FILE, environ).sources[0].url == "redis://other"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('stream = "s"', "sources.x has no url"),
        ('url = "kafka://hunter2"', "unknown scheme"),
        ('url = "redis://h"\ntopic = "t"', "'topic' is not a key of sources"),
        ('url = "redis://h"\nstream = ""', "sources.x.stream"),
        ('url = "postgresql://h/d"\nchannel = "A B"', "is invalid; use up to 48"),
    ],
)
def test_an_error_is_one_line_without_the_password(table: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[sources.x]\n{table}", {})
    assert said in str(caught.value)
    assert str(caught.value).startswith("askonce.toml: ")
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["redis://[::1", "postgresql://[x/y", 5, EventSource(5)])  # type: ignore[arg-type]
def test_an_invalid_address_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        sources_of([wrong])


def test_a_source_shows_no_password() -> None:
    assert "hunter2" not in repr(EventSource("redis://me:hunter2@h/0", name="shop"))
