"""Laying out: the parts of a prompt, static first, in the words of each dialect.

What never changes stands in front, what changes slowly behind it, then the conversation so far,
and what changes with every call at the very end. The front comes out in the same bytes every time,
whatever stands behind it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["chat", "responses", "messages", "gemini", "converse"]

KINDS: tuple[Kind, ...] = ("chat", "responses", "messages", "gemini", "converse")

Member = dict[str, Any]

_encode = msgspec.json.Encoder().encode


class OrderingMarks(NamedTuple):
    """The lifetimes of the markers; None where none is to be set. An empty one is the default."""

    stable: str | None = None
    slow: str | None = None
    history: str | None = None


class Front(NamedTuple):
    """Everything that is the same in every call, as it was given."""

    model: str
    tools: bytes
    stable: tuple[str, ...]


class Prompt(dict[str, Any]):
    """A request's members, to be given to an SDK with `**` or sent as `body`.

    `prefix` is how `body` begins for every prompt of the same layout. `marked` says by JSON
    pointer where markers stand, and `reason` why there is none.
    """

    prefix: bytes = b""
    marked: tuple[str, ...] = ()
    reason: str = "ok"

    @property
    def body(self) -> bytes:
        """The members as compact JSON, in the order in which they were laid out."""
        return _encode(dict(self))

    @property
    def messages(self) -> list[Member]:
        """The messages, whatever the dialect calls them."""
        found: list[Member] = self.get("messages") or self.get("input") or self.get("contents", [])
        return found


class PromptOrdering:
    """One prompt being laid out."""

    def __init__(
        self, kind: Kind, front: Front, marks: OrderingMarks, *, breakpoints: bool
    ) -> None:
        """`breakpoints`: does an OpenAI model take them?"""
        self._kind = kind
        self._front = front
        self._marks = marks
        self._breakpoints = breakpoints
        self._tools: list[Member] = msgspec.json.decode(front.tools) if front.tools else []
        self.marked: list[str] = []

    def prompt(
        self,
        slow: Sequence[str],
        history: Sequence[Mapping[str, Any]],
        late: Sequence[str],
        message: str | Sequence[Mapping[str, Any]],
    ) -> Prompt:
        lead = self._lead([])
        prefix = self._begun(lead)
        found = Prompt(self._lead(slow))
        turns = self._history(history)
        turns.append(self._turn(late, message))
        where = {"responses": "input", "gemini": "contents"}.get(self._kind, "messages")
        found[where] = [*found.pop(where, []), *turns]
        found.prefix = prefix
        found.marked = tuple(dict.fromkeys(self.marked))
        return found

    def _begun(self, lead: Member) -> bytes:
        """The bytes that every prompt begins with: up to the end of the last static part."""
        whole = _encode(lead)
        last = next(reversed(lead)) if lead else ""
        # Behind it come more parts or more members: nothing that closes a bracket is the front.
        closing = {"systemInstruction": 3, "toolConfig": 3}.get(last, 2)
        return whole[:-closing] if last not in ("model", "modelId", "") else whole[:-1]

    def _lead(self, slow: Sequence[str]) -> Member:
        """Model, tools and instructions."""
        found: Member = {}
        if self._front.model and self._kind != "gemini":
            found["modelId" if self._kind == "converse" else "model"] = self._front.model
        if self._tools:
            found |= self._with_tools()
        parts = [(text, False) for text in self._front.stable] + [(text, True) for text in slow]
        if not parts:
            return found
        build = {
            "chat": self._chat,
            "responses": self._responses,
            "messages": self._messages,
            "gemini": self._gemini,
            "converse": self._converse,
        }
        return found | build[self._kind](parts)

    def _with_tools(self) -> Member:
        tools = [dict(tool) for tool in self._tools]
        alone = not self._front.stable and self._marks.stable is not None
        if self._kind == "converse":
            points = [self._point(self._marks.stable or "")] if alone else []
            if alone:
                self.marked.append(f"/toolConfig/tools/{len(tools)}")
            return {"toolConfig": {"tools": [*tools, *points]}}
        if self._kind == "messages" and alone:
            tools[-1] |= _control(self._marks.stable or "")
            self.marked.append(f"/tools/{len(tools) - 1}")
        return {"tools": tools}

    def _ends(self, parts: Sequence[tuple[str, bool]]) -> dict[int, str]:
        """The parts that a marker follows, with its lifetime: the last of each kind."""
        ends: dict[int, str] = {}
        for wanted, ttl in ((False, self._marks.stable), (True, self._marks.slow)):
            at = [place for place, (_, is_slow) in enumerate(parts) if is_slow is wanted]
            if at and ttl is not None:
                ends[at[-1]] = ttl
        return ends

    def _chat(self, parts: Sequence[tuple[str, bool]]) -> Member:
        return {"messages": self._instructing(parts, "system", "text", "messages")}

    def _responses(self, parts: Sequence[tuple[str, bool]]) -> Member:
        # Not in `instructions`: they carry no marker, and newer models read them last.
        return {"input": self._instructing(parts, "developer", "input_text", "input")}

    def _instructing(
        self, parts: Sequence[tuple[str, bool]], role: str, form: str, where: str
    ) -> list[Member]:
        ends = self._ends(parts) if self._breakpoints else {}
        found: list[Member] = []
        for at, (text, _) in enumerate(parts):
            if not self._breakpoints:
                found.append({"role": role, "content": text})
                continue
            block: Member = {"type": form, "text": text}
            if at in ends:
                block["prompt_cache_breakpoint"] = {"mode": "explicit"}
                self.marked.append(f"/{where}/{at}/content/0")
            found.append({"role": role, "content": [block]})
        return found

    def _messages(self, parts: Sequence[tuple[str, bool]]) -> Member:
        ends, blocks = self._ends(parts), []
        for at, (text, _) in enumerate(parts):
            block: Member = {"type": "text", "text": text}
            if at in ends:
                block |= _control(ends[at])
                self.marked.append(f"/system/{at}")
            blocks.append(block)
        return {"system": blocks}

    def _gemini(self, parts: Sequence[tuple[str, bool]]) -> Member:
        return {"systemInstruction": {"parts": [{"text": text} for text, _ in parts]}}

    def _converse(self, parts: Sequence[tuple[str, bool]]) -> Member:
        ends = self._ends(parts)
        blocks: list[Member] = []
        for at, (text, _) in enumerate(parts):
            blocks.append({"text": text})
            if at in ends:
                self.marked.append(f"/system/{len(blocks)}")
                blocks.append(self._point(ends[at]))
        return {"system": blocks}

    def _history(self, history: Sequence[Mapping[str, Any]]) -> list[Member]:
        turns: list[Member] = msgspec.json.decode(_encode(list(history)))
        ttl = self._marks.history
        if not turns or ttl is None or self._kind not in ("messages", "converse"):
            return turns
        last = turns[-1]
        content = last.get("content")
        if isinstance(content, str) and content.strip():
            form = {"type": "text", "text": content}
            content = [form if self._kind == "messages" else {"text": content}]
        if not isinstance(content, list) or not content:
            return turns
        at = len(turns) - 1
        if self._kind == "converse":
            self.marked.append(f"/messages/{at}/content/{len(content)}")
            turns[-1] = {**last, "content": [*content, self._point(ttl)]}
        elif content[-1].get("type") in ("text", "image", "document", "tool_use", "tool_result"):
            self.marked.append(f"/messages/{at}/content/{len(content) - 1}")
            marked = {**content[-1], **_control(ttl)}
            turns[-1] = {**last, "content": [*content[:-1], marked]}
        return turns

    def _turn(self, late: Sequence[str], message: str | Sequence[Mapping[str, Any]]) -> Member:
        """The last turn: what is true of this call alone, then what the user says."""
        texts = [*late, message] if isinstance(message, str) else list(late)
        more = [] if isinstance(message, str) else [dict(block) for block in message]
        if self._kind in ("gemini", "converse"):
            parts = [{"text": text} for text in texts]
            name = "parts" if self._kind == "gemini" else "content"
            return {"role": "user", name: [*parts, *more]}
        if len(texts) == 1 and not more:
            return {"role": "user", "content": texts[0]}
        form = "input_text" if self._kind == "responses" else "text"
        blocks = [{"type": form, "text": text} for text in texts]
        return {"role": "user", "content": [*blocks, *more]}

    def _point(self, ttl: str) -> Member:
        return {"cachePoint": {"type": "default"} | ({"ttl": ttl} if ttl else {})}


def _control(ttl: str) -> Member:
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})}
