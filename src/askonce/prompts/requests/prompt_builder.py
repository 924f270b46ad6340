"""The builder of prompts: their parts in a cacheable order, in the form of each dialect.

Static parts come first, slowly changing ones next, then the conversation so far; parts that change
with every call come last. The static parts have the same bytes in every prompt of a layout.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["chat", "responses", "messages", "gemini", "converse"]
"""The dialects that prompts are written in; `converse` is Bedrock's."""

KINDS: tuple[Kind, ...] = ("chat", "responses", "messages", "gemini", "converse")

Member = dict[str, Any]

_encode = msgspec.json.Encoder().encode


class MarkerLifetimes(NamedTuple):
    """The lifetimes of the markers after each group of parts.

    An empty lifetime is the provider's default; None sets no marker.
    """

    stable: str | None = None
    slow: str | None = None
    history: str | None = None


class StaticParts(NamedTuple):
    """The parts that are the same in every call: the model, the tools as JSON, the texts."""

    model: str
    tools: bytes
    stable: tuple[str, ...]


class Prompt(dict[str, Any]):
    """The members of a request, for an SDK (`client.create(**prompt)`) or to send as `body`.

    Attributes:
        prefix: the bytes that `body` begins with in every prompt of the same layout.
        marked: the JSON pointers of the blocks that carry a cache marker.
        reason: `ok` if there is a marker, else the word for why there is none.
    """

    prefix: bytes = b""
    marked: tuple[str, ...] = ()
    reason: str = "ok"

    @property
    def body(self) -> bytes:
        """The members as compact JSON, in their order."""
        return _encode(dict(self))

    @property
    def messages(self) -> list[Member]:
        """The messages, under whichever name the dialect has for them."""
        found: list[Member] = self.get("messages") or self.get("input") or self.get("contents", [])
        return found


class PromptBuilder:
    """Builds one prompt; `breakpoints` says whether an OpenAI model takes them."""

    def __init__(
        self, kind: Kind, static: StaticParts, lifetimes: MarkerLifetimes, *, breakpoints: bool
    ) -> None:
        self._kind = kind
        self._static = static
        self._lifetimes = lifetimes
        self._breakpoints = breakpoints
        self._tools: list[Member] = msgspec.json.decode(static.tools) if static.tools else []
        self.marked: list[str] = []

    def build(
        self,
        slow: Sequence[str],
        history: Sequence[Mapping[str, Any]],
        volatile: Sequence[str],
        message: str | Sequence[Mapping[str, Any]],
    ) -> Prompt:
        prefix = self._prefix(self._head([]))
        found = Prompt(self._head(slow))
        turns = self._history(history)
        turns.append(self._last_turn(volatile, message))
        where = {"responses": "input", "gemini": "contents"}.get(self._kind, "messages")
        found[where] = [*found.pop(where, []), *turns]
        found.prefix = prefix
        found.marked = tuple(dict.fromkeys(self.marked))
        return found

    def _prefix(self, head: Member) -> bytes:
        """Return the bytes that every prompt begins with: up to the end of the static parts."""
        whole = _encode(head)
        last = next(reversed(head)) if head else ""
        # More parts or members follow it, so the closing brackets are not part of the prefix.
        closing = {"systemInstruction": 3, "toolConfig": 3}.get(last, 2)
        return whole[:-closing] if last not in ("model", "modelId", "") else whole[:-1]

    def _head(self, slow: Sequence[str]) -> Member:
        """Return the model, the tools and the instructions."""
        found: Member = {}
        if self._static.model and self._kind != "gemini":
            found["modelId" if self._kind == "converse" else "model"] = self._static.model
        if self._tools:
            found |= self._with_tools()
        parts = [(text, False) for text in self._static.stable] + [(text, True) for text in slow]
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
        alone = not self._static.stable and self._lifetimes.stable is not None
        if self._kind == "converse":
            points = [self._cache_point(self._lifetimes.stable or "")] if alone else []
            if alone:
                self.marked.append(f"/toolConfig/tools/{len(tools)}")
            return {"toolConfig": {"tools": [*tools, *points]}}
        if self._kind == "messages" and alone:
            tools[-1] |= _cache_control(self._lifetimes.stable or "")
            self.marked.append(f"/tools/{len(tools) - 1}")
        return {"tools": tools}

    def _ends(self, parts: Sequence[tuple[str, bool]]) -> dict[int, str]:
        """Return the parts that a marker follows, the last of each kind, with its lifetime."""
        ends: dict[int, str] = {}
        for wanted, ttl in ((False, self._lifetimes.stable), (True, self._lifetimes.slow)):
            at = [place for place, (_, is_slow) in enumerate(parts) if is_slow is wanted]
            if at and ttl is not None:
                ends[at[-1]] = ttl
        return ends

    def _chat(self, parts: Sequence[tuple[str, bool]]) -> Member:
        return {"messages": self._instructions(parts, "system", "text", "messages")}

    def _responses(self, parts: Sequence[tuple[str, bool]]) -> Member:
        # Not in `instructions`: those carry no marker, and newer models read them last.
        return {"input": self._instructions(parts, "developer", "input_text", "input")}

    def _instructions(
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
                block |= _cache_control(ends[at])
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
                blocks.append(self._cache_point(ends[at]))
        return {"system": blocks}

    def _history(self, history: Sequence[Mapping[str, Any]]) -> list[Member]:
        turns: list[Member] = msgspec.json.decode(_encode(list(history)))
        ttl = self._lifetimes.history
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
            turns[-1] = {**last, "content": [*content, self._cache_point(ttl)]}
        elif content[-1].get("type") in ("text", "image", "document", "tool_use", "tool_result"):
            self.marked.append(f"/messages/{at}/content/{len(content) - 1}")
            marked = {**content[-1], **_cache_control(ttl)}
            turns[-1] = {**last, "content": [*content[:-1], marked]}
        return turns

    def _last_turn(
        self, volatile: Sequence[str], message: str | Sequence[Mapping[str, Any]]
    ) -> Member:
        """Return the last turn: the parts of this call alone, then the user's message."""
        texts = [*volatile, message] if isinstance(message, str) else list(volatile)
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

    def _cache_point(self, ttl: str) -> Member:
        return {"cachePoint": {"type": "default"} | ({"ttl": ttl} if ttl else {})}


def _cache_control(ttl: str) -> Member:
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})}
