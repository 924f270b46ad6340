"""The anatomy of a request: its parts in the order in which a provider reads them.

Tools, then system text, then messages. Each part stays the sender's own bytes, and knows where a
marker can be put. What is found here that does not fit is `NotUnderstood`, and the request goes out
as it is.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from askonce.prompts.requests import chat, gemini, messages, responses
from askonce.prompts.requests.members import (
    Json,
    NotUnderstood,
    is_list,
    is_null,
    is_text,
    items,
    listed,
    members,
    value,
    whole,
)

Dialect = Literal["chat", "responses", "messages", "gemini"]
Section = Literal["tools", "system", "messages"]

DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages", "gemini")

INSTRUCTING = frozenset({"system", "developer"})

_MESSAGES = {"chat": "messages", "responses": "input", "messages": "messages", "gemini": "contents"}
_SYSTEM = {"responses": "instructions", "messages": "system", "gemini": "systemInstruction"}

# What the provider remembers of earlier calls: nobody here knows what the prompt is.
_ELSEWHERE = (
    "previous_response_id", "conversation", "prompt", "container", "mcp_servers", "cachedContent",
    "context_management", "thread", "thread_id", "previous_message_id",
)  # fmt: skip

_MARKERS = (
    b'"cache_control"', b'"prompt_cache_breakpoint"', b'"prompt_cache_options"', b'"cachePoint"',
)  # fmt: skip

_MEMBERS = {
    "chat": chat.KNOWN,
    "responses": responses.KNOWN,
    "messages": messages.KNOWN,
    "gemini": gemini.KNOWN,
}
_ROLES = {
    "chat": chat.ROLES,
    "responses": responses.ROLES,
    "messages": messages.ROLES,
    "gemini": gemini.ROLES,
}
_FORMS = {
    "chat": frozenset(chat.FORMS),
    "responses": frozenset(responses.FORMS),
    "messages": messages.FORMS,
}

# Nearly every message is a role and a text: how such a one begins, as SDKs write it.
_PLAIN = tuple(
    f'{{"role":{gap}"{role}",{gap}"content":{gap}"'.encode()
    for role in ("user", "assistant")
    for gap in ("", " ")
)


class _Block(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    type: str = ""
    content: str | list[_Block] | None = None


_message = msgspec.json.Decoder(_Message).decode


class RequestPart(msgspec.Struct):
    """One piece of a prompt. `role` is empty for tools and for Anthropic's system text.

    `pointer` is where it stands in the request as it was sent.
    """

    section: Section
    pointer: str
    raw: Json
    role: str = ""

    @property
    def asks(self) -> bool:
        """Does an answer follow it, so that the next call of a conversation goes on from here?"""
        return self.section == "messages" and self.role in ("user", "tool", "function")


def is_marked(body: bytes) -> bool:
    """Did the sender say itself what is to be cached?

    A quote within a JSON text is escaped, so only names of members are found.
    """
    return b"cache" in body and any(marker in body for marker in _MARKERS)


class RequestParts:
    """A request taken apart. Raises NotUnderstood."""

    def __init__(self, dialect: Dialect, body: bytes) -> None:
        self.dialect = dialect
        self.members = members(body)
        if any(not is_null(self.members.get(name)) for name in _ELSEWHERE):
            raise NotUnderstood("server-state")
        if not self.members.keys() <= _MEMBERS[dialect]:
            raise NotUnderstood
        self.tools = self._tools()
        self.system = self._system()
        self.messages = self._messages()
        self.tail: list[Json] = []
        """Messages of ours, behind everything else."""

    def parts(self) -> Iterable[RequestPart]:
        """All parts but the tail, in the provider's order."""
        if self.tools is not None:
            yield self.tools
        yield from self.system
        yield from self.messages

    def body(self, changed: Iterable[Section], more: dict[str, bytes]) -> bytes:
        """The request again, with these sections as they are now and these members added."""
        found = dict(self.members)
        changed = set(changed)
        if "tools" in changed and self.tools is not None:
            found["tools"] = self.tools.raw
        name = _SYSTEM.get(self.dialect)
        if "system" in changed and name is not None:
            self._put_system(found, name)
        if "messages" in changed or "system" in changed or self.tail:
            self._put_messages(found)
        return whole({**found, **more})

    def _put_system(self, found: dict[str, Json], name: str) -> None:
        own = [part for part in self.system if not part.role]
        if not own:
            found.pop(name, None)
        elif own[0].pointer == f"/{name}":
            found[name] = own[0].raw
        elif self.dialect == "gemini":
            found[name] = whole({**members(found[name]), "parts": listed([p.raw for p in own])})
        else:
            found[name] = listed([part.raw for part in own])

    def _put_messages(self, found: dict[str, Json]) -> None:
        early = [part.raw for part in self.system if part.role]
        every = [*early, *(part.raw for part in self.messages), *self.tail]
        alone = len(every) == 1 and is_text(every[0])
        found[_MESSAGES[self.dialect]] = every[0] if alone else listed(every)

    def _tools(self) -> RequestPart | None:
        tools = self.members.get("tools")
        if is_null(tools) or tools is None:
            return None
        if not is_list(tools):
            raise NotUnderstood
        return RequestPart("tools", "/tools", tools)

    def _system(self) -> list[RequestPart]:
        name = _SYSTEM.get(self.dialect)
        raw = self.members.get(name) if name is not None else None
        if raw is None or is_null(raw):
            return []
        if is_text(raw) and self.dialect != "gemini":
            return [RequestPart("system", f"/{name}", raw)]
        if self.dialect == "gemini":
            raw = members(raw).get("parts", b"")
            name = f"{name}/parts"
        if not is_list(raw) or self.dialect == "responses":
            raise NotUnderstood
        return [
            RequestPart("system", f"/{name}/{at}", block) for at, block in enumerate(items(raw))
        ]

    def _messages(self) -> list[RequestPart]:
        name = _MESSAGES[self.dialect]
        raw = self.members.get(name)
        if raw is None:
            raise NotUnderstood
        if self.dialect == "responses" and is_text(raw):
            return [RequestPart("messages", f"/{name}", raw, "user")]
        if not is_list(raw):
            raise NotUnderstood
        found: list[RequestPart] = []
        early = self.dialect in ("chat", "responses")
        for at, message in enumerate(items(raw)):
            role = _role_of(self.dialect, message)
            early = early and role in INSTRUCTING
            part = RequestPart("system" if early else "messages", f"/{name}/{at}", message, role)
            (self.system if early else found).append(part)
        return found


