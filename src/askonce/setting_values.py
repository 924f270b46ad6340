"""The values of the settings: a reader for each kind, out of TOML's types or a variable's text.

A reader returns the precise value or raises ValueError("is not … ; write …"), which completes the
sentence that starts with the setting's name. A value that may be a secret is never repeated.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from askonce.durations import parse_duration, parse_size
from askonce.records import Because

MAY_ALSO_BE_STORED = (Because.LENGTH, Because.REFUSAL)

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
    """A text such as "1h30m", or seconds as TOML's own number."""
    amount = _amount(value, "a duration", "24h")
    try:
        return timedelta(seconds=parse_duration(amount))
    except ValueError as error:
        raise ValueError(f"is {error}") from None


def size(value: Any) -> int:
    """A text such as "256 MiB", or bytes as TOML's own number."""
    amount = _amount(value, "a size", "256 MiB")
    try:
        return parse_size(amount)
    except ValueError as error:
        raise ValueError(f"is {error}") from None


def _amount(value: Any, what: str, example: str) -> str:
    """A number as text; the parsers refuse signs, exponents and words by themselves."""
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


def sampling(value: Any) -> int:
    if value in ("bypass", "reuse"):
        return 0 if value == "bypass" else 1
    if isinstance(value, str) and (found := re.fullmatch(r"pool:([1-9][0-9]{0,3})", value)):
        return int(found[1])
    raise ValueError(f'cannot be {short(value)}; write "bypass", "reuse" or, say, "pool:3"')


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, or one text with commas, as an environment variable holds it."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        # The value may be a secret: it is not repeated.
        raise ValueError('is not a list of texts; write it as ["one", "two"]')
    return tuple(value)


def reasons(value: Any) -> frozenset[Because]:
    for word in texts(value):
        if word not in MAY_ALSO_BE_STORED:
            raise ValueError(f"cannot have {word!r}; choose from {quoted(MAY_ALSO_BE_STORED)}")
    return frozenset(Because(word) for word in texts(value))


def secret(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is not a text; write the key in quotes")
    return value


def base_url(value: Any) -> str:
    mend = 'write what stands before /v1, such as "https://api.openai.com"'
    try:
        parts = urlsplit(text(value))
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or "@" in parts.netloc or parts.query or parts.fragment:
        # Something like a password may stand in it, so it is not repeated.
        raise ValueError(f"is not a plain http:// or https:// address; {mend}")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def quoted(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words)
