"""Word lists: short ones as text in the code, long ones as files beside this module.

A list file is plain text, which a translator can edit without knowing Python:

    # A comment says what the list is for.
    [paces]
    day: daily
    year: yearly annual
        annually

`[name]` begins a list. Every other line is a group of words; an indented line continues the group
above it. The label before a colon says what the words of the group mean; without a label, the
first word stands for the group. Each file is read once, when the module of its name is imported.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class WordGroup(NamedTuple):
    """One group of a word list: its label, or its first word, and the words."""

    label: str
    words: tuple[str, ...]


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


def read_lists(file: str) -> dict[str, list[WordGroup]]:
    """Read a list file of this folder: the groups of each list, by its name."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    lists: dict[str, list[WordGroup]] = {}
    name = ""
    for line in re.sub(r"\n[ \t]+", " ", text).splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            lists[name] = []
        elif line and not line.startswith("#"):
            label, _, rest = line.rpartition(": ")
            words = tuple(rest.split())
            lists[name].append(WordGroup(label or words[0], words))
    return lists


def words_in(groups: Iterable[WordGroup]) -> frozenset[str]:
    """Return the words of all groups as a set."""
    return frozenset(word for group in groups for word in group.words)


def labels_in(groups: Iterable[WordGroup]) -> dict[str, str]:
    """Map each word of the groups to the label of its group; the last group of a word counts."""
    return {word: group.label for group in groups for word in group.words}


def numbers_in(groups: Iterable[WordGroup]) -> dict[str, int]:
    """Map each word of the groups to its label, read as a number."""
    return {word: int(label) for word, label in labels_in(groups).items()}
