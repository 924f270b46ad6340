"""Anthropic Messages as server-sent events: folded into one message, and unfolded from it.

    message_start
      content_block_start, content_block_delta …, content_block_stop      for each block
    message_delta                       why it stopped, and the usage so far (cumulative)
    message_stop

`ping` and events of unknown kinds may come in between.

The order of a message's members says when they came, where the protocol does not: members before
`content` with `message_start`, those between `content` and `usage` in the delta of `message_delta`,
and those after `usage` beside it. In `usage`, what stands after `output_tokens` came last.
"""

import re
from typing import Any, NamedTuple

import msgspec

from askonce.core.errors import AnswerCut
from askonce.core.models import Reason
from askonce.core.sse import SseEvent
from askonce.formats.json_values import on_one_line
from askonce.formats.usage import merge_members

# Delta type -> the block that it belongs to, and the delta's own member.
_DELTAS = {
    "text_delta": ("text", "text"),
    "citations_delta": ("text", "citation"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}

# Members that deltas extend, with the types that a block may start with.
_GROWS: dict[str, tuple[tuple[str, tuple[type, ...]], ...]] = {
    "text": (("text", (str, type(None))), ("citations", (list, type(None)))),
    "thinking": (("thinking", (str, type(None))),),
}

_EARLY = frozenset({"id", "type", "role", "model", "content", "diagnostics"})
"""Members that say what a message is: they come with `message_start`, and never change."""

_LATE = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Members of a message that come in the delta of `message_delta`."""

_BESIDE = ("context_management", "input_transformations")
"""Members of a message that come beside that delta."""


class _OpenBlock(NamedTuple):
    """A block that has begun, and the pieces of it that have arrived, by the type of delta."""

    block: dict[str, Any]
    pieces: dict[str, list[Any]]


class AnthropicFold:
    """Builds one message from the events of a stream.

    A delta of an unknown kind or for the wrong block fails the folding: the answer still reaches
    its caller, but is not stored. Events of unknown kinds are ignored, as the provider asks.
    """

    def __init__(self) -> None:
        self.ended = False
        self.failed: Reason | None = None
        self._message: dict[str, Any] | None = None
        self._content: list[tuple[int, dict[str, Any]]] = []
        self._delta: dict[str, Any] = {}
        self._beside: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._open: dict[int, _OpenBlock] = {}

    def feed(self, event: SseEvent) -> None:
        if self.ended or self.failed is not None:
            return
        if event.name == b"error":
            self.failed = Reason.STREAM_ERROR
            return
        if event.name == b"ping" or not event.data:
            return
        try:
            data = msgspec.json.decode(event.data)
        except (ValueError, RecursionError):
            data = None
        if type(data) is not dict:
            self.failed = Reason.GARBAGE
            return
        kind = data.get("type")
        if type(kind) is not str:
            kind = event.name.decode(errors="replace")
        if not self._take(kind, data) and self.failed is None:
            self.failed = Reason.GARBAGE

    def finish(self) -> None:
        """End with the body: without `message_stop`, it is whole if it says why it stopped."""
        if self.failed is None and self._message is not None and not self._open:
            self.ended = self.ended or bool(self._delta.get("stop_reason"))

    def answer(self) -> dict[str, Any]:
        """Return the whole message. Raises `AnswerCut` if the stream has not ended."""
        if not self.ended or self._message is None:
            raise AnswerCut("the stream has not ended, so there is no whole message")
        early = dict(self._message)
        usage = early.pop("usage", None)
        content = [block for _, block in sorted(self._content, key=lambda placed: placed[0])]
        delta = _taken(early, self._delta)
        beside = _taken(early, self._beside)
        if self._usage:
            usage = _total(usage if type(usage) is dict else {}, self._usage)
        said = {} if usage is None and "usage" not in self._message else {"usage": usage}
        return {**early, "content": content, **delta, **said, **beside}

    def _take(self, kind: str, data: dict[str, Any]) -> bool:
        """Apply one event; False if it makes no sense at this point."""
        match kind:
            case "message_start":
                return self._start_message(data.get("message"))
            case "content_block_start":
                return self._start_block(data.get("index"), data.get("content_block"))
            case "content_block_delta":
                return self._extend_block(data.get("index"), data.get("delta"))
            case "content_block_stop":
                return self._stop_block(data.get("index"))
            case "message_delta":
                return self._finish_message(data)
            case "message_stop":
                self.ended = self._message is not None and not self._open
                return self.ended
            case "error":
                self.failed = Reason.STREAM_ERROR
        return True

    def _start_message(self, message: Any) -> bool:
        if self._message is not None or type(message) is not dict or message.get("content"):
            return False
        self._message = {name: value for name, value in message.items() if name != "content"}
        return True

    def _start_block(self, index: Any, block: Any) -> bool:
        # Most providers count from 0; some count from 1, leave gaps, or use a number again.
        if self._message is None or type(index) is not int or index in self._open:
            return False
        if type(block) is not dict or type(block.get("type")) is not str:
            return False
        if any(type(block.get(n)) not in types for n, types in _GROWS.get(block["type"], ())):
            return False
        self._content.append((index, block))
        self._open[index] = _OpenBlock(block, {})
        return True

    def _extend_block(self, index: Any, delta: Any) -> bool:
        if type(index) is not int or index not in self._open or type(delta) is not dict:
            return False
        kind = delta.get("type")
        block, pieces = self._open[index]
        if kind == "compaction_delta" and block["type"] == "compaction":
            merge_members(block, {n: v for n, v in delta.items() if n != "type"})
            return True
        if type(kind) is not str or kind not in _DELTAS:
            return False
        owner, member = _DELTAS[kind]
        block_kind = block["type"]
        if block_kind != owner and not (owner == "tool_use" and block_kind.endswith(owner)):
            return False
        piece = delta.get(member)
        if type(piece) is not (dict if member == "citation" else str):
            return False
        pieces.setdefault(kind, []).append(piece)
        return True

    def _stop_block(self, index: Any) -> bool:
        if type(index) is not int or index not in self._open:
            return False
        block, grown = self._open.pop(index)
        for kind, pieces in grown.items():
            match kind:
                case "citations_delta":
                    block["citations"] = [*(block.get("citations") or ()), *pieces]
                case "signature_delta":
                    # The whole signature, not a piece, as in the provider's own SDK.
                    block["signature"] = pieces[-1]
                case "input_json_delta":
                    self._parse_input(block, "".join(pieces))
                case _:
                    member = _DELTAS[kind][1]
                    block[member] = (block.get(member) or "") + "".join(pieces)
        return True

    def _parse_input(self, block: dict[str, Any], text: str) -> None:
        if not text.strip():
            block.setdefault("input", {})
            return
        try:
            block["input"] = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            self.failed = Reason.BAD_TOOL_CALL

    def _finish_message(self, data: dict[str, Any]) -> bool:
        message, delta, usage = self._message, data.get("delta"), data.get("usage")
        if message is None or type(delta) is not dict:
            return False
        if usage is not None and type(usage) is not dict:
            return False
        merge_members(self._delta, {n: v for n, v in delta.items() if n not in _EARLY})
        own = {"type", "delta", "usage", *_EARLY}
        merge_members(self._beside, {n: v for n, v in data.items() if n not in own})
        merge_members(self._usage, usage or {})
        return True


def _taken(early: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Return later members, and remove them from the early ones; a null keeps the early value."""
    kept = {n: v for n, v in later.items() if v is not None or early.get(n) is None}
    for name in kept:
        early.pop(name, None)
    return kept


def _total(early: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Return the usage of a whole message; later numbers are cumulative, so they replace."""
    total = dict(early)
    merge_members(total, later)
    begun = {name: total[name] for name in early if name != "output_tokens"}
    output = {"output_tokens": total["output_tokens"]} if "output_tokens" in total else {}
    return {**begun, **output, **total}


_CUMULATIVE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
    "fallback_credit",
)

# A few words, or up to 96 characters without spaces; white space belongs to a piece too. Python
# cuts between code points, so a piece is always valid text.
_PIECE = re.compile(r"(?:\S{1,24}\s{0,24}){1,4}|\s{1,24}")

_encoder = msgspec.json.Encoder()


def _encode(value: Any) -> bytes:
    return on_one_line(_encoder.encode(value))


def _frame(kind: str, members: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members}))


class _Places(NamedTuple):
    """The members of a message by the event that they come in."""

    start: dict[str, Any]
    delta: dict[str, Any]
    beside: dict[str, Any]


def _places(answer: dict[str, Any]) -> _Places:
    places = _Places({}, {name: answer[name] for name in _LATE if name in answer}, {})
    place = places.start
    for name, value in answer.items():
        if name == "content":
            place = places.delta
        elif name == "usage":
            place = places.beside
        elif name in _BESIDE:
            places.beside[name] = value
        elif name in _EARLY:
            places.start[name] = value
        elif name not in _LATE:
            place[name] = value
    return places


_WITH_START = frozenset({"cache_creation", "service_tier", "inference_geo", "speed"})
"""Members of usage that come only with `message_start`."""


def _late_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the members of usage that only `message_delta` has: see the order above."""
    names = list(usage)
    start = names.index("output_tokens") + 1 if "output_tokens" in usage else len(names)
    known = {*_CUMULATIVE, *_WITH_START}
    return {name: usage[name] for name in names[start:] if name not in known}


def _first_frame(answer: dict[str, Any], early: dict[str, Any], usage: dict[str, Any]) -> bytes:
    message = {**early, "content": [], **{name: None for name in _LATE if name in answer}}
    early = {"input_tokens": 0, "output_tokens": 0, **usage}
    if type(early["output_tokens"]) is int:
        early["output_tokens"] = min(1, early["output_tokens"])
    if "output_tokens_details" in early:
        early["output_tokens_details"] = None
    message["usage"] = early
    return _frame("message_start", {"message": message})


def _block_frames(index: int, block: dict[str, Any]) -> list[bytes]:
    start = block
    deltas: list[tuple[str, Any]] = []
    kind = block["type"]
    if kind == "text":
        start = {**block, "text": ""}
        deltas = [("text_delta", piece) for piece in _PIECE.findall(block["text"])]
        if block.get("citations"):
            start["citations"] = []
            deltas += [("citations_delta", citation) for citation in block["citations"]]
    elif kind == "thinking":
        start = {**block, "thinking": ""}
        deltas = [("thinking_delta", piece) for piece in _PIECE.findall(block["thinking"])]
        if block.get("signature"):
            start["signature"] = ""
            deltas.append(("signature_delta", block["signature"]))
    elif kind.endswith("tool_use") and block.get("input"):
        start = {**block, "input": {}}
        text = _encoder.encode(block["input"]).decode()
        deltas = [("input_json_delta", piece) for piece in _PIECE.findall(text)]
    # Redacted thinking, tool results and unknown kinds go whole into the start.
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % index
    return [
        _frame("content_block_start", {"index": index, "content_block": start}),
        *(
            b"%b%b%b}}\n\n" % (head, _DELTA_HEADS[delta_kind], _encode(piece))
            for delta_kind, piece in deltas
        ),
        _frame("content_block_stop", {"index": index}),
    ]


_DELTA_HEADS = {
    kind: f'"delta":{{"type":"{kind}","{member}":'.encode() for kind, (_, member) in _DELTAS.items()
}


def unfold(answer: dict[str, Any]) -> list[bytes]:
    """Return the frames of a stream that folds into this message."""
    usage = answer.get("usage") or {}
    places, late = _places(answer), _late_usage(usage)
    totals = {name: usage[name] for name in _CUMULATIVE if name in usage}
    early = {name: value for name, value in usage.items() if name not in late}
    frames = [_first_frame(answer, places.start, early)]
    for index, block in enumerate(answer["content"]):
        frames += _block_frames(index, block)
    total = {"output_tokens": 0, **totals, **late}
    finish = {**places.beside, "delta": places.delta, "usage": total}
    frames.append(_frame("message_delta", finish))
    frames.append(_frame("message_stop", {}))
    return frames
