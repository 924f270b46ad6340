"""Chat Completions as a stream: chunks are folded into one response, and unfolded from it.

Folding is strict. If chunks contradict each other (a call changes its name, a text becomes a list)
the folding fails, because a guess must not be stored.
"""

import re
from typing import Any

import msgspec

from askonce.core.models import Reason, Shape
from askonce.core.sse import SseEvent
from askonce.formats.json_values import on_one_line

_TEXTS = ("reasoning_content", "reasoning", "content", "refusal")
"""Members of a message that arrive in pieces, in the order of unfolding."""

_CALLS = {"function": "arguments", "custom": "input"}
"""The member of each type of tool call that holds its arguments, a string in pieces."""

_SPREAD = frozenset({"index", "message", "logprobs"})
_NESTED = frozenset({"function_call", *_CALLS})

_PIECE = re.compile(r".{1,32}(?=\s|\Z)|.{1,32}", re.DOTALL)
"""A few words, at least one code point; a blank begins a piece, as it begins a token."""

_DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _ContradictionError(Exception):
    """Chunks of a stream contradict each other."""


class _GrowingPart:
    """A string in pieces, joined once: `+=` on a member would copy all of it each time."""

    __slots__ = ("pieces",)

    def __init__(self, piece: str) -> None:
        self.pieces = [piece]


class ChatFold:
    """Builds one non-streamed response from its chunks."""

    def __init__(self) -> None:
        self.ended = False
        self.failed: Reason | None = None
        self._response: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def feed(self, event: SseEvent) -> None:
        data = event.data.strip()
        if self.ended or self.failed is not None or not data:
            return
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            self._add(_object(_decode(data)), event.name)
        except (_ContradictionError, ValueError, RecursionError):
            self.failed = Reason.GARBAGE

    def _add(self, chunk: dict[str, Any], name: bytes) -> None:
        if name == b"error" or chunk.get("error") is not None or chunk.get("object") == "error":
            self.failed = Reason.STREAM_ERROR
            return
        for member, value in chunk.items():
            if member == "usage":
                if value is not None:
                    self._response["usage"] = _object(value)
            elif member not in ("choices", "obfuscation"):
                _keep(self._response, member, value)
        for part in _array(chunk.get("choices")):
            index = _object(part).get("index", 0)
            if type(index) is not int:
                raise _ContradictionError
            if index not in self._choices:
                self._choices[index] = _Choice(index)
            self._choices[index].add(part)
            if _object(part.get("delta") or {}).get("audio") is not None:
                self.failed = Reason.AUDIO

    def answer(self) -> dict[str, Any]:
        choices = [self._choices[index].whole() for index in sorted(self._choices)]
        return {**self._response, "object": "chat.completion", "choices": choices}


class _Choice:
    """One of the `n` answers, as far as it has arrived."""

    def __init__(self, index: int) -> None:
        self._members: dict[str, Any] = {"index": index}
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._logprobs: dict[str, Any] | None = None
        self._calls: dict[int, dict[str, Any]] | None = None

    def add(self, part: dict[str, Any]) -> None:
        for member, value in part.items():
            if member == "logprobs":
                self._members.setdefault("logprobs", None)
                if value is not None:
                    self._logprobs = self._logprobs or {}
                    for name, tokens in _object(value).items():
                        _grow(self._logprobs, name, tokens)
            elif member == "delta":
                self._add_delta(_object(value or {}))
            elif member not in ("index", "message"):
                # Some providers repeat the whole message so far beside each delta.
                _keep(self._members, member, value)

    def _add_delta(self, delta: dict[str, Any]) -> None:
        message = self._message
        for member, value in delta.items():
            if value is None:
                message.setdefault(member, None)
            elif member == "role":
                _keep(message, member, value)
            elif member == "tool_calls":
                message[member] = []
                if self._calls is None:
                    self._calls = {}
                for fragment in _array(value):
                    self._add_call(self._calls, _object(fragment))
            elif member == "function_call":
                message[member] = called = message.get(member) or {}
                _add_called(called, _object(value), "arguments")
            else:
                if member in _TEXTS and type(value) is not str:
                    raise _ContradictionError
                _grow(message, member, value)

    def _add_call(self, calls: dict[int, dict[str, Any]], fragment: dict[str, Any]) -> None:
        index = fragment.get("index")
        if type(index) is not int:
            raise _ContradictionError
        call = calls.setdefault(index, {})
        for member, value in fragment.items():
            if member in _CALLS and value is not None:
                called = call.setdefault(member, {})
                _add_called(called, _object(value), _CALLS[member])
            elif member in ("id", "type"):
                _keep_once(call, member, value)
            elif member != "index":
                _keep(call, member, value)

    def whole(self) -> dict[str, Any]:
        message = _joined(self._message)
        if self._calls is not None:
            message["tool_calls"] = [
                {"type": "function", **_joined(self._calls[index])} for index in sorted(self._calls)
            ]
        choice = {"finish_reason": None, **self._members, "message": message}
        if self._logprobs is not None:
            choice["logprobs"] = self._logprobs
        return choice


