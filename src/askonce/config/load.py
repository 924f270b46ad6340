"""The settings: one TOML file, overridden by `ASKONCE_<SECTION>__<KEY>`, read into precise values.

Reading is pure: the caller brings the file's text and the environment. Everything that is wrong is
one `ConfigError` of one line: where, which key, what is wrong with it, how to mend it. A
caller's keys never appear in it.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from askonce.config import rule_tables
from askonce.config.admin import READERS as ADMIN_READERS
from askonce.config.admin import Admin
from askonce.config.settings import (
    FORMATS,
    ROUTES,
    CacheRules,
    Documents,
    Gateway,
    LayerTable,
    Log,
    MemorySettings,
    Provider,
    Settings,
    StoreAddress,
    Tenant,
    default_providers,
)
from askonce.core import values as read
from askonce.core.errors import ConfigError
from askonce.invalidation.sources import READERS as SOURCE_READERS
from askonce.invalidation.sources import read_sources
from askonce.ledger.settings import READERS as LEDGER_READERS
from askonce.ledger.settings import LedgerSettings
from askonce.prompts.settings import READERS as PROMPT_READERS
from askonce.prompts.settings import Prompts
from askonce.semantic.settings import READERS as SEMANTIC_READERS
from askonce.semantic.settings import Semantic
from askonce.stores.tiered.layers import tiers_of

__all__ = [
    "ROUTES",
    "CacheRules",
    "Gateway",
    "LayerTable",
    "MemorySettings",
    "Provider",
    "Settings",
    "Tenant",
    "load",
]

_PREFIX = "ASKONCE_"


def load(text: str, environ: Mapping[str, str], source: str = "askonce.toml") -> Settings:
    """Read the settings out of a file's text and the environment. Raises `ConfigError`."""
    file = _file(text, source)
    rules = rule_tables.read_rules(file.pop("rules", []), source)
    tables = _tables(file, source)
    _override(tables, environ)
    origins: dict[str, str] = {}
    values: dict[_Path, dict[str, Any]] = {}
    for path, table in tables.items():
        readers = _READERS[path[0]]
        values[path] = {}
        for key, given in table.items():
            values[path][key] = _value(path, key, given, readers)
            origins[".".join((*path, key))] = given.origin
    settings = Settings(
        gateway=Gateway(**values.get(("gateway",), {})),
        store=StoreAddress(**values.get(("store",), {})),
        memory=MemorySettings(**values.get(("memory",), {})),
        cache=CacheRules(**values.get(("cache",), {})),
        documents=Documents(**values.get(("documents",), {})),
        semantic=Semantic(**{"mode": "shadow", **values.get(("semantic",), {})}),
        prompts=Prompts(**values.get(("prompts",), {})),
        admin=Admin(**values.get(("admin",), {})),
        ledger=LedgerSettings(**values.get(("ledger",), {})),
        log=Log(**values.get(("log",), {})),
        named_layers=_layers(values, source),
        providers=_providers(values, source),
        tenants=_tenants(values, source),
        sources=read_sources({p[1]: t for p, t in values.items() if p[0] == "sources"}, source),
        rules=rules,
        origins=origins,
    )
    _check_keys_are_unique(settings)
    _check_admin(settings)
    _check_layers(settings, source)
    return settings


