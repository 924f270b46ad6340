"""Readers of setting values, one for each kind, from TOML's types or an environment variable.

A reader returns the value in its precise type or raises ValueError("is not …; write …"), which
completes a sentence that starts with the setting's name. A possible secret is never repeated.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from askonce.core import document_tags
from askonce.core.errors import ConfigError
from askonce.core.models import MAY_ALSO_BE_STORED, Reason
from askonce.core.origins import QUESTION_MEMBERS
from askonce.core.units import parse_duration, parse_size

Reader = Callable[[Any], Any]


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"is not a text: {short(value)}; write a text in quotes")
    return value.strip()


def port(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value):
        value = int(value)
    if type(value) is not int or not 0 <= value <= 65535:
        raise ValueError(f"is not a port: {short(value)}; write a number from 0 to 65535")
    return value


def duration(value: Any) -> timedelta:
    """Read a text such as "1h30m", seconds as TOML's own number, or a timedelta."""
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise ValueError('is negative; write a duration such as "24h"')
        return value
    amount = _amount(value, "a duration", "24h")
    try:
        return timedelta(seconds=parse_duration(amount))
    except ValueError as error:
        raise ValueError(f"is {error}") from None


def size(value: Any) -> int:
    """Read a text such as "256 MiB", or bytes as TOML's own number."""
    amount = _amount(value, "a size", "256 MiB")
    try:
        return parse_size(amount)
    except ValueError as error:
        raise ValueError(f"is {error}") from None


def _amount(value: Any, what: str, example: str) -> str:
    """Return a number as text; the parsers refuse signs, exponents and words."""
    if type(value) in {int, float} or isinstance(value, str):
        return str(value)
    raise ValueError(f'is not {what}: {short(value)}; write one such as "{example}"')


def above_zero(read: Reader) -> Reader:
    def read_above_zero(value: Any) -> Any:
        if not (amount := read(value)):
            raise ValueError("must be above zero; leave it out for the default")
        return amount

    return read_above_zero


def one_of(*choices: str) -> Reader:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"cannot be {short(value)}; write one of {quoted(choices)}")
        return str(value)

    return read


MOST_JITTER = 0.9
MOST_AHEAD = 100.0


def beta(value: Any) -> float:
    """Read XFetch's beta, from 0 (never refresh ahead) to 100."""
    number = _number(value)
    if number is None or number > MOST_AHEAD:
        raise ValueError(f"is not a number from 0 to 100: {short(value)}; write 1, or 0 for never")
    return number


def fraction(value: Any) -> float:
    """Read a part of a whole, as "10%" or 0.1; at most nine tenths."""
    percent = isinstance(value, str) and value.rstrip().endswith("%")
    number = _number(value.rstrip()[:-1]) if percent else _number(value)
    part = None if number is None else number / 100 if percent else number
    if part is None or part > MOST_JITTER:
        raise ValueError(f'is not a part from 0% to 90%: {short(value)}; write "10%" or 0.1')
    return part


def _number(value: Any) -> float | None:
    """Read a plain number, 0 or more, from TOML or as a text; None for anything else."""
    if isinstance(value, str) and not re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*", value):
        return None
    if type(value) not in (int, float, str):
        return None
    number = float(value)
    return number if 0 <= number < math.inf else None


def count(value: Any) -> int:
    """Read a whole number, 0 or more."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        value = int(value)
    if type(value) is not int or not 0 <= value < 10**9:
        raise ValueError(f"is not a whole number: {short(value)}; write one such as 90")
    return value


def price(value: Any) -> Decimal:
    """Read US dollars, 0 or more, as a number or a text."""
    if _number(value) is None:
        raise ValueError(f'is not a price: {short(value)}; write US dollars such as "0.023"')
    return Decimal(str(value).strip())


def sampling(value: Any) -> int:
    if value in ("bypass", "reuse"):
        return 0 if value == "bypass" else 1
    if isinstance(value, str) and (found := re.fullmatch(r"pool:([1-9][0-9]{0,3})", value)):
        return int(found[1])
    raise ValueError(f'cannot be {short(value)}; write "bypass", "reuse" or, say, "pool:3"')


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts, or one text with commas from an environment variable."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple) or not all(
        isinstance(item, str) and item for item in value
    ):
        # The value may be a secret, so it is not repeated.
        raise ValueError('is not a list of texts; write it as ["one", "two"]')
    return tuple(value)


def yes_or_no(value: Any) -> bool:
    """Read a truth value, also as the text of a variable."""
    if value in ("true", "false"):
        value = value == "true"
    if type(value) is not bool:
        raise ValueError(f"is neither true nor false: {short(value)}")
    return value


def paths(value: Any) -> tuple[document_tags.Path, ...]:
    """Read the paths to documents in a request body."""
    try:
        return tuple(map(document_tags.read_path, texts(value)))
    except ConfigError as error:
        raise ValueError(f"cannot be used: {error}") from None


def reasons(value: Any) -> frozenset[Reason]:
    for word in texts(value):
        if word not in MAY_ALSO_BE_STORED:
            raise ValueError(f"cannot have {word!r}; choose from {quoted(MAY_ALSO_BE_STORED)}")
    return frozenset(Reason(word) for word in texts(value))


def members(value: Any) -> tuple[str, ...]:
    """Read names of members of a body that are not part of a question."""
    names = texts(value)
    for name in names:
        if name in QUESTION_MEMBERS:
            raise ValueError(f"cannot have {name!r}, which is the question itself; leave it out")
    return names


def log_file(value: Any) -> str:
    """Read a file's name or `off`; `file` means `requests.jsonl`."""
    name = text(value)
    return {"off": "off", "file": "requests.jsonl"}.get(name, name)


def few(value: Any) -> int:
    """Read a whole number from 0 to 100."""
    number = _number(value)
    if number is None or number != int(number) or not 0 <= number <= 100:
        raise ValueError("is not a whole number from 0 to 100; write it like 3")
    return int(number)


def secret(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is not a text; write the key in quotes")
    return value


def base_url(value: Any) -> str:
    mend = 'write the part before /v1, such as "https://api.openai.com"'
    try:
        parts = urlsplit(text(value))
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or "@" in parts.netloc or parts.query or parts.fragment:
        # It may contain a password, so it is not repeated.
        raise ValueError(f"is not a plain http:// or https:// address; {mend}")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def nearest(word: str, known: Mapping[str, object]) -> str:
    """Return `; did you mean "x"?`, or the list of known words."""
    near = difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(known)}"
