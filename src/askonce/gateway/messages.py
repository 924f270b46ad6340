"""ASGI messages: read the body of a request, send a response."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

import msgspec

from askonce.core.models import Reason
from askonce.core.runtime.interface import Event
from askonce.pipeline.present import Reply

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
InTime = Callable[[Coroutine[Any, Any, bytes]], Awaitable[bytes]]
RawHeaders = list[tuple[bytes, bytes]]

_JSON = [(b"content-type", b"application/json")]


class TooLarge(Exception):
    """A request body is longer than the gateway accepts."""


class CallerGone(Exception):
    """The caller went away."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return headers by name; lines of one name form a list (RFC 9110 section 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


class Sender:
    """A `send` that knows whether the response has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def head(self, status: int, headers: RawHeaders) -> None:
        """Send status and headers."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, body: bytes) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last piece of the body."""
        await self._send({"type": "http.response.body", "body": body})

    async def whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Send a whole response."""
        # Every hit comes through here: inlined instead of `head` and `end`.
        self.started = True
        sized = [*headers, (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": sized})
        await self._send({"type": "http.response.body", "body": body})

    async def json(self, status: int, body: Any, more: RawHeaders | None = None) -> None:
        """Send a JSON response, with more headers."""
        await self.whole(status, [*_JSON, *(more or [])], msgspec.json.encode(body))

    async def refuse(
        self, status: int, code: Reason | str, message: str, more: RawHeaders | None = None
    ) -> None:
        """Send an error of the gateway itself, in a form that every SDK can show."""
        error = {"message": message, "type": "askonce_error", "param": None, "code": str(code)}
        await self.json(status, {"type": "error", "error": error}, more)

    async def relay(self, reply: Reply) -> None:
        """Send a reply as it arrives, and close it in any case."""
        try:
            headers = encoded(reply.headers)
            if reply.body is not None:
                await self.whole(reply.status, headers, reply.body)
                return
            await self.head(reply.status, headers)
            while (piece := await reply.next()) is not None:
                await self.piece(piece)
            await self.end()
        finally:
            await reply.close()


def encoded(headers: list[tuple[str, str]]) -> RawHeaders:
    """Return headers as bytes."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def whole_body(receive: Receive, declared: bytes, limit: int, in_time: InTime) -> bytes:
    """Return the body of a request; refuse one whose declared length exceeds the limit unread.

    Raises TooLarge, CallerGone, or what `in_time` raises if the body does not end in time.
    """
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge
    body, more = await _piece(receive)
    if more:
        return await in_time(_with_the_rest(receive, body, limit))
    if len(body) > limit:
        raise TooLarge
    return body


async def _with_the_rest(receive: Receive, body: bytes, limit: int) -> bytes:
    pieces, size, more = [body], len(body), True
    while more:
        if size > limit:
            raise TooLarge
        piece, more = await _piece(receive)
        pieces.append(piece)
        size += len(piece)
    if size > limit:
        raise TooLarge
    return b"".join(pieces)


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    """Return the next piece of a body, and whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise CallerGone
    return message.get("body", b""), message.get("more_body", False)


async def body_pieces(receive: Receive, ended: Event) -> AsyncIterator[bytes]:
    """Yield the body of a request as it arrives; set `ended` after the last piece."""
    more = True
    while more:
        piece, more = await _piece(receive)
        yield piece
    ended.set()


async def gone(receive: Receive, after: Event | None = None) -> None:
    """Return when the caller goes away; with `after`, look only after that event."""
    if after is not None:
        await after.wait(None)
    while (await receive())["type"] != "http.disconnect":
        pass
