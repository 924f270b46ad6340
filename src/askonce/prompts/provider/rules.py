"""Provider rules: how each provider caches prompts, as dated data read from TOML.

A file describes one provider: its other names and its hosts, `[defaults]` that all of its rules
share, and `[[rules]]`; the first rule whose pattern matches a model holds. The user's files have
the same form and override the shipped ones member by member.

A model that matches no rule has none: its requests are measured but not changed.
"""

import fnmatch
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self

import msgspec

from askonce.core.errors import ConfigError

Section = Literal["tools", "system", "messages"]
"""A part of a prompt, in the order in which providers read them."""


class Lifetime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an entry of a provider's cache lives, and what writing it costs.

    seconds   the lifetime
    write     the price of a written token, as a multiple of the input price, which it replaces
    dialects  those in which a request may ask for this lifetime; empty for all
    """

    seconds: int
    write: Decimal = Decimal(1)
    dialects: tuple[str, ...] = ()


class ProviderRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one provider caches the prompts of some models.

    provider    the provider's name
    models      patterns of the models' names, such as `gpt-5.6*`
    min_tokens  the shortest prefix that is cached
    matching    what can be read: a whole `breakpoint` that an earlier request wrote too, the
                longest common `prefix`, or a whole `unit` of the provider's own choosing
    automatic   when the provider ends entries by itself: `always`; by `default`, unless a request
                says otherwise; on `request`, by a member at its top level; `never`
    quantum     tokens read are rounded down to a multiple of this
    max_writes  entries that one request may write; 0 if a request cannot mark any
    lookback    how far before its breakpoints a request finds written entries: content blocks for
                Anthropic, ends of messages for OpenAI; 0 for nowhere
    looked_up   how many explicit breakpoints a request looks up, the last ones
    ttls        the lifetimes by name, the provider's default first
    read        the price of a token read, as a multiple of the input price
    marker      whose form markers have; `none` if requests carry none
    key_field   the member that routes or isolates; empty without one
    key_isolates  requests with different keys share nothing
    requests_per_key_minute  from how many on the provider spreads a key's requests; 0 if unknown
    invalidators  a parameter (`a.b` is `b` within `a`) and the first section that its change loses
    available_after  whether an entry can be read from the `first_byte` or from the `end` of the
                answer to the request that wrote it
    refreshes   reading an entry renews its lifetime
    instructions_last  the provider reads `instructions` after everything else
    strips_thinking  the provider drops the thinking of earlier turns
    source, date, confidence, notes  where the rule comes from, and how sure it is
    """

    provider: str
    models: tuple[str, ...]
    min_tokens: int
    matching: Literal["breakpoint", "prefix", "unit"]
    automatic: Literal["always", "default", "request", "never"]
    ttls: dict[str, Lifetime]
    read: Decimal
    source: str
    date: str
    quantum: int = 1
    max_writes: int = 0
    lookback: int = 0
    looked_up: int = 0
    marker: Literal["anthropic", "openai", "bedrock", "gemini_explicit", "none"] = "none"
    key_field: str = ""
    key_isolates: bool = False
    requests_per_key_minute: int = 0
    invalidators: dict[str, Section] = {}
    available_after: Literal["first_byte", "end"] = "first_byte"
    refreshes: bool = True
    instructions_last: bool = False
    strips_thinking: bool = False
    confidence: Literal["high", "low"] = "high"
    notes: str = ""

    def __post_init__(self) -> None:
        if not self.ttls:
            raise ValueError("`ttls` names no lifetime")
        prices = (self.read, *(life.write for life in self.ttls.values()))
        if not all(price.is_finite() and price >= 0 for price in prices):
            raise ValueError("a price is not a number of at least 0")
        if min(self.min_tokens, self.max_writes, self.lookback) < 0 or self.quantum < 1:
            raise ValueError("a count is negative, or `quantum` is not at least 1")

    @property
    def default_ttl(self) -> str:
        return next(iter(self.ttls))


class _File(msgspec.Struct, forbid_unknown_fields=True):
    provider: str
    names: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    defaults: dict[str, Any] = {}
    rules: tuple[dict[str, Any], ...] = ()


class _RuleEntry(NamedTuple):
    """What a file states about some models: a whole rule, or members that override one."""

    models: tuple[str, ...]
    members: dict[str, Any]
    place: str

    @property
    def is_whole(self) -> bool:
        return self.members.keys() >= _REQUIRED