def _add_called(called: dict[str, Any], fragment: dict[str, Any], argument: str) -> None:
    for member, value in fragment.items():
        if member == argument:
            _grow(called, member, value)
        elif member == "name":
            _keep_once(called, member, value)
        else:
            _keep(called, member, value)


def _keep(into: dict[str, Any], name: str, value: Any) -> None:
    """Keep the latest value, unless it is empty."""
    if value or name not in into:
        into[name] = value


def _keep_once(into: dict[str, Any], name: str, value: Any) -> None:
    """Keep a name or an ID, which may be repeated but never changes."""
    if value is not None and type(value) is not str:
        raise _ContradictionError
    if value and into.get(name) and into[name] != value:
        raise _ContradictionError
    _keep(into, name, value)


def _grow(into: dict[str, Any], name: str, value: Any) -> None:
    """Extend a string or a list; replace any other value."""
    held = into.get(name)
    if value is None:
        into.setdefault(name, None)
    elif type(value) is str:
        if type(held) is _GrowingPart:
            held.pieces.append(value)
        elif held is None:
            into[name] = _GrowingPart(value)
        else:
            raise _ContradictionError
    elif type(held) is _GrowingPart:
        raise _ContradictionError
    elif type(value) is list and type(held) is list:
        held.extend(value)
    else:
        into[name] = value


def _joined(tree: dict[str, Any]) -> dict[str, Any]:
    joined = {}
    for name, value in tree.items():
        if type(value) is _GrowingPart:
            value = "".join(value.pieces)
        elif type(value) is dict and name in _NESTED:
            value = _joined(value)
        joined[name] = value
    return joined


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise _ContradictionError
    return value


def _array(value: Any) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list:
        raise _ContradictionError
    return value


def unfold(answer: dict[str, Any], shape: Shape) -> list[bytes]:
    """Return the answer as frames: each choice's role, text, calls and finish, then usage and end.

    Choices come one after another, because the SDK's helper needs them dense and in order.
    """
    head, extras = _head(answer)
    usage = answer.get("usage")
    tail = b'],"usage":null}' if shape.usage else b"]}"
    frames = []
    for choice in _chunks_of(answer["choices"]):
        frames.append(_frame(head + extras + b',"choices":[' + _encode(choice) + tail))
        extras = b""
    if shape.usage and usage is not None:
        last = {"choices": [], "usage": usage}
        frames.append(_frame(head + b"," + _encode(last)[1:]))
    frames.append(_DONE)
    return frames


def without_usage(event: SseEvent) -> bytes | None:
    """Return the event without usage, for a caller that did not ask for it; None if it is empty."""
    try:
        chunk = _decode_members(event.data)
    except (ValueError, RecursionError):
        return event.raw
    usage = chunk.pop("usage", None)
    if usage is None:
        return event.raw
    choices = bytes(chunk.get("choices", b"")).translate(None, b" \t\n")
    # Azure's first chunk has no choices either, but its usage is null.
    if choices == b"[]" and bytes(usage) != b"null":
        return None
    # A line break between members would end the `data:` line; a blank is equivalent JSON.
    return b"data: " + _encode(chunk).replace(b"\n", b" ") + b"\n\n"


