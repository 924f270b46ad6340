"""Guards on the sense of a question: negation, opposites, all or some."""

import itertools

from askonce.semantic.guards.lexicon.english import QUANTIFIERS, STOP
from askonce.semantic.guards.lexicon.opposites import OPPOSITES, partners_of
from askonce.semantic.guards.lexicon.stems import canonical
from askonce.semantic.guards.lexicon.word_list import words_of
from askonce.semantic.guards.text import Text

_LONG = 25  # in a longer text a denial in passing decides little
_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "de", "mis")
_OPPOSITES = partners_of(OPPOSITES)
_OPPOSITE_STEMS: dict[str, set[str]] = {}
for _one, _two in OPPOSITES:
    _OPPOSITE_STEMS.setdefault(canonical(_one), set()).add(canonical(_two))
    _OPPOSITE_STEMS.setdefault(canonical(_two), set()).add(canonical(_one))
_NEGATIVE = frozenset(map(canonical, words_of("""
    fail failure failed unable unaware impossible wrong incorrect refuse decline declined reject
    rejected stop avoid prevent lack missing forget forgot forgotten hardly poor poorly problem
    trouble difficulty without instead hate block blocked
    """)))  # fmt: skip


def other_negation(a: Text, b: Text) -> bool:
    """Veto if one denies what the other says."""
    if bool(a.negations) == bool(b.negations) or max(len(a.flow), len(b.flow)) > _LONG:
        return False
    denying, other = (a, b) if a.negations else (b, a)
    if other.denies:
        return False  # "I can't get it to work" asks what "why doesn't it work" asks
    if denying.negated.isdisjoint(other.bag | other.surfaces) or not _NEGATIVE.isdisjoint(
        other.bag
    ):
        return False
    return not any(prefix + word in other.bases for prefix in _PREFIXES for word in denying.negated)


def opposite(a: Text, b: Text) -> bool:
    """Veto a word against its opposite: buy, sell; before, after; legal, illegal."""
    left, right = a.bases - b.bases, b.bases - a.bases
    if left and right:
        ours = sum(_is_opposite(one, right, a, b) for one in left)
        theirs = sum(_is_opposite(two, left, a, b) for two in right)
        # Two opposites, or one and a "not", cancel out: least painful, most painless.
        if min(ours, theirs) % 2 and a.denies ^ _least(a) == b.denies ^ _least(b):
            return True
    return _halves(a, b) or _halves(b, a) or _turned(a, b)


def _least(text: Text) -> bool:
    return "least" in text.surfaces


def _turned(a: Text, b: Text) -> bool:
    """Recognize "log in", "log out": one verb, the opposite particle."""
    if not _PARTICLES & (a.surfaces ^ b.surfaces):
        return False
    ours, theirs = set(itertools.pairwise(a.flow)), set(itertools.pairwise(b.flow))
    return any(
        particle in _AWAY and (verb, _AWAY[particle]) in theirs and verb not in STOP
        for verb, particle in ours - theirs
    )


_AWAY = {"in": "out", "out": "in", "on": "off", "off": "on", "up": "down", "down": "up"}
_PARTICLES = frozenset(_AWAY)


def _is_opposite(word: str, others: frozenset[str], a: Text, b: Text) -> bool:
    partners = _OPPOSITES.get(word)
    if partners and not partners.isdisjoint(others):
        return canonical(word) not in a.bag & b.bag or word in STOP
    if len(word) < 4:
        return False
    for prefix in _PREFIXES:
        if prefix in a.bases or prefix in b.bases:
            continue
        if prefix + word in others:
            return True
        if (
            word.startswith(prefix)
            and len(word) >= len(prefix) + 4
            and word[len(prefix) :] in others
        ):
            return True
    return any(
        word.endswith(one) and word[: -len(one)] + two in others
        for one, two in (("less", "ful"), ("ful", "less"))
    )


def _halves(a: Text, b: Text) -> bool:
    """Recognize both against one: "advantages and disadvantages", "advantages"."""
    for one, two in a.phrases.pairs:
        if (one in b.known) != (two in b.known) and two in _OPPOSITE_STEMS.get(one, ()):
            return True
    return False


_CLASHING = (
    ("all", "none"), ("all", "few"), ("most", "few"), ("once", "twice"),
    ("half", "twice"), ("half", "all"), ("only", "all"), ("both", "either"),
)  # fmt: skip
_CLASHES = frozenset(pair for one, two in _CLASHING for pair in ((one, two), (two, one)))


def other_quantifiers(a: Text, b: Text) -> bool:
    """Veto all against some or none, and one against both."""
    if a.bases == b.bases or max(len(a.flow), len(b.flow)) > _LONG:
        return False
    if _alternates(a) != _alternates(b) or (_FRACTIONS & (a.bases ^ b.bases) and _is_part(a, b)):
        return True
    left = {QUANTIFIERS[w] for w in a.bases - b.bases if w in QUANTIFIERS}
    right = {QUANTIFIERS[w] for w in b.bases - a.bases if w in QUANTIFIERS}
    if {*a.asks, *b.asks}.isdisjoint(_NAMING) and {"all", "some"} <= left | right:
        return a.bag == b.bag
    if "than" in a.bases | b.bases:  # "more than once"
        left, right = left - {"once"}, right - {"once"}
    return any((one, other) in _CLASHES for one in left for other in right)


_NAMING = frozenset(("what", "which", "who"))  # "what are all" asks for no more than "some"


_FRACTIONS = frozenset(("half", "double", "twice", "triple"))


def _alternates(text: Text) -> bool:
    """Recognize "every other day"."""
    return {"every", "other"} <= text.bases and ("every", "other") in itertools.pairwise(text.flow)


def _is_part(a: Text, b: Text) -> bool:
    """Return whether only one text asks about a half, or a double, of the same thing."""
    mine, other = (a, b) if _FRACTIONS & a.bases else (b, a)
    if _FRACTIONS & other.bases or other.quantities - mine.quantities or "in" in mine.bases:
        return False
    return not mine.bag - other.known - _FRACTIONS
