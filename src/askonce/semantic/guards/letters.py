"""The letters of a text without their disguises, so that no guard reads past what is there."""

import re
import unicodedata
from typing import Final

MAX_CHARS: Final = 40_000
"""How much of a text is read without disguises; beyond it a text is compared as it is."""

_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
_RAISED = re.compile("([\u00b9\u00b2\u00b3\u2070-\u208e]+)")
_FRACTION = re.compile("([\u00bc-\u00be\u2150-\u215f\u2189])")
_MARKS = re.compile("[\u2122\u2120\u00ae\u00a9]")
_LETTERS = re.compile("[A-Za-z\u0370-\u04ff]+")
_LATIN = re.compile("[A-Za-z]")
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅαορνικτυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwABEKMHOPCTYXIJSaopviktuABEZHIKMNOPTYX",
)


def plain(text: str) -> str:
    """The text with signs of equal meaning made equal; linear in its length.

    What nobody sees goes (a zero-width space hides a digit from a reader of words, not from the
    model that embeds). Full-width and ornate letters and digits become the usual ones, raised
    digits stay apart ("2\u00b2" is not 22), and a Cyrillic or Greek letter among Latin ones
    becomes the Latin letter that it looks like.
    """
    if text.isascii():
        return text
    head, rest = text[:MAX_CHARS], text[MAX_CHARS:]
    head = _HIDDEN.sub("", head)
    head = _MARKS.sub("", head)
    head = _RAISED.sub(r"^\1", head)
    head = _FRACTION.sub(r" \1", head)
    head = unicodedata.normalize("NFKC", head)
    return _LETTERS.sub(_unmixed, head) + rest


def _unmixed(match: re.Match[str]) -> str:
    word = match.group()
    if word.isascii() or not _LATIN.search(word):
        return word
    return word.translate(_LOOKALIKES)


def bare(word: str) -> str:
    """The word without accents, as it is often typed."""
    if word.isascii():
        return word
    apart = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
