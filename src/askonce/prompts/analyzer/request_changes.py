"""Changes of a request's parameters and tools.

A tool was added or removed, tools changed places, or the text of one changed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.fingerprints import ComparedPrompt
from askonce.prompts.requests.segments import SegmentKind

# Parameters

_CAUSES = {
    "model": Cause.MODEL,
    "service_tier": Cause.SERVICE_TIER,
    "serviceTier": Cause.SERVICE_TIER,
    "reasoning.effort": Cause.EFFORT,
    "reasoning_effort": Cause.EFFORT,
    "output_config.effort": Cause.EFFORT,
    "verbosity": Cause.VERBOSITY,
    "text.verbosity": Cause.VERBOSITY,
    "response_format": Cause.FORMAT,
    "text.format": Cause.FORMAT,
    "output_config.format": Cause.FORMAT,
    "tool_choice": Cause.TOOL_CHOICE,
    "toolConfig": Cause.TOOL_CHOICE,
    "tool_config": Cause.TOOL_CHOICE,
    "thinking": Cause.THINKING,
    "prompt_cache_key": Cause.CACHE_KEY,
    "images": Cause.IMAGE_CHANGED,
}


def changed_parameter(a: ComparedPrompt, b: ComparedPrompt) -> tuple[Cause, str, str, str] | None:
    """Return the cause, the parameter's pointer and both values; None if no parameter differs."""
    found_a, found_b = _parameters(a), _parameters(b)
    names = [name for name in {**found_a, **found_b} if _differ(found_a, found_b, name)]
    if not names:
        return None
    order = list(_CAUSES)
    name = min(names, key=lambda one: order.index(one) if one in _CAUSES else len(order))
    cause = _CAUSES.get(name, Cause.PARAMETER)
    value_a, value_b = found_a.get(name), found_b.get(name)
    if value_a == value_b:
        cause = Cause.KEY_ORDER  # the same members in another order
    pointer = "" if name == "images" else "/" + name.replace(".", "/")
    return cause, pointer, _json(value_a), _json(value_b)


def _differ(a: Mapping[str, Any], b: Mapping[str, Any], name: str) -> bool:
    # As bytes: the order of members counts.
    return _json(a.get(name)) != _json(b.get(name))


def _json(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _parameters(compared: ComparedPrompt) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block, place in enumerate(compared.prompt.places):
        if place.kind is SegmentKind.PARAMETERS:
            found |= msgspec.json.decode(compared.data(block))
    return found


# Tools


class ToolDefinition(NamedTuple):
    """A tool as it was declared, and where."""

    name: str
    pointer: str
    data: bytes
    value: Any


class ToolChange(NamedTuple):
    """What changed, its pointer in the second prompt, and the tool in both prompts."""

    cause: Cause
    pointer: str
    a: str
    b: str


def changed_tools(a: ComparedPrompt, b: ComparedPrompt) -> ToolChange | None:
    """Find the change of the tools; None if they are the same."""
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
    """Return whether two values are equal but for the order of members; 1 and true are not."""
    return msgspec.json.encode(a, order="sorted") == msgspec.json.encode(b, order="sorted")


def _after(tools: list[ToolDefinition], new: ToolDefinition) -> str:
    place = int(digits) if (digits := new.pointer.rpartition("/")[2]).isdigit() else len(tools)
    return _text(tools[place]) if place < len(tools) else ""


def _text(tool: ToolDefinition) -> str:
    return tool.data.decode(errors="replace")


def _tools(compared: ComparedPrompt) -> Iterator[ToolDefinition]:
    for block, place in enumerate(compared.prompt.places):
        if place.kind is SegmentKind.TOOL:
            yield from _declared(compared.data(block), place.pointer)


def _declared(data: bytes, pointer: str) -> Iterator[ToolDefinition]:
    """Yield one tool, or those that an object of Gemini's declares."""
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
