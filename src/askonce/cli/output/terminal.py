"""Tables and JSON for a terminal, safe for text from outside."""

import json
import shutil
import unicodedata
from collections.abc import Sequence
from typing import Any

_LEAST = 4
_GAP = 2


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table as wide as the terminal; cells that are too long are cut."""
    cells = [list(heads), *[[plain(cell) for cell in row] for row in rows]]
    room = shutil.get_terminal_size().columns
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    # The last column may have a third of the line; then the widest column shrinks first.
    widths[-1] = min(widths[-1], max(len(heads[-1]), room // 3))
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        widest = max(range(1, len(widths)), key=lambda place: widths[place])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    left = room - sum(widths) - _GAP * (len(widths) - 1)
    widths[-1] += max(0, left)
    gap = " " * _GAP
    return [
        gap.join(fitted(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def fitted(text: str, size: int) -> str:
    """Return the text cut or padded to `size` cells."""
    if width(text) > size:
        while text and width(text) > size - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (size - width(text))


def width(text: str) -> int:
    """Count the terminal cells of a text."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def plain(text: str) -> str:
    """Return one line without control characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def show_json(value: Any) -> str:
    """Return indented JSON without control characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    ).replace("\x7f", "\\u007f")


def show_span(seconds: float) -> str:
    """Return a span of time in its largest unit: `45s`, `12m`, `3h`, `9d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"
