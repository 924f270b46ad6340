"""The bare app: what an ASGI server can do at best, as a measure for the gateway.

    python -m bench.bare PORT FILE CONTENT_TYPE [joined]

It reads the request's body, hashes it, and answers the bytes of one file, on uvicorn as it comes
(httptools, uvloop, no access log). With `joined` it runs on the gateway's own server instead, which
joins the head and the body of a response into one write and looks at no proxy's headers.
"""

import hashlib
import logging
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from askonce.gateway.wire import Protocol

Message = MutableMapping[str, Any]


class BareApp:
    """Answers every request with the same bytes, after hashing what was asked."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        self.last = b""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        pieces = []
        while True:
            message = await receive()
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        self.last = hashlib.sha256(b"".join(pieces)).digest()
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def main() -> None:
    port, file, content_type, *joined = sys.argv[1:]
    uvicorn.run(
        BareApp(Path(file).read_bytes(), content_type),
        port=int(port),
        http=Protocol if joined else "httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level=logging.WARNING,
        server_header=False,
        proxy_headers=not joined,
    )


if __name__ == "__main__":
    main()