def _head(answer: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the members that all chunks have, as an open object, and those of the first only."""
    same: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for member, value in {**answer, "object": "chat.completion.chunk"}.items():
        if member not in ("choices", "usage"):
            (extras if type(value) in (dict, list) else same)[member] = value
    return _encode(same)[:-1], b"," + _encode(extras)[1:-1] if extras else b""


def _frame(data: bytes) -> bytes:
    return b"data: " + on_one_line(data) + b"\n\n"


def _chunks_of(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chunks = []
    ordered = sorted(choices, key=lambda choice: choice.get("index") or 0)
    for index, choice in enumerate(ordered):
        absent = {"logprobs": None} if "logprobs" in choice else {}
        for delta, logprobs in _deltas_of(choice["message"], choice.get("logprobs")):
            chunk = {"index": index, "delta": delta, **absent, "finish_reason": None}
            if logprobs is not None:
                chunk["logprobs"] = logprobs
            chunks.append(chunk)
        chunk = {"index": index, "delta": {}, **absent}
        chunks.append(chunk | {name: choice[name] for name in choice if name not in _SPREAD})
    return chunks


_Delta = tuple[dict[str, Any], dict[str, Any] | None]


def _deltas_of(message: dict[str, Any], logprobs: dict[str, Any] | None) -> list[_Delta]:
    """Return a message's deltas, each with the log probabilities of its tokens, if any."""
    texts = {member: message[member] for member in _TEXTS if message.get(member)}
    deltas: list[_Delta] = [(_opening(message), None)]
    if logprobs is not None:
        # Empty at first: the SDK's helper counts the first delta of later choices twice.
        deltas = [(_opening(message), {name: each and [] for name, each in logprobs.items()})]
    tokens = logprobs or {}
    others = dict.fromkeys(tokens)
    textless = {name: each for name, each in tokens.items() if each and name not in texts}
    if textless:
        deltas.append(({}, {**others, **textless}))
    for member, text in texts.items():
        for piece, spelling in _pieces_of(text, tokens.get(member) or []):
            deltas.append(({member: piece}, {**others, member: spelling} if spelling else None))
    for index, call in enumerate(message.get("tool_calls") or ()):
        deltas += [({"tool_calls": [part]}, None) for part in _parts_of(index, call)]
    if (called := message.get("function_call")) is not None:
        for piece in _PIECE.findall(called["arguments"]):
            deltas.append(({"function_call": {"arguments": piece}}, None))
    return deltas


def _opening(message: dict[str, Any]) -> dict[str, Any]:
    """Return the first delta: the role, empty texts, and members that come in one piece."""
    opening: dict[str, Any] = {"role": "assistant"}
    for member, value in message.items():
        if member in _TEXTS and type(value) is str:
            opening[member] = ""
        elif member == "function_call" and value is not None:
            opening[member] = {**value, "arguments": ""}
        elif member != "tool_calls" or not value:
            opening[member] = value
    return opening


def _pieces_of(text: str, tokens: list[Any]) -> list[tuple[str, list[Any]]]:
    """Cut a text into pieces with their tokens; all tokens on the first if they do not spell it."""
    words = [token.get("token") if type(token) is dict else None for token in tokens]
    spelled = [word for word in words if type(word) is str]
    if len(spelled) == len(tokens) and "".join(spelled) == text:
        return [(word, [token]) for word, token in zip(spelled, tokens, strict=True)]
    first, *others = _PIECE.findall(text)
    return [(first, tokens), *((piece, []) for piece in others)]


def _parts_of(index: int, call: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a tool call in pieces: its name, then its arguments."""
    kind = call["type"]
    called, argument = call[kind], _CALLS[kind]
    first = {"index": index, **call, kind: {**called, argument: ""}}
    pieces = _PIECE.findall(called[argument])
    return [first, *({"index": index, kind: {argument: piece}} for piece in pieces)]
