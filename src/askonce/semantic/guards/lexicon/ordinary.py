"""Ordinary English words, by hand and by frequency; any other word may be a name."""

import functools

from askonce.semantic.guards.lexicon.english import ALIASES, STOP
from askonce.semantic.guards.lexicon.stems import stem
from askonce.semantic.guards.lexicon.word_list import read_lists, words_in

_LISTS = read_lists("ordinary.txt")
_ORDINARY = words_in(_LISTS["words"]) | STOP | frozenset(ALIASES)
_STEMS = frozenset(map(stem, _ORDINARY))
_BEGINNINGS = words_in(_LISTS["beginnings"])
_ENDINGS = words_in(_LISTS["endings"])


@functools.lru_cache(maxsize=16_384)
def is_ordinary(word: str) -> bool:
    """Return whether a folded word is plain English, or a plain word with an ending or a prefix."""
    if word in _ORDINARY or stem(word) in _STEMS:
        return True
    bases = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
    if any(len(base) >= 3 and _is_base(base) for base in bases):
        return True
    rests = [word.removeprefix(start) for start in _BEGINNINGS if word.startswith(start)]
    return any(len(rest) > 3 and stem(rest) in _STEMS for rest in rests)


def _is_base(base: str) -> bool:
    """Return whether a word without its ending is ordinary, as it is or spelled in full."""
    return stem(base) in _STEMS or not _ORDINARY.isdisjoint((base, base + "e", base[:-1]))
