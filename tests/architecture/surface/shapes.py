"""Two ways to write down what is different each time: the shape of a document, a masked text."""

import re
from collections.abc import Iterator
from typing import Any

_KINDS = {bool: "bool", int: "number", float: "number", str: "text", type(None): "null"}


def shape(document: Any, path: str = "") -> Iterator[str]:
    """The members of a JSON document and their types; an object's plain members share one line."""
    if isinstance(document, dict):
        plain = {name: _KINDS[type(v)] for name, v in document.items() if type(v) in _KINDS}
        if plain or not document:
            members = ", ".join(f"{name}: {kind}" for name, kind in plain.items())
            yield f"{path}{{{members}}}"
        for name, member in document.items():
            if name not in plain:
                yield from shape(member, f"{path}.{name}" if path else name)
    elif isinstance(document, list):
        # Items of one shape are written down once.
        items = dict.fromkeys(line for item in document for line in shape(item, f"{path}[]"))
        yield from items or [f"{path}[]"]
    else:
        yield f"{path}: {_KINDS[type(document)]}"


def masked(text: str) -> str:
    """The text with `N` for the numbers that differ from run to run."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:N", text)
    text = re.sub(r"(ttl=|tokens=|saves=|usd=|\"at\": |\"times\": )[\d.]+", r"\1N", text)
    text = re.sub(r"(\"refused\": )\"[^\"]*\"", r"\1TEXT", text)
    text = re.sub(r"^\d+$", "N", text)
    return re.sub(r"^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$", "DATE", text)
