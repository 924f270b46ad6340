"""The tables of the settings as precise values, each with its defaults."""

from datetime import timedelta
from typing import Literal

import msgspec

from askonce.config.admin import Admin
from askonce.core.document_tags import Path
from askonce.core.models import Reason
from askonce.core.policy import Limits
from askonce.core.rules.rules import Rules
from askonce.invalidation.sources import EventSource
from askonce.ledger.settings import LedgerSettings
from askonce.prompts.settings import Prompts
from askonce.semantic.settings import Semantic
from askonce.stores.tiered.layers import MEMORY, Layer

FORMATS = ("openai", "anthropic")
ROUTES = ("askonce", "healthz", "metrics", "v1")
"""First path segments of the gateway itself, which no provider can be named."""

_MiB = 1 << 20


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Where the gateway listens, and its limits."""

    host: str = "127.0.0.1"
    port: int = 4040
    max_body: int = 32 * _MiB  # bytes
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(minutes=10)
    drain: timedelta = timedelta(seconds=30)


class LayerTable(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the cache: one `[layers.NAME]` table, in the order of the file."""

    name: str
    url: str
    ttl: timedelta | None = None
    size: int | None = None  # bytes
    deadline: timedelta | None = None


class StoreAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where entries are kept."""

    url: str = "sqlite:askonce.db"


class MemorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The memory in front of the store."""

    size: int = 256 * _MiB  # bytes
    ttl: timedelta | None = None
    eviction: Literal["s3-fifo", "gdsf"] = "s3-fifo"


class CacheRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers live, and which are stored at all.

    `sampling` is how many answers are kept of a question with an explicit temperature above 0:
    0 ("bypass") asks the provider every time, 1 ("reuse") serves the one stored answer, k
    ("pool:k") cycles through k of them.
    """

    ttl: timedelta = timedelta(hours=24)
    stale_while_revalidate: timedelta = timedelta(0)
    stale_if_error: timedelta = timedelta(0)
    refresh_ahead: float = 0.0
    jitter: float = 0.0
    negative_ttl: timedelta = timedelta(0)
    expire_on: Literal["model", "fingerprint", "never"] = "model"
    sampling: int = 0
    max_entry: int = 8 * _MiB  # bytes
    also_store: frozenset[Reason] = frozenset()
    consistency: Literal["eventual", "strong"] = "eventual"
    lease: timedelta = timedelta(seconds=5)
    lease_wait: timedelta = timedelta(seconds=20)

    @property
    def limits(self) -> Limits:
        """The same as the request path wants it."""
        return Limits(
            ttl=self.ttl.total_seconds(),
            stale_while_revalidate=self.stale_while_revalidate.total_seconds(),
            stale_if_error=self.stale_if_error.total_seconds(),
            refresh_ahead=self.refresh_ahead,
            jitter=self.jitter,
            negative_ttl=self.negative_ttl.total_seconds(),
            expire_on=self.expire_on,
            pool=self.sampling,
            max_entry=self.max_entry,
            also_store=self.also_store,
        )


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests name the documents that their answers are made from."""

    fields: tuple[Path, ...] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests are logged for `askonce prompts`, `off` by default, and how much is kept.

    A file that would grow beyond `max_size` becomes `.1`, and so on up to `keep`.
    """

    requests: str = "off"
    max_size: int = 256 * _MiB  # bytes
    keep: int = 1


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream; `base_url` is what stands before `/v1`, without a trailing slash."""

    name: str
    base_url: str
    format: Literal["openai", "anthropic"]


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace, the keys of its callers, and the key that is used upstream in their place."""

    name: str
    keys: tuple[str, ...]
    upstream_key: str | None = None

    def __repr__(self) -> str:
        return f"Tenant(name={self.name!r}, keys={len(self.keys)} masked)"


def default_providers() -> dict[str, Provider]:
    openai = Provider(name="openai", base_url="https://api.openai.com", format="openai")
    anthropic = Provider(name="anthropic", base_url="https://api.anthropic.com", format="anthropic")
    return {"openai": openai, "anthropic": anthropic}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be configured.

    `origins` says for each key that was given, as in `cache.ttl`, the file or the environment
    variable that gave it.
    """

    gateway: Gateway = Gateway()
    store: StoreAddress = StoreAddress()
    memory: MemorySettings = MemorySettings()
    cache: CacheRules = CacheRules()
    documents: Documents = Documents()
    semantic: Semantic = Semantic(mode="shadow")
    prompts: Prompts = Prompts()
    admin: Admin = Admin()
    ledger: LedgerSettings = LedgerSettings()
    log: Log = Log()
    named_layers: dict[str, LayerTable] = msgspec.field(default_factory=dict)
    providers: dict[str, Provider] = msgspec.field(default_factory=default_providers)
    tenants: dict[str, Tenant] = msgspec.field(default_factory=dict)
    sources: tuple[EventSource, ...] = ()
    rules: Rules = msgspec.field(default_factory=Rules)
    origins: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, memory first: `[layers]`, or `[memory]` and `[store]`."""
        own = Layer(MEMORY, name="memory", ttl=self.memory.ttl, size=self.memory.size)
        if not self.named_layers:
            below = () if self.store.url == MEMORY else (Layer(self.store.url),)
            return (own, *below)
        tables = self.named_layers.values()
        named = [Layer(t.url, t.name, t.ttl, t.size, t.deadline) for t in tables]
        if named[0].store == MEMORY:
            own = Layer(MEMORY, named[0].name, named[0].ttl or own.ttl, named[0].size or own.size)
            named = named[1:]
        return (own, *named)

    @property
    def shared_url(self) -> str:
        """The address of the most shared store."""
        return str(self.layers[-1].store)

    @property
    def limits(self) -> Limits:
        """What the request path decides by."""
        return msgspec.structs.replace(self.cache.limits, document_fields=self.documents.fields)

    def provider_for(self, format_name: str) -> Provider | None:
        """Who answers a format's own routes: the provider named like it, else the first of it."""
        named = self.providers.get(format_name)
        if named is not None and named.format == format_name:
            return named
        return next((p for p in self.providers.values() if p.format == format_name), None)
