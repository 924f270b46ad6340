"""OpenAI Chat Completions: the format of `POST …/chat/completions`, which most providers speak.

Whatever is unknown here is taken literally: an unknown member is part of the question with every
null in it, and an unknown tool counts as run by the provider. Answers may have any shape in which
providers with a compatible API write a whole one: see `openai_chat_judge`.
"""

from types import NoneType
from typing import Any

import msgspec

from askonce.core.errors import CallMalformed
from askonce.core.keys import IdRenames, Media, Opaque
from askonce.core.models import Reason, Shape, Usage
from askonce.core.sse import SseEvent
from askonce.core.wire_format import AnswerParts, ExpectedAnswer, ParsedQuestion
from askonce.formats.answer_parts import chat_parts
from askonce.formats.expected_answer import expected_answer, function_tools
from askonce.formats.hosted_tools import asks_for_lookup, is_hosted
from askonce.formats.openai_chat_fold import ChatFold
from askonce.formats.openai_chat_judge import content_text, judge
from askonce.formats.openai_chat_stream import unfold, without_usage
from askonce.formats.usage import read_usage

NOT_ASKED = frozenset(
    {
        "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
        "safety_identifier", "service_tier", "store", "stream", "stream_options", "user",
    }
)  # fmt: skip
"""Top-level members that never change the content of the answer."""

PROTOCOL = frozenset(
    {
        "audio", "function_call", "functions", "logit_bias", "messages", "modalities",
        "moderation", "prediction", "response_format", "stop", "tool_choice", "tools",
        "web_search_options",
    }
)  # fmt: skip
"""Top-level members whose structure is the protocol's own: in them null is the same as absent."""

_PROTOCOL_INSIDE = frozenset(
    {"allowed_tools", "content", "custom", "function", "json_schema", "user_location"}
)
"""Members of the members in `PROTOCOL` that are the protocol's own for one level more."""

_PLAIN_MESSAGE = frozenset({"role", "content", "name"})
_PLAIN_PART = frozenset({"type", "text"})
_KNOWN_PARTS = frozenset({"text", "refusal", "image_url", "input_audio", "file"})
_CLIENT_TOOLS = frozenset({"function", "custom"})
_JSON_FORMATS = frozenset({"json_object", "json_schema"})

_NOT_STREAMED = Shape()
_STREAMED = Shape(stream=True)
_STREAMED_WITH_USAGE = Shape(stream=True, usage=True)

