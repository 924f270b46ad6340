"""The bare app: what an ASGI server can do at best, as a measure for the gateway.

    python -m bench.bare [--joined] [--redis PORT --names FILE] PORT FILE CONTENT_TYPE

It reads the request's body, hashes it, and answers the bytes of one file, on uvicorn as it comes
(httptools, uvloop, no access log). With `--joined` it runs on the gateway's own server instead,
which joins the head and the body of a response into one write and looks at no proxy's headers.
With `--redis` it awaits one `GET` of redis-py's before each answer, of one name of the file after
the other, over a pool of RESP3 connections.
"""

import argparse
import hashlib
import itertools
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import redis.asyncio
import uvicorn

from askonce.gateway.uvicorn_protocol import Protocol

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BareApp:
    """Answers every request with the same bytes, after hashing its body."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        self.last = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces = []
        while True:
            message = await receive()
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        self.last = hashlib.sha256(b"".join(pieces)).digest()
        await self.look()
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})

    async def look(self) -> None:
        """Nothing is looked up."""


class GettingApp(BareApp):
    """The same, after a `GET` of a value that must be there."""

    def __init__(self, body: bytes, content_type: str, port: int, names: Sequence[bytes]) -> None:
        super().__init__(body, content_type)
        self._client = redis.asyncio.Redis(port=port, protocol=3)
        self._names = itertools.cycle(names)

    async def look(self) -> None:
        if await self._client.get(next(self._names)) is None:
            raise LookupError("the value is gone")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("content_type")
    parser.add_argument("--joined", action="store_true")
    parser.add_argument("--redis", type=int)
    parser.add_argument("--names", type=Path)
    chosen = parser.parse_args()
    body = chosen.file.read_bytes()
    app = BareApp(body, chosen.content_type)
    if chosen.redis:
        names = chosen.names.read_bytes().split(b"\n")
        app = GettingApp(body, chosen.content_type, chosen.redis, names)
    uvicorn.run(
        app,
        port=chosen.port,
        http=Protocol if chosen.joined else "httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level=logging.WARNING,
        server_header=False,
        proxy_headers=not chosen.joined,
    )


if __name__ == "__main__":
    main()
