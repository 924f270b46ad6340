"""JSON lines, one object a line. What is wrong with a line is told with its number, never fatal."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

LONGEST = 1 << 20
"""How long a line may be, in bytes or characters. No question is as long."""


class LineFault(msgspec.Struct, frozen=True):
    """A line that could not be read; lines are counted from 1."""

    line: int
    why: str


class Wrong(ValueError):
    """What is wrong with one object."""


def read_objects(
    lines: Iterable[str | bytes], make: Callable[[dict[str, Any]], T]
) -> tuple[list[T], list[LineFault]]:
    """What `make` makes of each line's object, in order, and the lines it could not read.

    Empty lines are no faults. `make` raises `Wrong` where an object is not what it needs.
    """
    made: list[T] = []
    faults: list[LineFault] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if len(line) > LONGEST:
                raise Wrong(f"longer than {LONGEST:,} bytes")
            found = msgspec.json.decode(line)
            if not isinstance(found, dict):
                raise Wrong("not a JSON object")
            made.append(make(found))
        except Wrong as error:
            faults.append(LineFault(number, str(error)))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            faults.append(LineFault(number, "not JSON"))
    return made, faults


def text_of(found: dict[str, Any], name: str) -> str:
    """A text that is there and says something."""
    text = found.get(name)
    if not isinstance(text, str) or not text.strip():
        raise Wrong(f"`{name}` is not a text" if name in found else f"`{name}` is missing")
    return text