_encode = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class OpenAIChat:
    """The Chat Completions format; one stateless object, `OPENAI_CHAT`."""

    name = "openai_chat"

    def recognizes(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def read(self, body: Any) -> ParsedQuestion:
        if type(body) is not dict:
            raise CallMalformed("The request body is not a JSON object.")
        model = body.get("model")
        if type(model) is not str:
            raise CallMalformed("`model` is not a string.")
        asked: dict[str, Any] = {}
        for name, value in body.items():
            if name in NOT_ASKED:
                continue
            kind = type(value)
            if (kind is dict or kind is list) and name not in PROTOCOL:
                value = Opaque(value)
            elif kind is dict:
                value = _callers_own(value, _PROTOCOL_INSIDE)
            asked[name] = value
        text = _read_messages(asked, body.get("messages"))
        bypass = None
        if (tools := body.get("tools")) is not None:
            asked["tools"], bypass = _tools(tools)
        if (functions := body.get("functions")) is not None:
            asked["functions"] = [
                _callers_own(_object(each, "functions[]"))
                for each in _array(functions, "functions")
            ]
        wants_json = False
        if (wanted := body.get("response_format")) is not None:
            # A list or an object here cannot be hashed, and is not a format of the protocol.
            kind_of = _object(wanted, "response_format").get("type")
            wants_json = type(kind_of) is str and kind_of in _JSON_FORMATS
        return ParsedQuestion(
            model,
            _shape(body),
            asked,
            text,
            _sampled(body.get("temperature")),
            wants_json,
            _bypass(body) or bypass,
            n if type(n := body.get("n")) is int and n > 0 else 1,
        )

    def to_upstream(self, body: bytes, question: ParsedQuestion) -> bytes:
        shape = question.shape
        if not shape.stream or shape.usage:
            return body
        # Members stay the caller's own bytes: no number, escape or order can change on the way.
        members = _decode_members(body)
        held = members.get("stream_options")
        options = {} if held is None or bytes(held) == b"null" else _decode_members(held)
        options["include_usage"] = msgspec.Raw(b"true")
        members["stream_options"] = msgspec.Raw(_encode(options))
        return _encode(members)

    def fold(self, question: ParsedQuestion | None = None) -> ChatFold:
        return ChatFold(1 if question is None else question.choices)

    def unfold(self, answer: dict[str, Any], shape: Shape) -> list[bytes]:
        return unfold(answer, shape)

    def show(self, event: SseEvent, shape: Shape) -> bytes | None:
        # Quotes inside a JSON string are escaped, so this finds members only.
        if shape.usage or b'"usage"' not in event.data:
            return event.raw
        return without_usage(event)

    def judge(self, answer: dict[str, Any], *, wants_json: bool) -> Reason | None:
        return judge(answer, wants_json=wants_json)

    def expected(self, body: Any) -> ExpectedAnswer:
        return expected_answer(body, function_tools(body))

    def parts(self, answer: dict[str, Any]) -> AnswerParts:
        return chat_parts(answer)

    def text(self, answer: dict[str, Any]) -> str:
        return "\n".join([text for c in answer["choices"] if (text := content_text(c["message"]))])

    def model(self, answer: dict[str, Any]) -> str:
        model = answer.get("model")
        return model if type(model) is str else ""

    def usage(self, answer: dict[str, Any]) -> Usage | None:
        reported = read_usage(answer, "chat")
        return None if reported is None else reported.kept

    def error(self, message: str, code: str) -> bytes:
        return _encode(
            {"error": {"message": message, "type": "askonce_error", "param": None, "code": code}}
        )


def _read_messages(asked: dict[str, Any], messages: Any) -> str:
    """Put the messages into a question; return the text of the last one from the user."""
    rename = IdRenames()
    asked["messages"], text = _messages(messages, rename)
    if named := rename.named_in(asked):
        asked["messages"], text = _messages(messages, IdRenames(named))
    return text


def _messages(messages: Any, rename: IdRenames) -> tuple[list[Any], str]:
    """Return the messages for the key, and the text of the last one from the user."""
    read: list[Any] = []
    asked_last: Any = ""
    for message in _array(messages, "messages"):
        if type(message) is not dict:
            raise CallMalformed("`messages[]` is not an object.")
        role = message.get("role")
        if type(role) is not str:
            raise CallMalformed("`messages[].role` is not a string.")
        content = message.get("content")
        if role == "user":
            asked_last = content
        # The fast path: nearly every message is a role and a string.
        if type(content) is str and message.keys() <= _PLAIN_MESSAGE:
            read.append(message)
        else:
            read.append(_message(message, rename))
    return read, asked_last if type(asked_last) is str else _text(asked_last)


def _message(message: dict[str, Any], rename: IdRenames) -> dict[str, Any]:
    read = _callers_own(message, frozenset({"content", "tool_calls", "function_call", "audio"}))
    content = message.get("content")
    if type(content) is list:
        read["content"] = [_part(part) for part in content]
    elif type(content) not in (str, NoneType):
        raise CallMalformed("`messages[].content` is neither a string nor a list.")
    if (calls := message.get("tool_calls")) is not None:
        read["tool_calls"] = [
            _tool_call(call, rename) for call in _array(calls, "messages[].tool_calls")
        ]
    if (answered := message.get("tool_call_id")) is not None:
        read["tool_call_id"] = rename(answered)
    return read


def _tool_call(call: Any, rename: IdRenames) -> dict[str, Any]:
    read = _callers_own(_object(call, "messages[].tool_calls[]"), _CLIENT_TOOLS)
    if "id" in read:
        read["id"] = rename(read["id"])
    return read


_MEDIA = {"image_url": "url", "input_audio": "data", "file": "file_data"}
"""The member of each content part that holds base64."""


def _part(value: Any) -> dict[str, Any]:
    part = _object(value, "messages[].content[]")
    kind = part.get("type")
    if type(kind) is not str or kind not in _KNOWN_PARTS:
        return _callers_own(part)
    if part.keys() <= _PLAIN_PART:
        return part
    read = _callers_own(part, frozenset({kind}))
    held, name = read.get(kind), _MEDIA.get(kind, "")
    data = held.get(name) if type(held) is dict else None
    if type(data) is str and (kind != "image_url" or data.startswith("data:")):
        read[kind] = {**_object(held, kind), name: Media(data)}
    return read


def _text(content: Any) -> str:
    if type(content) is not list:
        return ""
    texts = [part.get("text") for part in content if part.get("type") == "text"]
    return "\n".join([text for text in texts if type(text) is str])


def _tools(tools: Any) -> tuple[list[Any], Reason | None]:
    read = []
    bypass = None
    for tool in _array(tools, "tools"):
        kind = _object(tool, "tools[]").get("type")
        if type(kind) not in (str, NoneType):
            raise CallMalformed("`tools[].type` is not a string.")
        if is_hosted(tool, _CLIENT_TOOLS):
            bypass = Reason.HOSTED_TOOL
        elif tool.get(kind or "function") is not None:
            _object(tool[kind or "function"], f"tools[].{kind or 'function'}")
        read.append(_callers_own(tool, _CLIENT_TOOLS))
    return read, bypass


def _callers_own(node: dict[str, Any], protocol: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Copy an object with its nested JSON marked as the caller's own.

    Members in `protocol` are the protocol's own for one level.
    """
    read: dict[str, Any] = {}
    for name, value in node.items():
        if type(value) is dict:
            value = _callers_own(value) if name in protocol else Opaque(value)
        elif type(value) is list and name not in protocol:
            value = Opaque(value)
        read[name] = value
    return read


def _shape(body: dict[str, Any]) -> Shape:
    stream = body.get("stream")
    options = body.get("stream_options")
    if type(stream) not in (bool, NoneType):
        raise CallMalformed("`stream` is not a boolean.")
    include_usage = None
    if options is not None:
        include_usage = _object(options, "stream_options").get("include_usage")
        if type(include_usage) not in (bool, NoneType):
            raise CallMalformed("`stream_options.include_usage` is not a boolean.")
    if not stream:
        return _NOT_STREAMED
    return _STREAMED_WITH_USAGE if include_usage else _STREAMED


def _sampled(temperature: Any) -> bool:
    if temperature is None:
        return False
    if type(temperature) is not float and type(temperature) is not int:
        raise CallMalformed("`temperature` is not a number.")
    return temperature > 0


def _bypass(body: dict[str, Any]) -> Reason | None:
    # The strongest reason first: a rule may overrule a lookup only.
    modalities = body.get("modalities")
    if modalities is not None and "audio" in _array(modalities, "modalities"):
        return Reason.AUDIO
    if body.get("audio") is not None:
        return Reason.AUDIO
    return Reason.HOSTED_TOOL if asks_for_lookup(body) else None


def _object(value: Any, where: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise CallMalformed(f"`{where}` is not an object.")
    return value


def _array(value: Any, where: str) -> list[Any]:
    if type(value) is not list:
        raise CallMalformed(f"`{where}` is not a list.")
    return value


OPENAI_CHAT = OpenAIChat()
