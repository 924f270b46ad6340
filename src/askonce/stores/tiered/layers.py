"""The layers of a cache as data: which stores, in which order, for how long and how large.

The first layer is the process's memory, always. Below it stand any number of stores, the nearest
first; the last one is the most shared one, and what it says about invalidations is true.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

import msgspec

from askonce.core.engine_names import engine_of
from askonce.core.errors import ConfigError
from askonce.core.protocols import Store
from askonce.core.units import parse_duration, parse_size

MEMORY = "memory:"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Layer(msgspec.Struct, frozen=True):
    """One layer: a store's address such as `redis://localhost`, or a store itself.

    `ttl` bounds how long an entry lives in this layer, `size` the bytes of `memory:` or of a
    SQLite file, `deadline` one call of the store (250 ms over a network, 1 s on this machine).
    `name` is what answers and statistics call the
    layer; without one it is the address's scheme.
    """

    store: str | Store
    name: str = ""
    ttl: timedelta | str | None = None
    size: int | str | None = None
    deadline: timedelta | str | None = None


class TierSpec(NamedTuple):
    """A layer in precise values: seconds and bytes."""

    name: str
    store: str | Store
    ttl: float | None
    size: int | None
    deadline: float


def tiers_of(layers: Iterable[Layer | str | Store]) -> tuple[TierSpec | None, tuple[TierSpec, ...]]:
    """The memory's tier, if it is named, and the tiers below it. Raises `ConfigError`."""
    tiers: list[TierSpec] = []
    for given in layers:
        layer = given if isinstance(given, Layer) else Layer(given)
        tiers.append(_tier(layer, {tier.name for tier in tiers}))
    if not tiers:
        raise ConfigError('layers is empty; write at least one, such as "memory:"')
    memories = [place for place, tier in enumerate(tiers) if tier.store == MEMORY]
    if memories not in ([], [0]):
        raise ConfigError("layers has memory: below another layer; memory is the first one, once")
    return (tiers[0], tuple(tiers[1:])) if memories else (None, tuple(tiers))


def _tier(layer: Layer, taken: set[str]) -> TierSpec:
    name = layer.name or _default_name(layer.store, taken)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"layer name {name!r} cannot be used; write letters, digits, . _ -")
    if name in taken:
        raise ConfigError(f"two layers are called {name!r}; give each a name of its own")
    if layer.size is not None and _is_far(layer.store):
        raise ConfigError(
            f"layer {name}: size is for memory: and sqlite: alone; bound the engine itself instead"
        )
    return TierSpec(
        name,
        layer.store,
        None if layer.ttl is None else _seconds(name, "ttl", layer.ttl),
        None if layer.size is None else _bytes(name, layer.size),
        _default_deadline(layer.store)
        if layer.deadline is None
        else _seconds(name, "deadline", layer.deadline),
    )


def _default_name(store: str | Store, taken: set[str]) -> str:
    if isinstance(store, str):
        engine = engine_of(store) or store.partition(":")[0].partition("+")[0] or "none"
        plain = "postgresql" if engine == "postgres" else engine
    else:
        plain = type(store).__name__.lower().removesuffix("store") or "store"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    return name


def _is_far(store: str | Store) -> bool:
    return isinstance(store, str) and engine_of(store) not in ("memory", "sqlite")


def _default_deadline(store: str | Store) -> float:
    return 0.25 if _is_far(store) else 1.0


def _seconds(name: str, what: str, value: timedelta | str) -> float:
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else parse_duration(value)
    except (ValueError, AttributeError, TypeError):
        seconds = 0.0
    if seconds <= 0:
        raise ConfigError(f"layer {name}: {what} is {value!r}; write a duration such as '24h'")
    return seconds


def _bytes(name: str, value: int | str) -> int:
    try:
        return value if isinstance(value, int) else parse_size(value)
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(f"layer {name}: size is {value!r}; write '256 MiB' or bytes") from None
