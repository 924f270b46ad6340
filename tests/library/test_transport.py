"""The transport itself, under plain HTTP clients: what it leaves alone, shares and never shares."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from askonce import CacheClosed, CachingTransport
from askonce.cli.demo.provider.answers import answer_to
from tests.library.holding_provider import HoldingProvider
from tests.library.sdks import QUESTION, Door, OpenAISdk, Sdk, each, ready, said

CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUESTION}]}
FIRST = {"authorization": "Bearer sk-first"}
ANSWER = answer_to(QUESTION)


async def closed(client: Any) -> None:
    await ready(client.aclose() if hasattr(client, "aclose") else client.close())


async def post(client: Any, body: Any = BODY, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ready(client.post(CHAT, json=body, headers={**FIRST, **names}))


async def test_a_plain_client(door: Door, provider: HoldingProvider) -> None:
    async with door.cache() as cache:
        client = door.http(cache)
        miss, hit = await post(client), await post(client)
        await closed(client)

    assert isinstance(hit, door.lib.Response)
    assert miss.content == hit.content
    assert ANSWER.encode() in hit.content
    assert hit.headers["content-type"] == "application/json"
    assert provider.calls.total == 1


async def test_it_can_be_mounted_for_one_provider(door: Door, provider: HoldingProvider) -> None:
    async with door.cache() as cache:
        client = door.http(mounts={door.url: CachingTransport(cache)})
        await post(client)
        hit = await post(client)
        await closed(client)
    assert hit.headers["cache-status"].startswith("askonce; hit")
    assert provider.calls.total == 1


async def test_it_wraps_a_transport_and_closes_it_but_not_the_cache(
    door: Door, provider: HoldingProvider
) -> None:
    asynchronous = "" if door.blocking else "Async"
    inner = getattr(door.lib, f"{asynchronous}HTTPTransport")()
    async with door.cache() as cache:
        transport = CachingTransport(cache, inner)
        client = door.http(transport=transport)
        await post(client)
        await closed(client)
        again = door.http(cache)
        assert (await post(again)).headers["cache-status"].startswith("askonce; hit")
        await closed(again)
    assert provider.calls.total == 1


async def test_what_the_cache_adds_to_a_request_stays_here(
    door: Door, provider: HoldingProvider
) -> None:
    async with door.cache() as cache:
        client = door.http(cache)
        await post(client, askonce_ttl="1h", askonce_tags="faq", askonce_namespace="a")
        await closed(client)
    sent = provider.calls.last_headers
    assert sent["authorization"] == "Bearer sk-first"
    assert [name for name in sent if name.startswith("askonce")] == []


async def test_routes_that_are_not_cached_go_on_untouched(
    door: Door, provider: HoldingProvider
) -> None:
    payload = bytes(range(256)) * 64
    async with door.cache() as cache:
        client = door.http(cache)
        for _ in range(2):
            models = await ready(client.get("/v1/models"))
            assert models.status_code == 200
            assert "cache-status" not in models.headers
            echo = await ready(
                client.post("/v1/files", content=payload, headers={"x-mine": "kept", **FIRST})
            )
            assert echo.content == payload
            assert echo.headers["x-echo-x-mine"] == "kept"
            assert "cache-status" not in echo.headers
        missing = await ready(client.post("/v1/nothing", json=BODY))
        assert missing.status_code == 404
        await closed(client)
        assert cache.stats().calls == 0


async def test_the_sdks_other_routes(chat: OpenAISdk, provider: HoldingProvider) -> None:
    async with chat.door.cache() as cache, chat.client(cache) as client:
        models = [model.id async for model in each(await ready(client.models.list()))]
        assert "gpt-4o-mini" in models
        assert cache.stats().calls == 0


async def test_two_keys_never_share(sdk: Sdk, provider: HoldingProvider) -> None:
    async with sdk.door.cache() as cache:
        async with sdk.client(cache, key="sk-one") as one, sdk.client(cache, key="sk-two") as two:
            for stream in (False, True):
                first, second = await sdk.ask(one, stream=stream), await sdk.ask(two, stream=stream)
                assert await said(sdk, first, stream=stream) == ANSWER
                assert await said(sdk, second, stream=stream) == ANSWER
        assert provider.calls.total == 2
        assert cache.stats().stored == 2
        # The same key in another client is the same caller.
        async with sdk.client(cache, key="sk-one") as again:
            assert (await sdk.ask(again)).status.startswith("askonce; hit")


async def test_a_caller_without_a_key_is_anonymous(door: Door, provider: HoldingProvider) -> None:
    async with door.cache() as cache:
        client = door.http(cache)
        for _ in range(2):
            response = await ready(client.post(CHAT, json=BODY))
            assert response.headers["cache-status"] == "askonce; fwd=bypass; detail=no-identity"
        await closed(client)
    assert provider.calls.total == 2


async def test_directives(door: Door, provider: HoldingProvider) -> None:
    async with door.cache() as cache:
        client = door.http(cache)
        refused = await post(client, cache_control="only-if-cached")
        assert refused.status_code == 504
        await post(client, cache_control="no-store")
        assert cache.stats().stored == 0
        await post(client)
        fresh = await post(client, cache_control="no-cache")
        assert fresh.headers["cache-status"].startswith("askonce; fwd=request")
        assert provider.calls.total == 3
        cached = await post(client, cache_control="only-if-cached")
        assert cached.content == fresh.content
        await closed(client)
    assert provider.calls.total == 3


async def test_sampled_calls_are_not_cached_by_default(
    door: Door, provider: HoldingProvider
) -> None:
    async with door.cache() as cache:
        client = door.http(cache)
        for _ in range(2):
            response = await post(client, {**BODY, "temperature": 0.7})
            assert response.headers["cache-status"] == "askonce; fwd=bypass; detail=sampling"
        assert (await post(client, {**BODY, "temperature": 0})).status_code == 200
        await closed(client)
    assert provider.calls.total == 3


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_fifty_at_once_make_one_call(
    sdk: Sdk, provider: HoldingProvider, stream: bool
) -> None:
    async def ask() -> str:
        return await said(sdk, await sdk.ask(client, question, stream=stream), stream=stream)

    async def let_go() -> None:
        assert await sdk.door.heard(hold.reached)
        hold.open()

    async with sdk.door.cache() as cache, sdk.client(cache) as client:
        for round_ in range(3):
            question = f"{QUESTION} {round_}"
            with provider.holding(after=0) as hold:
                answers = await sdk.door.together(50, ask, let_go)
            assert set(answers) == {answer_to(question)}
            assert provider.calls.total == round_ + 1
        stats = cache.stats()
        assert (stats.misses, stats.hits + stats.joined) == (3, 147)
        assert stats.joined > 0
        assert stats.errors == 0


async def test_a_failure_reaches_everyone_after_one_call(
    chat: OpenAISdk, provider: HoldingProvider
) -> None:
    async def ask() -> int:
        try:
            await chat.ask(client, model="practice-429")
        except chat.errors as error:
            return int(getattr(error, "status_code", 0))
        return 200

    async def let_go() -> None:
        assert await chat.door.heard(hold.reached)
        started.append(provider.calls.total)
        hold.open()

    started: list[int] = []
    async with chat.door.cache() as cache, chat.client(cache) as client:
        with provider.holding(after=0) as hold:
            assert await chat.door.together(20, ask, let_go) == [429] * 20
        assert started == [1]
        assert cache.stats().stored == 0
        assert cache.stats().joined > 0


async def test_a_closed_cache_says_so(door: Door, provider: HoldingProvider) -> None:
    async with door.cache() as cache:
        client = door.http(cache)
        await post(client)
    with pytest.raises(CacheClosed, match="closed"):
        await post(client)
    await closed(client)
    assert provider.calls.total == 1


@pytest.mark.parametrize("namespace", [None, "team"])
async def test_a_store_that_does_not_work_costs_no_call(
    sdk: Sdk, provider: HoldingProvider, tmp_path: Path, namespace: str | None
) -> None:
    """A folder is no database: memory does what it can, callers' namespaces included."""
    address = f"sqlite:{tmp_path}"
    async with sdk.door.cache(address, namespace=namespace) as cache, sdk.client(cache) as client:
        for stream in (False, True):
            got = await sdk.ask(client, stream=stream)
            assert await said(sdk, got, stream=stream) == ANSWER
        assert got.status.endswith("detail=memory")
        assert cache.stats().errors > 0
    assert provider.calls.total == 1


@pytest.mark.parametrize("blocking", [False], indirect=True, ids=["suspending"])
async def test_a_blocking_cache_also_serves_a_suspending_client(
    chat: OpenAISdk, provider: HoldingProvider
) -> None:
    async with chat.door._replace(blocking=True).cache() as cache:
        async with chat.client(cache) as client:
            miss = await chat.ask(client)
        with httpx2.Client(transport=CachingTransport(cache), base_url=chat.door.url) as other:
            hit = other.post(CHAT, json=BODY, headers=FIRST)
    assert hit.json() == miss.value.to_dict()
    assert provider.calls.total == 1
