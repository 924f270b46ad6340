"""Answers through the real SDKs: what a miss, a hit and a stream look like to their callers."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from askonce.cli.demo.provider.answers import answer_to, thoughts_on
from tests.library.holding_provider import HoldingProvider
from tests.library.sdks import QUESTION, AnthropicSdk, OpenAISdk, Sdk, each, entered, ready, said

ANSWER = answer_to(QUESTION)
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"what": {"type": "string"}}}
CALL_THE_TOOL = "Please call the tool about my card"


class Support(BaseModel):
    answer: str


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_the_second_call_is_a_hit(sdk: Sdk, provider: HoldingProvider) -> None:
    clock = Clock()
    async with sdk.door.cache(clock=clock) as cache, sdk.client(cache) as client:
        miss = await sdk.ask(client)
        clock.now += 90
        hit = await sdk.ask(client)

    assert sdk.text(miss.value) == ANSWER
    assert hit.value.to_dict() == miss.value.to_dict()
    assert miss.status == "askonce; fwd=miss; stored; detail=not-found"
    assert "age" not in miss.headers
    assert hit.status == "askonce; hit; ttl=86310; detail=memory"
    assert hit.headers["age"] == "90"
    assert provider.calls.total == 1
    stats = cache.stats()
    assert (stats.calls, stats.misses, stats.hits, stats.stored) == (2, 1, 1, 1)
    assert (stats.errors, stats.upstream) == (0, 1)
    assert stats.saved_tokens == _tokens(hit.value.usage)


def _tokens(usage: Any) -> int:
    counts = usage.to_dict()
    return int(counts.get("total_tokens") or counts["input_tokens"] + counts["output_tokens"])


async def test_what_belongs_to_one_response_is_not_replayed(
    sdk: Sdk, provider: HoldingProvider
) -> None:
    async with sdk.door.cache() as cache, sdk.client(cache) as client:
        miss = await sdk.ask(client)
        hit = await sdk.ask(client)

    assert "set-cookie" in miss.headers
    private = re.compile("set-cookie|.*ratelimit.*|(x-)?request-id|server-timing|.*organization.*")
    assert [name for name in hit.headers if private.fullmatch(name.lower())] == [], hit.headers
    original = hit.headers["askonce-original-request-id"]
    assert original in (miss.headers.get("x-request-id"), miss.headers.get("request-id"))


@pytest.mark.parametrize("stream_first", [False, True], ids=["json-first", "stream-first"])
async def test_one_entry_serves_both_shapes(
    sdk: Sdk, provider: HoldingProvider, stream_first: bool
) -> None:
    async with sdk.door.cache() as cache, sdk.client(cache) as client:
        first = await sdk.ask(client, stream=stream_first)
        assert await said(sdk, first, stream=stream_first) == ANSWER
        other = await sdk.ask(client, stream=not stream_first)
        assert await said(sdk, other, stream=not stream_first) == ANSWER
        again = await sdk.ask(client, stream=stream_first)
        assert await said(sdk, again, stream=stream_first) == ANSWER

    assert [first.status.split(";")[1], other.status.split(";")[1], again.status.split(";")[1]] == [
        " fwd=miss", " hit", " hit",
    ]  # fmt: skip
    assert provider.calls.total == 1


async def test_a_streamed_hit_has_the_usage_of_the_answer(
    sdk: Sdk, provider: HoldingProvider
) -> None:
    async with sdk.door.cache() as cache, sdk.client(cache) as client:
        streamed = await sdk.ask(client, stream=True)
        assert await said(sdk, streamed, stream=True) == ANSWER
        hit = await sdk.ask(client)

    assert hit.status.startswith("askonce; hit")
    assert _tokens(hit.value.usage) > 40


async def test_the_usage_chunk_comes_to_those_who_asked_for_it(
    chat: OpenAISdk, provider: HoldingProvider
) -> None:
    async with chat.door.cache() as cache, chat.client(cache) as client:
        for call in range(4):  # a miss and a hit, each without and with the chunk
            wanted = call % 2 == 1
            options = {"stream_options": {"include_usage": True}} if wanted else {}
            got = await chat.ask(client, f"{QUESTION} {call // 3}", stream=True, **options)
            chunks = [chunk async for chunk in each(got.value)]
            usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
            assert len(usages) == wanted
            assert all(chunk.choices for chunk in chunks[: -1 if wanted else None])
    assert provider.calls.total == 2


async def test_a_streamed_miss_is_live(sdk: Sdk, provider: HoldingProvider) -> None:
    """The first event is here while the provider still holds all the others."""
    with provider.holding(after=1) as hold:
        async with sdk.door.cache() as cache, sdk.client(cache) as client:
            got = await sdk.ask(client, stream=True)
            events = each(got.value)
            first = await anext(events)
            assert await sdk.door.heard(hold.reached)
            assert cache.stats().stored == 0
            hold.open()
            words = [sdk.words(first)] + [sdk.words(event) async for event in events]
            assert "".join(words) == ANSWER


async def test_a_stream_is_stored_when_its_terminal_event_was_read(
    sdk: Sdk, provider: HoldingProvider
) -> None:
    """The SDKs stop reading there and close, before the response has ended."""
    with provider.holding(after=None) as hold:
        async with sdk.door.cache() as cache, sdk.client(cache) as client:
            got = await sdk.ask(client, stream=True)
            words = []
            # The last thing that Messages says is `message_stop`; `[DONE]` is not shown.
            async for event in each(got.value):
                words.append(sdk.words(event))
                if getattr(event, "type", "") == "message_stop":
                    break
            await ready(got.value.close())
            assert await sdk.door.heard(hold.gone), "the connection is still open"
            assert cache.stats().stored == 1
            hit = await sdk.ask(client)
            assert sdk.text(hit.value) == "".join(words) == ANSWER
    assert provider.calls.total == 1


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_gzipped_answer(sdk: Sdk, provider: HoldingProvider, stream: bool) -> None:
    async with sdk.door.cache() as cache, sdk.client(cache) as client:
        for expected in ("fwd=miss", "hit"):
            got = await sdk.ask(client, model="practice-gzip", stream=stream)
            assert expected in got.status
            assert "content-encoding" not in got.headers
            assert await said(sdk, got, stream=stream) == ANSWER
    assert provider.calls.total == 1


async def test_a_file_outlives_its_cache(
    sdk: Sdk, provider: HoldingProvider, tmp_path: Path
) -> None:
    address = f"sqlite:{tmp_path / 'answers.db'}"
    async with sdk.door.cache(address) as cache, sdk.client(cache) as client:
        miss = await sdk.ask(client)
    async with sdk.door.cache(address) as cache, sdk.client(cache) as client:
        shared = await sdk.ask(client)
        again = await sdk.ask(client)
        assert await ready(cache.check()) == []

    assert shared.status.endswith("detail=shared; layer=sqlite")
    assert again.status.endswith("detail=memory")
    assert miss.value.to_dict() == shared.value.to_dict() == again.value.to_dict()
    assert provider.calls.total == 1


class TestChatCompletions:
    async def test_tool_calls(self, chat: OpenAISdk, provider: HoldingProvider) -> None:
        tool = {"type": "function", "function": {"name": "look_up", "parameters": PARAMETERS}}
        async with chat.door.cache() as cache, chat.client(cache) as client:
            miss = await chat.ask(client, CALL_THE_TOOL, tools=[tool])
            hit = await chat.ask(client, CALL_THE_TOOL, tools=[tool])
            streamed = await chat.ask(client, CALL_THE_TOOL, tools=[tool], stream=True)
            deltas = [
                delta
                async for chunk in each(streamed.value)
                for choice in chunk.choices
                for delta in choice.delta.tool_calls or ()
            ]

        [call] = miss.value.choices[0].message.tool_calls
        assert call.function.name == "look_up"
        assert hit.value.to_dict() == miss.value.to_dict()
        assert deltas[0].id == call.id
        arguments = "".join(delta.function.arguments or "" for delta in deltas)
        assert arguments == call.function.arguments
        assert provider.calls.total == 1

    async def test_several_choices(self, chat: OpenAISdk, provider: HoldingProvider) -> None:
        expected = [answer_to(QUESTION, choice) for choice in range(3)]
        async with chat.door.cache() as cache, chat.client(cache) as client:
            for _ in range(2):
                texts = ["", "", ""]
                streamed = await chat.ask(client, n=3, stream=True)
                async for chunk in each(streamed.value):
                    for choice in chunk.choices:
                        texts[choice.index] += choice.delta.content or ""
                assert texts == expected
            whole = await chat.ask(client, n=3)
            assert [choice.message.content for choice in whole.value.choices] == expected
            await chat.ask(client)  # another question
        assert provider.calls.total == 2

    async def test_the_streaming_helper(self, chat: OpenAISdk, provider: HoldingProvider) -> None:
        asked: Any = [{"role": "user", "content": QUESTION}]
        async with chat.door.cache() as cache, chat.client(cache) as client:
            for _ in range(2):
                manager = client.chat.completions.stream(model=chat.model, messages=asked)
                async with entered(manager) as stream:
                    kinds = {event.type async for event in each(stream)}
                    final = await ready(stream.get_final_completion())
                assert {"chunk", "content.delta", "content.done"} <= kinds
                assert final.choices[0].message.content == ANSWER
        assert provider.calls.total == 1

    async def test_parsed_into_a_model(self, chat: OpenAISdk, provider: HoldingProvider) -> None:
        asked: Any = [{"role": "user", "content": QUESTION}]
        async with chat.door.cache() as cache, chat.client(cache) as client:
            for _ in range(2):
                parse = client.chat.completions.parse
                completion = await ready(
                    parse(model=chat.model, messages=asked, response_format=Support)
                )
                assert completion.choices[0].message.parsed == Support(answer=ANSWER)
        assert provider.calls.total == 1

    async def test_with_streaming_response(
        self, chat: OpenAISdk, provider: HoldingProvider
    ) -> None:
        asked: Any = [{"role": "user", "content": QUESTION}]
        bodies = []
        async with chat.door.cache() as cache, chat.client(cache) as client:
            for _ in range(2):
                create = client.chat.completions.with_streaming_response.create
                async with entered(create(model=chat.model, messages=asked)) as response:
                    bodies.append(await ready(response.read()))
        assert bodies[0] == bodies[1]
        assert ANSWER.encode() in bodies[0]
        assert provider.calls.total == 1


class TestMessages:
    async def test_tool_use(self, claude: AnthropicSdk, provider: HoldingProvider) -> None:
        tool = {"name": "look_up", "input_schema": PARAMETERS}
        async with claude.door.cache() as cache, claude.client(cache) as client:
            streamed = await claude.ask(client, CALL_THE_TOOL, tools=[tool], stream=True)
            events = [event async for event in each(streamed.value)]
            hit = await claude.ask(client, CALL_THE_TOOL, tools=[tool])

        [started] = [event for event in events if event.type == "content_block_start"]
        [block] = hit.value.content
        assert (block.type, block.name, block.id) == (
            "tool_use",
            "look_up",
            started.content_block.id,
        )
        assert block.input["what"]
        assert hit.value.stop_reason == "tool_use"
        assert provider.calls.total == 1

    async def test_thinking(self, claude: AnthropicSdk, provider: HoldingProvider) -> None:
        thinking = {"type": "enabled", "budget_tokens": 1024}
        async with claude.door.cache() as cache, claude.client(cache) as client:
            streamed = await claude.ask(client, thinking=thinking, stream=True)
            events = [event async for event in each(streamed.value)]
            hit = await claude.ask(client, thinking=thinking)
            plain = await claude.ask(client)

        deltas = [event.delta for event in events if event.type == "content_block_delta"]
        thoughts, answer = hit.value.content
        assert thoughts.thinking == thoughts_on(QUESTION)
        assert [d.signature for d in deltas if d.type == "signature_delta"] == [thoughts.signature]
        assert answer.text == ANSWER
        assert [block.type for block in plain.value.content] == ["text"]
        assert provider.calls.total == 2

    async def test_the_streaming_helper(
        self, claude: AnthropicSdk, provider: HoldingProvider
    ) -> None:
        asked: Any = [{"role": "user", "content": QUESTION}]
        finals = []
        async with claude.door.cache() as cache, claude.client(cache) as client:
            for _ in range(2):
                manager = client.messages.stream(
                    model=claude.model, max_tokens=2048, messages=asked
                )
                async with entered(manager) as stream:
                    texts = [text async for text in each(stream.text_stream)]
                    finals.append(await ready(stream.get_final_message()))
                assert "".join(texts) == ANSWER
        assert finals[0].to_dict() == finals[1].to_dict()
        assert provider.calls.total == 1

    async def test_beta(self, claude: AnthropicSdk, provider: HoldingProvider) -> None:
        asked: Any = [{"role": "user", "content": QUESTION}]
        async with claude.door.cache() as cache, claude.client(cache) as client:
            for betas in (["context-1m-2025-08-07"], ["context-1m-2025-08-07"], []):
                create = client.beta.messages.create
                message = await ready(
                    create(model=claude.model, max_tokens=2048, messages=asked, betas=betas)
                )
                assert message.content[0].text == ANSWER
        assert provider.calls.total == 2, "a beta can change the answer"

    async def test_with_streaming_response(
        self, claude: AnthropicSdk, provider: HoldingProvider
    ) -> None:
        asked: Any = [{"role": "user", "content": QUESTION}]
        bodies = []
        async with claude.door.cache() as cache, claude.client(cache) as client:
            for _ in range(2):
                create = client.messages.with_streaming_response.create
                manager = create(model=claude.model, max_tokens=2048, messages=asked)
                async with entered(manager) as response:
                    bodies.append(await ready(response.read()))
        assert bodies[0] == bodies[1]
        assert provider.calls.total == 1
