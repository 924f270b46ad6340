"""The settings as precise values: a struct for each table, with defaults and documentation.

A setting is added as one field of such a struct, see `core/settings_table.py`.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from askonce.config.admin import Admin
from askonce.core import printers, values
from askonce.core.document_tags import Path
from askonce.core.policy import Limits
from askonce.core.request_headers import header_names, ignored_names
from askonce.core.rules.rules import Rules
from askonce.core.settings_table import (
    Bytes,
    Duration,
    PositiveBytes,
    PositiveDuration,
    Secret,
    SettingKind,
    StoreUrl,
    Text,
)
from askonce.invalidation.sources import EventSource
from askonce.ledger.settings import LedgerSettings
from askonce.prompts.settings import Prompts
from askonce.semantic.settings import Semantic
from askonce.stores.tiered.layers import MEMORY, Layer, SharingSettings

ROUTES = ("askonce", "healthz", "metrics", "v1")
"""First path segments of the gateway itself, which no provider can be named."""

_MiB = 1 << 20


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Where the gateway listens, and its limits."""

    host: Annotated[Text, "the address to listen on"] = "127.0.0.1"
    port: Annotated[int, SettingKind(values.port), "the port; 0 takes a free one"] = 4040
    max_body: Annotated[PositiveBytes, "longer request bodies are refused with 413"] = 32 * _MiB
    connect_timeout: Annotated[
        PositiveDuration, "the time limit for a connection to a provider"
    ] = timedelta(seconds=5)
    read_timeout: Annotated[
        PositiveDuration, "the longest pause of a provider within an answer"
    ] = timedelta(minutes=10)
    drain: Annotated[Duration, "how long a stopping gateway lets answers finish"] = timedelta(
        seconds=30
    )


class StoreAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where entries are kept."""

    url: Annotated[
        StoreUrl,
        "the store below memory; or redis://host, postgresql://host/database, memory: for none",
    ] = "sqlite:askonce.db"


class LayerTable(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the cache: one `[layers.NAME]` table, in the order of the file."""

    name: str
    url: Annotated[StoreUrl, "the store of this layer"]
    ttl: Annotated[PositiveDuration | None, "answers live no longer than this in the layer"] = None
    size: Annotated[PositiveBytes | None, "for a SQLite file: the oldest answers leave first"] = (
        None
    )
    deadline: Annotated[
        PositiveDuration | None, "for one call; without it 250ms over a network, 1s on this machine"
    ] = None


class MemorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The memory in front of the store."""

    size: Annotated[Bytes, "the limit of answers in memory, in bytes really used"] = 256 * _MiB
    eviction: Annotated[
        Literal["s3-fifo", "gdsf"],
        'or "gdsf": keep the answers that save the most dollars per byte',
    ] = "s3-fifo"
    ttl: Annotated[PositiveDuration | None, "answers live no longer than this in memory"] = None


class CacheTable(msgspec.Struct, frozen=True, kw_only=True):
    """The `[cache]` table: what decides about answers, and how processes coordinate."""

    limits: Limits = Limits()
    sharing: SharingSettings = SharingSettings()


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests name the documents that their answers are made from."""

    fields: Annotated[
        tuple[Path, ...],
        SettingKind(values.paths, lambda paths: [path.text for path in paths]),
        'where a request names its source documents: ["metadata.documents"]',
    ] = ()


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is part of a question besides what AskOnce knows."""

    ignore_members: Annotated[
        tuple[str, ...],
        SettingKind(values.members, list),
        'members of a body that change no answer: ["trace_ref"]',
    ] = ()
    ignore_headers: Annotated[
        tuple[str, ...],
        SettingKind(ignored_names, list),
        'more request headers that change no answer, perhaps with one "*": ["x-my-trace"]',
    ] = ()
    credentials: Annotated[
        tuple[str, ...],
        SettingKind(header_names, list),
        'more request headers that say who calls: ["x-employee"]',
    ] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests are logged for `askonce prompts`, and how much is kept.

    A file that would grow beyond `max_size` becomes `.1`, and so on up to `keep`.
    """

    requests: Annotated[
        str,
        SettingKind(values.log_file),
        'a file of requests for askonce prompts; "file": requests.jsonl',
    ] = "off"
    max_size: Annotated[PositiveBytes, "a file that would grow beyond this is moved to .1"] = (
        256 * _MiB
    )
    keep: Annotated[int, SettingKind(values.few), "how many moved files stay"] = 1


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream; `base_url` is the part before `/v1`, without a trailing slash."""

    name: str
    base_url: Annotated[
        str, SettingKind(values.base_url), "the address before /v1; a trailing /v1 is accepted too"
    ]
    format: Annotated[Literal["openai", "anthropic"], 'its wire format: "openai" or "anthropic"']
    stateless: Annotated[
        bool | None,
        "true: `user`, `metadata` and conversation members change no answer there; without it, at"
        " the providers' own addresses only",
    ] = None
    response_cache_control: Annotated[
        Literal["auto", "heed", "ignore"],
        '"heed" or "ignore" its no-store; "auto" ignores it where the first 20 answers all say so',
    ] = "auto"


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace, the keys of its callers, and the key that is used upstream in their place."""

    name: str
    keys: Annotated[
        tuple[str, ...],
        SettingKind(values.texts, lambda keys: list(map(printers.masked_key, keys))),
        "the keys of callers who share their answers",
    ]
    upstream_key: Annotated[Secret | None, "the provider gets this key instead of a caller's"] = (
        None
    )

    def __repr__(self) -> str:
        return f"Tenant(name={self.name!r}, keys={len(self.keys)} masked)"


class JwtIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """`[identity.jwt]`: callers whom a claim of their JSON Web Token names.

    Callers with valid tokens of one claim share their answers, whatever token they show.
    """

    name: str
    issuer: Annotated[str, SettingKind(values.text), "the `iss` of the tokens, exactly"]
    audience: Annotated[
        tuple[str, ...], SettingKind(values.texts, list), "the `aud` of the tokens; any of these"
    ]
    keys: Annotated[
        str,
        SettingKind(values.text),
        "the issuer's public keys: the URL of a JSON Web Key Set (https), a file with one, or PEM",
    ]
    claim: Annotated[str, SettingKind(values.text), "the claim that names the caller"] = "sub"

    @property
    def is_remote(self) -> bool:
        """Whether the keys are fetched."""
        return self.keys.startswith(("https://", "http://"))


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
    cache: CacheTable = CacheTable()
    semantic: Semantic = Semantic(mode="shadow")
    prompts: Prompts = Prompts()
    documents: Documents = Documents()
    keys: KeySettings = KeySettings()
    admin: Admin = Admin()
    ledger: LedgerSettings = LedgerSettings()
    log: Log = Log()
    named_layers: dict[str, LayerTable] = msgspec.field(default_factory=dict)
    providers: dict[str, Provider] = msgspec.field(default_factory=default_providers)
    tenants: dict[str, Tenant] = msgspec.field(default_factory=dict)
    jwt: JwtIdentity | None = None
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

    def named(self, section: str) -> dict[str, msgspec.Struct]:
        """Return the tables of a section that has one for each name, by these names."""
        named: dict[str, dict[str, Any]] = {
            "layers": self.named_layers,
            "providers": self.providers,
            "tenants": self.tenants,
            "identity": {} if self.jwt is None else {"jwt": self.jwt},
            "sources": {source.name: source for source in self.sources},
        }
        return named[section]

    def provider_for(self, format_name: str) -> Provider | None:
        """Who answers a format's own routes: the provider named like it, else the first of it."""
        named = self.providers.get(format_name)
        if named is not None and named.format == format_name:
            return named
        return next((p for p in self.providers.values() if p.format == format_name), None)


TABLES: dict[str, type[msgspec.Struct]] = {
    "gateway": Gateway,
    "store": StoreAddress,
    "layers": LayerTable,
    "memory": MemorySettings,
    "cache": CacheTable,
    "semantic": Semantic,
    "prompts": Prompts,
    "documents": Documents,
    "keys": KeySettings,
    "admin": Admin,
    "ledger": LedgerSettings,
    "log": Log,
    "providers": Provider,
    "tenants": Tenant,
    "identity": JwtIdentity,
    "sources": EventSource,
}
"""The sections of the file but `[[rules]]`, in the order in which they are shown."""

NAMED = ("layers", "providers", "tenants", "identity", "sources")
"""Sections that hold a table for each name; any other is the field of `Settings` of its name."""
