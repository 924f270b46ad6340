"""Names in another spelling: an inflected form, initials, a missing accent, one slip."""

from typing import Protocol

from askonce.semantic.guards.lexicon.places import PEOPLES
from askonce.semantic.guards.lexicon.stems import singular
from askonce.semantic.guards.names import Name
from askonce.semantic.guards.normalization import without_accents


class KnownNames(Protocol):
    """The part of a text that decides whether it has a name."""

    @property
    def known(self) -> frozenset[str]: ...
    @property
    def places(self) -> frozenset[str]: ...
    @property
    def initials(self) -> str: ...
    @property
    def content_initials(self) -> str: ...


def is_known(name: Name, text: KnownNames) -> bool:
    """Return whether a text has this name, in any spelling."""
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
    # Any two letters are the initials of some two words, so both of those words must carry meaning.
    initials = text.initials if len(word) > 2 else text.content_initials
    if 2 <= len(word) <= 6 and word.isalpha() and word in initials:
        return True
    if len(name.short) > 1 and name.short in known:
        return True
    return resembles(word, known)


def resembles(word: str, known: frozenset[str]) -> bool:
    """Return whether the word is a known one in another form or with one slip."""
    if not word.isascii() and without_accents(word) in known:
        return True
    return len(word) >= 4 and any(_near(word, other) for other in known)


def _inflected(word: str, known: frozenset[str]) -> bool:
    """Match "Paris" and "Parisin", "Москва" and "Москве": one beginning, another ending."""
    size = max(3, len(word) - 3)
    return len(word) > 3 and any(
        o[:size] == word[:size] and abs(len(o) - len(word)) <= 3 for o in known
    )


def _near(word: str, other: str) -> bool:
    """Return whether two words share a long beginning, or differ by one slip."""
    short, long = sorted((word, other), key=len)
    if len(long) - len(short) > 5 or len(short) < 4 or short[0] != long[0]:
        return False
    if word.isascii() != other.isascii() and without_accents(word) == without_accents(other):
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
    """Find one letter more, less or changed (in a long word), or two exchanged."""
    if len(short) == len(long):
        changed = len(short) >= 6 and short[common + 1 :] == long[common + 1 :]
        swapped = short[common : common + 2] == long[common : common + 2][::-1]
        return changed or (swapped and short[common + 2 :] == long[common + 2 :])
    return short[common:] == long[common + 1 :]
