"""The numbers of a text with their units, and its dates and times."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from askonce.semantic.guards.lexicon.calendar import (
    MAYBE_MONTHS,
    MONTHS,
    NEAR_DAYS,
    PACES,
    SPANS,
    WEEKDAYS,
)
from askonce.semantic.guards.lexicon.units import MULTIPLES, NUMBER_WORDS, ROMANS, UNITS
from askonce.semantic.guards.tokens import Token

_NUMBER = re.compile(r"(\d+(?:[.,]\d+)*)([^\W\d_]*)(%?)$")
_CLOCK = re.compile(r"(\d{1,2})[:.](\d\d)(?::\d\d)?(am|pm|h)?$")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})+(?:\.\d+)?$")
_ORDINALS = frozenset(("st", "nd", "rd", "th"))
_HALVES = frozenset(("am", "pm"))


class Quantity(NamedTuple):
    """A number as written, its unit's dimension, its size there, and whether it has digits."""

    written: str
    dimension: str
    size: float
    digits: bool

    def equals(self, other: "Quantity") -> bool:
        """Compare amounts; a number without a unit equals the same number with one."""
        if self.dimension == other.dimension:
            return abs(self.size - other.size) <= 1e-6 * max(abs(self.size), abs(other.size))
        return self.written == other.written and not (self.dimension and other.dimension)


class Measures(NamedTuple):
    """The amounts, dates and identifiers of a text."""

    quantities: frozenset[Quantity]
    dates: frozenset[str]
    identifiers: frozenset[str]


def measure(tokens: Sequence[Token]) -> Measures:
    """Read every number and date among the tokens, one pass."""
    quantities: set[Quantity] = set()
    dates: set[str] = set()
    identifiers: set[str] = set()
    for at, token in enumerate(tokens):
        word = token.word
        if not token.is_word:
            continue
        if word[0].isdigit():
            _read_digits(tokens, at, quantities, dates, identifiers)
        elif word in NUMBER_WORDS:
            if _is_counting(tokens, at):
                quantities.add(_quantity(tokens, at, str(NUMBER_WORDS[word]), False))
        elif word in ROMANS and is_roman(token) and at:
            quantities.add(Quantity(str(ROMANS[word]), "", float(ROMANS[word]), False))
        else:
            _read_day(tokens, at, dates)
    return Measures(frozenset(quantities), frozenset(dates), frozenset(identifiers))


def _is_counting(tokens: Sequence[Token], at: int) -> bool:
    """Return whether a number word counts: "the second law", "one million", not "one should"."""
    word = tokens[at].word
    if word == "one":
        return _word(tokens, at + 1) in MULTIPLES or _word(tokens, at + 1) in UNITS
    if word not in ("second", "first"):
        return True
    return at > 0 and (
        tokens[at - 1].word in ("the", "my", "our", "your", "a", "his", "her")
        or tokens[at - 1].surface.endswith(("'s", "\u2019s"))
    )


def _read_digits(
    tokens: Sequence[Token],
    at: int,
    quantities: set[Quantity],
    dates: set[str],
    identifiers: set[str],
) -> None:
    word = unicodedata.normalize("NFKC", tokens[at].word)
    following = _word(tokens, at + 1)
    clock = _CLOCK.match(word)
    if clock and (":" in word or clock.group(3) or following in _HALVES):
        dates.add(
            f"{int(clock[1])}:{clock[2]}{clock[3] or (following if following in _HALVES else '')}"
        )
        return
    match = _NUMBER.match(word)
    if match is None or len(match[1]) > 15:
        identifiers.add(word)
        return
    digits, letters, percent = match.groups()
    number = _canonical(digits)
    if letters in _HALVES or (not letters and following in _HALVES):
        dates.add(f"{number}:00{letters or following}")
    elif _beside_month(tokens, at) and not letters.strip("stndrh") and len(number) <= 2:
        dates.add(f"day {number}")
    elif (
        not letters
        and not percent
        and len(digits) == 4
        and "1500" <= digits < "2100"
        and (following not in UNITS and _word(tokens, at - 1) not in UNITS)
    ):
        dates.add(f"year {digits}")
    elif letters == "s" and len(digits) in (2, 4) and digits.endswith("0"):
        dates.add(f"decade {digits[-2:] if digits[:2] in ('19', digits) else digits}")
    elif letters and letters not in _ORDINALS and letters not in UNITS and letters not in MULTIPLES:
        identifiers.add(word)
    else:
        suffix = "%" if percent else letters
        quantities.add(_quantity(tokens, at, number, True, suffix))


