"""Guards on the amounts, dates and times of a question."""

import itertools

from askonce.semantic.guards.lexicon.units import ROMANS
from askonce.semantic.guards.quantities import Quantity
from askonce.semantic.guards.text import Text


def other_numbers(a: Text, b: Text) -> bool:
    """Veto if each has an amount that the other lacks, or one has it as a part of a name."""
    if a.quantities == b.quantities:
        return False
    left, right = _unmatched(a, b), _unmatched(b, a)
    if left and right:
        return (any(q.digits for q in left) and any(q.digits for q in right)) or len(left) + len(
            right
        ) == 2
    if not left and not right:
        return False
    mine, other = (a, b) if left else (b, a)
    # "One cup" is not read as an amount; beside "five cups" it is one.
    if _ONE & (other.surfaces - mine.surfaces) and not _ONE & mine.surfaces:
        return True
    return _numbers_a_thing(left or right, mine, other)


_ONE = frozenset(("one", "first", "single"))


def _unmatched(a: Text, b: Text) -> list[Quantity]:
    only = a.quantities - b.quantities
    romans = {str(ROMANS[word]) for word in b.surfaces if word in ROMANS}
    if len(only) > _MOST_COMPARED:
        return list(only)
    return [
        q
        for q in only
        if (q.digits or q.written not in romans)  # "viii", though not in capitals
        and not any(q.equals(other) for other in b.quantities)
        and (
            q.written not in b.surfaces
            or any(o.written in (q.written, f"-{q.written}") for o in b.quantities)
        )
    ]


def _numbers_a_thing(extra: list[Quantity], a: Text, b: Text) -> bool:
    """Return whether an amount that only one text has numbers a thing: "iPhone 6"."""
    for quantity in extra:
        if quantity.digits and not quantity.dimension and quantity.written not in a.phrases.counted:
            for left, right in itertools.pairwise(a.content):
                if right == quantity.written and left in b.bag:
                    return True
        elif not quantity.digits and not quantity.dimension:
            for left, right in itertools.pairwise(a.content):
                if str(ROMANS.get(right)) == quantity.written and left in b.bag:
                    return True
    return False


def other_dates(a: Text, b: Text) -> bool:
    """Veto if each has a date or time that the other lacks, or one only adds a date."""
    if a.dates == b.dates:
        return False
    left, right = a.dates - b.dates, b.dates - a.dates
    if left and right:
        return True
    mine, other, extra = (a, b, left) if left else (b, a, right)
    if not other.surfaces.isdisjoint(_NOW) and not extra.isdisjoint(("tomorrow", "yesterday")):
        return True
    if not any(date.split()[0] in _DECIDING_DATES or ":" in date for date in extra):
        return False
    return len(mine.matter) - len(other.matter) in (1, 2) and other.bag <= mine.known


_NOW = frozenset(("now", "currently", "today"))
_DECIDING_DATES = frozenset(
    ("year", "month", "day", "weekday", "yesterday", "tomorrow", "last", "next")
)


_MOST_COMPARED = 16  # bounds the cost of texts that are nothing but numbers
