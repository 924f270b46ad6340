"""The parts of an answer that have a form: the texts that may be JSON, and the tool calls."""

from typing import Any

from askonce.core.wire_format import AnswerParts, ToolCall


def chat_parts(answer: dict[str, Any]) -> AnswerParts:
    """Return the parts of a Chat Completions answer."""
    parts = AnswerParts([], [])
    for choice in answer["choices"]:
        message = choice["message"]
        calls = _calls(message)
        parts.calls.extend(calls)
        # A turn that calls a tool is not yet the requested JSON document.
        if not calls and (text := _text(message.get("content"))):
            parts.documents.append(text)
    return parts


def message_parts(answer: dict[str, Any]) -> AnswerParts:
    """Return the parts of a Messages answer."""
    content = answer["content"]
    # The provider itself made the calls in blocks of other types, such as `server_tool_use`.
    calls = [
        ToolCall(block.get("name", ""), block.get("input"))
        for block in content
        if block["type"] == "tool_use"
    ]
    text = _text(content)
    return AnswerParts([text] if text and not calls else [], calls)


def _text(content: Any) -> str:
    """Return the text of a content, which may be a list of typed parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [
        part.get("text")
        for part in content
        if isinstance(part, dict) and part.get("type") == "text"
    ]
    return "".join([text for text in texts if isinstance(text, str)])


def _calls(message: dict[str, Any]) -> list[ToolCall]:
    """Return the tool calls of a message, in the form of today and in that of before."""
    found = []
    for call in message.get("tool_calls") or ():
        custom, function = call.get("custom"), call.get("function")
        if isinstance(custom, dict):
            found.append(ToolCall(custom.get("name", ""), custom.get("input"), is_text=True))
        elif isinstance(function, dict):
            found.append(ToolCall(function.get("name", ""), function.get("arguments")))
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        found.append(ToolCall(legacy.get("name", ""), legacy.get("arguments")))
    return found
