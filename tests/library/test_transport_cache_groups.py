"""Cache groups through the SDKs' transport: also what is not cached can end a group."""

import asyncio
import threading
from typing import Any

import httpx2
import pytest

from askonce import AsyncCache, Cache, CachingTransport
from askonce.cli.demo.provider.serving import running

CHAT = "/v1/chat/completions"
WHOLE = (
    b'{"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": '
    b'[{"index": 0, "message": {"role": "assistant", "content": "So."}, "finish_reason": "stop"}]}'
)
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is it?"}]}
KEY = {"authorization": "Bearer sk-1"}


async def provider(scope: Any, receive: Any, send: Any) -> None:
    """Answers questions with a group, and ends it on every other route, whatever the method."""
    name, value = b"cache-groups", b'"prices"'
    if scope["path"] != CHAT:
        name = b"cache-group-invalidation"
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (name, value)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": WHOLE})


def outcome(response: httpx2.Response) -> str:
    return response.headers["cache-status"].split("; ")[1]


def test_a_blocking_client() -> None:
    with running(provider) as url, Cache() as cache:
        client = httpx2.Client(transport=CachingTransport(cache), headers=KEY, base_url=url)
        with client:
            client.post(CHAT, json=BODY)
            client.get("/v1/models")
            hit = client.post(CHAT, json=BODY)
            assert (outcome(hit), hit.headers["cache-groups"]) == ("hit", '"prices"')
            client.post("/v1/files", json={})
            for _ in range(2_000):
                if outcome(client.post(CHAT, json=BODY)) == "fwd=miss":
                    return
                threading.Event().wait(0.001)
    pytest.fail("the group did not end")


def test_a_suspending_client() -> None:
    async def story() -> None:
        async with AsyncCache() as cache:
            transport = CachingTransport(cache)
            async with httpx2.AsyncClient(transport=transport, headers=KEY, base_url=url) as client:
                await client.post(CHAT, json=BODY)
                await client.get("/v1/models")
                assert outcome(await client.post(CHAT, json=BODY)) == "hit"
                await client.post("/v1/files", json={})
                for _ in range(2_000):
                    if outcome(await client.post(CHAT, json=BODY)) == "fwd=miss":
                        return
                    await asyncio.sleep(0.001)
        pytest.fail("the group did not end")

    with running(provider) as url:
        asyncio.run(story())
