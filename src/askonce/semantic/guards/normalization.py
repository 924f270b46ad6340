"""Unicode normalization: letters without their disguises, so that no guard overlooks one."""

import re
import unicodedata
from typing import Final

MAX_CHARS: Final = 40_000
"""Characters of a text that are normalized; the rest is compared as written."""

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


def normalize(text: str) -> str:
    """Make signs of equal meaning equal, in time linear in the length of the text.

    Invisible characters go: a zero-width space would hide a digit from the guards, not from the
    embedding model. Full-width and ornate letters and digits become the usual ones, raised digits
    stay apart ("2\u00b2" is not 22), and a Cyrillic or Greek letter among Latin ones becomes the
    Latin letter that it looks like.
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


def without_accents(word: str) -> str:
    """Remove the accents of a word, as people often type it."""
    if word.isascii():
        return word
    apart = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
