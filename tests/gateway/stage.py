"""A real gateway for tests, and providers on real ports behind it."""

import contextlib
import http.client
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

from askonce.cli.demo.provider.answers import answer_to
from askonce.cli.demo.provider.serving import running
from askonce.cli.demo.report import CacheStatus
from askonce.config.load import load
from askonce.gateway.server import listen, server

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
PATIENCE_S = 20
"""How long a test waits for what must happen; never how long it takes."""


class Clock:
    """Seconds since the Unix epoch, as a test says."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def forward(self, seconds: float) -> None:
        self.seconds += seconds


@contextlib.contextmanager
def gateway(
    provider: str,
    environ: Mapping[str, str] | None = None,
    *,
    more: str = "",
    clock: Callable[[], float] | None = None,
) -> Iterator[str]:
    """The gateway in front of a provider, as `askonce serve` builds it; yields its base URL.

    It keeps its entries in memory; `environ` and `more` change and add settings.
    """
    text = f"""
        [gateway]
        port = 0
        drain = "1s"
        [store]
        url = "memory:"
        [providers.openai]
        base_url = "{provider}"
        [providers.anthropic]
        base_url = "{provider}"
        {more}
    """
    settings = load(text, environ or {})
    serving = server(settings, clock=clock)
    with listen(settings) as listening:
        thread = threading.Thread(target=serving.run, args=([listening],), daemon=True)
        thread.start()
        try:
            # A caller that connects too early waits in the listening socket's queue.
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            serving.should_exit = True
            thread.join()


class Caller:
    """A caller of the gateway, with its own key."""

    def __init__(self, http: httpx2.Client, url: str, key: str = "sk-test") -> None:
        self.http = http
        self.url = url
        self.key = key

    def with_key(self, key: str) -> "Caller":
        return Caller(self.http, self.url, key)

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def chat(
        self, question: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        headers = {**self.bearer, **(headers or {})}
        return self.http.post(self.url + CHAT, json=chat_body(question, **body), headers=headers)

    def claude(
        self, question: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        headers = {"x-api-key": self.key, "anthropic-version": "2023-06-01", **(headers or {})}
        said = {"model": "claude-haiku-4-5", "max_tokens": 900, "messages": asked(question), **body}
        return self.http.post(self.url + MESSAGES, json=said, headers=headers)

    def chat_stream(
        self, question: str, **body: Any
    ) -> contextlib.AbstractContextManager[httpx2.Response]:
        body = chat_body(question, stream=True, **body)
        return self.http.stream("POST", self.url + CHAT, json=body, headers=self.bearer)

    def stats(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"{self.url}/askonce/stats").json()
        return answer


def asked(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def chat_body(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": asked(question), **more}


def status_of(response: httpx2.Response) -> str:
    """The whole `Cache-Status` header."""
    return response.headers["cache-status"]


def outcome_of(response: httpx2.Response) -> str:
    """`hit`, `joined`, `miss` or `bypass`."""
    found = CacheStatus.parse(response.headers["cache-status"])
    assert found is not None
    return found.outcome


def is_answer(response: httpx2.Response, question: str) -> bool:
    """Did the provider's own answer to this question arrive, whole?"""
    if response.status_code != 200:
        return False
    if response.headers["content-type"].startswith("text/event-stream"):
        return text_of_stream(response.text) == answer_to(question)
    return bool(response.json()["choices"][0]["message"]["content"] == answer_to(question))


def text_of_stream(stream: str) -> str:
    """The text of a Chat Completions stream. Raises AssertionError if it is not whole."""
    frames = stream.split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


class Plain(NamedTuple):
    """A response as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for shown, value in self.headers if shown.lower() == name]


def plain_request(
    url: str,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    *,
    chunked: bool = False,
) -> Plain:
    """A request whose target and headers go out exactly as they are written."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, target, body, dict(headers or {}), encode_chunked=chunked)
        response = connection.getresponse()
        return Plain(response.status, response.getheaders(), response.read())


class Seen(NamedTuple):
    """A request as a provider received it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for shown, value in self.headers if shown == name]


class Exchange:
    """One request at the puppet, and the way to answer it."""

    def __init__(self, seen: Seen, receive: Any, send: Any) -> None:
        self.seen = seen
        self._receive = receive
        self._send = send

    async def head(self, status: int = 200, **headers: str) -> None:
        """Names with `_` for `-`."""
        pairs = [(n.replace("_", "-").encode(), v.encode("latin-1")) for n, v in headers.items()]
        await self.start(status, pairs)

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": body})

    async def until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def echo(exchange: Exchange) -> None:
    """Answers with the request's own body."""
    await exchange.head(content_type="application/octet-stream")
    await exchange.end(exchange.seen.body)


class Puppet:
    """A provider that notes what it is sent and answers as a test says."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.act: Callable[[Exchange], Awaitable[None]] = echo
        self.url = ""

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only http is spoken here")
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]
        target = (scope["raw_path"] + query).decode("latin-1")
        seen = Seen(scope["method"], target, headers, body)
        self.seen.append(seen)
        await self.act(Exchange(seen, receive, send))

    @contextlib.contextmanager
    def served(self) -> Iterator["Puppet"]:
        with running(self, http="httptools", date_header=False, server_header=False) as url:
            self.url = url
            yield self
