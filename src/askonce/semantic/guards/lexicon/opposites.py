"""Words that exclude each other: opposites in pairs, and families of siblings."""

from collections.abc import Iterable

from askonce.semantic.guards.lexicon.stems import canonical, singular
from askonce.semantic.guards.lexicon.word_list import read_lists

_LISTS = read_lists("opposites.txt")

OPPOSITES = tuple(group.words for group in _LISTS["opposites"])
"""Pairs of words that exclude each other."""

KINDS = tuple(group.words for group in _LISTS["kinds"])
"""Families of siblings: a question about one member is never a question about another."""


def partners_of(groups: Iterable[tuple[str, ...]]) -> dict[str, frozenset[str]]:
    """Map each word of the groups, singular, to the words that exclude it."""
    partners: dict[str, set[str]] = {}
    for group in groups:
        bases = {singular(word) for word in group}
        for word in bases:
            others = {other for other in bases if canonical(other) != canonical(word)}
            partners.setdefault(word, set()).update(others)
    return {word: frozenset(others) for word, others in partners.items()}
