"""The verdict of all guards on two questions, and the reason word of each guard.

A guard is a small function of two prepared texts, symmetric, and true where it vetoes. Each one
compares only what the two texts do not share, so equal texts pass and the cost is small. Cheap and
certain guards come first, because the first veto is the one that is reported.
"""

import enum
import math
from collections.abc import Callable
from typing import NamedTuple

from askonce.semantic.guards import (
    order_guards,
    quantity_guards,
    request_guards,
    sense_guards,
    subject_guards,
)
from askonce.semantic.guards.text import Text, prepare


class Veto(enum.StrEnum):
    """The reason word of each guard, as headers, metrics and explanations show it.

    `ok` means that no guard vetoes, `far` that the similarity is too low to ask any.
    """

    OK = "ok"
    FAR = "far"
    TOO_LONG = "too-long"
    LANGUAGE = "language"
    NUMBERS = "numbers"
    DATES = "dates"
    CODE = "code"
    QUOTED_TEXT = "quoted-text"
    OUTPUT_FORMAT = "output-format"
    NAMES = "names"
    UNREAD = "unread"
    NARROWER = "narrower"
    NEGATION = "negation"
    ANTONYMS = "antonyms"
    KINDS = "kinds"
    COMPARED = "compared"
    QUANTIFIERS = "quantifiers"
    DIRECTION = "direction"
    WORD_ORDER = "word-order"
    MOOD = "mood"
    QUESTION_WORD = "question-word"


class GuardVerdict(NamedTuple):
    """A decision and the word for it: `(yes, reason)`."""

    yes: bool
    reason: Veto


Guard = Callable[[Text, Text], bool]

GUARDS: tuple[tuple[Veto, Guard], ...] = (
    (Veto.TOO_LONG, request_guards.other_tail),
    (Veto.LANGUAGE, request_guards.other_language),
    (Veto.NUMBERS, quantity_guards.other_numbers),
    (Veto.DATES, quantity_guards.other_dates),
    (Veto.CODE, request_guards.other_code),
    (Veto.QUOTED_TEXT, request_guards.other_quotation),
    (Veto.OUTPUT_FORMAT, request_guards.other_form),
    (Veto.NAMES, subject_guards.other_names),
    (Veto.UNREAD, subject_guards.other_words),
    (Veto.NARROWER, subject_guards.narrower),
    (Veto.NEGATION, sense_guards.other_negation),
    (Veto.ANTONYMS, sense_guards.opposite),
    (Veto.KINDS, subject_guards.other_kind),
    (Veto.COMPARED, subject_guards.other_compared),
    (Veto.QUANTIFIERS, sense_guards.other_quantifiers),
    (Veto.DIRECTION, order_guards.other_direction),
    (Veto.WORD_ORDER, order_guards.other_order),
    (Veto.MOOD, request_guards.other_mood),
    (Veto.QUESTION_WORD, request_guards.other_question),
)
"""Every guard under its reason word, in the order in which they are asked."""

_YES = GuardVerdict(True, Veto.OK)


def verdict(a: Text, b: Text) -> GuardVerdict:
    """Return the first veto, or yes."""
    if a.digest == b.digest:
        return _YES
    for reason, vetoes in GUARDS:
        if vetoes(a, b):
            return GuardVerdict(False, reason)
    return _YES


def judge(question: Text, other: Text, similarity: float, threshold: float) -> GuardVerdict:
    """Decide whether the answer to `other` may be served for `question`.

    A similarity below the threshold, or one that is not a number, is `far` without asking a guard.
    """
    if math.isnan(similarity) or similarity < threshold:
        return GuardVerdict(False, Veto.FAR)
    return verdict(question, other)


def may_match(a: str, b: str) -> GuardVerdict:
    """Return the verdict on two questions as written."""
    return verdict(prepare(a), prepare(b))


def verdicts(a: str, b: str) -> tuple[GuardVerdict, ...]:
    """Return the verdict of every guard, in their order, for an explanation."""
    one, two = prepare(a), prepare(b)
    return tuple(
        GuardVerdict(one.digest == two.digest or not vetoes(one, two), reason)
        for reason, vetoes in GUARDS
    )
