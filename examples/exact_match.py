"""Answer a repeated question from the cache, while its answer is fresh."""

import time
from datetime import timedelta
from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

QUESTIONS = ["How do I change my PIN?", "My card has not arrived yet.", "How do I change my PIN?"]


def ask(client: OpenAI, question: str, **options: Any) -> None:
    messages: Any = [{"role": "user", "content": question}]
    started = time.perf_counter()
    create = client.chat.completions.with_raw_response.create
    response = create(model="gpt-4o-mini", messages=messages, **options)
    took = (time.perf_counter() - started) * 1000
    print(f"{took:5.0f} ms  {question:30} {response.headers['cache-status']}")


# For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
with running(DemoProvider()) as provider, Cache(ttl=timedelta(hours=1)) as cache:
    http_client = httpx2.Client(transport=CachingTransport(cache))
    with OpenAI(api_key="sk-1", base_url=f"{provider}/v1", http_client=http_client) as client:
        for question in QUESTIONS:
            ask(client, question)
        print("Once more, from a caller that accepts only an answer of this moment:")
        ask(client, QUESTIONS[0], extra_headers={"Cache-Control": "max-age=0"})

    stats = cache.stats()
    print(f"{stats.hits} of {stats.calls} calls was a hit: {stats.saved_tokens} tokens")
    print(f"and ${stats.saved_usd:.6f} saved.")
