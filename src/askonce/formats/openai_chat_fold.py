"""Chat Completions folded: the chunks of a stream become one response.

Folding is strict. If chunks contradict each other (a call changes its name, a text becomes a list)
the folding fails, because a guess must not be stored.

The order of the response's members says when they came: what stands before `choices` came with the
first chunk, what stands after them later, and `usage` after them came in a chunk of its own, as
`include_usage` asks for. `openai_chat_stream.unfold` sends them in that order again.
"""

from typing import Any

import msgspec

from askonce.core.models import Reason
from askonce.core.sse import SseEvent
from askonce.formats.finish_reasons import unfit
from askonce.formats.json_values import is_json
from askonce.formats.openai_chat_stream import CALLS, is_usage_alone
from askonce.formats.pieces import (
    ContradictionError,
    Growing,
    GrowingText,
    grow,
    grow_content,
    joined,
)

_decode = msgspec.json.Decoder().decode


class ChatFold:
    """Builds one non-streamed response from its chunks.

    Parameters:
        choices: how many choices were asked for; fewer are whole only if `[DONE]` says so.
    """

    def __init__(self, choices: int = 1) -> None:
        self._asked = choices
        self.ended = False
        self.failed: Reason | None = None
        self._early: dict[str, Any] = {}
        self._late: dict[str, Any] = {}
        self._usage: Any = None
        self._usage_alone = True
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
        except (ContradictionError, ValueError, RecursionError):
            self.failed = Reason.GARBAGE

    def finish(self) -> None:
        """End with the body: without `[DONE]`, it is whole if every choice has ended."""
        if self.failed is None and len(self._choices) >= self._asked:
            self.ended = self.ended or all(each.has_ended for each in self._choices.values())

    def _add(self, chunk: dict[str, Any], name: bytes) -> None:
        if name == b"error" or chunk.get("error") is not None or chunk.get("object") == "error":
            self.failed = Reason.STREAM_ERROR
            return
        for member, value in chunk.items():
            if member == "usage":
                if value is not None:
                    self._usage = _object(value)
                    self._usage_alone = self._usage_alone and is_usage_alone(chunk)
            elif member not in ("choices", "obfuscation") and (
                # The fast path: every chunk repeats what it belongs to.
                member not in self._early or self._early[member] != value
            ):
                self._keep(member, value)
        for part in _array(chunk.get("choices")):
            index = _object(part).get("index")
            index = 0 if index is None else index
            if type(index) is not int:
                raise ContradictionError
            if index not in self._choices:
                self._choices[index] = _Choice(index)
            self._choices[index].add(part)
            if (delta := part.get("delta")) and delta.get("audio") is not None:
                self.failed = Reason.AUDIO

    def _keep(self, member: str, value: Any) -> None:
        """Keep the latest value of a member, unless it is empty; note whether it came late."""
        if not self._choices or type(value) not in (dict, list):
            _keep(self._early, member, value)
        elif member not in self._early and (value or member not in self._late):
            self._late[member] = value
        elif value and self._early.get(member) != value:
            self._early.pop(member, None)
            self._late[member] = value

    def answer(self) -> dict[str, Any]:
        choices = [self._choices[index].whole() for index in sorted(self._choices)]
        answer = {**self._early, "object": "chat.completion"}
        usage = {} if self._usage is None else {"usage": self._usage}
        if not self._usage_alone:
            answer |= usage
        return {**answer, "choices": choices, **usage, **self._late}


