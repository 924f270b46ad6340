"""Cache the OpenAI and the Anthropic SDK in one file, with one line each."""

import tempfile
from pathlib import Path
from typing import Any

import httpx2
from anthropic import Anthropic
from openai import OpenAI

from askonce import Cache, CachingTransport
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

MESSAGES: Any = [{"role": "user", "content": "How long does a transfer take?"}]


def client_of(cache: Cache) -> httpx2.Client:
    return httpx2.Client(transport=CachingTransport(cache))  # the one line


def ask_both(url: str, file: Path) -> None:
    with Cache(f"sqlite:{file}") as cache:
        # For the real thing, drop `base_url`: the SDKs then read their keys' variables.
        with OpenAI(api_key="sk-1", base_url=f"{url}/v1", http_client=client_of(cache)) as openai:
            chat = openai.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
            print("  openai:   ", (chat.choices[0].message.content or "")[:60], "...")
        with Anthropic(api_key="sk-2", base_url=url, http_client=client_of(cache)) as anthropic:
            create = anthropic.messages.create
            message: Any = create(model="claude-haiku-4-5", max_tokens=500, messages=MESSAGES)
            print("  anthropic:", message.content[0].text[:60], "...")
        print(f"  {cache.stats().upstream} calls to the models, {cache.stats().hits} hits")


with running(DemoProvider()) as provider, tempfile.TemporaryDirectory() as folder:
    for program in ("first", "second"):
        print(f"The {program} program that opens the file:")
        ask_both(provider, Path(folder, "answers.db"))
