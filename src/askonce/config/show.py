"""The settings as people and programs read them: TOML or plain values, with every secret masked."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from askonce.config import rule_tables
from askonce.config.admin import Admin
from askonce.config.load import CacheRules, LayerTable, MemorySettings, Provider, Settings, Tenant
from askonce.invalidation.sources import EventSource
from askonce.ledger.settings import LedgerSettings
from askonce.prompts.settings import Prompts
from askonce.semantic.settings import Semantic

Table = dict[str, Any]


def masked(settings: Settings) -> dict[str, Any]:
    """The effective settings as plain values in the words of the file, without secrets."""
    gateway, memory = settings.gateway, settings.memory
    return {
        "gateway": {
            "host": gateway.host,
            "port": gateway.port,
            "max_body": show_size(gateway.max_body),
            "connect_timeout": show_duration(gateway.connect_timeout),
            "read_timeout": show_duration(gateway.read_timeout),
            "drain": show_duration(gateway.drain),
        },
        **_stores(settings),
        "memory": _memory(memory),
        "cache": _cache(settings.cache),
        "semantic": _semantic(settings.semantic),
        "prompts": _prompts(settings.prompts),
        "documents": {"fields": [path.text for path in settings.documents.fields]},
        **_admin(settings.admin),
        "ledger": _ledger(settings.ledger),
        "log": {
            "requests": settings.log.requests,
            "max_size": show_size(settings.log.max_size),
            "keep": settings.log.keep,
        },
        "providers": {name: _provider(item) for name, item in settings.providers.items()},
        "tenants": {name: _tenant(item) for name, item in settings.tenants.items()},
        "sources": {source.name: _source(source) for source in settings.sources},
        **({"rules": rule_tables.plain_tables(settings.rules)} if settings.rules else {}),
    }


def show(settings: Settings) -> str:
    """The effective settings as TOML; a comment says where a value that was given comes from."""
    return "\n".join(_lines(settings)).lstrip("\n") + "\n"


def masked_url(url: str) -> str:
    """A store's address without the passwords that such addresses can carry."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][a-z_]*(?:password|secret|token|key)=)[^&#]*", r"\1***", url)


def masked_key(key: str) -> str:
    """Enough of a key to tell it from others, never enough to use or to guess it."""
    return f"***{key[-4:]}" if len(key) >= 20 else "***"


def show_duration(duration: timedelta) -> str:
    """A duration as the file has it: `24h`, `1h30m`, `0s`, `250ms`."""
    milliseconds = round(duration.total_seconds() * 1000)
    parts = []
    for unit, length in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def show_size(size_bytes: int) -> str:
    """A size as the file has it: `256 MiB`, `1500 B`."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes and size_bytes % length == 0:
            return f"{size_bytes // length} {unit}"
    return f"{size_bytes} B"


def show_fraction(part: float) -> str:
    """A part as the file has it: `10%`, `2.5%`."""
    return f"{part * 100:.12g}%"


def show_sampling(samples: int) -> str:
    return ("bypass", "reuse")[samples] if samples < 2 else f"pool:{samples}"


def _cache(cache: CacheRules) -> Table:
    return {
        "ttl": show_duration(cache.ttl),
        "stale_while_revalidate": show_duration(cache.stale_while_revalidate),
        "stale_if_error": show_duration(cache.stale_if_error),
        "refresh_ahead": cache.refresh_ahead,
        "jitter": show_fraction(cache.jitter),
        "negative_ttl": show_duration(cache.negative_ttl),
        "expire_on": cache.expire_on,
        "sampling": show_sampling(cache.sampling),
        "max_entry": show_size(cache.max_entry),
        "also_store": sorted(cache.also_store),
        "consistency": cache.consistency,
        "lease": show_duration(cache.lease),
        "lease_wait": show_duration(cache.lease_wait),
    }


def _semantic(semantic: Semantic) -> Table:
    table: Table = {
        "mode": semantic.mode,
        "threshold": semantic.threshold,
        "embedder": masked_url(semantic.embedder),
        "index": masked_url(semantic.index),
        "max_entries": semantic.max_entries,
        "size": show_size(semantic.size),
        "deadline": show_duration(timedelta(seconds=semantic.patience)),
        "history": semantic.history,
        "parameters": semantic.parameters,
        "models": [list(family) for family in semantic.models],
        "tools": semantic.tools,
    }
    if semantic.embedder_key is not None:
        table["embedder_key"] = masked_key(semantic.embedder_key)
    return table


def _prompts(prompts: Prompts) -> Table:
    return {
        "level": prompts.level,
        "volatile": list(prompts.volatile),
        "rules": list(prompts.rules),
        "hold": show_duration(prompts.hold),
    }


def _stores(settings: Settings) -> Table:
    if not settings.named_layers:
        return {"store": {"url": masked_url(settings.store.url)}}
    return {"layers": {name: _layer(item) for name, item in settings.named_layers.items()}}


def _layer(layer: LayerTable) -> Table:
    table: Table = {"url": masked_url(layer.url)}
    if layer.ttl is not None:
        table["ttl"] = show_duration(layer.ttl)
    if layer.size is not None:
        table["size"] = show_size(layer.size)
    if layer.deadline is not None:
        table["deadline"] = show_duration(layer.deadline)
    return table


def _memory(memory: MemorySettings) -> Table:
    table: Table = {"size": show_size(memory.size), "eviction": memory.eviction}
    if memory.ttl is not None:
        table["ttl"] = show_duration(memory.ttl)
    return table


def _admin(admin: Admin) -> Table:
    secrets = {"token": admin.token, "webhook_secret": admin.webhook_secret}
    shown = {name: masked_key(value) for name, value in secrets.items() if value is not None}
    if admin.audit is not None:
        shown["audit"] = admin.audit
    return {"admin": shown} if shown else {}


def _ledger(terms: LedgerSettings) -> Table:
    prices = {"storage_price": terms.storage_price, "embedding_price": terms.embedding_price}
    known = {name: str(price) for name, price in prices.items() if price is not None}
    return {"keep_days": terms.keep_days, "rows": terms.rows, **known}


def _provider(provider: Provider) -> Table:
    return {"base_url": provider.base_url, "format": provider.format}


def _tenant(tenant: Tenant) -> Table:
    table: Table = {"keys": [masked_key(key) for key in tenant.keys]}
    if tenant.upstream_key is not None:
        table["upstream_key"] = masked_key(tenant.upstream_key)
    return table


def _source(source: EventSource) -> Table:
    where = {"stream": source.stream} if source.is_redis else {"channel": source.channel}
    return {"url": masked_url(source.url), **where}


def _lines(settings: Settings) -> Iterator[str]:
    for section, content in masked(settings).items():
        if section == "rules":
            for table in content:
                yield from ("", "[[rules]]", *(f"{key} = {_toml(v)}" for key, v in table.items()))
            continue
        named = section in {"layers", "providers", "tenants", "sources"}
        tables = content.items() if named else [("", content)]
        for name, table in tables:
            path = f"{section}.{name}" if name else section
            yield ""
            yield (
                f"[{section}.{json.dumps(name) if '.' in name else name}]" if name else f"[{path}]"
            )
            for key, value in table.items():
                line = f"{key} = {_toml(value)}"
                origin = settings.origins.get(f"{path}.{key}")
                yield f"{line:<40} # {origin}" if origin else line


def _toml(value: str | float | list[str]) -> str:
    """JSON's texts, integers and lists of texts are TOML's too, once DEL is escaped."""
    return json.dumps(value).replace("\x7f", "\\u007f")
