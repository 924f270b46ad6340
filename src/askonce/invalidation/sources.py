"""Sources: where events come from, beside the calls that bring them."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from askonce.core.engine_names import engine_of, is_shared
from askonce.core.errors import ConfigError
from askonce.core.models import Key
from askonce.core.settings_table import StoreUrl, Text
from askonce.invalidation.target import OWN_NAMESPACE

STREAM = "askonce:events"
CHANNEL = "askonce_events"

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STREAM = re.compile(r"[\x21-\x7e]{1,256}")
_CHANNEL = re.compile(r"[a-z_][a-z0-9_]{0,47}")


class EventSource(msgspec.Struct, frozen=True):
    """A Redis stream or a table of PostgreSQL that events are taken from.

    `url` is an address such as `redis://HOST/0` or `postgresql://HOST/DATABASE`; `stream` is the
    key of the Redis stream, `channel` the name of PostgreSQL's table and channel. `name` is what
    logs and metrics call it, and part of where its mark is kept.
    """

    url: Annotated[StoreUrl, "a redis:// address of any kind, or postgresql://"]
    name: str = ""
    stream: Annotated[Text, "the key of the Redis stream"] = STREAM
    channel: Annotated[Text, "PostgreSQL's table and its channel"] = CHANNEL

    def __repr__(self) -> str:
        what = f"stream={self.stream!r}" if self.is_redis else f"channel={self.channel!r}"
        return f"Source(name={self.name!r}, {what}, address masked)"

    @property
    def key(self) -> Key:
        """Where it is kept how far this source was read: another place is another source."""
        parts = urlsplit(self.url)
        hosts = parts.netloc.rpartition("@")[2]  # a new password is no new place
        what = self.stream if self.is_redis else self.channel
        place = "\0".join((self.name, hosts, parts.path, what))
        return Key(OWN_NAMESPACE, "source", hashlib.sha256(place.encode()).digest())

    @property
    def is_redis(self) -> bool:
        return engine_of(self.url) == "redis"


def sources_of(given: Iterable[EventSource | str]) -> tuple[EventSource, ...]:
    """The sources, checked and named. Raises `ConfigError`, which quotes no address."""
    found: dict[str, EventSource] = {}
    for one in given:
        source = EventSource(one) if isinstance(one, str) else one
        if not isinstance(source, EventSource) or not all(
            map(_is_text, msgspec.structs.astuple(source))
        ):
            raise ConfigError("a source is not an address or an askonce.Source of texts")
        if not is_shared(source.url):
            raise ConfigError(
                "a source has an address that is no source of events; write redis://HOST or"
                " postgresql://HOST/DATABASE"
            )
        try:
            urlsplit(source.url)
        except ValueError:
            raise ConfigError(
                "a source has an address that cannot be read; write an IPv6 host as [::1]"
            ) from None
        default = "redis" if source.is_redis else "postgresql"
        source = msgspec.structs.replace(source, name=source.name or default)
        if not _NAME.fullmatch(source.name):
            raise ConfigError(
                f"source name {source.name!r} cannot be used; write letters, digits, . _ -"
            )
        if source.name in found:
            raise ConfigError(f"two sources are called {source.name!r}; give each its own name")
        if source.is_redis and not _STREAM.fullmatch(source.stream):
            raise ConfigError(f"source {source.name}: stream {source.stream!r} cannot be a key")
        if not source.is_redis and not _CHANNEL.fullmatch(source.channel):
            raise ConfigError(
                f"source {source.name}: channel {source.channel!r} is not a name of up to 48 of"
                " a-z, 0-9 and _"
            )
        found[source.name] = source
    return tuple(found.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def read_sources(tables: Mapping[str, Mapping[str, Any]], file: str) -> tuple[EventSource, ...]:
    """The `[sources.NAME]` tables of a settings file. Raises `ConfigError`."""
    for name, table in tables.items():
        if "url" not in table:
            raise ConfigError(f'{file}: sources.{name} has no url; add url = "redis://localhost"')
    try:
        return sources_of(EventSource(name=name, **table) for name, table in tables.items())
    except ConfigError as error:
        raise ConfigError(f"{file}: sources: {error}") from None
