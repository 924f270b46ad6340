"""What a text names: by capital, by digit, by foreign script, or by not being plain English."""

import itertools
from collections.abc import Sequence
from typing import Protocol

import msgspec

from askonce.semantic.guards import lexicon
from askonce.semantic.guards.languages import Tongue, script_of
from askonce.semantic.guards.letters import bare
from askonce.semantic.guards.places import PEOPLES
from askonce.semantic.guards.quantities import is_roman
from askonce.semantic.guards.stems import canonical, singular
from askonce.semantic.guards.tokens import Token
from askonce.semantic.guards.units import NUMBER_WORDS, UNITS
from askonce.semantic.guards.wordlists import words_of
from askonce.semantic.guards.words import COORDINATORS, ROLES, STOP

_CASED = frozenset(("latin", "cyrillic", "greek", "armenian"))
_ARTICLES = words_of("a an the my your our")
_PLACING = words_of("""
    in on for of at near to from with by under into using about through via
    """)  # fmt: skip


class Name(msgspec.Struct, frozen=True):
    """A word that may name something.

    `kind` is `strong`, `weak` (an ordinary word with a capital) or `rare` (no capital, but not
    plain English). `role` is the little word before it, `beside` are its neighbors, and `listed`
    says that it stands in a list. `short` are the initials of the names that it stands among.
    """

    stem: str
    word: str
    kind: str
    role: str
    beside: tuple[str, ...]
    listed: bool
    short: str


def names_of(
    tokens: Sequence[Token], identifiers: frozenset[str], tongue: Tongue, english: bool
) -> tuple[Name, ...]:
    """Find the names among the tokens, in order."""
    heavy = [t for t in tokens if t.is_word and t.word not in STOP]
    capitals = sum(t.surface[0].isupper() for t in heavy)
    # In A Title Or IN SHOUTING a capital says nothing.
    told = capitals <= 1 or capitals < len(heavy) or len(heavy) < 4
    found: dict[str, Name] = {}
    for at, token in enumerate(tokens):
        if not token.is_word or token.word in UNITS:
            continue
        if token.word in STOP:
            if told and len(token.surface) > 1 and token.surface.isupper():
                found[token.word] = _place(tokens, at, "strong")  # IT, US, WHO
            continue
        if is_roman(token) or token.word in NUMBER_WORDS:
            continue
        kind = _kind(token, identifiers, tongue, told, english)
        if kind and token.word not in found:
            found[token.word] = _place(tokens, at, kind)
    return tuple(found.values())


def _kind(
    token: Token, identifiers: frozenset[str], tongue: Tongue, told: bool, english: bool
) -> str:
    word, surface = token.word, token.surface
    if word in identifiers:
        return "strong"
    if word[0].isdigit():
        return ""
    if not surface.isascii() and tongue.script and script_of(surface[0]) != tongue.script:
        return "" if tongue.script == "kana" else "strong"
    if tongue.script not in _CASED:
        return "strong" if surface.isascii() and len(surface) > 1 else ""
    if any(letter.isdigit() for letter in word):
        return "strong"
    ordinary = lexicon.is_ordinary(word)
    if told and ((surface[0].isupper() and not token.starts) or _has_inner_capital(surface)):
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
    """The initials of the capitals around: "mba" of Master of Business Administration."""
    if not tokens[at].surface[0].isupper():
        return ""
    first, last = at, at
    while first > 0 and at - first < _REACH and _goes_on(tokens[first - 1]):
        first -= 1
    while last + 1 < len(tokens) and last - at < _REACH and _goes_on(tokens[last + 1]):
        last += 1
    capitals = [t.word[0] for t in tokens[first : last + 1] if t.surface[0].isupper()]
    return "".join(capitals)


_REACH = 6
_LINKS = frozenset(("of", "the", "and", "for"))


def _goes_on(token: Token) -> bool:
    return token.word in _LINKS or (token.is_word and token.surface[0].isupper())


def letters_of(tokens: Sequence[Token]) -> frozenset[str]:
    """Letters that stand for one of several: vitamin C, hepatitis B, plan A."""
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


class KnownNames(Protocol):
    """What of a text tells whether it has a name."""

    @property
    def known(self) -> frozenset[str]: ...
    @property
    def places(self) -> frozenset[str]: ...
    @property
    def initials(self) -> str: ...
    @property
    def heads(self) -> str: ...


def is_known(name: Name, text: KnownNames) -> bool:
    """Whether a text has this name, if perhaps spelled otherwise."""
    known = text.known
    word = name.word
    if (
        name.stem in known
        or word in known
        or word.removesuffix("s") in known
        or (not word.isascii() and _inflected(word, known))
    ):
        return True
    if PEOPLES.get(singular(word), singular(word)) in text.places:
        return True
    # Any two letters are the initials of some two words; so of two, both must carry meaning.
    initials = text.initials if len(word) > 2 else text.heads
    if 2 <= len(word) <= 6 and word.isalpha() and word in initials:
        return True
    if len(name.short) > 1 and name.short in known:
        return True
    return resembles(word, known)


def resembles(word: str, known: frozenset[str]) -> bool:
    """Whether the word is one of the known ones in another form or with a slip."""
    if not word.isascii() and bare(word) in known:
        return True
    return len(word) >= 4 and any(_near(word, other) for other in known)


def _inflected(word: str, known: frozenset[str]) -> bool:
    """Paris and Pari-sin, Москва and Москве: the same beginning, another ending."""
    size = max(3, len(word) - 3)
    return len(word) > 3 and any(
        o[:size] == word[:size] and abs(len(o) - len(word)) <= 3 for o in known
    )


def _near(word: str, other: str) -> bool:
    """One word misspelled, or another form of it: a long common beginning, or one slip."""
    short, long = sorted((word, other), key=len)
    if len(long) - len(short) > 5 or len(short) < 4 or short[0] != long[0]:
        return False
    if word.isascii() != other.isascii() and bare(word) == bare(other):
        return True
    if any(letter.isdigit() for letter in word + other):
        return False
    common = 0
    for one, two in zip(short, long, strict=False):
        if one != two:
            break
        common += 1
    if common >= 5 and common >= len(short) - 2:
        return True
    if common == len(short) >= 4:
        return True
    return len(short) >= 5 and len(long) - len(short) <= 1 and _one_slip(short, long, common)


def _one_slip(short: str, long: str, common: int) -> bool:
    """One letter more, less, changed (in a long word) or two exchanged, at the first difference."""
    if len(short) == len(long):
        changed = len(short) >= 6 and short[common + 1 :] == long[common + 1 :]
        swapped = short[common : common + 2] == long[common : common + 2][::-1]
        return changed or (swapped and short[common + 2 :] == long[common + 2 :])
    return short[common:] == long[common + 1 :]
