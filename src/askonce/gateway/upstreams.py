"""Upstreams: the gateway's requests to providers, with the caller's own headers.

This uses an HTTP transport, one level below a client: it follows no redirects, keeps no cookies and
does not change bytes.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable

import httpx2

from askonce.core.directives import OWN_HEADERS
from askonce.core.models import Call
from askonce.core.protocols import Response
from askonce.core.request_headers import HeaderKinds, forwards
from askonce.core.response_headers import cleaned
from askonce.gateway.request_recorder import RequestRecorder
from askonce.gateway.routes import Origin

Headers = list[tuple[bytes, bytes]]

_OWN = frozenset(name.encode() for name in OWN_HEADERS)
# RFC 9110 section 7.6.1, and headers that the transport sets for the next hop.
_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"host",
        b"content-length", b"expect",
    }
)  # fmt: skip


def forwarded_headers(headers: Headers, *, keep_encoding: bool) -> Headers:
    """Return the caller's headers to forward; without `keep_encoding`, ask for no encoding."""
    named = {
        part.strip().lower()
        for name, value in headers
        if name == b"connection"
        for part in value.split(b",")
    }
    dropped = _HOP_BY_HOP | _OWN | named
    if not keep_encoding:
        dropped |= {b"accept-encoding"}
    kept = [
        (name, value)
        for name, value in headers
        if name not in dropped and forwards(name.decode("latin-1"))
    ]
    if not keep_encoding:
        kept.append((b"accept-encoding", b"identity"))
    elif not any(name == b"accept-encoding" for name, _ in kept):
        # The transport would add its own, and the caller could not decode the answer.
        kept.append((b"accept-encoding", b"identity"))
    return kept


def with_credential(headers: Headers, key: str, kinds: HeaderKinds) -> Headers:
    """Return the headers with the tenant's upstream key in place of the caller's own.

    All credentials of such a caller are the tenant's keys; those in a header that no provider reads
    are left out. `kinds` says which headers are credentials.
    """
    secret = key.encode()
    shown = {name for name, _ in headers}
    replaced = [
        (name, value) for name, value in headers if not kinds.is_credential(name.decode("latin-1"))
    ]
    named = (b"x-api-key", b"api-key", b"x-goog-api-key")
    replaced += [(name, secret) for name in named if name in shown]
    if b"authorization" in shown:
        replaced.append((b"authorization", b"Bearer " + secret))
    return replaced


def received_headers(response: httpx2.Response) -> list[tuple[str, str]]:
    """Return a provider's headers: names in lower case, one character for each byte of a value.

    `Date` is left out, because the gateway's server sets its own. Control characters in a value
    become spaces: the server would write them as they are, and break the response.
    """
    pairs = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in response.headers.raw]
    return [(name, cleaned(value)) for name, value in pairs if name != "date"]


class UpstreamConnections:
    """The gateway's connections to its providers.

    Parameters:
        connect_timeout: Seconds to connect, including the wait for a free connection.
        read_timeout: Seconds to wait for each piece that is read or written.
    """

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
        """Send a request and return the response, its body unread. Raises `httpx2` errors."""
        url = httpx2.URL(scheme=origin.scheme, host=origin.host, port=origin.port)
        request = httpx2.Request(
            method,
            url,
            headers=headers,
            content=body,
            # An explicit target: the URL would rewrite the path.
            extensions={"timeout": self._timeouts, "target": origin.prefix + path},
        )
        return await self._transport.handle_async_request(request)

    async def close(self) -> None:
        await self._transport.aclose()


class CallerUpstream:
    """An `Upstream` for one request, with the caller's headers.

    Parameters:
        connections: The connections to providers.
        origin: The provider's address.
        path: The path with its query.
        headers: The caller's headers, with the tenant's upstream key.
        recorder: Makes the recorder of a request to the provider; None if it is not logged.
    """

    def __init__(
        self,
        connections: UpstreamConnections,
        origin: Origin,
        path: bytes,
        headers: Headers,
        recorder: Callable[[], RequestRecorder | None] = lambda: None,
    ) -> None:
        self._connections = connections
        self._recorder = recorder
        self._origin = origin
        self._path = path
        self._headers = headers

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        """Send a request body; `raw` keeps the content encoding of the answer."""
        headers = forwarded_headers(self._headers, keep_encoding=raw)
        recorder = self._recorder()
        response = await self._connections.send(
            call.method, self._origin, self._path, headers, body
        )
        answer = UpstreamResponse(response, raw=raw)
        if recorder is not None:
            recorder.add_request(body)
            recorder.begin(answer.status, dict(answer.headers) if raw else {})
            return RecordedUpstream(answer, recorder)
        return answer


class UpstreamResponse:
    """A provider's answer, read piece by piece."""

    def __init__(self, response: httpx2.Response, *, raw: bool) -> None:
        self.status: int = response.status_code
        self.headers = received_headers(response)
        self._response = response
        self._pieces: AsyncIterator[bytes] = (
            response.aiter_raw() if raw else response.aiter_bytes()
        ).__aiter__()

    async def next(self) -> bytes | None:
        return await anext(self._pieces, None)

    async def close(self) -> None:
        await self._response.aclose()


class RecordedUpstream:
    """A provider's answer that is recorded for the request log."""

    def __init__(self, response: UpstreamResponse, recorder: RequestRecorder) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._recorder = recorder

    async def next(self) -> bytes | None:
        """Return the next piece; None at the end."""
        piece = await self._response.next()
        if piece is None:
            self._recorder.end()
        else:
            self._recorder.add_answer(piece)
        return piece

    async def close(self) -> None:
        """Close the connection and log what arrived."""
        self._recorder.end()
        await self._response.close()
