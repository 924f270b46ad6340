"""Why a guard spoke: the words for the header, the metric and the explanation."""

import enum
from typing import NamedTuple


class Veto(enum.StrEnum):
    """The reason word of each guard; `ok` where none spoke, `far` where none was asked."""

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
