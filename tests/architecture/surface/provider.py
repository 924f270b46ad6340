"""A provider whose answers, and whose vectors, are always the same."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from tests.architecture.surface.shapes import masked

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@contextlib.contextmanager
def provider() -> Iterator[str]:
    """A provider in a thread of this process; yields its address."""
    Provider.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Provider(BaseHTTPRequestHandler):
    """Answers each path in its format, with the headers of a real provider."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[list[str]]] = []
    answers: ClassVar[dict[str, Any]] = {
        CHAT: {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_800_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "A store."},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        },
        MESSAGES: {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5",
            "content": [{"type": "text", "text": "So."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 5, "output_tokens": 2},
        },
        "/v1/embeddings": {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}],
            "model": "always-the-same",
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        },
        "/v1/models": {"object": "list", "data": []},
    }

    bodies: ClassVar[set[bytes]] = {json.dumps(answer).encode() for answer in answers.values()}

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer()

    def _answer(self) -> None:
        if self.path != "/v1/embeddings":
            self.seen.append(sorted(f"{n.lower()}: {masked(v)}" for n, v in self.headers.items()))
        body = json.dumps(self.answers[self.path]).encode()
        self.send_response_only(200)
        for name, value in {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-request-id": "req_1",
            "openai-version": "2020-10-01",
            "set-cookie": "a=b",
            "x-ratelimit-limit-requests": "100",
            "cache-groups": '"prices"',
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
