"""Provider rules: how each provider caches prompts, as dated data out of TOML.

A file is one provider: its other names and its hosts, `[defaults]` that all of its rules share,
and `[[rules]]`, of which the first whose pattern matches a model holds. A file of the user's has
the same form; what it says is laid over what ships, member by member.

A model that no rule names has none: there is nothing to do for it but to measure.
"""

import fnmatch
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self

import msgspec

from askonce.core.errors import ConfigError

Tier = Literal["tools", "system", "messages"]
"""The first part of the prompt that is lost; everything behind it is lost with it."""

TIERS: tuple[Tier, ...] = ("tools", "system", "messages")


class Lifetime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an entry of a provider's cache lives, and what writing it costs.

    `write` is a multiple of the input price and replaces it. `dialects` are the ones in which a
    request may ask for this lifetime; empty for all.
    """

    seconds: int
    write: Decimal = Decimal(1)
    dialects: tuple[str, ...] = ()


class ProviderRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one provider caches the prompts of some models.

    matching    what a hit is: a whole `breakpoint` that an earlier request wrote too, the longest
                common `prefix`, or a whole `unit` of the provider's own choosing
    automatic   does the provider end entries by itself: `always`; by `default`, until a request
                says otherwise; on `request`, by a member at its top level; `never`
    quantum     tokens read are rounded down to a multiple of this
    max_writes  entries that one request may write; 0 where a request cannot mark any
    lookback    how far before its breakpoints a request finds what was written: content blocks
                for Anthropic, endings of messages for OpenAI; 0 for nowhere
    looked_up   explicit breakpoints that a request looks up, the latest ones
    ttls        by name, the provider's default first
    read        what a token read costs, as a multiple of the input price
    invalidators  a parameter (`a.b` is `b` within `a`) and the first part that its change loses
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
    invalidators: dict[str, Tier] = {}
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
    def fallback_to_unmarked_prefix(self) -> bool:
        """Is a prefix read that nobody marked?"""
        return self.matching == "prefix"

    @property
    def default_ttl(self) -> str:
        return next(iter(self.ttls))

    @property
    def charges_for_writes(self) -> bool:
        return any(life.write > 1 for life in self.ttls.values())


class _File(msgspec.Struct, forbid_unknown_fields=True):
    provider: str
    names: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    defaults: dict[str, Any] = {}
    rules: tuple[dict[str, Any], ...] = ()


class _Stated(NamedTuple):
    """What a file states of some models; a whole rule, or members to be laid over one."""

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
    """All rules that hold, by provider and model."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._hosts: list[tuple[str, str]] = []
        self._shipped: dict[str, list[_Stated]] = {}
        self._laid_over: dict[str, list[_Stated]] = {}
        self._found = lru_cache(maxsize=4096)(self._find)

    @classmethod
    def read(cls, files: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Self:
        """The book of these files, given by name; raises ConfigError naming file and member."""
        book = cls()
        for name, text in files.items():
            file = book._open(name, text)
            book._shipped.setdefault(file.provider, []).extend(_stated(name, file))
        for name, text in (overrides or {}).items():
            file = book._open(name, text)
            book._laid_over.setdefault(file.provider, []).extend(_stated(name, file))
        book._check()
        return book

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self._shipped, *self._laid_over]))

    def provider(self, name: str) -> str | None:
        """A provider's own name, out of one of its names or an address of it."""
        asked = name.strip().lower()
        if "://" in asked:
            host = asked.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
            found = (own for pattern, own in self._hosts if fnmatch.fnmatchcase(host, pattern))
            return next(found, None)
        return self._names.get(asked)

    def rule(self, provider: str, model: str) -> ProviderRule | None:
        """The rule for a model; None where none is known, which means to measure only."""
        own = self.provider(provider)
        return None if own is None else self._found(own, model)

    def rules(self) -> Iterator[ProviderRule]:
        """Every whole rule as its file states it."""
        for provider in self.providers:
            for one in (*self._shipped.get(provider, ()), *self._laid_over.get(provider, ())):
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
        """Raises ConfigError unless every rule can be read, laid over another or by itself."""
        for provider, rules in self._shipped.items():
            for one in rules:
                _rule(provider, one)
        for provider, rules in self._laid_over.items():
            below = next(iter(self._shipped.get(provider, ())), None)
            for one in rules:
                _rule(provider, one if one.is_whole or below is None else _over(below, one))

    def _find(self, provider: str, model: str) -> ProviderRule | None:
        names = _names_of(model)
        over = [one for one in self._laid_over.get(provider, ()) if _matches(one, names)]
        shipped = (one for one in self._shipped.get(provider, ()) if _matches(one, names))
        found = next(shipped, None) or next((one for one in over if one.is_whole), None)
        if found is None:
            return None
        for one in reversed(over):  # as within a file, the first that matches wins
            found = _over(found, one)
        return _rule(provider, found)


def _stated(name: str, file: _File) -> Iterator[_Stated]:
    for number, members in enumerate(file.rules, 1):
        place = f"{name}: rules[{number}]"
        models = members.get("models")
        if not isinstance(models, list) or not models:
            raise ConfigError(f"{place}: `models` names no pattern.")
        yield _Stated(tuple(map(str, models)), _laid_over(file.defaults, members), place)


def _over(below: _Stated, above: _Stated) -> _Stated:
    # Where a fact of ours was changed, our source does not speak for it any more.
    above_members = {"source": above.place, **above.members}
    return _Stated(above.models, _laid_over(below.members, above_members), above.place)


def _rule(provider: str, stated: _Stated) -> ProviderRule:
    try:
        return msgspec.convert({**stated.members, "provider": provider}, ProviderRule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{stated.place}: {error}") from None


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(below)
    for name, value in above.items():
        held = laid.get(name)
        is_both = isinstance(held, dict) and isinstance(value, dict)
        laid[name] = {**held, **value} if is_both and held is not None else value
    return laid


def _names_of(model: str) -> tuple[str, str]:
    """A model's name, and without what stands before it (`models/…`, `anthropic/…`)."""
    name = model.strip().lower()
    return (name, name.rpartition("/")[2])


def _matches(stated: _Stated, names: tuple[str, str]) -> bool:
    patterns = [pattern.lower() for pattern in stated.models]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)
