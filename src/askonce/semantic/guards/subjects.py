"""Guards on what a question is about: its numbers, dates, names and things."""

import itertools
from collections.abc import Sequence

from askonce.semantic.guards.names import Name, is_known, resembles
from askonce.semantic.guards.opposites import KINDS, partners_of
from askonce.semantic.guards.order import difference
from askonce.semantic.guards.quantities import Quantity
from askonce.semantic.guards.stems import canonical
from askonce.semantic.guards.text import Text
from askonce.semantic.guards.units import ROMANS
from askonce.semantic.guards.wordlists import words_of


def other_numbers(a: Text, b: Text) -> bool:
    """Each has an amount that the other lacks, or one has it where it belongs to a name."""
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
    # "One cup" is no amount to the reader of numbers; beside "five cups" it is.
    if _ONE & (other.surfaces - mine.surfaces) and not _ONE & mine.surfaces:
        return True
    return _is_telling(left or right, mine, other)


_ONE = frozenset(("one", "first", "single"))


def _unmatched(a: Text, b: Text) -> list[Quantity]:
    only = a.quantities - b.quantities
    romans = {str(ROMANS[word]) for word in b.surfaces if word in ROMANS}
    if len(only) > _MANY:
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


def _is_telling(extra: list[Quantity], a: Text, b: Text) -> bool:
    """An amount that only one gives changes the answer where it numbers a thing: "iPhone 6"."""
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
    """Each has a date or a time that the other lacks, or one only adds a date to the other."""
    if a.dates == b.dates:
        return False
    left, right = a.dates - b.dates, b.dates - a.dates
    if left and right:
        return True
    mine, other, extra = (a, b, left) if left else (b, a, right)
    if not other.surfaces.isdisjoint(_NOW) and not extra.isdisjoint(("tomorrow", "yesterday")):
        return True
    if not any(date.split()[0] in _TELLING or ":" in date for date in extra):
        return False
    return len(mine.matter) - len(other.matter) in (1, 2) and other.bag <= mine.known


_NOW = frozenset(("now", "currently", "today"))
_TELLING = frozenset(("year", "month", "day", "weekday", "yesterday", "tomorrow", "last", "next"))


def other_names(a: Text, b: Text) -> bool:
    """Each names something that the other does not, or one adds a name that narrows it."""
    if a.letters != b.letters and a.letters - b.letters and b.letters - a.letters:
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
    """The texts differ in one place only, where one has a name and the other some other word."""
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
    """The names of one text that the other has in no form; the first few are enough."""
    missing = (n for n in a.names if n.stem not in b.known and n.word not in b.known)
    few = itertools.islice(missing, _MANY)
    return [n for n in few if not is_known(n, b)]


_MANY = 16  # bounds the cost of texts that are nothing but names or numbers


def _is_swapped(left: list[Name], right: list[Name], a: Text, b: Text) -> bool:
    """Nothing else differs: one unknown word stands where the other stands."""
    return len(a.bag - b.bag) <= len(left) and len(b.bag - a.bag) <= len(right)


def _is_replaced(left: list[Name], right: list[Name], a: Text, b: Text) -> bool:
    """The texts differ in one place only, and there each has as many words that the other lacks."""
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
    """Such as "in Java": a name on its own, not a part of one that the other has too."""
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
"""What makes another thing of a name: New Hampshire, Deputy Mayor, Quebec City, Air Pro."""


def narrower(a: Text, b: Text) -> bool:
    """One is the other with one more word in a phrase: "in core electronics", "for startups"."""
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
    """Two members of one family that exclude each other: red, green; Python, Java."""
    left, right = a.bases - b.bases, b.bases - a.bases
    if not left or not right:
        return False
    return any(not _KINDS[word].isdisjoint(right) for word in left if word in _KINDS)


def other_compared(a: Text, b: Text) -> bool:
    """The difference between two things, and between three; one of two, or one of other two."""
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
    """Such as "rice or pasta", "rice or bread"."""
    left, right = set(ours) - b.known, set(theirs) - a.known
    if len(left) != 1 or len(right) != 1 or not set(ours) & set(theirs):
        return False
    return not any(resembles(word, b.known) for word in left)


def _has_more(compared: frozenset[str], other: Text) -> bool:
    return any(word not in other.known and not resembles(word, other.known) for word in compared)


def other_words(a: Text, b: Text) -> bool:
    """In a language that no other guard reads: the same sentence about something else."""
    if a.is_english or b.is_english or a.flow == b.flow:
        return False
    if not _UNSPACED.isdisjoint((a.tongue.script, b.tongue.script)):
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
