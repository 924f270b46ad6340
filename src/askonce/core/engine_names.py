"""Which engine an address names: the one list of URL schemes for stores, indexes and events."""

from typing import Literal

EngineName = Literal["memory", "sqlite", "redis", "postgres"]

_ENGINES: dict[str, EngineName] = {
    "memory": "memory",
    "sqlite": "sqlite",
    "redis": "redis",
    "rediss": "redis",
    "redis+sentinel": "redis",
    "rediss+sentinel": "redis",
    "redis+cluster": "redis",
    "rediss+cluster": "redis",
    "postgresql": "postgres",
    "postgres": "postgres",
}


def engine_of(url: str) -> EngineName | None:
    """Return the engine that an address names by its scheme; None for any other scheme."""
    scheme, colon, _ = url.partition(":")
    return _ENGINES.get(scheme) if colon else None


def is_shared(url: str) -> bool:
    """Does the address name an engine on the network, which several machines can share?"""
    return engine_of(url) in ("redis", "postgres")
