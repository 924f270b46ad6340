"""The wire: uvicorn's HTTP protocol, with what it writes at one moment sent as one.

uvicorn writes the head and the body of a response one after the other. Each write is a system
call and a packet of its own, and for an answer out of memory the second one costs a fifth of the
processor time. Nothing waits for it: what was written leaves before the loop looks for new events.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_AT_ONCE = 65_536  # bytes; more than that does not wait, so that back-pressure is felt


class JoinedWrites:
    """A transport whose writes of one turn of the event loop leave together at its end."""

    __slots__ = ("_bytes", "_pieces", "_soon", "_transport", "is_closing")

    def __init__(self, transport: Any, soon: Callable[[Callable[[], None]], object]) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing  # asked for every response
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
        # A caller may have gone away since; its transport takes no more.
        if pieces and not self.is_closing():
            self._transport.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol over joined writes."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedWrites(transport, self.loop.call_soon))  # type: ignore[arg-type]
