"""Store a streamed answer when it is whole, and stream the next one out of the cache."""

import asyncio
import time
from typing import Any

import httpx2
from openai import AsyncOpenAI

from askonce import AsyncCache, CachingTransport
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

MESSAGES: Any = [{"role": "user", "content": "Why was my card declined?"}]


async def chat(client: AsyncOpenAI, who: str) -> None:
    print(f"{who}: ", end="", flush=True)
    started, first_ms = time.perf_counter(), 0.0
    create = client.chat.completions.create
    async for chunk in await create(model="gpt-4o-mini", messages=MESSAGES, stream=True):
        if chunk.choices and (words := chunk.choices[0].delta.content):
            first_ms = first_ms or (time.perf_counter() - started) * 1000
            print(words, end="", flush=True)
    total_ms = (time.perf_counter() - started) * 1000
    print(f"\n[first words after {first_ms:.0f} ms, all after {total_ms:.0f} ms]\n")


async def main(base_url: str) -> None:
    async with AsyncCache() as cache:
        http = httpx2.AsyncClient(transport=CachingTransport(cache))
        async with AsyncOpenAI(api_key="sk-1", base_url=base_url, http_client=http) as client:
            await chat(client, "model")
            await chat(client, "cache")


# For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
with running(DemoProvider(word_ms=30)) as provider:
    asyncio.run(main(f"{provider}/v1"))
