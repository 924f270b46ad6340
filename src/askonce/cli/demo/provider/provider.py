"""A demo provider: a real HTTP server with made-up answers, real latency and real faults.

It speaks Chat Completions (`POST /v1/chat/completions`) and Anthropic Messages (`POST
/v1/messages`), JSON and SSE, so the unmodified SDKs can ask it. Beside these it has

    GET  /v1/models         the models that ask for a fault, and two that do not
    POST /v1/files          the request's own bytes, its headers as `x-echo-…`
    GET  /practice/calls    how often it was asked, in all and for each question
    POST /practice/reset    forgets that

What it says depends on the question alone (`answers.py`); ids and times are new in every call.
How long it takes is taken from the question's hash. `faults.py` lists what goes wrong on demand.
"""

import asyncio
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from askonce.cli.demo.provider.answers import DemoQuestion, digest
from askonce.cli.demo.provider.chat_completions import ChatCompletions
from askonce.cli.demo.provider.dialects import GARBAGE, GARBAGE_FRAMES, Dialect, Headers
from askonce.cli.demo.provider.faults import ProviderFault, say
from askonce.cli.demo.provider.messages import Messages

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MODELS = ("gpt-4o-mini", "claude-haiku-4-5", *ProviderFault)

_STATUS_FAULTS: dict[ProviderFault, tuple[int, str, Headers]] = {
    ProviderFault.TOO_MANY: (429, "You are asking too fast.", [("retry-after", "7")]),
    ProviderFault.BROKEN: (500, "Something broke on our side.", []),
    # Ten milliseconds: the SDKs try again at once instead of after half a second.
    ProviderFault.BUSY_ONCE: (503, "Overloaded, please try again.", [("retry-after-ms", "10")]),
}


class Calls:
    """How often the provider was asked for an answer, faults included."""

    def __init__(self) -> None:
        self.total = 0
        self.streamed = 0
        self.in_flight = 0
        self.questions: Counter[str] = Counter()
        self.last_headers: dict[str, str] = {}

    def count(self, asked: DemoQuestion, headers: dict[str, str]) -> None:
        self.total += 1
        self.streamed += asked.stream
        self.questions[asked.question] += 1
        self.last_headers = headers

    def as_json(self) -> bytes:
        """The counts; never the headers, which hold the caller's credential."""
        return msgspec.json.encode(
            {
                "total": self.total,
                "streamed": self.streamed,
                "in_flight": self.in_flight,
                "questions": self.questions,
            }
        )


