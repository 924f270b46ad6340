"""The check of a whole answer against what its request expects: its JSON and its tool calls."""

from typing import Any

import msgspec

from askonce.core.models import Reason
from askonce.core.wire_format import AnswerParts, ExpectedAnswer, ToolCall
from askonce.formats.json_schema import fits
from askonce.formats.schema_patterns import SchemaUncheckable

_decode = msgspec.json.Decoder().decode


def violation(expected: ExpectedAnswer, parts: AnswerParts, steps: int | None) -> Reason | None:
    """Return how an answer breaks what its request asks for; None if it does not.

    Parameters:
        expected: what the request expects.
        parts: the documents and the tool calls of the answer.
        steps: the steps that each check against a schema may take; None checks no schema, only
            that JSON is well-formed.

    Raises `StepsSpent` if a check needs more steps. A schema that cannot be checked is violated by
    nothing but text that is no JSON.
    """
    if expected.schema is not None:
        for text in parts.documents:
            if (reason := _judge_document(expected.schema, text, steps)) is not None:
                return reason
    if steps is not None:
        for call in parts.calls:
            if not _is_right(call, expected, steps):
                return Reason.BAD_TOOL_CALL
    return None


def _judge_document(schema: Any, text: str, steps: int | None) -> Reason | None:
    try:
        document = _decode(text)
    except (ValueError, RecursionError):
        return Reason.NOT_JSON
    if steps is None or _fits(schema, document, len(text), steps):
        return None
    return Reason.BAD_SCHEMA


def _is_right(call: ToolCall, expected: ExpectedAnswer, steps: int) -> bool:
    """Whether a call is one of an offered tool with the arguments that it requires."""
    tool = expected.tools.get(call.name)
    if tool is None and not expected.any_tool:
        return False
    if call.is_text:
        return True
    arguments, size = _arguments(call.arguments)
    if not isinstance(arguments, dict):
        return False
    if tool is None or tool.schema is None:
        return True
    if tool.strict:
        return _fits(tool.schema, arguments, size, steps)
    required = tool.schema.get("required") if isinstance(tool.schema, dict) else None
    return not isinstance(required, list) or all(
        name in arguments for name in required if isinstance(name, str)
    )


def _arguments(given: Any) -> tuple[Any, int]:
    """Return the arguments of a call, and their length as text; none at all are an object."""
    if given is None:
        return {}, 0
    if not isinstance(given, str):
        return given, len(msgspec.json.encode(given))
    if not given.strip():
        return {}, 0
    try:
        return _decode(given), len(given)
    except (ValueError, RecursionError):
        return None, 0


def _fits(schema: Any, document: Any, size: int, steps: int) -> bool:
    try:
        return schema is True or fits(schema, document, size, steps)
    except SchemaUncheckable:
        return True
