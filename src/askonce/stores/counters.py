"""Tallies: what the stores say of lasting counters by their names.

Names that begin with `|` are a book of their own, which may be long: they are only read by whoever
asks for names that begin so.
"""

from collections.abc import Mapping

_APART, _PAST_APART = "|", "}"  # the character after `|`
_LAST = "\U0010ffff"


def is_apart(name: str) -> bool:
    """Does the counter belong to the book of its own?"""
    return name.startswith(_APART)


def bounds(under: str) -> tuple[str, str, str, str]:
    """The two ranges of names that `under` names: each from a name up to, but without, another.

    In the order of UTF-8, of which the second may be empty.
    """
    if under:
        return (under, under + _LAST, "", "")
    return ("", _APART, _PAST_APART, _LAST)


def tallied(counts: dict[str, int], add: Mapping[str, int], under: str) -> dict[str, int]:
    """Add to the counters and return those that `under` names."""
    for name, count in add.items():
        counts[name] = counts.get(name, 0) + count
        if count < 0 and counts[name] == 0:
            del counts[name]
    return {
        name: count
        for name, count in counts.items()
        if name.startswith(under) and (under or not is_apart(name))
    }
