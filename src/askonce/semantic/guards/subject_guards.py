"""Guards on the subject of a question: its names and the things that it is about."""

import itertools
from collections.abc import Sequence

from askonce.semantic.guards.lexicon.opposites import KINDS, partners_of
from askonce.semantic.guards.lexicon.stems import canonical
from askonce.semantic.guards.lexicon.word_list import words_of
from askonce.semantic.guards.names import Name
from askonce.semantic.guards.spelling import is_known, resembles
from askonce.semantic.guards.text import Text
from askonce.semantic.guards.word_order import difference


def other_names(a: Text, b: Text) -> bool:
    """Veto if each names something that the other does not, or one adds a name that narrows it."""
    if a.labels != b.labels and a.labels - b.labels and b.labels - a.labels:
        return True
    if a.places != b.places and a.places - b.places and b.places - a.places:
        return True
    left, right = _unknown(a, b), _unknown(b, a)
    if left and right:
        if any(n.kind != "rare" for n in left) and any(n.kind != "rare" for n in right):
            return True
        return _is_swapped(left, right, a, b) or _is_replaced(left, right, a, b)
    return (
        any(_narrows(name, b) for name in left)
        or any(_narrows(name, a) for name in right)
        or _stands_for(left, a, b)
        or _stands_for(right, b, a)
    )


def _stands_for(names: list[Name], a: Text, b: Text) -> bool:
    """Return whether the only difference is a name in one text and another word in the other."""
    names = [n for n in names if n.kind != "rare" and len(n.word) > 2]
    if not names or a.asks != b.asks or a.quantities != b.quantities:
        return False
    at, end, other_end = difference(a.matter, b.matter)
    if at is None or max(end, other_end) - at > _FEW:
        return False
    if not any(n.stem in a.matter[at:end] for n in names):
        return False
    return any(
        word in b.bag and word not in a.known and not resembles(word, a.known)
        for word in b.matter[at:other_end]
    )


def _unknown(a: Text, b: Text) -> list[Name]:
    """Return the names of one text that the other has in no form; the first few are enough."""
    missing = (n for n in a.names if n.stem not in b.known and n.word not in b.known)
    few = itertools.islice(missing, _MANY)
    return [n for n in few if not is_known(n, b)]


_MANY = 16  # bounds the cost of texts that are nothing but names or numbers


def _is_swapped(left: list[Name], right: list[Name], a: Text, b: Text) -> bool:
    """Return whether nothing but the unknown names differs."""
    return len(a.bag - b.bag) <= len(left) and len(b.bag - a.bag) <= len(right)


def _is_replaced(left: list[Name], right: list[Name], a: Text, b: Text) -> bool:
    """Return whether the only difference is one place with equally many unknown words in each."""
    at, end, other_end = difference(a.matter, b.matter)
    if at is None or end != other_end or end - at > _FEW or a.asks != b.asks:
        return False
    ours, theirs = a.matter[at:end], b.matter[at:other_end]
    if _has_any(b, ours) or _has_any(a, theirs):
        return False
    if not {word[:_ROOT] for word in ours}.isdisjoint(word[:_ROOT] for word in theirs):
        return False  # "painful", "painless"
    return any(n.stem in ours for n in left) and any(n.stem in theirs for n in right)


def _has_any(text: Text, words: Sequence[str]) -> bool:
    return any(word in text.known or resembles(word, text.known) for word in words)


_ROOT = 4


_FEW = 3


def _narrows(name: Name, other: Text) -> bool:
    """Recognize "in Java": a name on its own, not part of one that the other text has too."""
    if name.kind == "rare":
        return False
    if name.word in _QUALIFYING and any(word in other.bag for word in name.beside):
        return True
    if any(word in other.bag for word in name.beside) and not name.listed:
        return False
    return name.listed or (bool(name.role) and (name.role != "of" or name.kind == "strong"))


_QUALIFYING = words_of("""
    new north south east west northern southern eastern western central great upper lower deputy
    vice assistant lieutenant acting former junior jr sr city county state province kingdom republic
    empire union island islands pro plus mini max ultra lite air advance hybrid player series
    """)
