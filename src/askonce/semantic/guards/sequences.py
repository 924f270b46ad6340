"""Guards on the order of a question's words: who does what to whom, from where to where."""

from collections.abc import Sequence

from askonce.semantic.guards.order import is_exchanged, is_list_reordered, shared
from askonce.semantic.guards.text import Text
from askonce.semantic.guards.wordlists import words_of

_DIRECTED = words_of("""
    from to into onto than over against before after towards toward
    """)
_SYMMETRIC = words_of("difference relationship relation distanc far similar")
_TELLING = words_of("it that which who of by at")
_SHORT = 8
_MANY = 60
_STRAY = 0.2
_PAIR = 2
_TWO = 3  # words of two things that are told apart


def other_direction(a: Text, b: Text) -> bool:
    """From A to B against from B to A; A better than B against B better than A."""
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
    """What only one text leads to or from, though the other has the word too."""
    only = (
        (role, word)
        for role, word in a.phrases.roles - b.phrases.roles
        if role in _DIRECTED and word in b.bag
    )
    return sorted(only)[:_MOST]


_MOST = 16


def _leads(word: str, text: Text) -> bool:
    """Whether the word is what "to" leads away from: "inches to", "from inches"."""
    return ("from", word) in text.phrases.roles or any(
        one == word and two == "to" for one, two in zip(text.flow, text.flow[1:], strict=False)
    )


def _is_before(one: str, two: str, text: Text) -> bool:
    return text.content.index(one) < text.content.index(two)


def other_order(a: Text, b: Text) -> bool:
    """The same words with parts exchanged: who does what to whom."""
    if a.is_terse or b.is_terse or ("by" in a.surfaces) != ("by" in b.surfaces):
        return False  # keywords in any order; active told as passive
    if (
        len(a.told) == _PAIR
        and a.told != b.told
        and a.told == b.told[::-1]
        and a.asks == b.asks == ("whether",)
    ):
        return True  # "is a square a rectangle"
    if (
        a.told != b.told
        and len(a.told) == len(b.told) <= _MANY
        and sorted(a.told) == sorted(b.told)
        and is_exchanged(a.told, b.told)
    ):
        return not _is_symmetric(a, b, len(a.matter)) and not is_list_reordered(a.flow, b.flow)
    if not _TELLING.isdisjoint(a.surfaces ^ b.surfaces):
        return False  # the same told in two steps, or turned: "flowers that bloom", "by them"
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
    """The difference between A and B is that between B and A; likewise far, relationship."""
    if a.phrases.compared and a.phrases.compared == b.phrases.compared:
        return len(a.phrases.compared) <= _TWO
    return length <= _SHORT and bool(_SYMMETRIC & a.bag & b.bag)


def _same_list(a: Text, b: Text) -> bool:
    return is_list_reordered(a.listed, b.listed)
