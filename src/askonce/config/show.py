"""The settings as people and programs read them: TOML or plain values, with every secret masked."""

import json
from collections.abc import Iterator
from typing import Any

from askonce.config import rule_tables
from askonce.config.settings import NAMED, TABLES, Settings
from askonce.core.settings_table import shown
from askonce.invalidation.sources import EventSource


def masked(settings: Settings) -> dict[str, Any]:
    """Return the effective settings as plain values in the words of the file, without secrets."""
    tables: dict[str, Any] = {}
    for section in TABLES:
        if section in NAMED:
            items = settings.named(section).items()
            tables[section] = {name: _shown(table) for name, table in items}
        else:
            tables[section] = shown(getattr(settings, section))
    del tables["store" if settings.named_layers else "layers"]
    if not tables["admin"]:
        del tables["admin"]
    if settings.rules:
        tables["rules"] = rule_tables.plain_tables(settings.rules)
    return tables


def show(settings: Settings) -> str:
    """Return the effective settings as TOML; a comment gives the origin of a value from outside."""
    return "\n".join(_lines(settings)).lstrip("\n") + "\n"


def _shown(table: Any) -> dict[str, Any]:
    values = shown(table)
    if isinstance(table, EventSource):
        del values["channel" if table.is_redis else "stream"]
    return values


def _lines(settings: Settings) -> Iterator[str]:
    for section, content in masked(settings).items():
        if section == "rules":
            for table in content:
                yield from ("", "[[rules]]", *(f"{key} = {_toml(v)}" for key, v in table.items()))
            continue
        tables = content.items() if section in NAMED else [("", content)]
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
