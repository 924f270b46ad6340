"""What happened to a list of tools: one came, one went, they changed places, or their text did."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.prompt_shapes import Side
from askonce.prompts.requests.segments import Kind


class ToolDefinition(NamedTuple):
    """A tool as it was declared, and where."""

    name: str
    pointer: str
    data: bytes
    value: Any


class ToolChange(NamedTuple):
    """What changed, where in the second prompt, and the tool in both of them."""

    cause: Cause
    pointer: str
    a: str
    b: str


def changed_tools(a: Side, b: Side) -> ToolChange | None:
    """What happened to the tools; None if they are the same."""
    tools_a, tools_b = list(_tools(a)), list(_tools(b))
    names_a, names_b = [tool.name for tool in tools_a], [tool.name for tool in tools_b]
    added = [tool for tool in tools_b if tool.name not in names_a]
    removed = [tool for tool in tools_a if tool.name not in names_b]
    if added and len(added) >= len(removed):
        tool = added[0]
        return ToolChange(Cause.TOOLS_ADDED, tool.pointer, _after(tools_a, tool), _text(tool))
    if removed:
        return ToolChange(Cause.TOOLS_REMOVED, removed[0].pointer, _text(removed[0]), "")
    by_name = {tool.name: tool for tool in tools_a}
    pairs = [(by_name[tool.name], tool) for tool in tools_b]
    for before, after in pairs:
        if not _same(before.value, after.value):
            return ToolChange(Cause.TOOL_SCHEMA, after.pointer, _text(before), _text(after))
    if names_a != names_b:
        place = next(n for n, (x, y) in enumerate(zip(names_a, names_b, strict=False)) if x != y)
        return ToolChange(
            Cause.TOOLS_REORDERED, tools_b[place].pointer, names_a[place], names_b[place]
        )
    for before, after in pairs:
        if before.data != after.data:
            return ToolChange(Cause.TOOL_KEY_ORDER, after.pointer, _text(before), _text(after))
    return None


def _same(a: Any, b: Any) -> bool:
    """Equal but for the order of members; 1 and true are not."""
    return msgspec.json.encode(a, order="sorted") == msgspec.json.encode(b, order="sorted")


def _after(tools: list[ToolDefinition], new: ToolDefinition) -> str:
    place = int(digits) if (digits := new.pointer.rpartition("/")[2]).isdigit() else len(tools)
    return _text(tools[place]) if place < len(tools) else ""


def _text(tool: ToolDefinition) -> str:
    return tool.data.decode(errors="replace")


def _tools(side: Side) -> Iterator[ToolDefinition]:
    for block, place in enumerate(side.shape.places):
        if place.kind is Kind.TOOL:
            yield from _declared(side.data(block), place.pointer)


def _declared(data: bytes, pointer: str) -> Iterator[ToolDefinition]:
    """One tool, or those that an object of Gemini's declares."""
    value = msgspec.json.decode(data)
    for name in ("functionDeclarations", "function_declarations"):
        declared = value.get(name) if isinstance(value, dict) else None
        if isinstance(declared, list):
            for number, one in enumerate(declared):
                where = f"{pointer}/{name}/{number}"
                yield ToolDefinition(_name(one), where, msgspec.json.encode(one), one)
            return
    yield ToolDefinition(_name(value), pointer, data, value)


def _name(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    for holder in (tool, function):
        if isinstance(holder, dict) and isinstance(holder.get("name"), str):
            return str(holder["name"])
    return str(tool.get("type", "")) if isinstance(tool, dict) else ""
