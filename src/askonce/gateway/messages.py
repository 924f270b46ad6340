"""ASGI's messages: reading a request's body, sending a response."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from askonce.records import Because
from askonce.reply import Reply
from askonce.runtimes import Bell

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

_JSON = [(b"content-type", b"application/json")]


class TooLarge(Exception):
    """A request body is longer than the gateway takes."""


class CallerGone(Exception):
    """The caller went away before its request was whole."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """A request's headers by name; lines of the same name are one list (RFC 9110 section 5.3)."""
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
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": body})

    async def whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        await self.head(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    async def json(self, status: int, body: Any) -> None:
        await self.whole(status, _JSON, msgspec.json.encode(body))

    async def refuse(self, status: int, code: Because | str, message: str) -> None:
        """An error of the gateway itself, in the shape that every SDK can show."""
        error = {"message": message, "type": "askonce_error", "param": None, "code": str(code)}
        await self.json(status, {"type": "error", "error": error})

    async def relay(self, reply: Reply) -> None:
        """Send a reply as it arrives, and let go of it whatever happens."""
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
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def whole_body(receive: Receive, declared: bytes, limit: int) -> bytes:
    """The request's body. Raises TooLarge or CallerGone; a declared excess is not even read."""
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise TooLarge
        if not message.get("more_body", False):
            return b"".join(pieces) + piece if pieces else piece
        pieces.append(piece)


async def body_pieces(receive: Receive, ended: Bell) -> AsyncIterator[bytes]:
    """The request's body as it arrives; rings `ended` after the last piece."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        yield message.get("body", b"")
        more = message.get("more_body", False)
    ended.ring()


async def gone(receive: Receive, after: Bell | None = None) -> None:
    """Comes true when the caller goes away; with `after`, once its request was read."""
    if after is not None:
        await after.heard(None)
    while (await receive())["type"] != "http.disconnect":
        pass