_READERS: dict[str, dict[str, read.Reader]] = {
    "gateway": {
        "host": read.text,
        "port": read.port,
        "max_body": read.above_zero(read.size),
        "connect_timeout": read.above_zero(read.duration),
        "read_timeout": read.above_zero(read.duration),
        "drain": read.duration,
    },
    "store": {"url": read.text},
    "memory": {
        "size": read.size,
        "ttl": read.above_zero(read.duration),
        "eviction": read.one_of("s3-fifo", "gdsf"),
    },
    "layers": {
        "url": read.text,
        "ttl": read.above_zero(read.duration),
        "size": read.above_zero(read.size),
        "deadline": read.above_zero(read.duration),
    },
    "cache": {
        "ttl": read.duration,
        "stale_while_revalidate": read.duration,
        "stale_if_error": read.duration,
        "refresh_ahead": read.beta,
        "jitter": read.fraction,
        "negative_ttl": read.duration,
        "expire_on": read.one_of("model", "fingerprint", "never"),
        "sampling": read.sampling,
        "max_entry": read.above_zero(read.size),
        "also_store": read.reasons,
        "consistency": read.one_of("eventual", "strong"),
        "lease": read.above_zero(read.duration),
        "lease_wait": read.duration,
    },
    "semantic": SEMANTIC_READERS,
    "prompts": PROMPT_READERS,
    "admin": ADMIN_READERS,
    "ledger": LEDGER_READERS,
    "log": {"requests": read.log_file, "max_size": read.above_zero(read.size), "keep": read.few},
    "sources": SOURCE_READERS,
    "documents": {"fields": read.paths},
    "providers": {"base_url": read.base_url, "format": read.one_of(*FORMATS)},
    "tenants": {"keys": read.texts, "upstream_key": read.secret},
}
_NAMED = ("layers", "providers", "tenants", "sources")
"""Sections that hold a table for each name."""

_SECTIONS: dict[str, object] = {**_READERS, "rules": None}

_Path = tuple[str, ...]


class _Given(NamedTuple):
    value: Any
    origin: str


_Tables = dict[_Path, dict[str, _Given]]


