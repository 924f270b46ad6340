"""The story's tests: written once, run in both flavors over a provider of our own seam.

`Scripted` stands where an HTTP client would (the `Upstream` protocol). A test is an `async def`
that gets a `Flavor`; the blocking flavor steps it without an event loop and gives every
`together` caller a thread of its own, the suspending one gives it a task.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec
import pytest

from askonce.cache import AsyncCache, Cache
from askonce.records import Call
from askonce.reply import Reply
from askonce.runtimes import Bell, finish
from tests.servers.engines import ENGINES, Engines

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Thirty days, counted from delivery."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16},
}
JSON_HEADERS = [("content-type", "application/json"), ("x-request-id", "req-1")]
SSE_HEADERS = [("content-type", "text/event-stream")]


class Clock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += seconds


class Script:
    """One answer of the provider: bytes, errors to raise, and bells to wait for, in order."""

    def __init__(self, *steps: Any, status: int = 200, headers: Any = JSON_HEADERS) -> None:
        self.steps = list(steps)
        self.status = status
        self.headers = list(headers)
        self.closed = False

    async def next(self) -> bytes | None:
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, bytes):
                return step
            if isinstance(step, BaseException):
                raise step
            await step()
        return None

    async def close(self) -> None:
        self.closed = True


def said(text: str = "Thirty days, counted from delivery.", **changed: Any) -> bytes:
    choice = {**ANSWER["choices"][0], **changed.pop("choice", {})}  # type: ignore[index]
    choice["message"] = {"role": "assistant", "content": text}
    return msgspec.json.encode({**ANSWER, "choices": [choice], **changed})


def streamed(*texts: str, end: bool = True, finish_reason: str = "stop") -> list[bytes]:
    """A stream's pieces, one event each."""
    head = {k: ANSWER[k] for k in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def event(choices: Any, **more: Any) -> bytes:
        return b"data: " + msgspec.json.encode({**head, "choices": choices, **more}) + b"\n\n"

    def delta(content: dict[str, Any], reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": content, "finish_reason": reason}]

    pieces = [event(delta({"role": "assistant", "content": ""}))]
    pieces += [event(delta({"content": text})) for text in texts]
    if end:
        pieces.append(event(delta({}, finish_reason)))
        pieces.append(event([], usage=ANSWER["usage"]))
        pieces.append(b"data: [DONE]\n\n")
    return pieces


class Scripted:
    """A provider that gives its scripts out one by one, the last one again and again."""

    def __init__(self, *scripts: Callable[[], Script] | BaseException) -> None:
        self._scripts = list(scripts)
        self._lock = threading.Lock()
        self.bodies: list[bytes] = []
        self.given: list[Script] = []

    @property
    def calls(self) -> int:
        return len(self.bodies)

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Script:
        with self._lock:
            self.bodies.append(body)
            make = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        if isinstance(make, BaseException):
            raise make
        script = make()
        self.given.append(script)
        return script


def call(
    question: str = "How long can I return it?",
    *,
    headers: dict[str, str] | None = None,
    namespace: str | None = "team-a",
    **body: Any,
) -> Call:
    messages = [{"role": "user", "content": question}]
    asked = {"model": "gpt-4o-mini", "messages": messages, **body}
    return Call(
        "POST",
        "https://api.openai.com",
        "/v1/chat/completions",
        headers or {},
        msgspec.json.encode(asked),
        namespace,
    )


class Flavor:
    """One cache and one way to run stories against it."""

    def __init__(self, name: str, url: str, clock: Clock) -> None:
        self.name = name
        self.url = url
        self.clock = clock
        self.open()

    def open(self, **settings: Any) -> None:
        make = Cache if self.name == "blocking" else AsyncCache
        self.cache = make(self.url, clock=self.clock, **settings)

    @property
    def layer(self) -> str:
        """What the layer below memory is called."""
        (name,) = self.cache.works.states()
        return name

    @property
    def parts(self) -> Any:
        works = self.cache.works
        return works.blocking if self.name == "blocking" else works.suspending

    def run(self, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            try:
                await story()
            finally:
                if not self.cache.works.closed:
                    await self.cache.works.close(self.parts)

        finish(whole()) if self.name == "blocking" else asyncio.run(whole())

    async def answer(self, asked: Call, upstream: Any) -> Reply:
        reply: Reply = await self.parts.answering.answer(asked, upstream)
        return reply

    async def read(self, reply: Reply) -> bytes:
        pieces = []
        try:
            while (piece := await reply.next()) is not None:
                pieces.append(piece)
        finally:
            await reply.close()
        return b"".join(pieces)

    async def ask(self, asked: Call, upstream: Any) -> tuple[str, bytes]:
        """The Cache-Status and the body."""
        reply = await self.answer(asked, upstream)
        return dict(reply.headers)["cache-status"], await self.read(reply)

    async def together(self, *stories: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        """Run the stories at once; each one's result, or what it raised."""
        if self.name == "suspending":
            return await asyncio.gather(*(s() for s in stories), return_exceptions=True)
        results: list[Any] = [None] * len(stories)

        def one(index: int) -> None:
            try:
                results[index] = finish(stories[index]())
            except BaseException as error:  # noqa: BLE001 - a thread's own end, given to the test
                results[index] = error

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(stories))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a caller hangs"
        return results

    def bell(self) -> Bell:
        bell: Bell = self.parts.context.runtime.bell()
        return bell

    async def settle(self) -> None:
        await self.parts.tiers.settle()

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the others run until it is true."""
        for _ in range(100_000):
            if true():
                return
            if self.name == "suspending":
                await asyncio.sleep(0)
            else:
                threading.Event().wait(0.0005)
        raise AssertionError("it never came true")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["blocking", "suspending"])
def flavor_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", *ENGINES])
def flavor(
    flavor_name: str, request: pytest.FixtureRequest, engines: Engines, clock: Clock
) -> Flavor:
    engine = request.param
    return Flavor(flavor_name, "memory:" if engine == "memory" else engines.plain(engine), clock)


Story = Callable[[], Awaitable[None]]
