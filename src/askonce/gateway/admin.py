"""The admin endpoints: invalidate entries and send events to a running gateway over HTTP.

Both exist only if `[admin]` sets a token. Every request leaves an audit line, refused ones too, and
no line contains a secret.
"""

import contextlib
import functools
import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from askonce.config.settings import Settings
from askonce.core.errors import AskOnceError, ConfigError
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

_UNAUTHENTICATED = {401, 405, 408, 413}
"""The statuses of requests that were refused before they were authenticated."""

_EVENT_MEMBERS = {"event", "data", "id"}
_BASIC = re.compile(rb"basic +([A-Za-z0-9+/=_-]+)", re.IGNORECASE)

Endpoint = Callable[[Scope, Receive, Sender], Awaitable[None]]


class _Refused(Exception):
    """A request is refused, with this response."""

    def __init__(self, status: int, code: str, message: str, headers: RawHeaders | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or []


class _AdminRequest(NamedTuple):
    """An authenticated request: its sender, the members of its body, and a webhook's message id."""

    who: str
    members: dict[str, Any]
    id: str | None = None


Answer = tuple[Any, tuple[str, ...]]
"""The body of the response, and the tags that were invalidated."""


class AdminEndpoints:
    """`POST /askonce/invalidate` and `POST /askonce/events`; none without an admin token."""

    def __init__(self, settings: Settings, assembly: Assembly) -> None:
        admin = settings.admin
        self._assembly = assembly
        self._token = None if admin.token is None else admin.token.encode()
        secret = admin.webhook_secret
        self._secret = None if secret is None else webhooks.secret_bytes(secret)
        self._in_time = functools.partial(assembly.runtimes.async_.with_timeout, _BODY_SECONDS)
        self._unauthenticated = 0
        self.endpoints: dict[bytes, Endpoint] = {}
        if self._token is not None:
            self.endpoints = {
                b"/askonce/invalidate": functools.partial(
                    self._take, "invalidate", self._invalidate
                ),
                b"/askonce/events": functools.partial(self._take, "events", self._event),
            }

    @property
    def exists(self) -> bool:
        """Is an admin token set?"""
        return self._token is not None

    def carries_token(self, headers: Iterable[tuple[bytes, bytes]], query: bytes) -> bool:
        """Does a request carry the admin token, which must reach no provider?

        In any header and in the query, in any form: with a scheme, in a list, as a cookie, as the
        user or the password of `Basic`.
        """
        return self._token is not None and any(
            _holds(self._token, value) for value in (query, *(value for _, value in headers))
        )

    async def refuse_token(self, send: Sender) -> None:
        """Refuse a call to a provider that carries the admin token."""
        why = "this is the gateway's admin token, not a provider's key; it is never forwarded"
        self._assembly.invalidation.audit("admin", {"refused": why})
        await send.refuse(401, "admin-token", why)

    async def _take(
        self,
        name: str,
        work: Callable[[_AdminRequest], Awaitable[Answer]],
        scope: Scope,
        receive: Receive,
        send: Sender,
    ) -> None:
        headers = headers_of(scope)
        signed = self._is_signed(name, headers)
        who = "webhook" if signed else "admin"
        try:
            answer, tags = await work(await self._read(who, scope, headers, receive))
        except CallerGone:
            return
        except _Refused as refused:
            self._audit_refusal(who, name, refused)
            await send.refuse(refused.status, refused.code, str(refused), refused.headers)
            return
        groups = [group for group in map(cache_groups.name_of, tags) if group is not None]
        more = (
            [(cache_groups.INVALIDATION.encode(), cache_groups.serialize(groups).encode())]
            if groups
            else []
        )
        await send.json(200, answer, more)

    def _audit_refusal(self, who: str, name: str, refused: _Refused) -> None:
        what: dict[str, Any] = {"refused": str(refused), "door": name}
        if refused.status in _UNAUTHENTICATED:
            # Anyone can cause these at any rate: write only the 1st, 2nd, 4th … of them.
            self._unauthenticated += 1
            if self._unauthenticated & (self._unauthenticated - 1):
                return
            what["times"] = self._unauthenticated
        self._assembly.invalidation.audit(who, what)

    # Authentication

    def _is_signed(self, name: str, headers: Mapping[bytes, bytes]) -> bool:
        if name != "events" or self._secret is None or self.is_admin(headers):
            return False
        return any(header in headers for header in webhooks.HEADERS)

    def is_admin(self, headers: Mapping[bytes, bytes]) -> bool:
        """Does a request carry the admin token as its bearer token?"""
        if self._token is None:
            return False
        scheme, _, token = headers.get(b"authorization", b"").strip().partition(b" ")
        fits = hmac.compare_digest(self._token, token.strip())
        return fits and scheme.lower() == b"bearer"

    async def _read(
        self, who: str, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> _AdminRequest:
        if scope["method"] != "POST":
            raise _Refused(405, "method", "use POST here", [(b"allow", b"POST")])
        signed = who == "webhook"
        if not signed and not self.is_admin(headers):
            what = "is not the admin token" if b"authorization" in headers else "is missing"
            raise _unknown(f"Authorization: Bearer … {what}")
        try:
            declared = headers.get(b"content-length", b"")
            # The first piece has a deadline, too: the sender of a webhook is not known yet.
            body = await self._in_time(whole_body(receive, declared, LARGEST_BYTES, self._in_time))
        except TooLarge:
            raise _Refused(
                413, "too-large", f"the body is longer than {LARGEST_BYTES} bytes"
            ) from None
        except TimeoutError:
            raise _Refused(408, "slow-body", "the body did not arrive in time") from None
        if not signed:
            return _AdminRequest(who, _object(body))
        assert self._secret is not None
        now = self._assembly.runtimes.async_.now()
        if (fault := webhooks.fault(self._secret, headers, body, now)) is not None:
            raise _unknown(fault)
        return _AdminRequest(who, _object(body), headers[b"webhook-id"].decode("latin-1"))

    # Actions

    async def _invalidate(self, request: _AdminRequest) -> Answer:
        fields = dict(request.members)
        dry_run = fields.pop("dry_run", False)
        if not isinstance(dry_run, bool):
            raise _Refused(400, "bad-fields", "dry_run is not true or false")
        with _as_refusals():
            invalidation = read(fields, self._assembly.runtimes.async_.now())
            result = await self._assembly.invalidation.invalidate_in_thread(
                invalidation, who=request.who, dry_run=dry_run
            )
        if dry_run:
            self._assembly.invalidation.audit(
                request.who, {"dry_run": invalidation.as_dict}, result.entries
            )
        answer: dict[str, Any] = {
            "entries": result.entries,
            "layers": result.layers,
            "tags": list(invalidation.tags),
            "dry_run": dry_run,
        }
        if dry_run:
            answer["samples"] = result.samples
        return answer, () if dry_run else invalidation.tags

    async def _event(self, request: _AdminRequest) -> Answer:
        members = request.members
        if request.who == "webhook":
            # Standard Webhooks calls it `type`, and senders add members of their own.
            members = {"event": members.get("type"), **members}
            members = {name: members[name] for name in _EVENT_MEMBERS if name in members}
        elif unknown := members.keys() - _EVENT_MEMBERS:
            raise _Refused(
                400,
                "bad-fields",
                f"{min(unknown)!r} is not a member; use event, data, id",
            )
        if not isinstance(members.get("event"), str):
            raise _Refused(400, "bad-fields", "event is not a text; write the event's name")
        data = members.get("data")
        # The id of a webhook is in a header; an `id` in its body may mean something else.
        id_ = members.get("id") if request.id is None else request.id
        if id_ is not None and not isinstance(id_, str):
            raise _Refused(400, "bad-fields", "id is not a text; write it in quotes")
        with _as_refusals():
            result = await self._assembly.invalidation.take_event_in_thread(
                members["event"],
                {} if data is None else data,
                event_id=id_,
                who=request.who,
            )
        return result, result.tags


@contextlib.contextmanager
def _as_refusals() -> Iterator[None]:
    """Turn errors of the cache into refusals."""
    try:
        yield
    except ConfigError as error:
        raise _Refused(400, "bad-fields", _line(error)) from None
    except AskOnceError as error:
        raise _Refused(503, "store", f"not everything was invalidated: {_line(error)}") from None


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


def _holds(token: bytes, value: bytes) -> bool:
    """Whether a header's value or a query has the token in it, percent-encoded and in Basic too."""
    if token in value or token in unquote_to_bytes(value):
        return True
    for found in _BASIC.findall(value):
        text = found.replace(b"+", b"-").replace(b"/", b"_")
        with contextlib.suppress(ValueError):
            if token in urlsafe_b64decode(text + b"=" * (-len(text) % 4)):
                return True
    return False
