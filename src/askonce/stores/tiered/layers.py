"""The layers of a cache as configuration: which stores, in which order, how long and how large.

The first layer is always the process's memory. Below it stands any number of stores, the nearest
first. The last one is the authority: the processes share it, and its invalidations are binding.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Literal, NamedTuple

import msgspec

from askonce.core.engine_names import engine_of
from askonce.core.errors import ConfigError
from askonce.core.protocols import Store
from askonce.core.settings_table import PositiveSeconds, Seconds
from askonce.core.units import parse_duration, parse_size

MEMORY = "memory:"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Layer(msgspec.Struct, frozen=True):
    """One layer of a cache, as the user writes it.

    A wrong value raises `ConfigError` when the cache is made, not here.

    Args:
        store: An address such as `sqlite:answers.db` or `redis://localhost`, or a store object.
        name: The layer's name in answers and statistics: 1 to 64 letters, digits, `.`, `_`, `-`,
            unique in the cache. Default: the scheme of the address.
        ttl: How long an entry lives in this layer at most; a `timedelta` or a text such as `24h`.
            Default: as long as the entry itself.
        size: The most bytes that the layer holds; an integer or a text such as `256 MiB`. Only
            for `memory:` and `sqlite:`. Default: 256 MiB of memory; a file is not bounded.
        deadline: How long one call of the store may take; a `timedelta` or a text such as `1s`.
            Default: 250 ms for a store over a network, 1 s for one on this machine.
    """

    store: str | Store
    name: str = ""
    ttl: timedelta | str | None = None
    size: int | str | None = None
    deadline: timedelta | str | None = None


class TierSpec(NamedTuple):
    """A layer in precise values: `ttl` and `deadline` in seconds, `size` in bytes."""

    name: str
    store: str | Store
    ttl: float | None
    size: int | None
    deadline: float


class SharingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the processes of one store work together.

    Parameters:
        consistency: `eventual` applies other processes' invalidations within a second; `strong`
            asks the authority about tags before each tagged answer is served.
        lease: how long a lease lasts, in seconds.
        lease_wait: how long a caller waits for another process's lease, in seconds.
    """

    consistency: Annotated[
        Literal["eventual", "strong"],
        'other processes\' invalidations apply within 1 s; "strong": at once',
    ] = "eventual"
    lease: Annotated[PositiveSeconds, "how soon a process that dies while asking is replaced"] = 5.0
    lease_wait: Annotated[Seconds, "how long to wait for another process's answer"] = 20.0

    @property
    def strong(self) -> bool:
        """Whether invalidations apply at once."""
        return self.consistency == "strong"


def tiers_of(layers: Iterable[Layer | str | Store]) -> tuple[TierSpec | None, tuple[TierSpec, ...]]:
    """Read layers: the memory's spec if one names it, and the specs of the tiers below.

    Raises:
        ConfigError: The list is empty, a value is wrong, or `memory:` is not the first layer.
    """
    tiers: list[TierSpec] = []
    for given in layers:
        layer = given if isinstance(given, Layer) else Layer(given)
        tiers.append(_spec_of(layer, {tier.name for tier in tiers}))
    if not tiers:
        raise ConfigError('layers is empty; write at least one, such as "memory:"')
    memories = [place for place, tier in enumerate(tiers) if tier.store == MEMORY]
    if memories not in ([], [0]):
        raise ConfigError("layers has memory: below another layer; memory is the first one, once")
    return (tiers[0], tuple(tiers[1:])) if memories else (None, tuple(tiers))


def _spec_of(layer: Layer, taken: set[str]) -> TierSpec:
    name = layer.name or _default_name(layer.store, taken)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"layer name {name!r} cannot be used; write letters, digits, . _ -")
    if name in taken:
        raise ConfigError(f"two layers are called {name!r}; give each a name of its own")
    remote = _is_remote(layer.store)
    if layer.size is not None and remote:
        raise ConfigError(
            f"layer {name}: size is for memory: and sqlite: alone; bound the engine itself instead"
        )
    deadline = 0.25 if remote else 1.0
    return TierSpec(
        name,
        layer.store,
        None if layer.ttl is None else _seconds(name, "ttl", layer.ttl),
        None if layer.size is None else _bytes(name, layer.size),
        deadline if layer.deadline is None else _seconds(name, "deadline", layer.deadline),
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


def _is_remote(store: str | Store) -> bool:
    return isinstance(store, str) and engine_of(store) not in ("memory", "sqlite")


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
