"""The admin's doors: telling a running gateway over HTTP what to forget, and what happened.

Both exist only where `[admin]` names who may use them. Whatever is asked here leaves an audit line,
also what is refused, and no line has a secret in it.
"""

import contextlib
import functools
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from askonce.config.load import Settings
from askonce.core.errors import AskOnceError, ConfigError
from askonce.core.identity import CREDENTIALS, bare
from askonce.gateway.messages import (
    CallerGone,
    RawHeaders,
    Receive,
    Scope,
    Sender,
    TooLarge,
    headers_of,
    whole_body,
)
from askonce.invalidation import cache_groups, webhooks
from askonce.invalidation.target import read
from askonce.library.assembly import Assembly

LARGEST_BYTES = 64 << 10
_BODY_SECONDS = 10.0

_STRANGERS = {401, 405, 408, 413}
"""What is said to somebody who has not shown yet who it is."""

_EVENT_MEMBERS = {"event", "data", "id"}
_CREDENTIALS = {name.encode() for name in CREDENTIALS}

Door = Callable[[Scope, Receive, Sender], Awaitable[None]]


class _Refused(Exception):
    """Why a request is not carried out, and what its sender hears."""

    def __init__(self, status: int, code: str, message: str, headers: RawHeaders | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or []


class _Asked(NamedTuple):
    """Who asks, and what; `id` is what a webhook calls its message."""

    who: str
    members: dict[str, Any]
    id: str | None = None


Answered = tuple[Any, tuple[str, ...]]
"""What to answer, and the tags that were invalidated."""


class AdminEndpoints:
    """`POST /askonce/invalidate` and `POST /askonce/events`, as far as they exist."""

    def __init__(self, settings: Settings, assembly: Assembly) -> None:
        admin = settings.admin
        self._assembly = assembly
        self._token = None if admin.token is None else admin.token.encode()
        secret = admin.webhook_secret
        self._secret = None if secret is None else webhooks.secret_bytes(secret)
        self._in_time = functools.partial(assembly.suspending_runtime.within, _BODY_SECONDS)
        self._strangers = 0
        self.doors: dict[bytes, Door] = {}
        if self._token is not None:
            self.doors = {
                b"/askonce/invalidate": functools.partial(
                    self._take, "invalidate", self._invalidate
                ),
                b"/askonce/events": functools.partial(self._take, "events", self._event),
            }

    @property
    def exists(self) -> bool:
        """Is there a token that somebody could show?"""
        return self._token is not None

    def is_shown(self, headers: RawHeaders) -> bool:
        """Does a request show the admin's token? It must reach no provider."""
        return self._token is not None and any(
            hmac.compare_digest(self._token, bare(value.decode("latin-1")).encode("latin-1"))
            for name, value in headers
            if name in _CREDENTIALS
        )

    async def refuse_token(self, send: Sender) -> None:
        """Answer a call to a provider that was made with the admin's token."""
        why = "this is the gateway's admin token and no provider's key; it is passed on to nobody"
        self._assembly.audit("admin", {"refused": why})
        await send.refuse(401, "admin-token", why)

    async def _take(
        self,
        door: str,
        work: Callable[[_Asked], Awaitable[Answered]],
        scope: Scope,
        receive: Receive,
        send: Sender,
    ) -> None:
        headers = headers_of(scope)
        signed = self._is_signed(door, headers)
        who = "webhook" if signed else "admin"
        try:
            answer, tags = await work(await self._asked(who, scope, headers, receive))
        except CallerGone:
            return
        except _Refused as refused:
            self._note(who, door, refused)
            await send.refuse(refused.status, refused.code, str(refused), refused.headers)
            return
        names = [name for name in map(cache_groups.name_of, tags) if name is not None]
        more = (
            [(cache_groups.INVALIDATION.encode(), cache_groups.serialize(names).encode())]
            if names
            else []
        )
        await send.json(200, answer, more)

    def _note(self, who: str, door: str, refused: _Refused) -> None:
        what: dict[str, Any] = {"refused": str(refused), "door": door}
        if refused.status in _STRANGERS:
            # Anybody can be refused, as often as they like: of these every 1st, 2nd, 4th … is told.
            self._strangers += 1
            if self._strangers & (self._strangers - 1):
                return
            what["times"] = self._strangers
        self._assembly.audit(who, what)

    # Who asks

    def _is_signed(self, door: str, headers: Mapping[bytes, bytes]) -> bool:
        if door != "events" or self._secret is None or self.is_admin(headers):
            return False
        return any(name in headers for name in webhooks.HEADERS)

    def is_admin(self, headers: Mapping[bytes, bytes]) -> bool:
        if self._token is None:
            return False
        scheme, _, shown = headers.get(b"authorization", b"").strip().partition(b" ")
        fits = hmac.compare_digest(self._token, shown.strip())
        return fits and scheme.lower() == b"bearer"

    async def _asked(
        self, who: str, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> _Asked:
        if scope["method"] != "POST":
            raise _Refused(405, "method", "this is asked with POST", [(b"allow", b"POST")])
        signed = who == "webhook"
        if not signed and not self.is_admin(headers):
            shown = "is not the admin token" if b"authorization" in headers else "is missing"
            raise _unknown(f"Authorization: Bearer … {shown}")
        try:
            declared = headers.get(b"content-length", b"")
            # Also the first piece has to come in time: who asks here may be nobody.
            body = await self._in_time(whole_body(receive, declared, LARGEST_BYTES, self._in_time))
        except TooLarge:
            raise _Refused(
                413, "too-large", f"the body is longer than {LARGEST_BYTES} bytes"
            ) from None
        except TimeoutError:
            raise _Refused(408, "slow-body", "the body did not arrive in time") from None
        if not signed:
            return _Asked(who, _object(body))
        assert self._secret is not None
        now = self._assembly.suspending_runtime.now()
        if (fault := webhooks.fault(self._secret, headers, body, now)) is not None:
            raise _unknown(fault)
        return _Asked(who, _object(body), headers[b"webhook-id"].decode("latin-1"))

    # What is asked

    async def _invalidate(self, asked: _Asked) -> Answered:
        fields = dict(asked.members)
        dry_run = fields.pop("dry_run", False)
        if not isinstance(dry_run, bool):
            raise _Refused(400, "bad-fields", "dry_run is not true or false")
        with _as_answers():
            invalidation = read(fields, self._assembly.suspending_runtime.now())
            swept = await self._assembly.invalidate_in_thread(
                invalidation, who=asked.who, dry_run=dry_run
            )
        if dry_run:
            self._assembly.audit(asked.who, {"dry_run": invalidation.as_dict}, swept.entries)
        answer: dict[str, Any] = {
            "entries": swept.entries,
            "layers": swept.layers,
            "tags": list(invalidation.tags),
            "dry_run": dry_run,
        }
        if dry_run:
            answer["samples"] = swept.samples
        return answer, () if dry_run else invalidation.tags

    async def _event(self, asked: _Asked) -> Answered:
        members = asked.members
        if asked.who == "webhook":
            # Standard Webhooks says `type`, and its senders add members of their own.
            members = {"event": members.get("type"), **members}
            members = {name: members[name] for name in _EVENT_MEMBERS if name in members}
        elif unknown := members.keys() - _EVENT_MEMBERS:
            raise _Refused(
                400, "bad-fields", f"{min(unknown)!r} is not a member; there are event, data, id"
            )
        if not isinstance(members.get("event"), str):
            raise _Refused(400, "bad-fields", "event is not a text; write the event's name")
        data = members.get("data")
        # Of a webhook its message's own: what its body calls `id` may be a thing's.
        id_ = members.get("id") if asked.id is None else asked.id
        if id_ is not None and not isinstance(id_, str):
            raise _Refused(400, "bad-fields", "id is not a text; write it in quotes")
        with _as_answers():
            happened = await self._assembly.take_event_in_thread(
                members["event"],
                {} if data is None else data,
                event_id=id_,
                who=asked.who,
            )
        return happened, happened.tags


@contextlib.contextmanager
def _as_answers() -> Iterator[None]:
    """What the cache raises, as what the sender hears."""
    try:
        yield
    except ConfigError as error:
        raise _Refused(400, "bad-fields", _line(error)) from None
    except AskOnceError as error:
        raise _Refused(503, "store", f"not everything was told: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _unknown(why: str) -> _Refused:
    return _Refused(401, "unauthorized", why, [(b"www-authenticate", b"Bearer")])


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _Refused(400, "not-json", "the body is not JSON") from None
    if not isinstance(found, dict):
        raise _Refused(400, "not-json", "the body is not a JSON object")
    return found
