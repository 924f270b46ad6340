"""uvicorn's HTTP protocol, with the writes of one turn of the event loop joined.

uvicorn writes the head and the body of a response separately. Each write is a system call and a
packet, and for a memory hit the second one costs a fifth of the processor time. Joining them delays
nothing: they leave before the loop looks for new events.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from askonce.core.request_headers import FRAMING

EMPTY_QUERY = "askonce.empty_query"
"""The key in a scope that says that its path ended with a question mark."""
_AT_ONCE = 65_536  # bytes; more is sent at once, so that back-pressure works


class JoinedWrites:
    """A transport that sends the writes of one turn of the event loop together at its end."""

    __slots__ = ("_bytes", "_pieces", "_soon", "_transport", "is_closing")

    def __init__(self, transport: Any, soon: Callable[[Callable[[], None]], object]) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing  # read for every response
        self._soon = soon
        self._pieces: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._soon(self._flush)
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes > _AT_ONCE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        self._bytes = 0
        # The caller may be gone, and its transport closed.
        if pieces and not self.is_closing():
            self._transport.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with joined writes, and with headers that are fixed before a request runs.

    uvicorn appends the trailers of a chunked body to the headers, perhaps before the application
    reads them: a trailer could then name the caller. Headers that `Connection` names end here.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedWrites(transport, self.loop.call_soon))  # type: ignore[arg-type]

    def on_headers_complete(self) -> None:
        self.scope["headers"] = end_to_end(self.headers)
        if self.url.endswith(b"?"):  # an empty query is one: `/v1/files?` stays as it is
            self.scope[EMPTY_QUERY] = True  # type: ignore[literal-required]
        super().on_headers_complete()
        self.headers = []  # trailers end up here, and are dropped


def end_to_end(headers: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return headers without those that `Connection` names, in a form that nothing changes."""
    named = [value for name, value in headers if name == b"connection"]
    if not named or named in _USUAL:
        return tuple(headers)
    dropped = {name.strip().lower() for value in named for name in value.split(b",")} - _FRAMING
    return tuple([header for header in headers if header[0] not in dropped])


_USUAL = ([b"keep-alive"], [b"close"], [b"Keep-Alive"], [b"Close"])
_FRAMING = frozenset(name.encode() for name in FRAMING)
