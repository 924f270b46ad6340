"""Put memory, Redis and matching by meaning behind an SDK."""

import os
import uuid
from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport, Semantic
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

REDIS = os.environ.get("ASKONCE_EXAMPLE_REDIS", "redis://localhost:6379/0")
RUN = f"run-{uuid.uuid4().hex}"  # a namespace of its own: every run starts without answers


def program(name: str, base_url: str, *questions: str, **headers: str) -> None:
    print(f"{name}:")
    # A long deadline, because a busy machine loads the model slowly.
    semantic = Semantic(mode="serve", index=REDIS, deadline="10s")
    with Cache(REDIS, namespace=RUN, semantic=semantic) as cache:
        http_client = httpx2.Client(transport=CachingTransport(cache))
        with OpenAI(api_key="sk-1", base_url=base_url, http_client=http_client) as client:
            create = client.chat.completions.with_raw_response.create
            for question in questions:
                messages: Any = [{"role": "user", "content": question}]
                response = create(model="gpt-4o-mini", messages=messages, extra_headers=headers)
                print(f"  {question:36} {response.headers['cache-status']}")


# For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
with running(DemoProvider(first_byte_ms=(50, 50))) as provider:
    url = f"{provider}/v1"
    program("The first program asks", url, "Which currencies can I hold?")
    program(
        "The next one",
        url,
        "Which currencies can I hold?",
        "Which currencies can I hold?",
        "What currencies can I hold?",
        "Which currencies can't I hold?",
    )
    program(
        "One that wants exact answers only",
        url,
        "What currencies can I hold?",
        **{"AskOnce-Semantic": "off"},
    )
