"""The SDKs and HTTP clients that the tests ask through, each in both modes behind one interface.

A test is one `async def` scenario. In sync mode the clients' own blocking methods answer at once
and nothing ever suspends; in async mode the same lines await them.
"""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, NamedTuple

import anthropic
import httpx
import httpx2
import openai
from blockbuster import blockbuster_ctx

from askonce import AsyncCache, Cache, CachingTransport

QUESTION = "How do I change my PIN?"
KEY = "sk-first"


async def ready(value: Any) -> Any:
    """What a method of either mode returned, awaited if it must be."""
    return await value if inspect.isawaitable(value) else value


async def each(items: Any) -> AsyncIterator[Any]:
    """Iterate over what is an iterable in one mode and an async iterable in the other."""
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


@contextlib.asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """Enter a context manager of either mode."""
    if hasattr(manager, "__aenter__") and not isinstance(manager, Cache):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


class Door(NamedTuple):
    """An HTTP library in one mode, in front of one provider."""

    lib: ModuleType
    blocking: bool
    url: str

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Run a scenario to its end; in async mode, nothing may block the loop."""
        if not self.blocking:
            with blockbuster_ctx("askonce"):
                asyncio.run(scenario)
            return
        with contextlib.suppress(StopIteration):
            scenario.send(None)
            scenario.close()
            raise AssertionError("a blocking scenario has suspended")

    def cache(self, url: str = "memory:", **settings: Any) -> Any:
        """A cache of this mode, to be entered."""
        return entered((Cache if self.blocking else AsyncCache)(url, **settings))

    def http(self, cache: Any = None, **options: Any) -> Any:
        """An HTTP client whose transport is the cache's; without a cache, a plain one."""
        make = self.lib.Client if self.blocking else self.lib.AsyncClient
        if cache is not None:
            options["transport"] = CachingTransport(cache)
        return make(**{"timeout": 10, "base_url": self.url, **options})

    async def heard(self, event: threading.Event) -> bool:
        """Wait for the provider's side to report something."""
        return event.wait(10) if self.blocking else await asyncio.to_thread(event.wait, 10)

    async def together(
        self,
        count: int,
        ask: Callable[[], Coroutine[Any, Any, Any]],
        meanwhile: Callable[[], Coroutine[Any, Any, None]],
    ) -> list[Any]:
        """Ask in so many threads or tasks at once; `meanwhile` runs when all have started."""
        if not self.blocking:
            tasks = [asyncio.ensure_future(ask()) for _ in range(count)]
            await meanwhile()
            return await asyncio.gather(*tasks)
        start = threading.Barrier(count + 1)

        def one() -> Any:
            start.wait(10)
            try:
                ask().send(None)
            except StopIteration as end:
                return end.value
            raise AssertionError("a blocking scenario has suspended")

        with ThreadPoolExecutor(count) as pool:
            futures = [pool.submit(one) for _ in range(count)]
            start.wait(10)
            await meanwhile()
            return [future.result() for future in futures]


class Got(NamedTuple):
    """What a raw SDK call gave: the response's headers, and the answer or the stream."""

    headers: Any
    value: Any

    @property
    def status(self) -> str:
        return str(self.headers["cache-status"])


class OpenAISdk:
    """The openai SDK: chat completions."""

    name = "openai"
    model = "gpt-4o-mini"
    errors = (openai.OpenAIError, httpx.HTTPError, httpx2.HTTPError, ValueError)

    def __init__(self, door: Door) -> None:
        self.door = door

    def client(self, cache: Any = None, *, key: str = KEY, **options: Any) -> Any:
        make: Any = openai.OpenAI if self.door.blocking else openai.AsyncOpenAI
        http_client = self.door.http(cache)
        options = {"timeout": 10, "max_retries": 0, **options}
        base_url = f"{self.door.url}/v1"
        return entered(make(api_key=key, base_url=base_url, http_client=http_client, **options))

    async def ask(self, client: Any, question: str = QUESTION, **more: Any) -> Got:
        messages = [{"role": "user", "content": question}]
        create = client.chat.completions.with_raw_response.create
        raw = await ready(create(**{"model": self.model, "messages": messages, **more}))
        return Got(raw.headers, await ready(raw.parse()))

    def text(self, completion: Any) -> str:
        return str(completion.choices[0].message.content)

    def words(self, chunk: Any) -> str:
        return (chunk.choices[0].delta.content or "") if chunk.choices else ""


class AnthropicSdk:
    """The anthropic SDK: messages."""

    name = "anthropic"
    model = "claude-haiku-4-5"
    errors = (anthropic.AnthropicError, httpx2.HTTPError, ValueError)

    def __init__(self, door: Door) -> None:
        self.door = door

    def client(self, cache: Any = None, *, key: str = KEY, **options: Any) -> Any:
        make: Any = anthropic.Anthropic if self.door.blocking else anthropic.AsyncAnthropic
        http_client = self.door.http(cache)
        options = {"timeout": 10, "max_retries": 0, **options}
        return entered(
            make(api_key=key, base_url=self.door.url, http_client=http_client, **options)
        )

    async def ask(self, client: Any, question: str = QUESTION, **more: Any) -> Got:
        messages = [{"role": "user", "content": question}]
        body = {"model": self.model, "max_tokens": 2048, "messages": messages, **more}
        raw = await ready(client.messages.with_raw_response.create(**body))
        return Got(raw.headers, await ready(raw.parse()))

    def text(self, message: Any) -> str:
        return "".join(block.text for block in message.content if block.type == "text")

    def words(self, event: Any) -> str:
        delta = event.delta if event.type == "content_block_delta" else None
        return delta.text if delta is not None and delta.type == "text_delta" else ""


Sdk = OpenAISdk | AnthropicSdk


async def said(sdk: Sdk, got: Got, *, stream: bool) -> str:
    """The text of an answer, whole or streamed to its end."""
    if not stream:
        return sdk.text(got.value)
    return "".join([sdk.words(event) async for event in each(got.value)])
