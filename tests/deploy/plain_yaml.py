"""A reader of the plain part of YAML that the files in `deploy/` keep to.

Mappings, lists of scalars or mappings, `|` blocks, `{}`, comments, documents between `---`. All
scalars are text, and a block loses its empty lines, comments and indentation. Whatever else stands
in a file is refused, so nothing is read in two ways.
"""

import itertools
import json
import re
from typing import Any, NamedTuple

_KEY = re.compile(r"([A-Za-z0-9_./-]+):(?: (.+))?")
_STRANGE = re.compile(r"[&*!?%@`\[{>\"']|- |.*(?:: | #)")


class Line(NamedTuple):
    """A line that says something: how far it is indented, and what it says."""

    indent: int
    text: str


def documents(text: str) -> list[Any]:
    """The values of a file's documents. Raises ValueError for what is not plain."""
    return [_document(part) for part in re.split(r"^---$", text, flags=re.MULTILINE)]


def _document(text: str) -> Any:
    lines = [_line(line) for line in text.splitlines()]
    value, rest = _value([line for line in lines if line.text], 0)
    if rest:
        raise ValueError(f"this stands where nothing should: {rest[0].text!r}")
    return value


def _line(line: str) -> Line:
    bare = line.strip()
    return Line(len(line) - len(line.lstrip()), "" if bare.startswith("#") else bare)


def _value(lines: list[Line], indent: int) -> tuple[Any, list[Line]]:
    if not lines or lines[0].indent != indent:
        raise ValueError(f"nothing is indented by {indent}: {lines[:1]}")
    return (_list if lines[0].text.startswith("- ") else _mapping)(lines, indent)


def _list(lines: list[Line], indent: int) -> tuple[list[Any], list[Line]]:
    items: list[Any] = []
    item: Any
    while lines and lines[0].indent == indent and lines[0].text.startswith("- "):
        inner = lines[0].text[2:]
        if _KEY.fullmatch(inner):
            item, lines = _mapping([Line(indent + 2, inner), *lines[1:]], indent + 2)
        else:
            item, lines = _scalar(inner), lines[1:]
        items.append(item)
    return items, lines


def _mapping(lines: list[Line], indent: int) -> tuple[dict[str, Any], list[Line]]:
    found: dict[str, Any] = {}
    while lines and lines[0].indent == indent and not lines[0].text.startswith("- "):
        parts = _KEY.fullmatch(lines[0].text)
        if parts is None or parts[1] in found:
            raise ValueError(f"no key, or one twice: {lines[0].text!r}")
        name, value = parts[1], parts[2]
        lines = lines[1:]
        if value == "|":
            block = [*itertools.takewhile(lambda line: line.indent > indent, lines)]
            found[name] = "".join(f"{line.text}\n" for line in block)
            lines = lines[len(block) :]
        elif value is None:
            found[name], lines = _value(lines, lines[0].indent if lines else -1)
        else:
            found[name] = {} if value == "{}" else _scalar(value)
    return found, lines


def _scalar(text: str) -> str:
    if re.fullmatch(r'"(?:[^"\\]|\\.)*"', text):
        return str(json.loads(text))
    text = re.sub(r" +#.*", "", text)
    if _STRANGE.match(text):
        raise ValueError(f"this is not plain: {text!r}")
    return text
