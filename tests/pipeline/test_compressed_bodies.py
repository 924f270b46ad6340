"""Compressed request bodies: one question with the plain ones, sent on as they came."""

import gzip

import brotli
import msgspec
import pytest
import zstandard

from askonce.core.models import Call
from tests.fixtures.scripted import (
    SSE_HEADERS,
    CacheUnderTest,
    Clock,
    Script,
    Scripted,
    call,
    said,
    streamed,
)
from tests.formats.test_content_decoding import PACKERS


@pytest.fixture
def in_memory(mode: str, clock: Clock) -> CacheUnderTest:
    return CacheUnderTest(mode, "memory:", clock)


def packed(asked: Call, *codings: str) -> Call:
    body = asked.body
    for coding in codings:
        body = PACKERS[coding](body)
    headers = {**asked.headers, "content-encoding": ", ".join(codings)}
    return msgspec.structs.replace(asked, body=body, headers=headers)


@pytest.mark.parametrize(
    "codings", [*((one,) for one in PACKERS), ("gzip", "br"), ("identity", "zstd")], ids=str
)
def test_a_compressed_question_is_the_same_question(
    in_memory: CacheUnderTest, codings: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        asked = packed(call(), *(coding for coding in codings if coding != "identity"))
        status, body = await in_memory.ask(asked, provider)
        assert "fwd=miss; stored" in status
        assert provider.bodies == [asked.body]
        assert body == said()
        for again in (call(), asked, packed(call(), "gzip"), packed(call(), "gzip", "gzip")):
            status, body = await in_memory.ask(again, provider)
            assert "; hit; " in status
            assert body == said()
        assert provider.calls == 1

    in_memory.run(scenario)


def test_a_compressed_question_for_a_stream_goes_on_as_it_came(
    in_memory: CacheUnderTest,
) -> None:
    in_memory.open(prompts="split")

    async def scenario() -> None:
        provider = Scripted(lambda: Script(*streamed("Thirty", " days"), headers=SSE_HEADERS))
        asked = packed(call(stream=True), "gzip")
        status, _ = await in_memory.ask(asked, provider)
        assert "fwd=miss" in status
        assert provider.bodies == [asked.body]
        status, _ = await in_memory.ask(call(), provider)
        assert "; hit; " in status
        assert in_memory.cache.stats().errors == 0

    in_memory.run(scenario)


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("gzip", b"no gzip at all", "malformed"),
        ("gzip", gzip.compress(b"no JSON"), "malformed"),
        ("gzip", call().body, "malformed"),
        ("gzip", gzip.compress(bytes(17 << 20)), "too-large"),
        ("zstd", zstandard.compress(bytes(17 << 20)), "too-large"),
        ("br", brotli.compress(bytes(17 << 20)), "too-large"),
        ("compress", call().body, "unknown-encoding"),
        ("gzip, x-new", gzip.compress(call().body), "unknown-encoding"),
    ],
    ids=["plain text", "no JSON", "not packed", "gzip bomb", "zstd bomb", "br bomb", "compress",
         "a new one"],
)  # fmt: skip
def test_what_cannot_be_decoded_goes_on_and_is_not_kept(
    in_memory: CacheUnderTest, coding: str, body: bytes, reason: str
) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        asked = call(headers={"content-encoding": coding})
        asked = msgspec.structs.replace(asked, body=body)
        for _ in range(2):
            status, _ = await in_memory.ask(asked, provider)
            assert status == f"askonce; fwd=bypass; detail={reason}"
        assert provider.bodies == [body] * 2

    in_memory.run(scenario)


def test_the_same_bytes_without_the_header_are_another_request(in_memory: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        asked = packed(call(), "gzip")
        await in_memory.ask(asked, provider)
        bare = msgspec.structs.replace(asked, headers={})
        status, _ = await in_memory.ask(bare, provider)
        assert status == "askonce; fwd=bypass; detail=malformed"

    in_memory.run(scenario)


def test_a_refused_encoding_is_the_affair_of_the_caller_who_used_it(
    in_memory: CacheUnderTest,
) -> None:
    in_memory.open(negative_ttl="1h")

    async def scenario() -> None:
        refusal = b'{"error": {"message": "no gzip here"}}'
        provider = Scripted(lambda: Script(refusal, status=415), lambda: Script(said()))
        status, body = await in_memory.ask(packed(call(), "gzip"), provider)
        assert body == refusal
        status, body = await in_memory.ask(call(), provider)
        assert "fwd=miss; stored" in status
        assert body == said()

    in_memory.run(scenario)
