"""Patterns over texts, matched by RE2: in time linear in the text, whatever the pattern.

An edge, because RE2 is a library of its own. No pattern that a user writes can hang a worker.
"""

from collections.abc import Callable
from functools import cache
from typing import Protocol

from askonce.errors import ConfigError

LONGEST = 1_000
"""Characters of a pattern; RE2 bounds what it compiles to by itself."""


class Match(Protocol):
    """Where a pattern was found."""

    def groupdict(self) -> dict[str, str | None]: ...


class Pattern(Protocol):
    """A compiled pattern; upper and lower case are the same to it."""

    def search(self, text: str) -> Match | None: ...


Compile = Callable[[str], Pattern]


@cache
def compiled(pattern: str) -> Pattern:
    """A pattern in RE2's syntax. Raises `ConfigError` that says what is wrong with it."""
    if len(pattern) > LONGEST:
        raise ConfigError(f"a pattern of {len(pattern)} characters is too long; {LONGEST} may be")
    try:
        import re2  # type: ignore[import-untyped]  # the only user of an extra
    except ImportError:
        raise ConfigError("patterns need RE2; run: pip install 'askonce[rules]'") from None
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        found: Pattern = re2.compile(pattern, options)
    except re2.error as error:
        told = error.args[0]
        text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
        raise ConfigError(f"{pattern!r} is not a pattern that RE2 knows: {text}") from None
    return found
