"""The parts of a request, as bytes, in the order in which a provider reads them.

Tools, then system text, then messages. Each part keeps the sender's own bytes. A request that does
not fit raises `NotUnderstood`, and is sent as it came.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from askonce.core.keys import CACHE_MARKERS
from askonce.prompts.provider.rules import Section
from askonce.prompts.requests import chat, gemini, messages, responses
from askonce.prompts.requests.dialects import INSTRUCTION_ROLES, Dialect
from askonce.prompts.requests.raw_json import (
    Json,
    NotUnderstood,
    is_list,
    is_null,
    is_text,
    join_list,
    join_object,
    parse_list,
    parse_object,
    parse_value,
)

_MESSAGES = {"chat": "messages", "responses": "input", "messages": "messages", "gemini": "contents"}
_SYSTEM = {"responses": "instructions", "messages": "system", "gemini": "systemInstruction"}

# Members by which the provider adds what it kept of earlier calls: the prompt is not known here.
_SERVER_STATE = (
    "previous_response_id", "conversation", "prompt", "container", "mcp_servers", "cachedContent",
    "context_management", "thread", "thread_id", "previous_message_id",
)  # fmt: skip

_CACHE_MEMBERS = tuple(
    f'"{name}"'.encode() for name in sorted({*CACHE_MARKERS, "prompt_cache_options"})
)

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

# Nearly every message is a role and a text; these are its first bytes as SDKs write it.
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
    """One piece of a prompt.

    section  the part of the prompt that it belongs to
    pointer  its JSON pointer in the request as it was sent
    raw      its bytes
    role     the role of its message; empty for tools and for Anthropic's system text
    """

    section: Section
    pointer: str
    raw: Json
    role: str = ""

    @property
    def awaits_answer(self) -> bool:
        """Whether an answer follows, so that the conversation's next call continues from here."""
        return self.section == "messages" and self.role in ("user", "tool", "function")


def is_marked(body: bytes) -> bool:
    """Return whether the sender itself asked the provider to cache something.

    Quotes within a JSON text are escaped, so only the names of members match.
    """
    return b"cache" in body and any(name in body for name in _CACHE_MEMBERS)


class RequestParts:
    """A request as its parts, from its dialect and its body. Raises NotUnderstood."""

    def __init__(self, dialect: Dialect, body: bytes) -> None:
        self.dialect = dialect
        self.members = parse_object(body)
        if any(not is_null(self.members.get(name)) for name in _SERVER_STATE):
            raise NotUnderstood("server-state")
        if not self.members.keys() <= _MEMBERS[dialect]:
            raise NotUnderstood
        self.tools = self._tools()
        self.system = self._system()
        self.messages = self._messages()
        self.tail: list[Json] = []
        """Messages that the optimizer adds at the end."""

    def body(self, changed: Iterable[Section], more: dict[str, bytes]) -> bytes:
        """Encode the request with the changed sections replaced and more members added."""
        found = dict(self.members)
        changed = set(changed)
        if "tools" in changed and self.tools is not None:
            found["tools"] = self.tools.raw
        name = _SYSTEM.get(self.dialect)
        if "system" in changed and name is not None:
            self._put_system(found, name)
        if "messages" in changed or "system" in changed or self.tail:
            self._put_messages(found)
        return join_object({**found, **more})

    def _put_system(self, found: dict[str, Json], name: str) -> None:
        own = [part for part in self.system if not part.role]
        if not own:
            found.pop(name, None)
        elif own[0].pointer == f"/{name}":
            found[name] = own[0].raw
        elif self.dialect == "gemini":
            found[name] = join_object(
                {**parse_object(found[name]), "parts": join_list([p.raw for p in own])}
            )
        else:
            found[name] = join_list([part.raw for part in own])

    def _put_messages(self, found: dict[str, Json]) -> None:
        early = [part.raw for part in self.system if part.role]
        every = [*early, *(part.raw for part in self.messages), *self.tail]
        alone = len(every) == 1 and is_text(every[0])
        found[_MESSAGES[self.dialect]] = every[0] if alone else join_list(every)

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
            raw = parse_object(raw).get("parts", b"")
            name = f"{name}/parts"
        if not is_list(raw) or self.dialect == "responses":
            raise NotUnderstood
        return [
            RequestPart("system", f"/{name}/{at}", block)
            for at, block in enumerate(parse_list(raw))
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
        for at, message in enumerate(parse_list(raw)):
            role = _role_of(self.dialect, message)
            early = early and role in INSTRUCTION_ROLES
            part = RequestPart("system" if early else "messages", f"/{name}/{at}", message, role)
            (self.system if early else found).append(part)
        return found


def _role_of(dialect: Dialect, raw: bytes) -> str:
    """Return a message's role; for an item of the Responses API, its type. Raises NotUnderstood."""
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


class PrefixBoundary(msgspec.Struct, frozen=True):
    """The end of a prefix that a provider may cache.

    kind     what the prefix ends with; `end` is the last turn of the prompt
    pointer  the JSON pointer of its last part
    size     its bytes
    digest   identifies it, with everything that its cache entry depends on
    at       the index of its last part in its section
    """

    kind: Literal["tools", "system", "turn", "end"]
    pointer: str
    size: int
    digest: bytes
    at: int


def boundaries(
    request: RequestParts, scope: bytes, invalidators: Mapping[str, Section]
) -> list[PrefixBoundary]:
    """Find where prefixes may end: after the tools, each system part and each turn of the user.

    `scope` separates caches from each other, as by caller, origin and path; `invalidators` are the
    parameters whose change loses a section and what follows it.
    """
    digest, size = hashlib.sha256(scope), 0
    found: list[PrefixBoundary] = []

    def add_parameters(section: Section) -> None:
        for name, loses in invalidators.items():
            if loses == section:
                digest.update(_parameter(request.members, name))

    def end(kind: Literal["tools", "system", "turn"], part: RequestPart, at: int) -> None:
        found.append(PrefixBoundary(kind, part.pointer, size, digest.copy().digest()[:16], at))

    add_parameters("tools")
    if request.tools is not None:
        size += len(memoryview(request.tools.raw))
        digest.update(request.tools.raw)
        end("tools", request.tools, 0)
    add_parameters("system")
    for at, part in enumerate(request.system):
        size += len(memoryview(part.raw))
        digest.update(part.raw)
        end("system", part, at)
    add_parameters("messages")
    turns = [part.awaits_answer for part in request.messages]
    pairs = zip(request.messages, turns, [*turns[1:], False], strict=True)
    for at, (part, ends, more) in enumerate(pairs):
        size += len(memoryview(part.raw))
        digest.update(part.raw)
        if ends and not more:
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
        held = parse_value(raw)
        raw = msgspec.json.encode(held.get(inner)) if isinstance(held, dict) else b""
    return b"\0" + name.encode() + b"\0" + bytes(raw)
