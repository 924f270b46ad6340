"""The guards: each says whether two questions that look alike still want different answers.

A guard is a small function of two prepared texts, symmetric, and true where it *vetoes*. Each
compares only what the two texts do not share, so that equal texts pass and the cost is small.
The cheap and the certain come first: the first veto is the one that is reported.
"""

from collections.abc import Callable

from askonce.semantic.guards import requests, senses, sequences, subjects
from askonce.semantic.guards.text import Text
from askonce.semantic.guards.vetoes import GuardVerdict, Veto

Guard = Callable[[Text, Text], bool]

GUARDS: tuple[tuple[Veto, Guard], ...] = (
    (Veto.TOO_LONG, requests.other_tail),
    (Veto.LANGUAGE, requests.other_language),
    (Veto.NUMBERS, subjects.other_numbers),
    (Veto.DATES, subjects.other_dates),
    (Veto.CODE, requests.other_code),
    (Veto.QUOTED_TEXT, requests.other_quotation),
    (Veto.OUTPUT_FORMAT, requests.other_form),
    (Veto.NAMES, subjects.other_names),
    (Veto.UNREAD, subjects.other_words),
    (Veto.NARROWER, subjects.narrower),
    (Veto.NEGATION, senses.other_negation),
    (Veto.ANTONYMS, senses.opposite),
    (Veto.KINDS, subjects.other_kind),
    (Veto.COMPARED, subjects.other_compared),
    (Veto.QUANTIFIERS, senses.other_quantifiers),
    (Veto.DIRECTION, sequences.other_direction),
    (Veto.WORD_ORDER, sequences.other_order),
    (Veto.MOOD, requests.other_mood),
    (Veto.QUESTION_WORD, requests.other_question),
)
"""Every guard under its reason word."""

_YES = GuardVerdict(True, Veto.OK)


def verdict(a: Text, b: Text) -> GuardVerdict:
    """The first veto, or yes."""
    if a.digest == b.digest:
        return _YES
    for reason, vetoes in GUARDS:
        if vetoes(a, b):
            return GuardVerdict(False, reason)
    return _YES