_REQUIRED = {one.name for one in msgspec.structs.fields(ProviderRule) if one.required} - {
    "provider"
}


class RuleBook:
    """The rules of all providers, by provider and model."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._hosts: list[tuple[str, str]] = []
        self._shipped: dict[str, list[_RuleEntry]] = {}
        self._overrides: dict[str, list[_RuleEntry]] = {}
        self._found = lru_cache(maxsize=4096)(self._find)

    @classmethod
    def read(cls, files: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Self:
        """Read files given by name. Raises ConfigError that names the file and the member."""
        book = cls()
        for name, text in files.items():
            file = book._open(name, text)
            book._shipped.setdefault(file.provider, []).extend(_entries(name, file))
        for name, text in (overrides or {}).items():
            file = book._open(name, text)
            book._overrides.setdefault(file.provider, []).extend(_entries(name, file))
        book._check()
        return book

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self._shipped, *self._overrides]))

    def provider(self, name: str) -> str | None:
        """Return a provider's own name for one of its names or URLs; None if it is unknown."""
        wanted = name.strip().lower()
        if "://" in wanted:
            host = wanted.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
            found = (own for pattern, own in self._hosts if fnmatch.fnmatchcase(host, pattern))
            return next(found, None)
        return self._names.get(wanted)

    def rule(self, provider: str, model: str) -> ProviderRule | None:
        """Return the rule for a model; None if there is none."""
        own = self.provider(provider)
        return None if own is None else self._found(own, model)

    def rules(self) -> Iterator[ProviderRule]:
        """Return every whole rule as its file states it."""
        for provider in self.providers:
            for one in (*self._shipped.get(provider, ()), *self._overrides.get(provider, ())):
                if one.is_whole:
                    yield _rule(provider, one)

    def _open(self, name: str, text: str) -> _File:
        try:
            file = msgspec.convert(tomllib.loads(text, parse_float=Decimal), _File)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{name}: {error}") from None
        for known in (file.provider, *file.names):
            self._names[known.lower()] = file.provider
        self._hosts += [(host.lower(), file.provider) for host in file.hosts]
        return file

    def _check(self) -> None:
        """Raise ConfigError unless every rule is valid, alone or as an override."""
        for provider, rules in self._shipped.items():
            for one in rules:
                _rule(provider, one)
        for provider, rules in self._overrides.items():
            below = next(iter(self._shipped.get(provider, ())), None)
            for one in rules:
                _rule(provider, one if one.is_whole or below is None else _overridden(below, one))

    def _find(self, provider: str, model: str) -> ProviderRule | None:
        names = _names_of(model)
        over = [one for one in self._overrides.get(provider, ()) if _matches(one, names)]
        shipped = (one for one in self._shipped.get(provider, ()) if _matches(one, names))
        found = next(shipped, None) or next((one for one in over if one.is_whole), None)
        if found is None:
            return None
        for one in reversed(over):  # as within a file, the first that matches wins
            found = _overridden(found, one)
        return _rule(provider, found)


def _entries(name: str, file: _File) -> Iterator[_RuleEntry]:
    for number, members in enumerate(file.rules, 1):
        place = f"{name}: rules[{number}]"
        models = members.get("models")
        if not isinstance(models, list) or not models:
            raise ConfigError(f"{place}: `models` names no pattern.")
        yield _RuleEntry(tuple(map(str, models)), _merged(file.defaults, members), place)


def _overridden(below: _RuleEntry, above: _RuleEntry) -> _RuleEntry:
    # Once a shipped fact is overridden, the shipped source no longer supports it.
    above_members = {"source": above.place, **above.members}
    return _RuleEntry(above.models, _merged(below.members, above_members), above.place)


def _rule(provider: str, entry: _RuleEntry) -> ProviderRule:
    try:
        return msgspec.convert({**entry.members, "provider": provider}, ProviderRule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{entry.place}: {error}") from None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        held = merged.get(name)
        is_both = isinstance(held, dict) and isinstance(value, dict)
        merged[name] = {**held, **value} if is_both and held is not None else value
    return merged


def _names_of(model: str) -> tuple[str, str]:
    """Return a model's name, and the name without its prefix (`models/…`, `anthropic/…`)."""
    name = model.strip().lower()
    return (name, name.rpartition("/")[2])


def _matches(entry: _RuleEntry, names: tuple[str, str]) -> bool:
    patterns = [pattern.lower() for pattern in entry.models]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)
