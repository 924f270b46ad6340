"""A change of a text that should stay the same: its place and its cause.

Two texts are aligned around the first place where they differ. The span there shows the cause: a
date, an identifier, a counter, an address, a language, a name. Other causes change the whole text:
its line endings, its characters, its white space, the order of its parts.
"""

import json
import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.text_diff import agree_again, common, first_difference

_EDGE = re.compile(r"[^\s\"'<>()\[\]{},;]*\Z")
_HEAD = re.compile(r"[^\s\"'<>()\[\]{},;]*")


_PLAIN = {Cause.DATE, Cause.UUID, Cause.EMAIL, Cause.REQUEST_ID, Cause.COUNTER}
"""Causes that are certain if nothing else differs."""


class TextChange(NamedTuple):
    """The first difference of two texts; places count characters.

    start      where the changed span begins; `a` and `b` are the span in each text
    recovered  how many characters of the second text after it the first text has too
    """

    cause: Cause
    confidence: float
    start: int
    a: str
    b: str
    recovered: int


def find_change(a: str, b: str, *, conversation: bool = False) -> TextChange:
    """Find what makes two texts differ.

    `conversation` says that they are a turn of one, not instructions.
    """
    start = first_difference(a, b)
    end_a, end_b = agree_again(a, b, start)
    change = _change_between(a, b, start, (end_a, end_b))
    spaces_only = "".join(change.a.split()) == "".join(change.b.split())
    if change.cause in _PLAIN and not spaces_only and a[end_a:] == b[end_b:]:
        return change._replace(recovered=len(b) - end_b)
    whole = _whole_change(a, b)
    if whole is not None:
        cause, confidence = whole
        return TextChange(cause, confidence, start, *_shown(a, b, start), len(b) - start)
    recovered = common(a, b, end_a, end_b)
    unsure = change.cause is Cause.UNKNOWN and not conversation and recovered > 0
    return change._replace(recovered=recovered, confidence=0.5 if unsure else change.confidence)


def _change_between(a: str, b: str, start: int, ends: tuple[int, int]) -> TextChange:
    """Extend the differing spans to whole words, and find their cause."""
    end_a, end_b = ends
    begin = start - len(_match_text(_EDGE, a[max(0, start - 80) : start]))
    span_a = a[begin:end_a] + _match_text(_HEAD, a[end_a : end_a + 80])
    span_b = b[begin:end_b] + _match_text(_HEAD, b[end_b : end_b + 80])
    cause, confidence = _span_cause(span_a, span_b, b[max(0, begin - 60) : begin])
    return TextChange(cause, confidence, begin, span_a, span_b, 0)


def _match_text(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text) if pattern is _EDGE else pattern.match(text)
    return found[0] if found else ""


def _shown(a: str, b: str, start: int) -> tuple[str, str]:
    return a[start : start + 80], b[start : start + 80]


# Changes of the text as a whole


def _whole_change(a: str, b: str) -> tuple[Cause, float] | None:
    """Find a change of the whole text that keeps its meaning, or only moves its parts."""
    if a.replace("\r\n", "\n").replace("\r", "\n") == b.replace("\r\n", "\n").replace("\r", "\n"):
        return Cause.LINE_ENDINGS, 1.0
    if _composed(a) == _composed(b):
        return Cause.UNICODE, 1.0
    if a.split() == b.split():
        return Cause.WHITESPACE, 1.0
    within = _first_texts(a, b)
    if within is not None:
        return _whole_change(*within)
    return _serialized_differently(a, b) or _reordered(a, b)


def _first_texts(a: str, b: str) -> tuple[str, str] | None:
    """Return the first texts that differ within two JSON objects, as in a call's arguments."""
    if a[:1] != "{" or b[:1] != "{":
        return None
    try:
        values = [(json.loads(a), json.loads(b))]
    except (ValueError, RecursionError):
        return None
    while values:
        x, y = values.pop()
        if isinstance(x, str) and isinstance(y, str) and x != y:
            return x, y
        if isinstance(x, dict) and isinstance(y, dict):
            values += reversed([(x[name], y[name]) for name in x if name in y])
        elif isinstance(x, list) and isinstance(y, list):
            values += reversed(list(zip(x, y, strict=False)))
    return None


def _composed(text: str) -> str:
    """Normalize the text's characters, typographic quotes and dashes included."""
    return unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHIC)


_TYPOGRAPHIC = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00ad": None, "\u200b": None}
)


_BRACES = 32
_read_json = json.JSONDecoder().raw_decode


def _serialized_differently(a: str, b: str) -> tuple[Cause, float] | None:
    """Find the same JSON with other bytes, alone or within a text."""
    place = first_difference(a, b) + 1
    for _ in range(_BRACES):
        place = max(a.rfind("{", 0, place), a.rfind("[", 0, place))
        if place < 0:
            return None
        try:
            (value_a, end_a), (value_b, end_b) = _read_json(a, place), _read_json(b, place)
        except (ValueError, RecursionError):
            continue
        if value_a == value_b and a[place:end_a] != b[place:end_b]:
            same_order = json.dumps(value_a) == json.dumps(value_b)
            return (Cause.WHITESPACE if same_order else Cause.KEY_ORDER), 1.0
    return None


_PARAGRAPH = re.compile(r"\n\s*\n|(?=<document\b)|(?=<example\b)|(?=^#{1,4} )", re.MULTILINE)
_EXAMPLE = re.compile(
    r"\bexamples?\b|^\s*(q|a|input|output|question|answer)\s*[:=]", re.IGNORECASE | re.MULTILINE
)