"""Words that make a name mean another thing: New Hampshire, Deputy Mayor, Quebec City, Air Pro."""


def narrower(a: Text, b: Text) -> bool:
    """Veto if one is the other with one more word in a phrase: "for startups"."""
    if len(a.matter) > len(b.matter):
        a, b = b, a
    added = len(b.matter) - len(a.matter)
    if not 1 <= added <= _FEW or not a.bag <= b.known:
        return False
    at, until, end = difference(a.matter, b.matter)
    if at is None or until != at:
        return False
    extra = [word for word in b.matter[at:end] if word in b.bag]
    if added == _FEW:
        return b.matter[at] in _ADDING
    if len(extra) != 1 or extra[0] in a.known or extra[0] in _VAGUE or resembles(extra[0], a.known):
        return False
    roles = {role for role, word in b.phrases.roles if word == extra[0]}
    if added == 1:
        return bool(roles & _NARROWING)
    opening = b.matter[at]
    return opening in roles and (opening in _LIMITING or (opening == "in" and end == len(b.matter)))


_NARROWING = words_of("in for of on at near under with")
_ADDING = words_of("by from as on without during")
_LIMITING = _ADDING | words_of("for except per after before")
_VAGUE = frozenset(map(canonical, words_of("""
    life world future time year general detail order case fact end past day today good bad new
    first real great beginner dummy sex dating best different various many more whole entire own
    full human modern
    """)))  # fmt: skip
_KINDS = partners_of(KINDS)


def other_kind(a: Text, b: Text) -> bool:
    """Veto two members of one family that exclude each other: red, green; Python, Java."""
    left, right = a.bases - b.bases, b.bases - a.bases
    if not left or not right:
        return False
    return any(not _KINDS[word].isdisjoint(right) for word in left if word in _KINDS)


def other_compared(a: Text, b: Text) -> bool:
    """Veto comparisons or choices of other things: "rice or pasta", "rice or bread"."""
    if a.phrases.choices != b.phrases.choices and any(
        _is_other_choice(one, two, a, b) for one in a.phrases.choices for two in b.phrases.choices
    ):
        return True
    if (
        len(a.phrases.compared) == len(b.phrases.compared)
        or not a.phrases.compared
        or not b.phrases.compared
    ):
        return False
    return _has_more(a.phrases.compared, b) or _has_more(b.phrases.compared, a)


def _is_other_choice(ours: tuple[str, str], theirs: tuple[str, str], a: Text, b: Text) -> bool:
    """Return whether two choices share one thing and differ in the other."""
    left, right = set(ours) - b.known, set(theirs) - a.known
    if len(left) != 1 or len(right) != 1 or not set(ours) & set(theirs):
        return False
    return not any(resembles(word, b.known) for word in left)


def _has_more(compared: frozenset[str], other: Text) -> bool:
    return any(word not in other.known and not resembles(word, other.known) for word in compared)


def other_words(a: Text, b: Text) -> bool:
    """Veto, in a language that no other guard reads, the same sentence about something else."""
    if a.is_english or b.is_english or a.flow == b.flow:
        return False
    if not _UNSPACED.isdisjoint((a.locale.script, b.locale.script)):
        return _is_substituted("".join(a.flow)[:_READ], "".join(b.flow)[:_READ], 6)
    left, right = a.surfaces - b.surfaces, b.surfaces - a.surfaces
    if not _is_substituted(a.flow, b.flow, 3) or not left or not right:
        return False
    return any(not resembles(word, b.known) for word in left) or any(
        not resembles(word, a.known) for word in right
    )


_UNSPACED = frozenset(("han", "kana", "thai"))
_READ = 400


def _is_substituted(a: Sequence[str], b: Sequence[str], most: int) -> bool:
    at, end, other_end = difference(a, b)
    if at is None or not (at < end and at < other_end):
        return False
    middle = max(end - at, other_end - at)
    return middle <= most and 2 * middle <= min(len(a), len(b))
