"""The prompt of a Chat Completions request: tools, then the messages as they come."""

from typing import Any

from askonce.core.keys import CACHE_MARKERS
from askonce.prompts.requests.dialects import INSTRUCTION_ROLES
from askonce.prompts.requests.reader import PromptReader
from askonce.prompts.requests.segments import SegmentKind, split_marker

_MEMBERS = """
    audio cache_control extra_body frequency_penalty function_call functions logit_bias logprobs
    max_completion_tokens max_tokens messages metadata modalities model moderation n
    parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    session_id stop store stream stream_options temperature tool_choice tools top_logprobs top_p
    user user_id verbosity web_search_options
    """
KNOWN = frozenset(_MEMBERS.split())
_TOOL_ROLES = ("tool", "function")
ROLES = INSTRUCTION_ROLES | {"user", "assistant", *_TOOL_ROLES}
FORMS = {
    "text": "text",
    "image_url": "image",
    "input_audio": "audio",
    "file": "file",
    "refusal": "refusal",
    "thinking": "thinking",
}
_READ = CACHE_MARKERS | {"role", "content", "tool_calls"}


def read(reader: PromptReader) -> None:
    reader.doubt_unknown_members(KNOWN)
    reader.add_parameters("tools")
    reader.add_tools()
    reader.add_tools("functions")
    reader.add_parameters("system")

    def add_message(kind: SegmentKind, pointer: str, message: dict[str, Any]) -> None:
        _message(reader, kind, pointer, message)

    reader.add_conversation("messages", add_message, _tool_role)


def _tool_role(message: dict[str, Any]) -> str:
    role = message.get("role")
    return role if role in _TOOL_ROLES else ""


def _message(
    reader: PromptReader, kind: SegmentKind, pointer: str, message: dict[str, Any]
) -> None:
    role = message.get("role")
    if not isinstance(role, str):
        reader.doubt(pointer, "not a message with a role")
        return
    reader.check_role(pointer, role, ROLES)
    reader.add_fields(kind, pointer, message, role, _READ)
    content = message.get("content")
    if content is not None:
        form = "tool_result" if role in _TOOL_ROLES else ""
        reader.add_blocks(kind, f"{pointer}/content", content, role, _read_part, form=form)
    if content and (marker := split_marker(message)[0]) is not None:
        reader.mark_last(marker)  # some gateways take a marker at the message
    _calls(reader, kind, pointer, message, role)


def _calls(
    reader: PromptReader, kind: SegmentKind, pointer: str, message: dict[str, Any], role: str
) -> None:
    calls = message.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        reader.doubt(f"{pointer}/tool_calls", "not a list")
        return
    for at, call in enumerate(calls or ()):
        where = f"{pointer}/tool_calls/{at}"
        if isinstance(call, dict):
            reader.add_block(kind, where, call, "tool_use", role)
        else:
            reader.doubt(where, "not an object")


def _read_part(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    named = part.get("type")
    return (FORMS.get(named, "") if isinstance(named, str) else ""), part
