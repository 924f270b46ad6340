"""The patterns of JSON schemas, searched in time that a hostile pattern cannot stretch.

RE2 searches in time linear in the text. Without it (it is an extra), Python's own engine takes the
plain patterns that cannot backtrack for long, in short texts only.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

MOST_PATTERNS = 64
"""Patterns of one schema; twice as many stay compiled."""

_LONGEST = 1_000  # characters of a pattern
_MOST_BYTES = 1 << 20  # of a compiled pattern and its automaton
_MOST_UNBOUNDED, _MOST_OPTIONAL = 2, 8
_SHORT_TEXT = 200  # characters; backtracking over them takes milliseconds at most
_ATOMS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_QUANTIFIED_GROUP = re.compile(r"\)(?:[*+]|\{)")
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\d*\}")
_CODE_POINT = re.compile(r"\\u([0-9a-fA-F]{4})")


class SchemaUncheckable(Exception):
    """A schema cannot be checked: it is wrong, too large, or beyond what may be computed here."""


class PatternSearch(NamedTuple):
    """The search for one pattern.

    Parameters:
        find: returns None where the pattern is not found in a text.
        program: how many instructions RE2 made of it; 0 for Python's engine.
    """

    find: Any
    program: int

    def __call__(self, text: str) -> bool:
        """Whether the pattern is found. Raises `SchemaUncheckable` if a text is too long."""
        if not self.program and len(text) > _SHORT_TEXT:
            raise SchemaUncheckable("a text is too long to be searched without RE2")
        return self.find(text.encode(errors="replace").decode()) is not None

    def steps(self, text: str) -> int:
        """Return how long a search of a text may take, in steps of 4 microseconds.

        RE2 runs every instruction for every character if its automaton grows too large; Python's
        engine tries all ends of two repetitions from every start.
        """
        if self.program:
            return self.program * len(text) // 4_000
        return min(len(text), _SHORT_TEXT) ** 3 // 1_200


@lru_cache(maxsize=2 * MOST_PATTERNS)
def search_of(pattern: str) -> PatternSearch:
    """Return the search for a pattern of ECMA-262. Raises `SchemaUncheckable` if none is safe."""
    if len(pattern) > _LONGEST:
        raise SchemaUncheckable("a pattern is too long")
    try:
        import re2  # type: ignore[import-untyped]  # part of an extra
    except ImportError:
        return PatternSearch(_plain(pattern).search, 0)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_BYTES
    try:
        compiled = re2.compile(_CODE_POINT.sub(r"\\x{\1}", pattern), options)
    except (re2.error, UnicodeEncodeError):
        raise SchemaUncheckable("RE2 does not know a pattern") from None
    return PatternSearch(compiled.search, max(1, compiled.programsize))


def _plain(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for Python's engine, if it backtracks little."""
    plain = _ATOMS.sub("x", pattern)
    quantified = _QUANTIFIED_GROUP.search(plain) is not None
    if (
        quantified
        or len(_UNBOUNDED.findall(plain)) > _MOST_UNBOUNDED
        or plain.count("?") > _MOST_OPTIONAL
    ):
        raise SchemaUncheckable("a pattern may take too long without RE2")
    try:
        return re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError):
        raise SchemaUncheckable("Python does not know a pattern") from None
