"""JSON lines, one object on each line. A fault is reported with its line number, never fatal."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

LONGEST = 1 << 20
"""Bytes or characters of the longest line; no question is as long."""


class LineFault(msgspec.Struct, frozen=True):
    """A line that could not be read; lines are counted from 1."""

    line: int
    why: str


class InvalidObject(ValueError):
    """An object does not have the members that it needs."""


def read_objects(
    lines: Iterable[str | bytes], make: Callable[[dict[str, Any]], T]
) -> tuple[list[T], list[LineFault]]:
    """Convert the object on each line with `make`; return the results and the faulty lines.

    Empty lines are no faults. `make` raises `InvalidObject` for an object that it cannot use.
    """
    made: list[T] = []
    faults: list[LineFault] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if len(line) > LONGEST:
                raise InvalidObject(f"longer than {LONGEST:,} bytes")
            found = msgspec.json.decode(line)
            if not isinstance(found, dict):
                raise InvalidObject("not a JSON object")
            made.append(make(found))
        except InvalidObject as error:
            faults.append(LineFault(number, str(error)))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            faults.append(LineFault(number, "not JSON"))
    return made, faults


def text_of(found: dict[str, Any], name: str) -> str:
    """Return the text under `name`. Raises `InvalidObject` if it is missing or blank."""
    text = found.get(name)
    if not isinstance(text, str) or not text.strip():
        raise InvalidObject(f"`{name}` is not a text" if name in found else f"`{name}` is missing")
    return text