def _role_of(dialect: Dialect, raw: bytes) -> str:
    """Who speaks; what a tool of the Responses API said is a tool's. Raises NotUnderstood."""
    if dialect != "gemini" and raw.startswith(_PLAIN):
        return "user" if b'"user"' in raw[:16] else "assistant"
    try:
        found = _message(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotUnderstood from None
    role = found.role
    if dialect == "gemini" and not role:
        role = "user"
    if dialect == "responses" and not role and found.type in responses.ITEMS:
        return "tool" if found.type.endswith("_output") else found.type
    if role not in _ROLES[dialect]:
        raise NotUnderstood
    blocks = found.content if isinstance(found.content, list) else ()
    if dialect != "gemini" and not {one.type for one in blocks} <= _FORMS[dialect]:
        raise NotUnderstood
    return role


class PartBoundary(msgspec.Struct, frozen=True):
    """An end of a prefix. `size` is its bytes, `digest` names it and everything it hangs on."""

    kind: Literal["tools", "system", "turn", "end"]
    pointer: str
    size: int
    digest: bytes
    at: int
    """Which of its section's parts it ends with."""


def boundaries(
    anatomy: RequestParts, place: bytes, invalidators: Mapping[str, Section]
) -> list[PartBoundary]:
    """Where prefixes may end: behind the tools, each system part and each turn that asks.

    `place` is what sets caches apart (who asks whom for which model), `invalidators` are the
    parameters whose change loses a section and what follows it.
    """
    digest = hashlib.sha256(place)
    found: list[PartBoundary] = []
    size = 0

    def enter(section: Section) -> None:
        for name, loses in invalidators.items():
            if loses == section:
                digest.update(_parameter(anatomy.members, name))

    def end(kind: Literal["tools", "system", "turn"], part: RequestPart, at: int) -> None:
        found.append(PartBoundary(kind, part.pointer, size, digest.copy().digest()[:16], at))

    enter("tools")
    if anatomy.tools is not None:
        size += len(memoryview(anatomy.tools.raw))
        digest.update(anatomy.tools.raw)
        end("tools", anatomy.tools, 0)
    enter("system")
    for at, part in enumerate(anatomy.system):
        size += len(memoryview(part.raw))
        digest.update(part.raw)
        end("system", part, at)
    enter("messages")
    messages = anatomy.messages
    asks = [part.asks for part in messages]
    for at, (part, asked, more) in enumerate(zip(messages, asks, [*asks[1:], False], strict=True)):
        size += len(memoryview(part.raw))
        digest.update(part.raw)
        if asked and not more:
            end("turn", part, at)
    if found and found[-1].kind == "turn":
        found[-1] = msgspec.structs.replace(found[-1], kind="end")
    return found


def _parameter(found: Mapping[str, Json], name: str) -> bytes:
    outer, _, inner = name.partition(".")
    raw = found.get(outer)
    if raw is None or is_null(raw):
        return b""
    if inner:
        held = value(raw)
        raw = msgspec.json.encode(held.get(inner)) if isinstance(held, dict) else b""
    return b"\0" + name.encode() + b"\0" + bytes(raw)
