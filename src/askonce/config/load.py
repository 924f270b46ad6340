"""The settings: one TOML file, overridden by `ASKONCE_<SECTION>__<KEY>`, read into precise values.

Reading is pure: the caller brings the file's text and the environment. Everything that is wrong is
one `ConfigError` of one line: where, which key, what is wrong with it, how to mend it. A
caller's keys never appear in it.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from askonce.config import rule_tables
from askonce.config.settings import (
    NAMED,
    ROUTES,
    TABLES,
    JwtIdentity,
    LayerTable,
    Provider,
    Settings,
    Tenant,
    default_providers,
)
from askonce.core import values as read
from askonce.core.errors import ConfigError
from askonce.core.identity import bare
from askonce.core.settings_table import settings_of, with_values
from askonce.invalidation.sources import read_sources
from askonce.stores.tiered.layers import tiers_of

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
        values[path] = {key: _value(path, key, given) for key, given in table.items()}
        origins |= {".".join((*path, key)): given.origin for key, given in table.items()}
    defaults = Settings()
    plain = {
        section: with_values(getattr(defaults, section), values.get((section,), {}))
        for section in TABLES
        if section not in NAMED
    }
    settings = msgspec.structs.replace(
        defaults,
        **plain,
        named_layers=_layers(values, source),
        providers=_providers(values, source),
        tenants=_tenants(values, source),
        jwt=_jwt(values, source),
        sources=read_sources({p[1]: t for p, t in values.items() if p[0] == "sources"}, source),
        rules=rules,
        origins=origins,
    )
    _check_keys_are_unique(settings)
    _check_admin(settings)
    _check_layers(settings, source)
    return settings


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
    except RecursionError:
        raise ConfigError(
            f"{source}: is nested too deeply; no setting is a list of lists"
        ) from None


def _tables(file: Mapping[str, Any], source: str) -> _Tables:
    """The file's tables by their paths: `("cache",)`, `("providers", "openai")`."""
    tables: _Tables = {}
    for section, content in file.items():
        if section not in TABLES:
            near = read.nearest(section, {**TABLES, "rules": None})
            raise _wrong(source, section, f"is not a section{near}")
        named = section in NAMED
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
        if section not in TABLES:
            near = read.nearest(section, TABLES)
            raise _wrong("environment", variable, f"{section!r} is not a section{near}")
        *middle, key = rest
        if bool(middle) != (section in NAMED) or not all(rest):
            form = f"{_PREFIX}{section.upper()}{'__NAME' if section in NAMED else ''}__KEY"
            raise _wrong("environment", variable, f"does not name a setting; write it as {form}")
        name = "__".join(middle)
        path = _present(tables, section, name) if middle else (section,)
        tables.setdefault(path, {})[key] = _Given(environ[variable], variable)


def _refuse_single_underscore(variable: str, rest: str) -> None:
    section, _, key = rest.partition("_")
    if section in TABLES and key:
        meant = f"{_PREFIX}{section.upper()}__{key.upper()}"
        raise _wrong("environment", variable, f"lacks an underscore; write {meant}")


def _present(tables: _Tables, section: str, name: str) -> _Path:
    """The path that a variable means: an environment has neither case nor `-` nor `.`."""
    for path in tables:
        if path[0] == section and re.sub(r"[-.]", "_", path[-1]).lower() == name:
            return path
    return (section, name)


def _value(path: _Path, key: str, given: _Given) -> Any:
    settings = settings_of(TABLES[path[0]])
    where = "environment" if given.origin.startswith(_PREFIX) else given.origin
    full = given.origin if where == "environment" else ".".join((*path, key))
    if key not in settings:
        raise _wrong(where, full, f"{key!r} is not a key of {path[0]}{read.nearest(key, settings)}")
    try:
        return settings[key].kind.read(given.value)
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
        if before is not None:
            providers[name] = with_values(before, table)
            continue
        for key, setting in settings_of(Provider).items():
            if setting.default is msgspec.NODEFAULT and key not in table:
                mend = 'add base_url and format ("openai", "anthropic")'
                raise _wrong(source, f"providers.{name}", f"has no {key}; {mend}")
        providers[name] = Provider(name=name, **table)
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


_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def _jwt(values: dict[_Path, dict[str, Any]], source: str) -> JwtIdentity | None:
    for path, table in values.items():
        if path[0] != "identity":
            continue
        if path[1] != "jwt":
            raise _wrong(source, ".".join(path), "is not a section; write [identity.jwt]")
        for key in ("issuer", "audience", "keys"):
            if not table.get(key):
                mend = "write issuer, audience and keys into [identity.jwt]"
                raise _wrong(source, "identity.jwt", f"has no {key}; {mend}")
        jwt = JwtIdentity(name="jwt", **table)
        if jwt.keys.startswith("http://") and urlsplit(jwt.keys).hostname not in _THIS_MACHINE:
            raise _wrong(source, "identity.jwt.keys", "is not secure; write an https:// address")
        return jwt
    return None


def _name(path: _Path, source: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", path[1]):
        what = "has a name that cannot be used; use letters, digits, '.', '_' and '-'"
        raise _wrong(source, f"{path[0]}.{read.short(path[1])}", what)
    return path[1]


def _check_keys_are_unique(settings: Settings) -> None:
    """A key in two tenants would make the namespace depend on the order of the file."""
    owners: dict[str, str] = {}
    for tenant in settings.tenants.values():
        for key in map(bare, tenant.keys):  # "Bearer k" and "k" are one key
            owner = owners.setdefault(key, tenant.name)
            if owner != tenant.name:
                where = settings.origins[f"tenants.{tenant.name}.keys"]
                what = f"has a key of tenants.{owner} too; give every tenant keys of its own"
                raise _wrong(where, f"tenants.{tenant.name}.keys", what)
            if key == settings.admin.token:
                where = settings.origins["admin.token"]
                what = f"is a key of tenants.{tenant.name} too; make one that no client uses"
                raise _wrong(where, "admin.token", what)


def _check_admin(settings: Settings) -> None:
    """Without a token there is no address that a webhook could be sent to."""
    name = "admin.webhook_secret"
    if settings.admin.webhook_secret is not None and settings.admin.token is None:
        where = settings.origins[name]
        raise _wrong(where, name, "stands without a token; add token to [admin]")


def _wrong(where: str, key: str, what: str) -> ConfigError:
    return ConfigError(f"{where}: {key} {what}")
