"""The lines of a log of requests: one JSON object each, in which anything may be missing or wrong.

`{"ts": seconds, "provider": ..., "api": ..., "request": {...}, "response": {"usage": ...}?,
"session"?, "tenant"?, "duration_ms"?, "origin"?}`; `origin` is the provider's URL, which identifies
it if its name does not. A wrong line is reported with its number, and with whether the rest of it
could be used; nothing here is fatal.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from askonce.prompts.requests import chat, gemini, messages
from askonce.prompts.requests.dialects import DIALECTS

LONGEST = 64 << 20
"""The longest line that is read, in bytes."""

_FOREIGN = {
    "chat": ("contents", "systemInstruction", "system_instruction", "system", "instructions"),
    "responses": ("contents", "systemInstruction", "system_instruction", "system", "messages"),
    "messages": ("contents", "systemInstruction", "system_instruction", "input", "instructions"),
    "gemini": ("messages", "input", "system", "instructions"),
}
_ROLES = {"messages": messages.ROLES, "chat": chat.ROLES, "gemini": gemini.ROLES}
_CONVERSATION = {"chat": "messages", "messages": "messages", "gemini": "contents"}


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the log; `ts` is when it was sent, in seconds since the Unix epoch."""

    number: int
    ts: float
    provider: str
    api: str
    request: dict[str, Any]
    response: dict[str, Any] | None = None
    session: str | None = None
    tenant: str | None = None
    duration: float | None = None  # seconds
    origin: str = ""

    def without_bodies(self) -> "LogLine":
        """Return the line without its bodies, which take memory."""
        return msgspec.structs.replace(self, request={}, response=None)

    @property
    def model(self) -> str:
        """The model that the request names, else the one that the response names."""
        named = self.request.get("model")
        if isinstance(named, str) and named:
            return named
        answered = (self.response or {}).get("model") or (self.response or {}).get("modelVersion")
        return answered if isinstance(answered, str) else ""


class BadLine(msgspec.Struct, frozen=True):
    """What is wrong with a line, and whether it was `used` nevertheless."""

    line: int
    why: str
    used: bool = False


class UnreadableLine(ValueError):
    """A line that cannot be used."""


def read_line(data: bytes, number: int) -> tuple[LogLine | None, BadLine | None]:
    """Return a line's request, what is wrong with the line, or both; neither for an empty line."""
    if not data.strip():
        return None, None
    try:
        if len(data) > LONGEST:
            raise UnreadableLine(f"longer than {LONGEST >> 20} MiB")
        return _read(_object(data), number)
    except UnreadableLine as error:
        return None, BadLine(number, str(error))


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        cut = not data.rstrip().endswith(b"}")
        raise UnreadableLine("not JSON; the line is cut short" if cut else "not JSON") from None
    if not isinstance(found, dict):
        raise UnreadableLine("not a JSON object")
    return found


def _read(found: Mapping[str, Any], number: int) -> tuple[LogLine, BadLine | None]:
    api = _text(found, "api")
    if api not in DIALECTS:
        raise UnreadableLine(f"`api` is none of {', '.join(DIALECTS)}")
    request = found.get("request")
    if not isinstance(request, dict):
        raise UnreadableLine(_why_not(found, "request", "an object"))
    if "model" not in request and isinstance(found.get("model"), str):
        request = {"model": found["model"], **request}
    _check_dialect(api, request)
    response = found.get("response")
    duration = found.get("duration_ms")
    bad = None
    if response is not None and not isinstance(response, dict):
        response, bad = None, BadLine(number, "`response` is not an object", used=True)
    if duration is not None and not _is_number(duration):
        duration, bad = None, BadLine(number, "`duration_ms` is not a number", used=True)
    line = LogLine(
        number=number,
        ts=_seconds(found),
        provider=_text(found, "provider"),
        api=api,
        request=request,
        response=response,
        session=_name(found.get("session")),
        tenant=_name(found.get("tenant")),
        duration=None if duration is None else max(0.0, duration / 1e3),
        origin=_name(found.get("origin")) or "",
    )
    return line, bad


def _text(found: Mapping[str, Any], name: str) -> str:
    text = found.get(name)
    if not isinstance(text, str) or not text.strip():
        raise UnreadableLine(_why_not(found, name, "a text"))
    return text.strip().lower()


def _seconds(found: Mapping[str, Any]) -> float:
    ts = found.get("ts")
    if ts is None or not _is_number(ts) or ts < 0:
        raise UnreadableLine(_why_not(found, "ts", "a number of seconds"))
    return float(ts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _name(value: Any) -> str | None:
    """Read the name of a session or tenant; numbers are names too."""
    return None if value is None or value == "" else str(value)


def _why_not(found: Mapping[str, Any], name: str, expected: str) -> str:
    return f"`{name}` is not {expected}" if name in found else f"`{name}` is missing"


def _check_dialect(api: str, request: Mapping[str, Any]) -> None:
    """Raise UnreadableLine if the request is in another dialect than `api` says."""
    foreign = [name for name in _FOREIGN[api] if name in request]
    if foreign:
        raise UnreadableLine(f"the request has `{foreign[0]}`, which {api} has not: mixed dialects")
    name = _CONVERSATION.get(api)
    if name is None:
        if not any(field in request for field in ("input", "prompt", "previous_response_id")):
            raise UnreadableLine("the request has no `input`")
        return
    turns = request.get(name)
    if api == "gemini" and isinstance(turns, str):
        return
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UnreadableLine(f"the request has no `{name}`" if turns is None else f"bad `{name}`")
    for turn in turns:
        role = turn.get("role", "user")
        if isinstance(role, str) and role not in _ROLES[api]:
            raise UnreadableLine(f"the role {role[:20]!r} is none of {api}: mixed dialects")
