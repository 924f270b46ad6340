"""Anthropic Messages: the format of `POST …/v1/messages`.

A request's members fall into four groups. Members that steer delivery or accounting are ignored;
members that let the provider act or remember bypass the cache; the rest of the protocol is the
question; and unknown members are part of the question to the last null, because two different
questions must never share a key.
"""

from types import NoneType
from typing import Any

import msgspec

from askonce.core.errors import CallMalformed
from askonce.core.keys import IdRenames, Media, Opaque
from askonce.core.models import Reason, Shape, Usage
from askonce.core.sse import SseEvent
from askonce.core.wire_format import AnswerParts, ExpectedAnswer, ParsedQuestion
from askonce.formats.answer_parts import message_parts
from askonce.formats.anthropic_messages_stream import AnthropicFold, unfold
from askonce.formats.expected_answer import expected_answer, message_tools
from askonce.formats.finish_reasons import unfit
from askonce.formats.hosted_tools import asks_for_lookup, is_hosted
from askonce.formats.json_values import is_json
from askonce.formats.provider_search import judged_with_search
from askonce.formats.usage import read_usage

NOT_ASKED = frozenset(
    {
        "stream", "metadata", "service_tier", "speed", "inference_geo", "diagnostics",
        "user_profile_id",
    }
)  # fmt: skip
"""Top-level members that never change the content of the answer; see `CACHE_MARKERS` too."""

PROTOCOL = frozenset(
    {
        "model", "messages", "system", "max_tokens", "stop_sequences", "thinking",
        "tool_choice", "tools", "output_config", "output_format", "temperature", "top_p", "top_k",
    }
)  # fmt: skip
"""Top-level members of the protocol itself: in them null is the same as absent."""

_STATE = ("thread", "thread_id", "previous_message_id")

_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "model": ((str,), "a string"),
    "messages": ((list,), "a list"),
    "max_tokens": ((int,), "an integer"),
    "system": ((str, list), "a string or a list of blocks"),
    "stream": ((bool,), "true or false"),
    "temperature": ((int, float), "a number"),
    "tools": ((list,), "a list"),
    "mcp_servers": ((list,), "a list"),
    "output_config": ((dict,), "an object"),
    "output_format": ((dict,), "an object"),
}

# Blocks without IDs, media or a caller's own JSON in them.
_PLAIN_BLOCKS = frozenset(
    {
        "text", "thinking", "redacted_thinking", "search_result", "tool_reference",
        "container_upload",
    }
)  # fmt: skip

_KNOWN_MEMBERS = frozenset(
    {
        "budget_tokens", "cache_control", "caller", "citations", "content", "context", "data",
        "disable_parallel_tool_use", "display", "file_id", "id", "input", "is_error", "name",
        "role", "signature", "source", "text", "thinking", "title", "tool_name", "tool_use_id",
        "type",
    }
)  # fmt: skip
"""Members of messages, blocks and their kind that are the protocol's own; others are a caller's."""

# The one member, besides its type, that a block of this kind must have as a string.
_MUST_BE_TEXT = {"text": "text", "thinking": "thinking", "redacted_thinking": "data"}