def _quantity(
    tokens: Sequence[Token], at: int, number: str, digits: bool, suffix: str = ""
) -> Quantity:
    size = float(number)
    following = _word(tokens, at + 1)
    after = at + 1
    if suffix in MULTIPLES:
        size *= MULTIPLES[suffix]
        suffix = ""
    elif not suffix and following in MULTIPLES:
        size *= MULTIPLES[following]
        after += 1
    written = _canonical(f"{size:.6f}") if size != float(number) else number
    unit = suffix if suffix in UNITS else ""
    if not unit and suffix not in _ORDINALS:
        before = _word(tokens, at - 1) or _word(tokens, at - 2)
        near = _unit(tokens, after)
        unit = near if near in UNITS and len(near) > 1 else before if _is_money(before) else near
        if _is_money(_sign(tokens, at - 1)):
            unit = _sign(tokens, at - 1)
    if _sign(tokens, at - 1) in _MINUS:
        written, size = f"-{written}", -size
    if unit in UNITS and suffix not in _ORDINALS:
        dimension, factor = UNITS[unit]
        return Quantity(written, dimension, size * factor, digits)
    return Quantity(written, "", size, digits)


def is_roman(token: Token) -> bool:
    """Return whether a word is a Roman numeral in capitals: "Henry VIII's"."""
    return token.word in ROMANS and token.surface.partition("'")[0].isupper()


_MINUS = frozenset(("-", "minus", "negative"))


def _unit(tokens: Sequence[Token], at: int) -> str:
    """Return the word or sign after a number; "degrees Celsius" and "\u00b0C" are one unit."""
    near = _word(tokens, at) or _sign(tokens, at)
    if near in _DEGREES:
        scale = _word(tokens, at + 1)
        return f"\u00b0{scale}" if scale in ("c", "f") else scale if scale in _SCALES else near
    return near


_DEGREES = frozenset(("degree", "degrees", "\u00b0"))
_SCALES = frozenset(("celsius", "centigrade", "fahrenheit"))


def _is_money(word: str) -> bool:
    return word in UNITS and UNITS[word][0] in ("usd", "eur", "gbp", "inr", "jpy")


def _canonical(number: str) -> str:
    if _GROUPED.match(number):
        number = number.replace(",", "")
    number = number.replace(",", ".")
    if number.count(".") > 1:  # 1.000.000, or a version such as 3.11.2
        return (
            number.replace(".", "")
            if all(len(part) == 3 for part in number.split(".")[1:])
            else (number.replace(".", "", number.count(".") - 1))
        )
    whole, _, rest = number.partition(".")
    rest = rest.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{rest}" if rest else whole


def _read_day(tokens: Sequence[Token], at: int, dates: set[str]) -> None:
    word = tokens[at].word
    if word in MONTHS:
        if (
            word not in MAYBE_MONTHS
            or _digits(tokens, at - 1)
            or _digits(tokens, at + 1)
            or (
                _word(tokens, at - 1)
                in ("in", "of", "since", "until", "by", "last", "next", "this")
                and tokens[at].surface[0].isupper()
            )
        ):
            dates.add(f"month {MONTHS[word]}")
    elif word in WEEKDAYS:
        dates.add(f"weekday {WEEKDAYS[word]}")
    elif word in NEAR_DAYS:
        dates.add(NEAR_DAYS[word])
    elif word in PACES:
        dates.add(f"per {PACES[word]}")
    elif word in SPANS and _word(tokens, at - 1) in _NEXT:
        dates.add(f"{_word(tokens, at - 1)} {word}")
    elif word in SPANS and _word(tokens, at - 1) in ("per", "each", "every"):
        dates.add(f"per {word}")


_NEXT = frozenset(("last", "this", "next", "previous", "coming"))


def _word(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].word if 0 <= at < len(tokens) and tokens[at].is_word else ""


def _sign(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].word if 0 <= at < len(tokens) else ""


def _digits(tokens: Sequence[Token], at: int) -> bool:
    word = _word(tokens, at)
    return bool(word) and word[0].isdigit() and len(word) <= 4


def _beside_month(tokens: Sequence[Token], at: int) -> bool:
    near = (
        _word(tokens, at - 1),
        _word(tokens, at + 1),
        _word(tokens, at + 2) if _word(tokens, at + 1) == "of" else "",
    )
    return any(word in MONTHS for word in near)
