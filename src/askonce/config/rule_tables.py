"""The `[[rules]]` of the settings: each table is one rule, about questions or about an event."""

import difflib
from collections.abc import Mapping
from typing import Any

from askonce.core import values as read
from askonce.core.errors import ConfigError
from askonce.core.rules.rules import SAYS_NEVER, EventRule, Rule, Rules
from askonce.core.units import parse_duration

_KEYS = ("match", "model", "route", "ttl", "tags", "never", "pack", "also_store", "on")
_OF_EVENTS = ("on", "tags", "match")


def read_rules(tables: Any, source: str) -> Rules:
    """The rules out of the file's tables. Raises `ConfigError`, which names the rule by its
    number."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{source}: rules is not a list of tables; write [[rules]] and its keys")
    rules = [_rule(table, f"{source}: rule {place}") for place, table in enumerate(tables, 1)]
    try:
        return Rules(rules)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def plain_tables(rules: Rules) -> list[dict[str, Any]]:
    """The same as plain values in the words of the file."""
    return [_plain(rule) for rule in rules.all]


def show_ttl(seconds: float) -> str:
    """A lifetime in the file's words, in its largest whole unit: `5m`, `7d`, `90s`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.12g}s"


def _rule(table: Mapping[str, Any], where: str) -> Rule | EventRule:
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            there = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(_KEYS)}"
            raise ConfigError(f"{where}: {key!r} is not a key of a rule; {there}")
    values = {key: _value(key, value, where) for key, value in table.items()}
    if "on" not in values:
        return Rule(**values)
    for key in values:
        if key not in _OF_EVENTS:
            raise ConfigError(
                f"{where}: has both on and {key}; a rule of an event has only tags and match, which"
                " say what it invalidates"
            )
    event = values.pop("on")
    return EventRule(event=event, **values)


def _value(key: str, value: Any, where: str) -> Any:
    try:
        if key == "tags":
            if not isinstance(value, (str, list)):
                raise ValueError('is not a list of texts; write it as ["one", "two"]')
            return (value,) if isinstance(value, str) else read.texts(value)
        if key == "ttl":
            return _seconds(value)
        if key == "also_store":
            return tuple(sorted(read.reasons([value] if isinstance(value, str) else value)))
        if key == "never" and value is True:
            return SAYS_NEVER
        if not isinstance(value, str) or not value.strip():
            or_true = " or true" if key == "never" else ""
            raise ValueError(f"is not a text: {read.short(value)}; write a text in quotes{or_true}")
    except ValueError as error:
        raise ConfigError(f"{where}: {key} {error}") from None
    return value


def _seconds(value: Any) -> float:
    """A text such as "5m", or seconds as TOML's own number."""
    if type(value) not in {int, float} and not isinstance(value, str):
        raise ValueError(f'is not a duration: {read.short(value)}; write one such as "5m"')
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise ValueError(f"is {error}") from None


def _plain(rule: Rule | EventRule) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name in rule.__struct_fields__:
        value = getattr(rule, name)
        if value is None or value == ():
            continue
        if name == "ttl":
            value = show_ttl(value)
        elif name in ("tags", "also_store"):
            value = list(value)
        given["on" if name == "event" else name] = value
    return given