class AnthropicMessages:
    """The wire format of Anthropic's Messages API; one stateless object, `ANTHROPIC_MESSAGES`."""

    name = "anthropic_messages"

    def recognizes(self, path: str) -> bool:
        return path.endswith("/v1/messages")

    def read(self, body: Any) -> ParsedQuestion:
        _check_types(body)
        asked = {name: member for name, member in body.items() if name not in NOT_ASKED}
        rename = IdRenames()
        asked |= _conversation(body, rename)
        if named := rename.named_in(asked):
            asked |= _conversation(body, IdRenames(named))
        if body.get("tools"):
            asked["tools"] = [_with_opaque_members(tool, "tools") for tool in body["tools"]]
        for name in ("output_config", "output_format"):
            if body.get(name):
                asked[name] = _with_opaque_members(body[name], name, frozenset({"format"}))
        for name in ("tool_choice", "thinking"):
            if type(body.get(name)) is dict:
                asked[name] = _with_opaque_unknown(body[name])
        for name in asked.keys() - PROTOCOL:
            if type(asked[name]) in (dict, list):
                asked[name] = Opaque(asked[name])
        return ParsedQuestion(
            model=body["model"],
            shape=Shape(stream=body.get("stream") is True),
            asked=asked,
            text=_last_user_text(body["messages"]),
            sampled=(body.get("temperature") or 0) > 0,
            wants_json=_wants_json(body),
            bypass=_bypass(body),
        )

    def to_upstream(self, body: bytes, question: ParsedQuestion) -> bytes:
        return body

    def fold(self, question: ParsedQuestion | None = None) -> AnthropicFold:
        return AnthropicFold()

    def unfold(self, answer: dict[str, Any], shape: Shape) -> list[bytes]:
        return unfold(answer)

    def show(self, event: SseEvent, shape: Shape) -> bytes | None:
        return event.raw

    def judge(self, answer: dict[str, Any], *, wants_json: bool) -> Reason | None:
        if type(answer) is dict and answer.get("type") == "error":
            return Reason.STREAM_ERROR
        if not _is_well_formed(answer):
            return Reason.GARBAGE
        return judged_with_search(answer, self._judge_message(answer, wants_json))

    def _judge_message(self, answer: dict[str, Any], wants_json: bool) -> Reason | None:
        stop_reason = answer.get("stop_reason")
        if (reason := unfit(stop_reason)) is not None:
            return reason
        content = answer["content"]
        text = self.text(answer)
        calls = [block for block in content if block["type"].endswith("tool_use")]
        if not calls and not text.strip():
            # More precise than "bad tool call" if a call was announced and none made.
            return Reason.EMPTY
        # A turn that calls a tool is not yet the requested JSON document.
        if wants_json and stop_reason != "tool_use" and not is_json(text):
            return Reason.NOT_JSON
        return _judge_tool_calls(calls, answer["stop_reason"])

    def expected(self, body: Any) -> ExpectedAnswer:
        return expected_answer(body, message_tools(body))

    def parts(self, answer: dict[str, Any]) -> AnswerParts:
        return message_parts(answer)

    def text(self, answer: dict[str, Any]) -> str:
        return "".join(block["text"] for block in answer["content"] if block["type"] == "text")

    def model(self, answer: dict[str, Any]) -> str:
        model = answer.get("model")
        return model if type(model) is str else ""

    def usage(self, answer: dict[str, Any]) -> Usage | None:
        reported = read_usage(answer, "messages")
        return None if reported is None else reported.kept

    def error(self, message: str, code: str) -> bytes:
        details = {"error_code": code}
        error = {"type": "askonce_error", "message": message, "details": details}
        return msgspec.json.encode({"type": "error", "error": error})


ANTHROPIC_MESSAGES = AnthropicMessages()


def _check_types(body: Any) -> None:
    if type(body) is not dict:
        raise CallMalformed("the body must be a JSON object")
    for name in ("model", "messages"):
        if body.get(name) is None:
            raise CallMalformed(f"{name} is missing")
    for name, member in body.items():
        if member is not None and name in _TYPES:
            types, words = _TYPES[name]
            if type(member) not in types:
                raise CallMalformed(f"{name} must be {words}")


def _conversation(body: dict[str, Any], rename: IdRenames) -> dict[str, Any]:
    """Return the turns and the system prompt as they enter the key."""
    read: dict[str, Any] = {"messages": _turns(body["messages"], rename)}
    if type(body.get("system")) is list:
        read["system"] = _blocks(body["system"], rename)
    return read


def _turns(messages: list[Any], rename: IdRenames) -> list[Any]:
    """Return the messages as they enter the key; the same list if nothing changes."""
    marked = messages
    for at, message in enumerate(messages):
        if type(message) is not dict or type(message.get("role")) is not str:
            raise CallMalformed("every message must be an object with a role")
        content = message.get("content")
        is_plain = message.keys() <= _KNOWN_MEMBERS
        if type(content) is str and is_plain:
            continue
        blocks = content if type(content) is str else _blocks(content, rename)
        if blocks is not content or not is_plain:
            if marked is messages:
                marked = messages.copy()
            marked[at] = {**_with_opaque_unknown(message), "content": blocks}
    return marked


def _blocks(blocks: Any, rename: IdRenames) -> list[Any]:
    if type(blocks) is not list:
        raise CallMalformed("content must be a string or a list of blocks")
    marked = blocks
    for at, block in enumerate(blocks):
        if type(block) is not dict or type(block.get("type")) is not str:
            raise CallMalformed("every content block must be an object with a type")
        if block["type"] in _PLAIN_BLOCKS and block.keys() <= _KNOWN_MEMBERS:
            continue
        if marked is blocks:
            marked = blocks.copy()
        marked[at] = _marked(block, rename)
    return marked


