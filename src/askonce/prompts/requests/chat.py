"""The prompt of a Chat Completions request: tools, then the messages as they come."""

from typing import Any

from askonce.prompts.requests.reader import PromptReading
from askonce.prompts.requests.segments import Kind, pointed, taken_out

_MEMBERS = """
    audio cache_control extra_body frequency_penalty function_call functions logit_bias logprobs
    max_completion_tokens max_tokens messages metadata modalities model moderation n
    parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    session_id stop store stream stream_options temperature tool_choice tools top_logprobs top_p
    user user_id verbosity web_search_options
    """
KNOWN = frozenset(_MEMBERS.split())
_SYSTEM = ("system", "developer")
ROLES = frozenset({*_SYSTEM, "user", "assistant", "tool", "function"})
FORMS = {
    "text": "text",
    "image_url": "image",
    "input_audio": "audio",
    "file": "file",
    "refusal": "refusal",
    "thinking": "thinking",
}
_READ = frozenset({"role", "content", "tool_calls", "cache_control", "prompt_cache_breakpoint"})


def read(reading: PromptReading) -> None:
    reading.doubt_unknown_members(KNOWN)
    reading.parameters("tools")
    reading.tools(reading.list_at("tools"))
    reading.tools(reading.list_at("functions"), "functions")
    reading.parameters("system")
    messages, at_start, told = reading.list_at("messages"), True, False
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str):
            reading.writer.doubt(pointed("messages", number), "not a message with a role")
            continue
        at_start = at_start and role in _SYSTEM
        if not at_start and not told:
            reading.parameters("messages")
            told = True
        following = messages[number + 1] if number + 1 < len(messages) else None
        kind = Kind.SYSTEM if at_start else Kind.MESSAGE
        _message(reading, kind, number, message, role)
        reading.writer.end_message(is_endpoint=_ends(role, following, at_start=at_start))
    if not told:
        reading.parameters("messages")


def _ends(role: str, following: Any, *, at_start: bool) -> bool:
    """Does a provider that caches by endpoints end an entry behind such a message?"""
    after = following.get("role") if isinstance(following, dict) else None
    if role == "user":
        return True
    if role in ("tool", "function"):
        return after != role
    return at_start and after not in _SYSTEM


def _message(
    reading: PromptReading, kind: Kind, number: int, message: dict[str, Any], role: str
) -> None:
    pointer, writer = pointed("messages", number), reading.writer
    if role not in ROLES:
        writer.doubt(pointer, f"a message of an unknown role ({role})")
    reading.rest_of_message(kind, pointer, message, role, _READ)
    content = message.get("content")
    markable = role in (*_SYSTEM, "user")
    if isinstance(content, str):
        writer.text(kind, f"{pointer}/content", content, role, markable=markable)
    elif isinstance(content, list):
        for at, part in enumerate(content):
            _part(reading, kind, f"{pointer}/content/{at}", part, role, markable=markable)
    elif content is not None:
        writer.doubt(f"{pointer}/content", "neither a string nor a list")
    if content and (marked := taken_out(message, pointer)[0]) is not None:
        writer.mark_last(marked)  # some gateways take a marker at the message
    _calls(reading, kind, pointer, message, role)


def _calls(
    reading: PromptReading, kind: Kind, pointer: str, message: dict[str, Any], role: str
) -> None:
    writer = reading.writer
    calls = message.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        writer.doubt(f"{pointer}/tool_calls", "not a list")
        return
    for at, call in enumerate(calls or ()):
        where = f"{pointer}/tool_calls/{at}"
        if isinstance(call, dict):
            writer.block(kind, where, call, "tool_use", role)
        else:
            writer.doubt(where, "not an object")


def _part(
    reading: PromptReading, kind: Kind, pointer: str, part: Any, role: str, *, markable: bool
) -> None:
    if not isinstance(part, dict):
        reading.writer.doubt(pointer, "not an object")
        return
    named = part.get("type")
    form = FORMS.get(named) if isinstance(named, str) else None
    if form is None:
        reading.writer.doubt(pointer, f"a part of an unknown type ({named})")
    if role in ("tool", "function"):
        form = "tool_result"
    reading.text_or_block(kind, pointer, part, role, form or "unknown", markable=markable)
