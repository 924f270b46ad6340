"""Patterns compiled by RE2: matching takes time linear in the text, whatever the pattern.

So no pattern that a user writes can block a worker. RE2 is an optional library, which makes this
the impure module of `core.rules`.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from askonce.core.errors import ConfigError, missing_library
from askonce.core.rules.patterns import Pattern, PatternMatch
from askonce.core.rules.rules import Rules
from askonce.core.rules.ruleset import Ruleset

LONGEST = 1_000
"""Characters of a pattern; RE2 itself bounds the size of the compiled one."""


def compiled_rules(rules: Rules) -> Ruleset:
    """Compile rules. Raises `ConfigError` for a pattern that RE2 does not accept."""
    if not isinstance(rules, Rules):
        raise ConfigError("rules is not an askonce.Rules; write Rules().after('price', '5m')")
    return Ruleset(rules, compiled)


@lru_cache(maxsize=1_024)
def compiled(pattern: str) -> Pattern:
    """Compile a pattern in RE2's syntax. Raises `ConfigError` that says what is wrong with it."""
    if len(pattern) > LONGEST:
        raise ConfigError(
            f"a pattern has {len(pattern)} characters, which is too long; write at most {LONGEST}"
        )
    try:
        import re2  # type: ignore[import-untyped]  # part of an extra
    except ImportError:
        raise missing_library("a pattern", "RE2", "rules") from None
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        return _Re2Pattern(re2.compile(pattern, options))
    except UnicodeEncodeError:
        raise ConfigError("a pattern contains half a surrogate pair, which is not text") from None
    except re2.error as error:
        message = error.args[0]
        text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
        raise ConfigError(f"{pattern!r} is not a pattern that RE2 knows: {text}") from None


class _Re2Pattern:
    """RE2's pattern for Python's strings: half a surrogate pair is matched as `?`."""

    __slots__ = ("_finditer", "_search", "groupindex")

    def __init__(self, pattern: Any) -> None:
        self._search = pattern.search
        self._finditer = pattern.finditer
        self.groupindex: Mapping[str, int] = dict(pattern.groupindex)

    def search(self, text: str) -> PatternMatch | None:
        try:
            found: PatternMatch | None = self._search(text)
        except UnicodeEncodeError:
            found = self._search(_encodable(text))
        return found

    def finditer(self, text: str) -> Iterator[PatternMatch]:
        every: Iterator[PatternMatch] = self._finditer(_encodable(text))
        return every


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()
