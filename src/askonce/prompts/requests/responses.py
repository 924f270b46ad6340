"""The prompt of a Responses request: tools, instructions, then the items of its input."""

from typing import Any

from askonce.prompts.requests.dialects import INSTRUCTION_ROLES
from askonce.prompts.requests.reader import SERVER_STATE, PromptReader
from askonce.prompts.requests.segments import SegmentKind, pointer_to

_MEMBERS = """
    access_programs background context_management include input instructions max_output_tokens
    max_tool_calls metadata model moderation parallel_tool_calls prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier session_id
    store stream stream_options temperature text tool_choice tools top_logprobs top_p truncation
    user
    """
KNOWN = frozenset(_MEMBERS.split())
_SERVER_STATE = ("previous_response_id", "conversation", "prompt")
ROLES = INSTRUCTION_ROLES | {"user", "assistant"}
FORMS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "input_image": "image",
    "input_file": "file",
    "input_audio": "audio",
    "refusal": "refusal",
}
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
_MEMBERS_OF_TEXT = frozenset({"type", "text", "annotations", "logprobs"})


def read(reader: PromptReader) -> None:
    reader.doubt_unknown_members(KNOWN.union(_SERVER_STATE))
    for name in _SERVER_STATE:
        if reader.request.get(name) is not None:
            reader.doubt(pointer_to(name), SERVER_STATE)
    reader.add_parameters("tools")
    reader.add_tools()
    reader.add_parameters("system")
    if not reader.instructions_last:
        _instructions(reader, SegmentKind.SYSTEM)
    _input(reader)
    if reader.instructions_last:
        _instructions(reader, SegmentKind.MESSAGE)


def _instructions(reader: PromptReader, kind: SegmentKind) -> None:
    instructions = reader.request.get("instructions")
    if isinstance(instructions, str):
        reader.add_text(kind, "/instructions", instructions, "developer")
    elif instructions is not None:
        reader.doubt("/instructions", "not a string")


def _input(reader: PromptReader) -> None:
    text = reader.request.get("input")
    if isinstance(text, str):
        reader.add_parameters("messages")
        reader.add_text(SegmentKind.MESSAGE, "/input", text, "user")
        reader.end_message()
        return

    def add_item(kind: SegmentKind, pointer: str, item: dict[str, Any]) -> None:
        _item(reader, kind, pointer, item)

    reader.add_conversation("input", add_item, _tool_result)


def _tool_result(item: dict[str, Any]) -> str:
    form = _form(item)
    return form if form == "tool_result" else ""


def _form(item: dict[str, Any]) -> str:
    named = item.get("type")
    return ITEMS.get(named, "") if isinstance(named, str) else ""


def _item(reader: PromptReader, kind: SegmentKind, pointer: str, item: dict[str, Any]) -> None:
    named, role = item.get("type"), item.get("role")
    if named in (None, "message") and isinstance(role, str):
        _message(reader, kind, pointer, item, role)
        return
    form = _form(item)
    if not form:
        reader.doubt(pointer, f"an item of an unknown type ({named})")
    reader.add_block(kind, pointer, item, form or "unknown", role if isinstance(role, str) else "")


def _message(
    reader: PromptReader, kind: SegmentKind, pointer: str, item: dict[str, Any], role: str
) -> None:
    reader.check_role(pointer, role, ROLES)
    reader.add_fields(kind, pointer, item, role, _READ)
    reader.add_blocks(kind, f"{pointer}/content", item.get("content"), role, _read_part)


def _read_part(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    named = part.get("type")
    form = FORMS.get(named, "") if isinstance(named, str) else ""
    if form == "text" and part.keys() <= _MEMBERS_OF_TEXT:
        # The provider does not read again what it wrote itself beside a text.
        return form, {"type": named, "text": part.get("text")}
    return form, part