class Exchange:
    """One request and the response to it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.path: str = scope["path"]
        self.route = f"{scope['method']} {self.path}"
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._send = send
        self._started = time.monotonic()

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def took_ms(self) -> float:
        return (time.monotonic() - self._started) * 1000

    async def body(self) -> bytes:
        pieces = []
        while (message := await self._receive())["type"] == "http.request":
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        return b"".join(pieces)

    async def until_gone(self) -> None:
        """Wait until the caller closes the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def head(self, status: int, headers: Headers) -> None:
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def piece(self, body: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        await self.head(status, [*headers, ("content-length", str(len(body)))])
        await self.piece(body, last=True)


class DemoProvider:
    """The demo provider as an ASGI app.

    `first_byte_ms` is the range that the time to the first byte is taken from, `word_ms` the
    pause between the pieces of a stream (a few words each), `slow_s` how long `practice-slow`
    takes. `(0, 0)` and 0 answer at once.
    """

    def __init__(
        self,
        *,
        first_byte_ms: tuple[float, float] = (300, 800),
        word_ms: float = 10,
        slow_s: float = 5,
    ) -> None:
        self.first_byte_ms = first_byte_ms
        self.word_ms = word_ms
        self.slow_s = slow_s
        self.calls = Calls()
        self._seen_busy: set[str] = set()
        self._dialects: dict[str, Dialect] = {
            f"POST {dialect.path}": dialect for dialect in (ChatCompletions(), Messages())
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # Lifespan and websockets: ASGI servers take this to mean "not supported".
            raise RuntimeError(f"the demo provider does not speak {scope['type']}")
        exchange = Exchange(scope, receive, send)
        dialect = self._dialects.get(exchange.route)
        if dialect is None:
            await self._serve_other(exchange)
            return
        self.calls.in_flight += 1
        try:
            await self._serve_answer(dialect, exchange)
        finally:
            self.calls.in_flight -= 1

    async def _serve_answer(self, dialect: Dialect, exchange: Exchange) -> None:
        try:
            asked = dialect.read(await exchange.body())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            head = [*dialect.headers(exchange.took_ms), ("content-type", "application/json")]
            await exchange.reply(400, head, dialect.error(400, f"Invalid request: {error}"))
            return
        self.calls.count(asked, exchange.headers)
        fault = ProviderFault.named(asked.model)
        await asyncio.sleep(self._wait_s(asked.question, fault))
        head = dialect.headers(exchange.took_ms)
        if fault in _STATUS_FAULTS and not self._mended(fault, asked.question):
            status, message, extra = _STATUS_FAULTS[fault]
            head += [("content-type", "application/json"), *extra]
            await exchange.reply(status, head, dialect.error(status, message))
        elif asked.stream:
            head += [("content-type", "text/event-stream; charset=utf-8")]
            head += [("cache-control", "no-cache")]
            await self._serve_stream(dialect, exchange, asked, head)
        else:
            head += [("content-type", "application/json")]
            await self._serve_whole(dialect, exchange, asked, head)

    async def _serve_whole(
        self, dialect: Dialect, exchange: Exchange, asked: DemoQuestion, head: Headers
    ) -> None:
        body = dialect.whole(asked, [say(asked, choice) for choice in range(asked.choices)])
        match ProviderFault.named(asked.model):
            case ProviderFault.CUT:
                await exchange.head(200, [*head, ("content-length", str(len(body)))])
                # The server closes a connection whose response is left unfinished.
                await exchange.piece(body[: len(body) // 2])
            case ProviderFault.STALL:
                await exchange.head(200, [*head, ("content-length", str(len(body)))])
                await exchange.until_gone()
            case ProviderFault.GARBAGE:
                await exchange.reply(200, head, GARBAGE)
            case ProviderFault.GZIP:
                squeezed = zlib.compress(body, wbits=31)
                await exchange.reply(200, [*head, ("content-encoding", "gzip")], squeezed)
            case _:
                await exchange.reply(200, head, body)

    async def _serve_stream(
        self, dialect: Dialect, exchange: Exchange, asked: DemoQuestion, head: Headers
    ) -> None:
        fault = ProviderFault.named(asked.model)
        frames = dialect.frames(asked, [say(asked, choice) for choice in range(asked.choices)])
        half = frames[: len(frames) // 2]
        squeeze = zlib.compressobj(wbits=31) if fault is ProviderFault.GZIP else None
        if squeeze is not None:
            head.append(("content-encoding", "gzip"))
        await exchange.head(200, head)
        if fault is ProviderFault.STALL:
            await exchange.until_gone()
            return
        if fault is ProviderFault.GARBAGE:
            frames = GARBAGE_FRAMES
        elif fault in (ProviderFault.CUT, ProviderFault.CUT_QUIET):
            frames = half
        elif fault is ProviderFault.STREAM_ERROR:
            frames = [*half, dialect.error_frame()]
        for frame in frames:
            if squeeze is not None:
                frame = squeeze.compress(frame) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            await exchange.piece(frame)
            if self.word_ms:
                await asyncio.sleep(self.word_ms / 1000)
        if fault is not ProviderFault.CUT:
            await exchange.piece(squeeze.flush() if squeeze is not None else b"", last=True)

    async def _serve_other(self, exchange: Exchange) -> None:
        json_head: Headers = [("content-type", "application/json")]
        match exchange.route:
            case "GET /v1/models":
                models = [
                    {"id": model, "object": "model", "created": 0, "owned_by": "practice"}
                    for model in MODELS
                ]
                listing = msgspec.json.encode({"object": "list", "data": models})
                await exchange.reply(200, json_head, listing)
            case "POST /v1/files":
                body = await exchange.body()
                echo = [(f"x-echo-{name}", value) for name, value in exchange.headers.items()]
                kind = exchange.headers.get("content-type", "application/octet-stream")
                await exchange.reply(200, [("content-type", kind), *echo], body)
            case "GET /practice/calls":
                await exchange.reply(200, json_head, self.calls.as_json())
            case "POST /practice/reset":
                self.reset()
                await exchange.reply(200, json_head, self.calls.as_json())
            case _:
                error = ChatCompletions().error(404, f"Unknown route: {exchange.route}")
                await exchange.reply(404, json_head, error)

    def reset(self) -> None:
        """Forget every call; those still in flight go on."""
        in_flight = self.calls.in_flight
        self.calls = Calls()
        self.calls.in_flight = in_flight
        self._seen_busy.clear()

    def _wait_s(self, question: str, fault: ProviderFault | None) -> float:
        if fault is ProviderFault.SLOW:
            return self.slow_s
        low, high = self.first_byte_ms
        return (low + (high - low) * digest(question)[31] / 255) / 1000

    def _mended(self, fault: ProviderFault, question: str) -> bool:
        """Is this the fault that passes after a question's first call, and has it passed?"""
        if fault is not ProviderFault.BUSY_ONCE:
            return False
        mended = question in self._seen_busy
        self._seen_busy.add(question)
        return mended
