"""Share answers between processes through Redis, and print the savings."""

import os
import time
import uuid
from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

REDIS = os.environ.get("ASKONCE_EXAMPLE_REDIS", "redis://localhost:6379/0")
RUN = f"run-{uuid.uuid4().hex}"  # a namespace of its own: every run starts without answers
MESSAGES: Any = [{"role": "user", "content": "Which currencies can I hold?"}]


def program(name: str, base_url: str, *, pauses: tuple[float, ...]) -> None:
    print(f"{name}:")
    with Cache(REDIS, ttl="3s", namespace=RUN) as cache:
        http_client = httpx2.Client(transport=CachingTransport(cache))
        with OpenAI(api_key="sk-1", base_url=base_url, http_client=http_client) as client:
            create = client.chat.completions.with_raw_response.create
            for pause in pauses:
                time.sleep(pause)
                response = create(model="gpt-4o-mini", messages=MESSAGES)
                print(f"  after {pause} s  {response.headers['cache-status']}")
        stats = cache.stats()
        print(f"  {stats.hits} of {stats.calls} calls were hits: {stats.saved_tokens} tokens saved")
        print(f"  Redis had {stats.layers['redis'].hits} of them, memory the others")


# For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
with running(DemoProvider(first_byte_ms=(50, 50))) as provider:
    program("One program", f"{provider}/v1", pauses=(0,))
    program("The next one", f"{provider}/v1", pauses=(0, 0, 3.5))
