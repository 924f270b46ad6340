"""The patterns of JSON schemas, searched in time that a hostile pattern cannot stretch.

RE2 searches in time linear in the text. Without it (it is an extra), Python's own engine takes the
plain patterns that cannot backtrack for long, in short texts only.
"""

import re
from collections.abc import Callable
from functools import lru_cache

Search = Callable[[str], bool]

_LONGEST = 1_000  # characters of a pattern
_MOST_UNBOUNDED, _MOST_OPTIONAL = 2, 8
_SHORT_TEXT = 200  # characters; backtracking over them takes milliseconds at most
_ATOMS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_QUANTIFIED_GROUP = re.compile(r"\)(?:[*+]|\{)")
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\d*\}")
_CODE_POINT = re.compile(r"\\u([0-9a-fA-F]{4})")


class SchemaUncheckable(Exception):
    """A schema cannot be checked: it is wrong, too large, or beyond what may be computed here."""


@lru_cache(maxsize=1_024)
def search_of(pattern: str) -> Search:
    """Return the search for a pattern of ECMA-262. Raises `SchemaUncheckable` if none is safe."""
    if len(pattern) > _LONGEST:
        raise SchemaUncheckable("a pattern is too long")
    try:
        import re2  # type: ignore[import-untyped]  # part of an extra
    except ImportError:
        return _plain_search(pattern)
    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(_CODE_POINT.sub(r"\\x{\1}", pattern), options).search
    except (re2.error, UnicodeEncodeError):
        raise SchemaUncheckable("RE2 does not know a pattern") from None

    def search(text: str) -> bool:
        return found(text.encode(errors="replace").decode()) is not None

    return search


def _plain_search(pattern: str) -> Search:
    """Return a search by Python's engine, for a pattern that backtracks little."""
    plain = _ATOMS.sub("x", pattern)
    quantified = _QUANTIFIED_GROUP.search(plain) is not None
    if (
        quantified
        or len(_UNBOUNDED.findall(plain)) > _MOST_UNBOUNDED
        or plain.count("?") > _MOST_OPTIONAL
    ):
        raise SchemaUncheckable("a pattern may take too long without RE2")
    try:
        compiled = re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError):
        raise SchemaUncheckable("Python does not know a pattern") from None

    def search(text: str) -> bool:
        if len(text) > _SHORT_TEXT:
            raise SchemaUncheckable("a text is too long to be searched without RE2")
        return compiled.search(text) is not None

    return search
