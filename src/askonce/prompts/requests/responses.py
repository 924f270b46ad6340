"""The prompt of a Responses request: tools, instructions, then the items of its input."""

from typing import Any

from askonce.prompts.requests.reader import PromptReading
from askonce.prompts.requests.segments import Kind, pointed

_MEMBERS = """
    access_programs background context_management include input instructions max_output_tokens
    max_tool_calls metadata model moderation parallel_tool_calls prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier session_id
    store stream stream_options temperature text tool_choice tools top_logprobs top_p truncation
    user
    """
KNOWN = frozenset(_MEMBERS.split())
_AT_THE_PROVIDER = ("previous_response_id", "conversation", "prompt")
_SYSTEM = ("system", "developer")
ROLES = frozenset({*_SYSTEM, "user", "assistant"})
FORMS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "input_image": "image",
    "input_file": "file",
    "input_audio": "audio",
    "refusal": "refusal",
}
_MARKABLE = frozenset({"input_text", "input_image", "input_file"})
ITEMS = {
    "function_call": "tool_use",
    "custom_tool_call": "tool_use",
    "function_call_output": "tool_result",
    "custom_tool_call_output": "tool_result",
    "reasoning": "thinking",
    "additional_tools": "tools",
    "configuration_update": "configuration",
    "compaction": "compaction",
}
_READ = frozenset({"role", "content", "type", "id", "status"})
_TOKENS_OF_TEXT = frozenset({"type", "text", "annotations", "logprobs"})


def read(reading: PromptReading) -> None:
    reading.doubt_unknown_members(KNOWN | set(_AT_THE_PROVIDER))
    for name in _AT_THE_PROVIDER:
        if reading.request.get(name) is not None:
            reading.writer.doubt(pointed(name), "a part of the prompt lies at the provider")
    reading.parameters("tools")
    reading.tools(reading.list_at("tools"))
    reading.parameters("system")
    if not reading.instructions_last:
        _instructions(reading, Kind.SYSTEM)
    _input(reading)
    if reading.instructions_last:
        _instructions(reading, Kind.MESSAGE)


def _instructions(reading: PromptReading, kind: Kind) -> None:
    instructions = reading.request.get("instructions")
    if isinstance(instructions, str):
        reading.writer.text(kind, "/instructions", instructions, "developer")
    elif instructions is not None:
        reading.writer.doubt("/instructions", "not a string")


def _input(reading: PromptReading) -> None:
    asked = reading.request.get("input")
    if isinstance(asked, str):
        reading.parameters("messages")
        reading.writer.text(Kind.MESSAGE, "/input", asked, "user", markable=True)
        reading.writer.end_message(is_endpoint=True)
        return
    items, at_start, told = reading.list_at("input"), True, False
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            reading.writer.doubt(pointed("input", number), "not an object")
            continue
        at_start = at_start and item.get("role") in _SYSTEM
        if not at_start and not told:
            reading.parameters("messages")
            told = True
        following = items[number + 1] if number + 1 < len(items) else None
        _item(reading, Kind.SYSTEM if at_start else Kind.MESSAGE, number, item)
        reading.writer.end_message(is_endpoint=_ends(item, following, at_start=at_start))
    if not told:
        reading.parameters("messages")


def _ends(item: dict[str, Any], following: Any, *, at_start: bool) -> bool:
    after = following if isinstance(following, dict) else {}
    if item.get("role") == "user":
        return True
    if _form(item) == "tool_result":
        return _form(after) != "tool_result"
    return at_start and after.get("role") not in _SYSTEM


def _form(item: dict[str, Any]) -> str | None:
    named = item.get("type")
    return ITEMS.get(named) if isinstance(named, str) else None


def _item(reading: PromptReading, kind: Kind, number: int, item: dict[str, Any]) -> None:
    pointer, named, role = pointed("input", number), item.get("type"), item.get("role")
    if named in (None, "message") and isinstance(role, str):
        _message(reading, kind, pointer, item, role)
        return
    form = _form(item)
    if form is None:
        reading.writer.doubt(pointer, f"an item of an unknown type ({named})")
    reading.writer.block(
        kind, pointer, item, form or "unknown", role if isinstance(role, str) else ""
    )


def _message(
    reading: PromptReading, kind: Kind, pointer: str, item: dict[str, Any], role: str
) -> None:
    if role not in ROLES:
        reading.writer.doubt(pointer, f"a message of an unknown role ({role})")
    reading.rest_of_message(kind, pointer, item, role, _READ)
    content = item.get("content")
    if isinstance(content, str):
        markable = role != "assistant"
        reading.writer.text(kind, f"{pointer}/content", content, role, markable=markable)
    elif isinstance(content, list):
        for at, part in enumerate(content):
            _part(reading, kind, f"{pointer}/content/{at}", part, role)
    else:
        reading.writer.doubt(f"{pointer}/content", "neither a string nor a list")


def _part(reading: PromptReading, kind: Kind, pointer: str, part: Any, role: str) -> None:
    if not isinstance(part, dict):
        reading.writer.doubt(pointer, "not an object")
        return
    named = part.get("type")
    form = FORMS.get(named) if isinstance(named, str) else None
    if form is None:
        reading.writer.doubt(pointer, f"a part of an unknown type ({named})")
    if form == "text" and part.keys() <= _TOKENS_OF_TEXT:
        # What the provider itself wrote beside a text is not read again.
        part = {"type": named, "text": part.get("text")}
    markable = form is not None and named in _MARKABLE
    reading.text_or_block(kind, pointer, part, role, form or "unknown", markable=markable)
