"""Chat Completions as a stream: a response is unfolded into chunks, and chunks are shown.

Members of the response that are in no choice go where they came from, which their order says (see
`openai_chat_fold`): objects and lists before `choices` into the first chunk, those after them into
the last one. `usage` after the choices is what `include_usage` asks for, a chunk of its own for
those who ask; before them the provider sends it unasked, in the last chunk.
"""

import re
from typing import Any

import msgspec

from askonce.core.models import Shape
from askonce.core.sse import SseEvent
from askonce.formats.json_values import on_one_line

TEXTS = ("reasoning_content", "reasoning", "content", "refusal")
"""Members of a message that arrive in pieces, in the order of unfolding."""

CALLS = {"function": "arguments", "custom": "input"}
"""The member of each type of tool call that holds its arguments, a string in pieces."""

_SPREAD = frozenset({"index", "message", "logprobs"})
_HEAD = frozenset(
    {
        "id", "object", "created", "model", "system_fingerprint", "service_tier", "choices",
        "usage", "obfuscation",
    }
)  # fmt: skip
"""Members of the chunk that `include_usage` adds."""

_PIECE = re.compile(r".{1,32}(?=\s|\Z)|.{1,32}", re.DOTALL)
"""A few words, at least one code point; a blank begins a piece, as it begins a token."""

_DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def unfold(answer: dict[str, Any], shape: Shape) -> list[bytes]:
    """Return the answer as frames: each choice's role, text, calls and finish, then usage and end.

    Choices come one after another, because the SDK's helper needs them dense and in order.
    """
    head, first, last = _head(answer)
    usage = answer.get("usage")
    alone = shape.usage and "usage" not in last
    tail = b'],"usage":null}' if alone else b"]}"
    frames = []
    extras = first
    chunks = _chunks_of(answer["choices"])
    for number, choice in enumerate(chunks, 1):
        if number == len(chunks):
            extras = {**extras, **last}
        written = b"," + _encode(extras)[1:-1] if extras else b""
        frames.append(_frame(head + written + b',"choices":[' + _encode(choice) + tail))
        extras = {}
    if alone and usage is not None:
        frames.append(_frame(head + b"," + _encode({"choices": [], "usage": usage})[1:]))
    frames.append(_DONE)
    return frames


def is_usage_alone(chunk: dict[str, Any]) -> bool:
    """Whether a chunk is the one that `include_usage` adds: usage, and nothing else."""
    if chunk.get("usage") is None or chunk.get("choices"):
        return False
    return all(name in _HEAD or value is None for name, value in chunk.items())


def without_usage(event: SseEvent) -> bytes | None:
    """Return the event for a caller that did not ask for usage; None if it is usage alone.

    Usage in a chunk with anything else is what the provider sends unasked, and stays.
    """
    try:
        chunk = _decode(event.data)
    except (ValueError, RecursionError):
        return event.raw
    return None if type(chunk) is dict and is_usage_alone(chunk) else event.raw


def _head(answer: dict[str, Any]) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """Return the members that all chunks have, as an open object, and the first's and the last's.

    The last chunk has the usage if the provider sends it unasked.
    """
    same: dict[str, Any] = {}
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    early = True
    for member, value in {**answer, "object": "chat.completion.chunk"}.items():
        if member == "choices":
            early = False
        elif member == "usage":
            if early and value is not None:
                last[member] = value
        elif type(value) in (dict, list):
            (first if early else last)[member] = value
        else:
            same[member] = value
    return _encode(same)[:-1], first, last


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
    texts = {name: message[name] for name in TEXTS if type(message.get(name)) is str}
    texts = {name: text for name, text in texts.items() if text}
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
    called = message.get("function_call") or {}
    if type(arguments := called.get("arguments")) is str:
        for piece in _PIECE.findall(arguments):
            deltas.append(({"function_call": {"arguments": piece}}, None))
    return deltas


def _opening(message: dict[str, Any]) -> dict[str, Any]:
    """Return the first delta: the role, empty texts, and members that come in one piece."""
    opening: dict[str, Any] = {"role": "assistant"}
    for member, value in message.items():
        if member in TEXTS and type(value) is str:
            opening[member] = ""
        elif member == "function_call" and value is not None:
            opening[member] = _opened(value, "arguments")
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
    kind = kind_of_call(call)
    called, argument = call[kind], CALLS[kind]
    first = {**call, "index": index, kind: _opened(called, argument)}
    if type(text := called.get(argument)) is not str:
        return [first]
    pieces = _PIECE.findall(text)
    return [first, *({"index": index, kind: {argument: piece}} for piece in pieces)]


def kind_of_call(call: dict[str, Any]) -> str:
    """Return the type of a tool call; some providers leave out `function`."""
    return call.get("type") or ("custom" if call.get("custom") else "function")


def _opened(called: dict[str, Any], argument: str) -> dict[str, Any]:
    """Return a call's function with empty arguments, if its arguments are a text."""
    return {**called, argument: ""} if type(called.get(argument)) is str else called
