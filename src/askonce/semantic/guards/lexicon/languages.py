"""The script and the language of a text, where a few words decide them."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from askonce.semantic.guards.lexicon.word_list import labels_in, read_lists

_LISTS = read_lists("languages.txt")
_SCRIPTS = [(int(first, 16), int(last, 16), name) for name, (first, last) in _LISTS["scripts"]]
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {}
for _language, _words in _LISTS["common words"]:
    for _word in dict.fromkeys(_words):
        _LANGUAGES_OF[_word] = (*_LANGUAGES_OF.get(_word, ()), _language)


_UKRAINIAN, _RUSSIAN = frozenset("іїєґІЇЄҐ"), frozenset("ыэёъЫЭЁЪ")
_LOOK = 600


LANGUAGES = labels_in(_LISTS["names"])
"""English names of languages, each with the one that stands for the language."""

FOREIGN = frozenset(word for word, languages in _LANGUAGES_OF.items() if "en" not in languages)


class TextLocale(NamedTuple):
    """A script and a language; each is empty where the text does not decide it."""

    script: str
    language: str


def locale_of(text: str, words: Iterable[str]) -> TextLocale:
    """Read the script of the first letters and the language of the first words."""
    script = "latin" if text.isascii() else _script(text[:_LOOK])
    if script not in ("latin", "cyrillic"):
        return TextLocale(script, "")
    if script == "cyrillic" and not _UKRAINIAN.isdisjoint(text[:_LOOK]):
        return TextLocale(script, "uk")
    if script == "cyrillic" and not _RUSSIAN.isdisjoint(text[:_LOOK]):
        return TextLocale(script, "ru")
    votes: Counter[str] = Counter()
    for word in words:
        languages = _LANGUAGES_OF.get(word, ())
        for language in languages:
            votes[language] += 2 if len(languages) == 1 else 1
    ranked = votes.most_common(2)
    if not ranked or ranked[0][1] < 3:
        return TextLocale(script, "")
    if len(ranked) > 1 and ranked[1][1] * 3 > ranked[0][1] * 2:
        return TextLocale(script, "")
    return TextLocale(script, ranked[0][0])


def _script(text: str) -> str:
    letters = Counter(script_of(letter) for letter in text if letter.isalpha())
    if letters["kana"]:  # Japanese mixes three scripts
        letters["kana"] += letters.pop("han", 0)
    total = letters.total()
    if not total:
        return ""
    script, count = letters.most_common(1)[0]
    return script if count >= 0.6 * total else ""


def script_of(letter: str) -> str:
    """Return the script of one letter; every letter that is not listed counts as Latin."""
    point = ord(letter)
    if point < 0x0370:
        return "latin"
    for first, last, name in _SCRIPTS:
        if first <= point <= last:
            return name
    return "latin"