def _marked(block: dict[str, Any], rename: IdRenames) -> Any:
    kind = block["type"]
    whole, block = block, _with_opaque_unknown(block)
    if kind in _PLAIN_BLOCKS:
        return block
    if kind in ("image", "document"):
        return _with_source(block, rename)
    if kind.endswith("tool_use"):
        use = {**block, "id": rename(block.get("id")), "input": Opaque(block.get("input"))}
        caller = block.get("caller")
        if type(caller) is dict and "tool_id" in caller:
            use["caller"] = {**caller, "tool_id": rename(caller["tool_id"])}
        return use
    if kind.endswith("tool_result"):
        result = {**block, "tool_use_id": rename(block.get("tool_use_id"))}
        if kind == "tool_result" and type(block.get("content")) is list:
            result["content"] = _blocks(block["content"], rename)
        return result
    return Opaque(whole)


def _with_source(block: dict[str, Any], rename: IdRenames) -> dict[str, Any]:
    source = block.get("source")
    if type(source) is not dict:
        return block
    if source.get("type") == "base64" and type(source.get("data")) is str:
        return {**block, "source": {**source, "data": Media(source["data"])}}
    if source.get("type") == "content" and type(source.get("content")) is list:
        return {**block, "source": {**source, "content": _blocks(source["content"], rename)}}
    return block


def _with_opaque_members(
    thing: Any, name: str, protocol: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Copy a tool or an output setting, with its nested JSON marked as the caller's own.

    Members in `protocol` are the protocol's own for one level.
    """
    if type(thing) is not dict:
        raise CallMalformed(f"{name} must hold objects")
    read: dict[str, Any] = {}
    for member_name, member in thing.items():
        if type(member) is dict and member_name in protocol:
            read[member_name] = _with_opaque_members(member, member_name)
        else:
            read[member_name] = Opaque(member) if type(member) in (dict, list) else member
    return read


def _with_opaque_unknown(node: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the JSON in unknown members marked as the caller's own."""
    if node.keys() <= _KNOWN_MEMBERS:
        return node
    return {
        name: Opaque(member)
        if type(member) in (dict, list) and name not in _KNOWN_MEMBERS
        else member
        for name, member in node.items()
    }


def _is_hosted(tool: dict[str, Any]) -> bool:
    """Whether the provider runs this tool, so the answer depends on more than the question."""
    kind = tool.get("type")
    if type(kind) not in (str, NoneType):
        raise CallMalformed("a tool's type must be a string")
    if kind is not None and kind.startswith(_CLIENT_TOOLS):
        return False
    return is_hosted(tool, ("custom",))


def _bypass(body: dict[str, Any]) -> Reason | None:
    # The strongest reason first: a rule may overrule a lookup, but never state.
    # `max_tokens: 0` only fills the provider's own prompt cache.
    if body.get("max_tokens") == 0 or any(body.get(name) not in (None, False) for name in _STATE):
        return Reason.SERVER_STATE
    if body.get("container") is not None or asks_for_lookup(body):
        return Reason.HOSTED_TOOL
    if any(_is_hosted(tool) for tool in body.get("tools") or ()):
        return Reason.HOSTED_TOOL
    return None


def _last_user_text(messages: list[Any]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            content = message["content"]
            if type(content) is str:
                return content
            texts = [block.get("text") for block in content if block["type"] == "text"]
            return "\n".join(text for text in texts if type(text) is str)
    return ""


def _wants_json(body: dict[str, Any]) -> bool:
    settings = body.get("output_config") or {}
    formats = (settings.get("format"), body.get("output_format"))
    return any(type(form) is dict and form.get("type") == "json_schema" for form in formats)


def _is_well_formed(answer: Any) -> bool:
    """Whether the answer has the types that `unfold`, `model` and `usage` rely on."""
    if type(answer) is not dict or answer.get("type") != "message":
        return False
    content = answer.get("content")
    if type(content) is not list or type(answer.get("usage")) not in (dict, NoneType):
        return False
    for block in content:
        if type(block) is not dict or type(block.get("type")) is not str:
            return False
        member = _MUST_BE_TEXT.get(block["type"])
        if member is not None and type(block.get(member)) is not str:
            return False
        citations = block.get("citations")
        if type(citations) not in (list, NoneType) or not all(
            type(c) is dict for c in citations or ()
        ):
            return False
        if type(block.get("signature")) not in (str, NoneType):
            return False
    return type(answer.get("stop_reason")) in (str, NoneType)


def _judge_tool_calls(calls: list[dict[str, Any]], stop_reason: str) -> Reason | None:
    if stop_reason == "tool_use" and not calls:
        return Reason.BAD_TOOL_CALL
    for call in calls:
        # A call without arguments may come without them.
        if type(call.get("input") or {}) is not dict:
            return Reason.BAD_TOOL_CALL
        if not (type(call.get("id")) is type(call.get("name")) is str):
            return Reason.BAD_TOOL_CALL
    return None
