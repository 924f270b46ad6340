"""The interface of a compiled pattern; `re2` implements it, and the other modules stay pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol


class PatternMatch(Protocol):
    """A place where a pattern was found."""

    def groupdict(self) -> Mapping[str, str | None]:
        """Return the named groups; None for a group that took no part."""

    def span(self) -> tuple[int, int]:
        """Return the first character of the place and the one after its last."""


class Pattern(Protocol):
    """A compiled pattern, matched without regard to case."""

    @property
    def groupindex(self) -> Mapping[str, int]: ...

    def search(self, text: str) -> PatternMatch | None:
        """Return the first place where the pattern is found; None if there is none."""

    def finditer(self, text: str) -> Iterator[PatternMatch]:
        """Iterate over every place where the pattern is found."""


Compile = Callable[[str], Pattern]
"""Compiles a pattern; raises `ConfigError` that says what is wrong with it."""
