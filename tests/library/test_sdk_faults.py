"""What goes wrong at the provider or with the caller: nothing is stored, nothing is disguised."""

import asyncio
import os
import re
import signal
import threading
from typing import Any, NamedTuple

import pytest

from askonce.cli.demo.provider.answers import answer_to
from tests.library.holding_provider import HoldingProvider
from tests.library.sdks import QUESTION, Sdk, each, ready, said

ANSWER = answer_to(QUESTION)

# Models that ask for a fault, and why the answer is not stored; nothing where there is none.
FAULTS = [
    ("practice-429", "status"),
    ("practice-500", "status"),
    ("practice-503-then-ok", "status"),
    ("practice-garbage", "garbage"),
    ("practice-length", "length"),
    ("practice-refusal", "refusal"),
    ("practice-filter", "filtered or refusal"),  # Messages has one word for both
    ("practice-empty", "empty"),
    ("practice-cut", ""),
    ("practice-stall", ""),
]


class Ending(NamedTuple):
    """How a call ended, as its caller saw it; two equal ones look the same."""

    kind: type | None
    text: str
    status: int | None = None
    cause: type | None = None


async def ending(sdk: Sdk, client: Any, model: str, *, stream: bool) -> Ending:
    words: list[str] = []
    try:
        got = await sdk.ask(client, model=model, stream=stream)
        if not stream:
            return Ending(None, sdk.text(got.value))
        async for event in each(got.value):
            words.append(sdk.words(event))  # noqa: PERF401 - what came before an error counts
    except sdk.errors as error:
        cause = None if error.__cause__ is None else type(error.__cause__)
        # The message quotes the response's body, in which only the request's id is ever new.
        text = re.sub(r"\breq_\w+", "req_", f"{error} after {''.join(words)}")
        return Ending(type(error), text, getattr(error, "status_code", None), cause)
    return Ending(None, "".join(words))


@pytest.mark.parametrize(
    ("model", "reason", "stream"),
    [
        *[(*fault, stream) for fault in FAULTS for stream in (False, True)],
        ("practice-cut-quiet", "cut-short", True),
        ("practice-stream-error", "stream-error", True),
    ],
)
async def test_a_fault_looks_the_same_with_and_without_the_cache(
    sdk: Sdk, provider: HoldingProvider, model: str, reason: str, stream: bool
) -> None:
    # A stall is noticed by the client's patience, a moment after the head of the response came.
    options: dict[str, Any] = {"timeout": 0.3 if model == "practice-stall" else 10}
    async with sdk.client(**options) as plain:
        expected = await ending(sdk, plain, model, stream=stream)
    provider.reset()
    async with sdk.door.cache() as cache, sdk.client(cache, **options) as client:
        assert await ending(sdk, client, model, stream=stream) == expected
        stats = cache.stats()
        assert (stats.stored, stats.errors) == (0, 0)
        assert stats.not_stored in ([{why: 1} for why in reason.split(" or ") if why] or [{}])

        await ending(sdk, client, model, stream=stream)
        assert provider.calls.total == 2, "the second call has to ask again"


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_retried_call_is_stored_once(
    sdk: Sdk, provider: HoldingProvider, stream: bool
) -> None:
    model = "practice-503-then-ok"
    async with sdk.door.cache() as cache, sdk.client(cache, max_retries=2) as client:
        for _ in range(2):
            got = await sdk.ask(client, model=model, stream=stream)
            assert await said(sdk, got, stream=stream) == ANSWER
        assert got.status.startswith("askonce; hit")
        assert cache.stats().stored == 1
    assert provider.calls.total == 2


async def test_a_provider_that_is_down(sdk: Sdk) -> None:
    nowhere = sdk.door._replace(url="http://127.0.0.1:1")
    sdk = type(sdk)(nowhere)
    async with sdk.client() as plain, sdk.door.cache() as cache, sdk.client(cache) as client:
        expected = await ending(sdk, plain, sdk.model, stream=False)
        assert await ending(sdk, client, sdk.model, stream=False) == expected
        assert expected.kind is not None
        assert expected.kind.__name__ == "APIConnectionError"
        assert cache.stats().errors == 0


async def test_a_stream_closed_early_is_not_stored(sdk: Sdk, provider: HoldingProvider) -> None:
    with provider.holding(after=2) as hold:
        async with sdk.door.cache() as cache, sdk.client(cache) as client:
            got = await sdk.ask(client, stream=True)
            await anext(each(got.value))
            await ready(got.value.close())
            assert await sdk.door.heard(hold.gone), "the provider is still being listened to"
            assert cache.stats().stored == 0
            hold.open()
            whole = await sdk.ask(client)
            assert sdk.text(whole.value) == ANSWER
            assert whole.status.startswith("askonce; fwd=miss; stored")
    assert provider.calls.total == 2


async def test_an_exception_between_two_chunks_leaves_the_cache_usable(
    sdk: Sdk, provider: HoldingProvider
) -> None:
    """The stream is not even closed: the next caller gets the whole answer."""

    async def interrupted(events: Any) -> None:
        async for _ in events:
            raise KeyboardInterrupt

    async with sdk.door.cache() as cache, sdk.client(cache) as client:
        got = await sdk.ask(client, stream=True)
        with pytest.raises(KeyboardInterrupt):
            await interrupted(each(got.value))
        for stream in (True, False):
            again = await sdk.ask(client, stream=stream)
            assert await said(sdk, again, stream=stream) == ANSWER
        await ready(got.value.close())
        assert cache.stats().errors == 0


def interrupt_once(reached: threading.Event) -> threading.Thread:
    """Press Ctrl-C, once the provider has been reached."""

    def press() -> None:
        if reached.wait(10):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_ctrl_c_while_waiting_for_the_provider(
    sdk: Sdk, provider: HoldingProvider, stream: bool
) -> None:
    async def ask() -> str:
        return await said(sdk, await sdk.ask(client, stream=stream), stream=stream)

    async with sdk.door.cache() as cache, sdk.client(cache) as client:
        with provider.holding(after=2 if stream else 0) as hold:
            if sdk.door.blocking:
                thread = interrupt_once(hold.reached)
                with pytest.raises(KeyboardInterrupt):
                    await ask()
                thread.join()
            else:
                task = asyncio.ensure_future(ask())
                assert await sdk.door.heard(hold.reached)
                task.cancel()  # what `asyncio.run` makes of Ctrl-C
                with pytest.raises(asyncio.CancelledError):
                    await task
        stats = cache.stats()
        assert (stats.stored, stats.errors) == (0, 0)
        assert await ask() == ANSWER
        assert await ask() == ANSWER
        assert cache.stats().hits == 1
    assert provider.calls.total == 2
