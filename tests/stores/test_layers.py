"""Layers as data: names, orders and the errors of wrong ones."""

from datetime import timedelta
from typing import Any

import pytest

from askonce.config.load import load
from askonce.core.errors import ConfigError
from askonce.stores.tiered.layers import Layer, TierSpec, tiers_of


def test_names_and_limits_are_worked_out() -> None:
    memory, below = tiers_of(
        [
            Layer("memory:", size="1 MiB", ttl="5m"),
            Layer("sqlite:a.db", ttl=timedelta(hours=1), size="1 GiB"),
            "rediss://h",
            "redis+cluster://h",
            Layer("postgres://h/d", name="pg", deadline="1s"),
        ]
    )
    assert memory == TierSpec("memory", "memory:", 300.0, 1 << 20, 1.0)
    assert below == (
        TierSpec("sqlite", "sqlite:a.db", 3600.0, 1 << 30, 1.0),
        TierSpec("redis", "rediss://h", None, None, 0.25),
        TierSpec("redis-2", "redis+cluster://h", None, None, 0.25),
        TierSpec("pg", "postgres://h/d", None, None, 1.0),
    )


def test_memory_need_not_be_named() -> None:
    assert tiers_of(["redis://h"])[0] is None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "layers is empty"),
        (["redis://h", "memory:"], "memory: below another layer"),
        (["memory:", "memory:"], "memory: below another layer"),
        ([Layer("redis://a", "x"), Layer("redis://b", "x")], "two layers are called 'x'"),
        ([Layer("redis://a", "a b")], "layer name 'a b' cannot be used"),
        ([Layer("redis://a", ttl="soon")], "layer redis: ttl is 'soon'; write a duration"),
        ([Layer("redis://a", ttl="0s")], "layer redis: ttl is '0s'"),
        ([Layer("redis://a", deadline=timedelta(0))], "layer redis: deadline is"),
        ([Layer("redis://h", size="1 GiB")], "layer redis: size is for memory: and sqlite: alone"),
        ([Layer("memory:", size="big")], "layer memory: size is 'big'; write '256 MiB'"),
    ],
)
def test_a_wrong_layer_is_one_clear_line(layers: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")) as raised:
        tiers_of(layers)
    assert "\n" not in str(raised.value)


FILE = """
[memory]
size = "64 MiB"
ttl = "10m"
[layers.disk]
url = "sqlite:a.db"
ttl = "1h"
size = "2 GiB"
[layers.redis]
url = "redis://cache:6379/1"
deadline = "100ms"
"""


def test_the_file_names_layers_in_its_order() -> None:
    settings = load(FILE, {})
    memory, below = tiers_of(settings.layers)
    assert memory == TierSpec("memory", "memory:", 600.0, 64 << 20, 1.0)
    assert below == (
        TierSpec("disk", "sqlite:a.db", 3600.0, 2 << 30, 1.0),
        TierSpec("redis", "redis://cache:6379/1", None, None, 0.1),
    )
    assert settings.shared_url == "redis://cache:6379/1"


def test_memory_may_be_one_of_the_tables() -> None:
    text = '[layers.near]\nurl = "memory:"\nsize = "1 MiB"\n[layers.far]\nurl = "redis://h"\n'
    memory, below = tiers_of(load(text, {}).layers)
    assert memory == TierSpec("near", "memory:", None, 1 << 20, 1.0)
    assert [tier.name for tier in below] == ["far"]


def test_the_environment_may_override_a_layer() -> None:
    settings = load(FILE, {"ASKONCE_LAYERS__REDIS__URL": "redis://other"})
    assert [str(layer.store) for layer in settings.layers] == [
        "memory:",
        "sqlite:a.db",
        "redis://other",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[layers.a]\nttl = '1h'", "layers.a has no url; add url ="),
        ("[layers.a]\nurl = 'redis://h'\nttl = 'x'", "layers.a.ttl is not a duration"),
        ("[layers.a]\nurl = 'redis://h'\nspeed = 1", "'speed' is not a key of layers"),
        ("[layers]\nurl = 'redis://h'", "layers.url is not a table; write"),
        (
            "[layers.a]\nurl = 'redis://h'\n[store]\nurl = 'sqlite:a.db'",
            "store.url stands beside .layers.; name the store",
        ),
        (
            "[layers.a]\nurl = 'redis://h'\n[layers.b]\nurl = 'memory:'",
            "layers has memory: below another layer",
        ),
        ("[cache]\nconsistency = 'firm'", 'write one of "eventual", "strong"'),
    ],
)
def test_a_wrong_file_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load(text, {})
    assert "\n" not in str(raised.value)