def _reordered(a: str, b: str) -> tuple[Cause, float] | None:
    """Find parts of a text in another order, if most of them are in both texts."""
    for split in (_PARAGRAPH.split, str.splitlines):
        parts_a = [part.strip() for part in split(a) if part.strip()]
        parts_b = [part.strip() for part in split(b) if part.strip()]
        if min(len(parts_a), len(parts_b)) < 3:
            continue
        same = (Counter(parts_a) & Counter(parts_b)).total()
        in_place = sum(x == y for x, y in zip(parts_a, parts_b, strict=False))
        if same >= 0.8 * max(len(parts_a), len(parts_b)) and same - in_place >= 2:
            if _in_order(parts_a, parts_b):
                continue
            moved = "\n".join(x for x, y in zip(parts_a, parts_b, strict=False) if x != y)
            example = _EXAMPLE.search(moved) is not None
            return (Cause.EXAMPLE_ORDER if example else Cause.DOCUMENT_ORDER), 0.9
    return None


def _in_order(a: list[str], b: list[str]) -> bool:
    """Return whether the parts that two lists share have the same order in both."""
    shared = set(a) & set(b)
    return [part for part in a if part in shared] == [part for part in b if part in shared]


# Contents of a span

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?|\d{4}/\d\d?/\d\d?|\d\d?[/.]\d\d?[/.]\d{2,4}"
    rf"|\b{_MONTH}\.? \d{{1,2}}\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}\b|\b{_DAY}\b|\b(?:mon|tue|wed|thu|fri|sat|sun),"
    rf"|\b\d{{1,2}}:\d\d(?::\d\d)?\b|\d{{8}}T\d{{6}}|\b{_MONTH} \d{{4}}\b",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"\b(?:1[0-9]{9}|2[01][0-9]{8})(?:[0-9]{3}|[0-9]{6})?(?:\.[0-9]+)?\b")
_UUID = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE
)
_ULID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_NUMBER = re.compile(r"[^\w]*[#v]?\d[\d,. ]*[^\w]*")
_WORD = re.compile(r"\w+")
_HEX = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)
_LOCALE = re.compile(r"[a-z]{2,3}[-_][A-Za-z]{2,4}(?:[.-][\w-]+)?")
_LANGUAGES = frozenset(
    re.findall(
        r"\S+",
        """
        arabic bengali chinese czech danish dutch english finnish french german greek hebrew hindi
        hungarian indonesian italian japanese korean norwegian polish portuguese romanian russian
        spanish swedish thai turkish ukrainian vietnamese deutsch español français italiano
        português ar bn cs da de el en es fi fr he hi hu id it ja ko nl no pl pt ro ru sv th tr uk
        vi zh usd eur gbp jpy chf inr utc cet est pst
        """,
    )
)
_NAME_BEFORE = re.compile(
    r"(?:\bname|\buser|\bcustomer|\bclient|\bfor|\bhello|\bhi|\bdear|\bassist(?:ing)?|\bhelp(?:ing)?"
    r"|\bwith|\bcalled|\bto|\bmr|\bmrs|\bms)\W*(?:is\s*)?[\"'<(]?\s*\Z",
    re.IGNORECASE,
)


def _span_cause(a: str, b: str, before: str) -> tuple[Cause, float]:
    """Return the cause that two spans in the same place show, and its confidence."""
    for pattern, cause in ((_EMAIL, Cause.EMAIL), (_UUID, Cause.UUID), (_ULID, Cause.UUID)):
        if pattern.search(a) and pattern.search(b):
            return cause, 0.95
    for pattern in (_DATE, _EPOCH):
        if pattern.search(a) and pattern.search(b):
            return Cause.DATE, 0.95
    if _is_identifier(a) and _is_identifier(b):
        return Cause.REQUEST_ID, 0.85
    if _NUMBER.fullmatch(a) and _NUMBER.fullmatch(b):
        return Cause.COUNTER, 0.85
    if _digits_apart(a) == _digits_apart(b) and any(char.isdigit() for char in a):
        return Cause.COUNTER, 0.75
    if _is_locale(a) and _is_locale(b):
        return Cause.LOCALE, 0.85
    if _is_name(a) and _is_name(b):
        return Cause.NAME, 0.8 if _NAME_BEFORE.search(before) else 0.6
    return Cause.UNKNOWN, 0.3


def _digits_apart(text: str) -> str:
    return re.sub(r"\d+", "0", text)


def _is_identifier(text: str) -> bool:
    """Return whether it contains a long word of digits and letters."""
    for word in re.findall(r"[A-Za-z0-9_-]{8,}", text):
        digits = sum(char.isdigit() for char in word)
        letters = sum(char.isalpha() for char in word)
        if digits >= 2 and letters >= 1 and (digits + letters >= 8):
            return True
        if _HEX.fullmatch(word) and digits >= 2:
            return True
    return False


def _is_locale(text: str) -> bool:
    words = text.strip(" \t\n\"'.,:;=").split(":")
    word = words[-1].strip()
    return _LOCALE.fullmatch(word) is not None or word.lower() in _LANGUAGES


def _is_name(text: str) -> bool:
    """Return whether it is one to three capitalized words, or a handle."""
    words = _WORD.findall(text.strip())
    if not 1 <= len(words) <= 3 or any(char.isdigit() for char in text):
        return False
    return all(word[:1].isupper() for word in words) or (len(words) == 1 and "@" in text)