def _file(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: is not TOML: {error}; mend that line") from None


def _tables(file: Mapping[str, Any], source: str) -> _Tables:
    """The file's tables by their paths: `("cache",)`, `("providers", "openai")`."""
    tables: _Tables = {}
    for section, content in file.items():
        if section not in _READERS:
            raise _wrong(source, section, f"is not a section{read.nearest(section, _SECTIONS)}")
        named = section in _NAMED
        for path, table in _split(section, content, named=named, source=source):
            tables[path] = {key: _Given(value, source) for key, value in table.items()}
    return tables


def _split(
    section: str, content: Any, *, named: bool, source: str
) -> list[tuple[_Path, dict[str, Any]]]:
    header = f"{section}.NAME" if named else section
    tables = content.items() if named and isinstance(content, dict) else [("", content)]
    found: list[tuple[_Path, dict[str, Any]]] = []
    for name, table in tables:
        path = (section, name) if name else (section,)
        if not isinstance(table, dict) or (named and not name):
            raise _wrong(source, ".".join(path), f"is not a table; write [{header}] and its keys")
        found.append((path, table))
    return found


def _override(tables: _Tables, environ: Mapping[str, str]) -> None:
    """Put the environment's values over the file's."""
    for variable in sorted(environ):
        if not variable.startswith(_PREFIX):
            continue
        section, *rest = variable.removeprefix(_PREFIX).lower().split("__")
        if not rest:
            _refuse_single_underscore(variable, section)
            continue
        if section == "rules":
            raise _wrong("environment", variable, "cannot be; rules stand in the file, [[rules]]")
        if section not in _READERS:
            near = read.nearest(section, _READERS)
            raise _wrong("environment", variable, f"{section!r} is not a section{near}")
        *middle, key = rest
        if bool(middle) != (section in _NAMED) or not all(rest):
            form = f"{_PREFIX}{section.upper()}{'__NAME' if section in _NAMED else ''}__KEY"
            raise _wrong("environment", variable, f"does not name a setting; write it as {form}")
        name = "__".join(middle)
        path = _present(tables, section, name) if middle else (section,)
        tables.setdefault(path, {})[key] = _Given(environ[variable], variable)


def _refuse_single_underscore(variable: str, rest: str) -> None:
    section, _, key = rest.partition("_")
    if section in _READERS and key:
        meant = f"{_PREFIX}{section.upper()}__{key.upper()}"
        raise _wrong("environment", variable, f"lacks an underscore; write {meant}")


def _present(tables: _Tables, section: str, name: str) -> _Path:
    """The path that a variable means: an environment has neither case nor `-` nor `.`."""
    for path in tables:
        if path[0] == section and re.sub(r"[-.]", "_", path[-1]).lower() == name:
            return path
    return (section, name)


def _value(path: _Path, key: str, given: _Given, readers: dict[str, read.Reader]) -> Any:
    where = "environment" if given.origin.startswith(_PREFIX) else given.origin
    full = given.origin if where == "environment" else ".".join((*path, key))
    if key not in readers:
        raise _wrong(where, full, f"{key!r} is not a key of {path[0]}{read.nearest(key, readers)}")
    try:
        return readers[key](given.value)
    except ValueError as error:
        raise _wrong(where, full, str(error)) from None


def _layers(values: dict[_Path, dict[str, Any]], source: str) -> dict[str, LayerTable]:
    layers = {}
    for path, table in values.items():
        if path[0] != "layers":
            continue
        name = _name(path, source)
        if "url" not in table:
            raise _wrong(source, f"layers.{name}", 'has no url; add url = "redis://localhost"')
        layers[name] = LayerTable(name=name, **table)
    return layers


def _check_layers(settings: Settings, source: str) -> None:
    if settings.named_layers and "store.url" in settings.origins:
        where = settings.origins["store.url"]
        what = "stands beside [layers]; name the store in one of [layers.NAME] and leave this out"
        raise _wrong(where, "store.url", what)
    try:
        tiers_of(settings.layers)
    except ConfigError as error:
        raise ConfigError(f"{source}: layers: {error}") from None


def _providers(values: dict[_Path, dict[str, Any]], source: str) -> dict[str, Provider]:
    providers = default_providers()
    for path, table in values.items():
        if path[0] != "providers":
            continue
        name = _name(path, source)
        if name in ROUTES:
            raise _wrong(source, f"providers.{name}", "is the name of a route; choose another name")
        before = providers.get(name)
        base_url = table.get("base_url", before.base_url if before else None)
        format_name = table.get("format", before.format if before else None)
        if base_url is None or format_name is None:
            lacking = "base_url" if base_url is None else "format"
            mend = f"add base_url and format ({read.quoted(FORMATS)})"
            raise _wrong(source, f"providers.{name}", f"has no {lacking}; {mend}")
        providers[name] = Provider(name=name, base_url=base_url, format=format_name)
    return providers


def _tenants(values: dict[_Path, dict[str, Any]], source: str) -> dict[str, Tenant]:
    tenants = {}
    for path, table in values.items():
        if path[0] != "tenants":
            continue
        name = _name(path, source)
        if not table.get("keys"):
            raise _wrong(source, f"tenants.{name}", 'has no keys; add keys = ["..."]')
        tenants[name] = Tenant(name=name, **table)
    return tenants


def _name(path: _Path, source: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", path[1]):
        what = "has a name that cannot be used; use letters, digits, '.', '_' and '-'"
        raise _wrong(source, f"{path[0]}.{read.short(path[1])}", what)
    return path[1]


def _check_keys_are_unique(settings: Settings) -> None:
    """A key in two tenants would make the namespace depend on the order of the file."""
    owners: dict[str, str] = {}
    for tenant in settings.tenants.values():
        for key in tenant.keys:
            owner = owners.setdefault(key, tenant.name)
            if owner != tenant.name:
                where = settings.origins[f"tenants.{tenant.name}.keys"]
                what = f"has a key of tenants.{owner} too; give every tenant keys of its own"
                raise _wrong(where, f"tenants.{tenant.name}.keys", what)
            if key == settings.admin.token:
                where = settings.origins["admin.token"]
                what = f"is a key of tenants.{tenant.name} too; make one that nobody asks with"
                raise _wrong(where, "admin.token", what)


def _check_admin(settings: Settings) -> None:
    """Without a token there is no address that a webhook could be sent to."""
    name = "admin.webhook_secret"
    if settings.admin.webhook_secret is not None and settings.admin.token is None:
        where = settings.origins[name]
        raise _wrong(where, name, "stands without a token; add token to [admin]")


def _wrong(where: str, key: str, what: str) -> ConfigError:
    return ConfigError(f"{where}: {key} {what}")
