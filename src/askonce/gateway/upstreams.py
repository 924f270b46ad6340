"""Upstreams: how the gateway asks a provider, with the caller's own headers.

It works one level below an HTTP client: no redirects are followed, no cookies are kept, and bytes
come through as they are.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable

import httpx2

from askonce.core.directives import OWN_HEADERS
from askonce.core.models import Call
from askonce.core.protocols import Response
from askonce.gateway.request_recorder import RequestRecorder
from askonce.gateway.routes import Origin

Headers = list[tuple[bytes, bytes]]

_OWN = frozenset(name.encode() for name in OWN_HEADERS)
# RFC 9110 section 7.6.1, and what is worked out anew for the next hop.
_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"host",
        b"content-length", b"expect",
    }
)  # fmt: skip


def onward(headers: Headers, *, keep_encoding: bool) -> Headers:
    """A caller's headers as they go on; without `keep_encoding`, no content encoding is asked."""
    named = {
        part.strip().lower()
        for name, value in headers
        if name == b"connection"
        for part in value.split(b",")
    }
    dropped = _HOP_BY_HOP | _OWN | named
    if not keep_encoding:
        dropped |= {b"accept-encoding"}
    kept = [(name, value) for name, value in headers if name not in dropped]
    if not keep_encoding:
        kept.append((b"accept-encoding", b"identity"))
    elif not any(name == b"accept-encoding" for name, _ in kept):
        # The client library would add its own, and the caller could not read the answer.
        kept.append((b"accept-encoding", b"identity"))
    return kept


def with_credential(headers: Headers, key: str) -> Headers:
    """The headers with the tenant's upstream key in place of the caller's own."""
    secret = key.encode()
    shown = {name for name, _ in headers}
    replaced = [
        (name, value)
        for name, value in headers
        if name not in (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
    ]
    named = (b"x-api-key", b"api-key", b"x-goog-api-key")
    replaced += [(name, secret) for name in named if name in shown]
    if b"authorization" in shown:
        replaced.append((b"authorization", b"Bearer " + secret))
    return replaced


def arrived(response: httpx2.Response) -> list[tuple[str, str]]:
    """A provider's headers: lower-case names, values one character for each byte.

    Without `Date`: the server says when this response was made, and two would be one too many.
    """
    pairs = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in response.headers.raw]
    return [(name, value) for name, value in pairs if name != "date"]


class UpstreamConnections:
    """The gateway's connections to its providers."""

    def __init__(self, connect_timeout: float, read_timeout: float) -> None:
        self._transport = httpx2.AsyncHTTPTransport(
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=256)
        )
        self._timeouts = {
            "connect": connect_timeout,
            "read": read_timeout,
            "write": read_timeout,
            "pool": connect_timeout,
        }

    async def send(
        self,
        method: str,
        origin: Origin,
        path: bytes,
        headers: Headers,
        body: bytes | AsyncIterable[bytes] | None,
    ) -> httpx2.Response:
        """Send a request; the response's body has not been read. Raises `httpx2` errors."""
        url = httpx2.URL(scheme=origin.scheme, host=origin.host, port=origin.port)
        request = httpx2.Request(
            method,
            url,
            headers=headers,
            content=body,
            # A target of its own: the URL would write the path in another way.
            extensions={"timeout": self._timeouts, "target": origin.prefix + path},
        )
        return await self._transport.handle_async_request(request)

    async def close(self) -> None:
        await self._transport.aclose()


class Asker:
    """An `Upstream` for one request."""

    def __init__(
        self,
        connections: UpstreamConnections,
        origin: Origin,
        path: bytes,
        headers: Headers,
        tape: Callable[[], RequestRecorder | None] = lambda: None,
    ) -> None:
        self._connections = connections
        self._tape = tape
        self._origin = origin
        self._path = path
        self._headers = headers

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        headers = onward(self._headers, keep_encoding=raw)
        tape = self._tape()
        response = await self._connections.send(
            call.method, self._origin, self._path, headers, body
        )
        arrival = UpstreamResponse(response, raw=raw)
        if tape is not None:
            tape.ask(body)
            tape.begin(arrival.status, dict(arrival.headers) if raw else {})
            return RecordedUpstream(arrival, tape)
        return arrival


class UpstreamResponse:
    """A provider's answer on its way through the gateway."""

    def __init__(self, response: httpx2.Response, *, raw: bool) -> None:
        self.status: int = response.status_code
        self.headers = arrived(response)
        self._response = response
        self._pieces: AsyncIterator[bytes] = (
            response.aiter_raw() if raw else response.aiter_bytes()
        ).__aiter__()

    async def next(self) -> bytes | None:
        return await anext(self._pieces, None)

    async def close(self) -> None:
        await self._response.aclose()


class RecordedUpstream:
    """A provider's answer that is also logged."""

    def __init__(self, arrival: UpstreamResponse, tape: RequestRecorder) -> None:
        self.status = arrival.status
        self.headers = arrival.headers
        self._arrival = arrival
        self._tape = tape

    async def next(self) -> bytes | None:
        piece = await self._arrival.next()
        if piece is None:
            self._tape.end()
        else:
            self._tape.answer(piece)
        return piece

    async def close(self) -> None:
        self._tape.end()
        await self._arrival.close()
