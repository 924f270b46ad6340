"""What a request says about the form of its answer: a schema of JSON, and the offered tools."""

from typing import Any

import msgspec

from askonce.core.wire_format import ExpectedAnswer, OfferedTool

SCHEMAS = (
    # OpenAI; the second one is the way of Together, Fireworks and llama.cpp.
    ("response_format", "json_schema", "schema"),
    ("response_format", "schema"),
    ("text", "format", "schema"),
    # Anthropic.
    ("output_config", "format", "schema"),
    ("output_format", "schema"),
    # vLLM of today and before, SGLang and llama.cpp, NVIDIA NIM.
    ("structured_outputs", "json"),
    ("guided_json",),
    ("json_schema",),
    ("nvext", "guided_json"),
)
"""Where requests put the schema of the JSON that they want."""

JSON_TYPES = (
    ("response_format",),
    ("text", "format"),
    ("output_config", "format"),
    ("output_format",),
)
"""Objects whose `type` says whether the answer is to be JSON, and whether their schema counts."""

_OBJECT, _SCHEMA = "json_object", "json_schema"
_MARKS = (b"tool", b"function", b"json", b"schema")


def may_expect(body: bytes) -> bool:
    """Whether a request body may say anything about the form of its answer; quick."""
    return any(mark in body for mark in _MARKS)


def expected_answer(body: Any, tools: dict[str, OfferedTool]) -> ExpectedAnswer:
    """Return what a parsed request body expects of its answer, beside its tools."""
    types = [_member(body, (*path, "type")) for path in JSON_TYPES]
    schema: Any = None
    for path in SCHEMAS:
        kind = _member(body, (*_typed(path), "type"))
        if _typed(path) and kind not in (_OBJECT, _SCHEMA):
            continue
        schema = _member(body, path)
        if schema is not None:
            break
    if isinstance(schema, str):
        schema = _parsed(schema)
    wants_json = schema is not None or _OBJECT in types or _SCHEMA in types
    if not isinstance(schema, dict | bool):
        schema = {"type": "object"} if _OBJECT in types else True
    return ExpectedAnswer(schema if wants_json else None, tools, any_tool="" in tools)


def function_tools(body: Any) -> dict[str, OfferedTool]:
    """Return the tools that a Chat Completions body offers, by name; "" for one without a name."""
    offered: dict[str, OfferedTool] = {}
    for tool in _objects(body.get("tools")):
        _offer(offered, tool.get(str(tool.get("type") or "function"), tool), "parameters")
    for function in _objects(body.get("functions")):
        _offer(offered, function, "parameters")
    return offered


def message_tools(body: Any) -> dict[str, OfferedTool]:
    """Return the tools that a Messages body offers, by name; "" for one without a name."""
    offered: dict[str, OfferedTool] = {}
    for tool in _objects(body.get("tools")):
        _offer(offered, tool, "input_schema")
    return offered


def _offer(offered: dict[str, OfferedTool], tool: Any, schema: str) -> None:
    if isinstance(tool, dict) and isinstance(name := tool.get("name"), str):
        offered[name] = OfferedTool(tool.get(schema), tool.get("strict") is True)
    else:
        offered[""] = OfferedTool(None, False)


def _objects(values: Any) -> list[dict[str, Any]]:
    found = values if isinstance(values, list) else ()
    return [value for value in found if isinstance(value, dict)]


def _typed(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the object on a path whose `type` decides whether its schema counts; or nothing."""
    return next((start for start in JSON_TYPES if path[: len(start)] == start), ())


def _member(body: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(body, dict):
            return None
        body = body.get(name)
    return body


def _parsed(text: str) -> Any:
    """Parse a schema that was given as text; True, which any JSON fits, if it is none."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return True
