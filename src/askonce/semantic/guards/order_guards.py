"""Guards on the order of words: who does what to whom, from where to where."""

from collections.abc import Sequence

from askonce.semantic.guards.lexicon.word_list import words_of
from askonce.semantic.guards.text import Text
from askonce.semantic.guards.word_order import is_exchanged, is_list_reordered, shared

_DIRECTED = words_of("""
    from to into onto than over against before after towards toward
    """)
_SYMMETRIC = words_of("difference relationship relation distanc far similar")
_RESTATING = words_of("it that which who of by at")
_SHORT = 8
_MANY = 60
_STRAY = 0.2
_PAIR = 2
_TWO = 3  # words for two things that are compared


def other_direction(a: Text, b: Text) -> bool:
    """Veto "from A to B" against "from B to A", and "A better than B" against the reverse."""
    if a.phrases.roles == b.phrases.roles:
        return False
    left, right = _directed(a, b), _directed(b, a)
    swapped = any(
        role == other
        and one != two
        and _is_before(one, two, a) != _is_before(one, two, b)
        and (role != "to" or _leads(one, b) or _leads(two, a))
        for role, one in left
        for other, two in right
    )
    return swapped and not _is_symmetric(a, b, len(a.matter)) and not _same_list(a, b)


def _directed(a: Text, b: Text) -> list[tuple[str, str]]:
    """Return the roles that only one text gives to words which both have."""
    only = (
        (role, word)
        for role, word in a.phrases.roles - b.phrases.roles
        if role in _DIRECTED and word in b.bag
    )
    return sorted(only)[:_MOST]


_MOST = 16


def _leads(word: str, text: Text) -> bool:
    """Return whether "to" leads away from the word: "inches to", "from inches"."""
    return ("from", word) in text.phrases.roles or any(
        one == word and two == "to" for one, two in zip(text.flow, text.flow[1:], strict=False)
    )


def _is_before(one: str, two: str, text: Text) -> bool:
    return text.content.index(one) < text.content.index(two)


def other_order(a: Text, b: Text) -> bool:
    """Veto the same words with parts exchanged: who does what to whom."""
    if a.is_terse or b.is_terse or ("by" in a.surfaces) != ("by" in b.surfaces):
        return False  # keywords in any order; active against passive
    if (
        len(a.statement) == _PAIR
        and a.statement != b.statement
        and a.statement == b.statement[::-1]
        and a.asks == b.asks == ("whether",)
    ):
        return True  # "is a square a rectangle"
    if (
        a.statement != b.statement
        and len(a.statement) == len(b.statement) <= _MANY
        and sorted(a.statement) == sorted(b.statement)
        and is_exchanged(a.statement, b.statement)
    ):
        return not _is_symmetric(a, b, len(a.matter)) and not is_list_reordered(a.flow, b.flow)
    if not _RESTATING.isdisjoint(a.surfaces ^ b.surfaces):
        return False  # the same in two clauses, or in the passive: "flowers that bloom", "by them"
    first, second = a.matter, b.matter
    longer = max(len(first), len(second))
    if first == second or longer < 3 or longer - min(len(first), len(second)) > longer * _STRAY:
        return False
    if len(a.bag & b.bag) < (1 - _STRAY) * max(len(a.bag), len(b.bag)):
        return False
    ours, theirs = shared(first, second)
    if longer - len(ours) > longer * _STRAY or not is_exchanged(ours, theirs):
        return False
    if _is_symmetric(a, b, longer) or _same_list(a, b):
        return False
    return not any(
        (two, one) in b.phrases.members and not is_exchanged(_swapped(ours, one, two), theirs)
        for one, two in a.phrases.members
    )


def _swapped(words: Sequence[str], one: str, two: str) -> list[str]:
    return [two if word == one else one if word == two else word for word in words]


def _is_symmetric(a: Text, b: Text, length: int) -> bool:
    """Return whether order means nothing: the difference between A and B, how far A is from B."""
    if a.phrases.compared and a.phrases.compared == b.phrases.compared:
        return len(a.phrases.compared) <= _TWO
    return length <= _SHORT and bool(_SYMMETRIC & a.bag & b.bag)


def _same_list(a: Text, b: Text) -> bool:
    return is_list_reordered(a.items, b.items)
