"""Words without their endings: a light stemmer for English, harmless to other languages."""

import functools

from askonce.semantic.guards.lexicon.english import ALIASES
from askonce.semantic.guards.lexicon.word_list import read_lists, words_in

_KEEP = words_in(read_lists("stems.txt")["unchanged"])
_VOWELS = frozenset("aeiouy")


@functools.lru_cache(maxsize=16_384)
def singular(word: str) -> str:
    """Remove a plural ending."""
    if len(word) < 4 or word in _KEEP or not word.isascii() or word[-1] != "s":
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("toes") and len(word) > 5:
        return word[:-2]
    if word.endswith(("ss", "us", "is")):
        return word
    return word[:-1]


@functools.lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Remove plural, -ing, -ed, -ly and a final e, so that the forms of one word are equal."""
    word = singular(word)
    if len(word) < 5 or word in _KEEP or not word.isascii():
        return word[:-1] if len(word) == 4 and word[-1] == "e" else word
    for ending in ("ing", "ed", "ly", "er"):
        if ending == "er" and len(word) < 6:
            continue
        if word.endswith(ending) and not _VOWELS.isdisjoint(word[: -len(ending)]):
            base = word[: -len(ending)]
            if len(base) < 3:
                break
            if ending != "ly" and base[-1] == base[-2] and base[-1] not in "lsz":
                base = base[:-1]
            word = base
            break
    if len(word) > 3 and word[-1] == "e":
        word = word[:-1]
    if len(word) > 3 and word[-1] == "i":
        word = word[:-1] + "y"
    return word


@functools.lru_cache(maxsize=16_384)
def canonical(word: str) -> str:
    """Return the stem that stands for a word and for its near synonyms."""
    return ALIASES.get(word) or ALIASES.get(singular(word)) or stem(word)
