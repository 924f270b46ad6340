"""The names in a text: words with a capital, a digit, a foreign script, or not plain English."""

import itertools
from collections.abc import Sequence

import msgspec

from askonce.semantic.guards.lexicon.english import COORDINATORS, ROLES, STOP
from askonce.semantic.guards.lexicon.languages import TextLocale, script_of
from askonce.semantic.guards.lexicon.ordinary import is_ordinary
from askonce.semantic.guards.lexicon.stems import canonical, singular
from askonce.semantic.guards.lexicon.units import NUMBER_WORDS, UNITS
from askonce.semantic.guards.lexicon.word_list import words_of
from askonce.semantic.guards.quantities import is_roman
from askonce.semantic.guards.tokens import Token

_CASED = frozenset(("latin", "cyrillic", "greek", "armenian"))
_ARTICLES = words_of("a an the my your our")
_PLACING = words_of("""
    in on for of at near to from with by under into using about through via
    """)  # fmt: skip


class Name(msgspec.Struct, frozen=True):
    """A word that may name something.

    `kind` is `strong`, `weak` (an ordinary word with a capital) or `rare` (no capital, but not
    plain English). `role` is the little word before it, `beside` has its neighbors, and `listed`
    is true in a list. `short` has the initials of the capitals around it.
    """

    stem: str
    word: str
    kind: str
    role: str
    beside: tuple[str, ...]
    listed: bool
    short: str


def names_of(
    tokens: Sequence[Token], identifiers: frozenset[str], locale: TextLocale, english: bool
) -> tuple[Name, ...]:
    """Find the names among the tokens, in order."""
    heavy = [t for t in tokens if t.is_word and t.word not in STOP]
    capitals = sum(t.surface[0].isupper() for t in heavy)
    # In A Title Or IN SHOUTING a capital says nothing.
    capitals_count = capitals <= 1 or capitals < len(heavy) or len(heavy) < 4
    found: dict[str, Name] = {}
    for at, token in enumerate(tokens):
        if not token.is_word or token.word in UNITS:
            continue
        if token.word in STOP:
            if capitals_count and len(token.surface) > 1 and token.surface.isupper():
                found[token.word] = _place(tokens, at, "strong")  # IT, US, WHO
            continue
        if is_roman(token) or token.word in NUMBER_WORDS:
            continue
        kind = _kind(token, identifiers, locale, capitals_count, english)
        if kind and token.word not in found:
            found[token.word] = _place(tokens, at, kind)
    return tuple(found.values())


def _kind(
    token: Token,
    identifiers: frozenset[str],
    locale: TextLocale,
    capitals_count: bool,
    english: bool,
) -> str:
    word, surface = token.word, token.surface
    if word in identifiers:
        return "strong"
    if word[0].isdigit():
        return ""
    if not surface.isascii() and locale.script and script_of(surface[0]) != locale.script:
        return "" if locale.script == "kana" else "strong"
    if locale.script not in _CASED:
        return "strong" if surface.isascii() and len(surface) > 1 else ""
    if any(letter.isdigit() for letter in word):
        return "strong"
    ordinary = is_ordinary(word)
    if capitals_count and (
        (surface[0].isupper() and not token.starts) or _has_inner_capital(surface)
    ):
        return "weak" if ordinary else "strong"
    if ordinary or not english:
        return ""
    return "strong" if surface[0].isupper() else "rare"


def _has_inner_capital(surface: str) -> bool:
    return any(letter.isupper() for letter in surface[1:])


def _place(tokens: Sequence[Token], at: int, kind: str) -> Name:
    token = tokens[at]
    before = at - 1
    while before >= 0 and tokens[before].word in _ARTICLES:
        before -= 1
    behind = tokens[before].word if before >= 0 else ""
    ahead = tokens[at + 1].word if at + 1 < len(tokens) else ""
    beside = []
    for word in (behind, ahead):
        if word in (",", "(", "/") and word == behind and before > 0:
            word = tokens[before - 1].word
        if word and word not in STOP and word[0].isalnum():
            beside.append(canonical(word))
    # In "C or C++" the name is one of several; in "Provo, Utah" it belongs to the next one.
    listed = any(w in COORDINATORS and w not in (",", "/") for w in (behind, ahead))
    role = behind if behind in _PLACING or behind in ROLES else ""
    short = _initials(tokens, at)
    return Name(canonical(token.word), token.word, kind, role, tuple(beside), listed, short)


def _initials(tokens: Sequence[Token], at: int) -> str:
    """Return the initials of the capitals around: "mba" for Master of Business Administration."""
    if not tokens[at].surface[0].isupper():
        return ""
    first, last = at, at
    while first > 0 and at - first < _REACH and _continues(tokens[first - 1]):
        first -= 1
    while last + 1 < len(tokens) and last - at < _REACH and _continues(tokens[last + 1]):
        last += 1
    capitals = [t.word[0] for t in tokens[first : last + 1] if t.surface[0].isupper()]
    return "".join(capitals)


_REACH = 6
_LINKS = frozenset(("of", "the", "and", "for"))


def _continues(token: Token) -> bool:
    return token.word in _LINKS or (token.is_word and token.surface[0].isupper())


def labels_of(tokens: Sequence[Token]) -> frozenset[str]:
    """Find letters that label one of several things: vitamin C, hepatitis B, plan A."""
    found = set()
    for before, token in itertools.pairwise(tokens):
        surface = token.surface
        if len(surface) != 1 or not token.is_word or not surface.isascii() or surface.isdigit():
            continue
        capital = surface.isupper() and surface not in ("A", "I") and not token.starts
        if capital or before.word in _LETTERED or singular(before.word) in _LETTERED:
            found.add(token.word)
    return frozenset(found)


_LETTERED = words_of("""
    vitamin hepatitis influenza type plan grade class group option section part level team vector
    point schedule appendix variant model series size phase stage exhibit table figure gate
    terminal platform line route block unit room building answer choice column version drive
    """)
