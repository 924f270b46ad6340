"""The log of requests: one JSON object a line, of which anything may be missing or wrong.

`{"ts": seconds, "provider": ..., "api": ..., "request": {...}, "response": {"usage": ...}?,
"session"?, "tenant"?, "duration_ms"?, "origin"?}`; `origin` is the provider's address, which says
who it is where its name does not. What is wrong with a line is told with its number, and
whether the rest of the line could be used; nothing here is fatal.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

APIS = ("chat", "responses", "messages", "gemini")
LONGEST = 64 << 20
"""How long a line may be, in bytes."""

_FOREIGN = {
    "chat": ("contents", "systemInstruction", "system_instruction", "system", "instructions"),
    "responses": ("contents", "systemInstruction", "system_instruction", "system", "messages"),
    "messages": ("contents", "systemInstruction", "system_instruction", "input", "instructions"),
    "gemini": ("messages", "input", "system", "instructions"),
}
_ROLES = {
    "messages": {"user", "assistant", "system"},
    "chat": {"system", "developer", "user", "assistant", "tool", "function"},
    "gemini": {"user", "model", "function"},
}
_CONVERSATION = {"chat": "messages", "messages": "messages", "gemini": "contents"}


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the log; `ts` is when it was sent, in seconds since the epoch."""

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
        """The same without what takes memory."""
        return msgspec.structs.replace(self, request={}, response=None)

    @property
    def model(self) -> str:
        """What the request names; a gateway of Gemini's has it in the path and logs it beside."""
        named = self.request.get("model")
        if isinstance(named, str) and named:
            return named
        answered = (self.response or {}).get("model") or (self.response or {}).get("modelVersion")
        return answered if isinstance(answered, str) else ""


class BadLine(msgspec.Struct, frozen=True):
    """What is wrong with a line; `used` says whether it counts all the same."""

    line: int
    why: str
    used: bool = False


class Unreadable(ValueError):
    """A line that cannot be used."""


def read_line(data: bytes, number: int) -> tuple[LogLine | None, BadLine | None]:
    """The request of a line, what is wrong with the line, or both; neither for an empty one."""
    if not data.strip():
        return None, None
    try:
        if len(data) > LONGEST:
            raise Unreadable(f"longer than {LONGEST >> 20} MiB")
        return _read(_object(data), number)
    except Unreadable as error:
        return None, BadLine(number, str(error))


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        cut = not data.rstrip().endswith(b"}")
        raise Unreadable("not JSON; the line is cut short" if cut else "not JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("not a JSON object")
    return found


def _read(found: Mapping[str, Any], number: int) -> tuple[LogLine, BadLine | None]:
    api = _text(found, "api")
    if api not in APIS:
        raise Unreadable(f"`api` is none of {', '.join(APIS)}")
    request = found.get("request")
    if not isinstance(request, dict):
        raise Unreadable("`request` is not an object" if "request" in found else _lacks("request"))
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
        raise Unreadable(f"`{name}` is not a text" if name in found else _lacks(name))
    return text.strip().lower()


def _seconds(found: Mapping[str, Any]) -> float:
    ts = found.get("ts")
    if ts is None or not _is_number(ts) or ts < 0:
        raise Unreadable("`ts` is not a number of seconds" if "ts" in found else _lacks("ts"))
    return float(ts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _name(value: Any) -> str | None:
    """A session's or tenant's name; numbers are names too."""
    return None if value is None or value == "" else str(value)


def _lacks(name: str) -> str:
    return f"`{name}` is missing"


def _check_dialect(api: str, request: Mapping[str, Any]) -> None:
    """Raises `Unreadable` where the request speaks another dialect than the line says."""
    foreign = [name for name in _FOREIGN[api] if name in request]
    if foreign:
        raise Unreadable(f"the request has `{foreign[0]}`, which {api} has not: mixed dialects")
    name = _CONVERSATION.get(api)
    if name is None:
        if not any(field in request for field in ("input", "prompt", "previous_response_id")):
            raise Unreadable("the request has no `input`")
        return
    turns = request.get(name)
    if api == "gemini" and isinstance(turns, str):
        return
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise Unreadable(f"the request has no `{name}`" if turns is None else f"bad `{name}`")
    for turn in turns:
        role = turn.get("role", "user")
        if isinstance(role, str) and role not in _ROLES[api]:
            raise Unreadable(f"the role {role[:20]!r} is none of {api}: mixed dialects")
