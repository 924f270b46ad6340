"""A slot is a span of text that changes from request to request amid text that does not.

Two texts that should be equal are aligned around the first place where they differ; what stands
there says what the slot holds: a date, an identifier, a counter, an address, a language, a name.
"""

import json
import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.spans import kind_of
from askonce.prompts.analyzer.text_diff import common, first_difference, in_step_again

_EDGE = re.compile(r"[^\s\"'<>()\[\]{},;]*\Z")
_HEAD = re.compile(r"[^\s\"'<>()\[\]{},;]*")


_PLAIN = {Cause.DATE, Cause.UUID, Cause.EMAIL, Cause.REQUEST_ID, Cause.COUNTER}
"""What needs no second look where nothing else differs."""


class Slot(NamedTuple):
    """Where two texts differ first and what stands there; places count characters.

    `recovered` is how many characters of the second text follow that the first has as well.
    """

    cause: Cause
    confidence: float
    start: int
    a: str
    b: str
    recovered: int


def find_slot(a: str, b: str, *, conversation: bool = False) -> Slot:
    """What makes two texts differ, which were meant to be the same.

    `conversation` says that they are a turn of it, not instructions.
    """
    start = first_difference(a, b)
    end_a, end_b = in_step_again(a, b, start)
    slot = _slot_between(a, b, start, (end_a, end_b))
    spaces_only = "".join(slot.a.split()) == "".join(slot.b.split())
    if slot.cause in _PLAIN and not spaces_only and a[end_a:] == b[end_b:]:
        return slot._replace(recovered=len(b) - end_b)
    whole = _whole_change(a, b)
    if whole is not None:
        cause, confidence = whole
        return Slot(cause, confidence, start, *_shown(a, b, start), len(b) - start)
    recovered = common(a, b, end_a, end_b)
    unsure = slot.cause is Cause.UNKNOWN and not conversation and recovered > 0
    return slot._replace(recovered=recovered, confidence=0.5 if unsure else slot.confidence)


def _slot_between(a: str, b: str, start: int, ends: tuple[int, int]) -> Slot:
    """The words that the spans which differ are part of, and what they hold."""
    end_a, end_b = ends
    begin = start - len(_matched(_EDGE, a[max(0, start - 80) : start]))
    span_a = a[begin:end_a] + _matched(_HEAD, a[end_a : end_a + 80])
    span_b = b[begin:end_b] + _matched(_HEAD, b[end_b : end_b + 80])
    cause, confidence = kind_of(span_a, span_b, b[max(0, begin - 60) : begin])
    return Slot(cause, confidence, begin, span_a, span_b, 0)


def _matched(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text) if pattern is _EDGE else pattern.match(text)
    return found[0] if found else ""


def _shown(a: str, b: str, start: int) -> tuple[str, str]:
    return a[start : start + 80], b[start : start + 80]


# Changes of the text as a whole


def _whole_change(a: str, b: str) -> tuple[Cause, float] | None:
    """A change that leaves the meaning of the text as it was, or only moves its parts."""
    if a.replace("\r\n", "\n").replace("\r", "\n") == b.replace("\r\n", "\n").replace("\r", "\n"):
        return Cause.LINE_ENDINGS, 1.0
    if _composed(a) == _composed(b):
        return Cause.UNICODE, 1.0
    if a.split() == b.split():
        return Cause.WHITESPACE, 1.0
    within = _first_texts(a, b)
    if within is not None:
        return _whole_change(*within)
    return _serialized_anew(a, b) or _reordered(a, b)


def _first_texts(a: str, b: str) -> tuple[str, str] | None:
    """The first texts that differ within two JSON objects, such as the arguments of a call."""
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
    """The text with one way of writing each character, typographic quotes and dashes included."""
    return unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHIC)


_TYPOGRAPHIC = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00ad": None, "\u200b": None}
)


_BRACES = 32
_read_json = json.JSONDecoder().raw_decode


def _serialized_anew(a: str, b: str) -> tuple[Cause, float] | None:
    """The same JSON, on its own or within a text, in other words."""
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
    """Parts of a text that stand in another order, which most of them still share."""
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
    """Do the parts that two lists share stand in the same order in both?"""
    shared = set(a) & set(b)
    return [part for part in a if part in shared] == [part for part in b if part in shared]
