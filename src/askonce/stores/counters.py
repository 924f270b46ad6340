"""Lasting counters: how their names select them.

Names that begin with `|` belong to the ledger, which may hold many: a store returns them only to
a caller that asks for names with that prefix.
"""

from collections.abc import Mapping

_LEDGER, _PAST_LEDGER = "|", "}"  # `}` is the character after `|`
_LAST = "\U0010ffff"


def is_ledger_name(name: str) -> bool:
    """Does the counter belong to the ledger?"""
    return name.startswith(_LEDGER)


def name_ranges(prefix: str) -> tuple[str, str, str, str]:
    """Return two ranges that hold the names which `prefix` selects, in the order of UTF-8.

    Each is a first name and the name after its last; the second range may be empty.
    """
    if prefix:
        return (prefix, prefix + _LAST, "", "")
    return ("", _LEDGER, _PAST_LEDGER, _LAST)


def add_counts(counts: dict[str, int], add: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Add to the counters in `counts`; return those that `prefix` selects."""
    for name, count in add.items():
        counts[name] = counts.get(name, 0) + count
        if count < 0 and counts[name] == 0:
            del counts[name]
    return {
        name: count
        for name, count in counts.items()
        if name.startswith(prefix) and (prefix or not is_ledger_name(name))
    }