class _Choice:
    """One of the `n` answers, as far as it has arrived."""

    def __init__(self, index: int) -> None:
        self._members: dict[str, Any] = {"index": index}
        self._message = Growing(role="assistant", content=None)
        self._logprobs: dict[str, Any] | None = None
        self._calls: _Calls | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has a finish reason."""
        finish = self._members.get("finish_reason")
        return type(finish) is str and unfit(finish) is not Reason.CUT_SHORT

    def add(self, part: dict[str, Any]) -> None:
        for member, value in part.items():
            if member == "logprobs":
                self._members.setdefault("logprobs", None)
                if value is not None:
                    self._logprobs = self._logprobs or {}
                    for name, tokens in _object(value).items():
                        _extend(self._logprobs, name, tokens)
            elif member == "delta":
                self._add_delta(_object(value or {}))
            elif member == "finish_reason":
                if value is not None or member not in self._members:
                    self._finish(value)
            elif member not in ("index", "message"):
                # Some providers repeat the whole message so far beside each delta.
                if type(value) is list and not any(type(each) is dict for each in value):
                    _extend(self._members, member, value)
                else:
                    _keep(self._members, member, value)

    def _finish(self, finish: Any) -> None:
        """Keep the latest finish reason, but never forget that the answer is not whole."""
        held = self._members.get("finish_reason")
        if type(held) is not str or not held or unfit(held) in (None, Reason.CUT_SHORT):
            _keep(self._members, "finish_reason", finish)

    def _add_delta(self, delta: dict[str, Any]) -> None:
        message = self._message
        for member, value in delta.items():
            held = message.get(member)
            if type(held) is GrowingText and type(value) is str:
                held.pieces.append(value)
            elif value is None:
                message.setdefault(member, None)
            elif member == "role":
                _keep(message, member, value)
            elif member == "content":
                grow_content(message, value)
            elif member == "tool_calls":
                message[member] = []
                if self._calls is None:
                    self._calls = _Calls()
                self._calls.add(_array(value))
            elif member == "function_call":
                if type(held) is not Growing:
                    held = message[member] = Growing()
                _add_called(held, _object(value), "arguments")
            else:
                if member == "refusal" and type(value) is not str:
                    raise ContradictionError
                grow(message, member, value)

    def whole(self) -> dict[str, Any]:
        message = joined(self._message)
        if self._calls is not None:
            message["tool_calls"] = self._calls.whole()
        choice = {"finish_reason": None, **self._members, "message": message}
        if self._logprobs is not None:
            choice["logprobs"] = self._logprobs
        return choice


class _Calls:
    """The tool calls of a message.

    A fragment says by its index which call it belongs to. Without one, its ID says so, a name
    begins a call, and anything else continues the last one.
    """

    def __init__(self) -> None:
        self._calls: list[tuple[int, Growing]] = []
        self._by_index: dict[int, list[Growing]] = {}
        self._by_id: dict[str, Growing] = {}

    def add(self, fragments: list[Any]) -> None:
        last = self._calls[-1][1] if self._calls else None
        for fragment in fragments:
            index = _object(fragment).get("index")
            if type(index) is int:
                call = self._indexed(index, fragment)
            elif index is not None:
                raise ContradictionError
            else:
                call = self._unindexed(fragment, last, alone=len(fragments) == 1)
            if call is None:
                call = Growing()
                place = index if type(index) is int else len(self._calls)
                self._calls.append((place, call))
                self._by_index.setdefault(place, []).append(call)
            _add_call(call, fragment)
            if identity := call.get("id"):
                self._by_id[identity] = call

    def _indexed(self, index: int, fragment: dict[str, Any]) -> Growing | None:
        held = self._by_index.get(index)
        if held is None:
            return None
        # Some providers number all calls 0, and send each in one piece.
        identity, last = fragment.get("id"), held[-1]
        if identity and last.get("id") not in (None, "", identity) and _is_whole(fragment):
            return None if _is_whole(joined(last)) else last
        return last

    def _unindexed(
        self, fragment: dict[str, Any], last: Growing | None, *, alone: bool
    ) -> Growing | None:
        identity = fragment.get("id")
        if type(identity) is str and identity in self._by_id:
            return self._by_id[identity]
        names = [_object(fragment.get(kind) or {}).get("name") for kind in CALLS]
        if last is None or identity or any(names):
            return None
        if not alone:
            raise ContradictionError
        return last

    def whole(self) -> list[dict[str, Any]]:
        calls = []
        for _, call in sorted(self._calls, key=lambda placed: placed[0]):
            made = joined(call)
            if not made.get("type"):
                made = {**made, "type": "custom" if made.get("custom") else "function"}
            calls.append(made)
        return calls


def _is_whole(call: dict[str, Any]) -> bool:
    """Whether a fragment is a whole call: with a name, and with arguments that are an object."""
    called = call.get("function")
    if type(called) is not dict or not called.get("name"):
        return False
    arguments = called.get("arguments")
    if type(arguments) is str:
        return arguments.lstrip().startswith("{") and is_json(arguments)
    return type(arguments) is dict


def _add_call(call: Growing, fragment: dict[str, Any]) -> None:
    for member, value in fragment.items():
        if member in CALLS and value is not None:
            called = call.get(member)
            if type(called) is not Growing:
                called = call[member] = Growing()
            _add_called(called, _object(value), CALLS[member])
        elif member in ("id", "type"):
            _keep_once(call, member, value)
        elif member != "index":
            _keep(call, member, value)


def _add_called(called: Growing, fragment: dict[str, Any], argument: str) -> None:
    for member, value in fragment.items():
        if member == argument:
            _add_argument(called, member, value)
        elif member == "name":
            _keep_once(called, member, value)
        else:
            _keep(called, member, value)


def _add_argument(called: Growing, name: str, value: Any) -> None:
    """Extend arguments by a text, or take them whole as an object."""
    held = called.get(name)
    if type(value) is dict:
        if (type(held) is GrowingText and any(held.pieces)) or (
            type(held) is dict and held != value
        ):
            raise ContradictionError
        called[name] = value
    elif type(held) is dict or type(value) not in (str, type(None)):
        if value not in ("", None):
            raise ContradictionError
    else:
        grow(called, name, value)


def _keep(into: dict[str, Any], name: str, value: Any) -> None:
    """Keep the latest value, unless it is empty."""
    if value or name not in into:
        into[name] = value


def _extend(into: dict[str, Any], name: str, value: Any) -> None:
    """Extend a list, as of tokens; keep the latest of anything else."""
    held = into.get(name)
    if type(held) is list and type(value) is list:
        held.extend(value)
    else:
        _keep(into, name, value)


def _keep_once(into: dict[str, Any], name: str, value: Any) -> None:
    """Keep a name or an ID, which may be repeated but never changes."""
    if value is not None and type(value) is not str:
        raise ContradictionError
    if value and into.get(name) and into[name] != value:
        raise ContradictionError
    _keep(into, name, value)


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ContradictionError
    return value


def _array(value: Any) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list:
        raise ContradictionError
    return value
