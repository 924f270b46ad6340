"""Patterns over texts, matched by RE2: in time linear in the text, whatever the pattern.

An edge, because RE2 is a library of its own. No pattern that a user writes can hang a worker.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from askonce.core.errors import ConfigError, missing_library

LONGEST = 1_000
"""Characters of a pattern; RE2 bounds what it compiles to by itself."""


class Re2Match(Protocol):
    """Where a pattern was found."""

    def groupdict(self) -> dict[str, str | None]: ...

    def span(self) -> tuple[int, int]: ...


class Re2Pattern(Protocol):
    """A compiled pattern; upper and lower case are the same to it."""

    @property
    def groupindex(self) -> Mapping[str, int]: ...

    def search(self, text: str) -> Re2Match | None: ...

    def finditer(self, text: str) -> Iterator[Re2Match]: ...


Compile = Callable[[str], Re2Pattern]


@lru_cache(maxsize=1_024)
def compiled(pattern: str) -> Re2Pattern:
    """A pattern in RE2's syntax. Raises `ConfigError` that says what is wrong with it."""
    if len(pattern) > LONGEST:
        raise ConfigError(f"a pattern of {len(pattern)} characters is too long; {LONGEST} may be")
    try:
        import re2  # type: ignore[import-untyped]  # the only user of an extra
    except ImportError:
        raise missing_library("a pattern", "RE2", "rules") from None
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        return _Compiled(re2.compile(pattern, options))
    except UnicodeEncodeError:
        raise ConfigError("a pattern has half a character, which is no text") from None
    except re2.error as error:
        told = error.args[0]
        text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
        raise ConfigError(f"{pattern!r} is not a pattern that RE2 knows: {text}") from None


class _Compiled:
    """RE2's own, for texts as Python has them: half a character is taken for a `?`."""

    __slots__ = ("_find_all", "_found", "groupindex")

    def __init__(self, found: Any) -> None:
        self._found = found.search
        self._find_all = found.finditer
        self.groupindex: Mapping[str, int] = dict(found.groupindex)

    def search(self, text: str) -> Re2Match | None:
        try:
            found: Re2Match | None = self._found(text)
        except UnicodeEncodeError:
            found = self._found(_whole(text))
        return found

    def finditer(self, text: str) -> Iterator[Re2Match]:
        every: Iterator[Re2Match] = self._find_all(_whole(text))
        return every


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()
