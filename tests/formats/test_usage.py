"""One usage for every provider: recorded bodies and streams, and the traps in them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.models import Usage
from askonce.formats.usage import ReportedUsage, read_usage

OPENAI_CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-5.6-sol-2026-09-10",
    "service_tier": "default",
    "usage": {
        "prompt_tokens": 3210,
        "completion_tokens": 140,
        "total_tokens": 3350,
        "prompt_tokens_details": {
            "cached_tokens": 2700,
            "cache_write_tokens": 400,
            "audio_tokens": 0,
            "image_tokens": 85,
        },
        "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
    },
}
RESPONSES = {
    "object": "response",
    "model": "gpt-6-sol",
    "usage": {
        "input_tokens": 5000,
        "input_tokens_details": {
            "cached_tokens": 1000,
            "cache_write_tokens": 3000,
            "cache_write_tokens_details": {"ttl_30m_tokens": 1000, "ttl_12h_tokens": 2000},
        },
        "output_tokens": 90,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 5090,
    },
}
ANTHROPIC = {
    "type": "message",
    "model": "claude-opus-5",
    "usage": {
        "input_tokens": 12,
        "cache_read_input_tokens": 9000,
        "cache_creation_input_tokens": 1500,
        "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1000},
        "output_tokens": 200,
        "output_tokens_details": {"thinking_tokens": 80},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "batch",
        "speed": "fast",
    },
}
CONVERSE = {
    "usage": {
        "inputTokens": 20,
        "outputTokens": 7,
        "totalTokens": 1527,
        "cacheReadInputTokens": 500,
        "cacheWriteInputTokens": 1000,
        "cacheDetails": [
            {"ttl": "1h", "inputTokens": 700},
            {"ttl": "5m", "inputTokens": 300},
        ],
    }
}
GEMINI = {
    "modelVersion": "gemini-3-pro",
    "usageMetadata": {
        "promptTokenCount": 6000,
        "cachedContentTokenCount": 4096,
        "candidatesTokenCount": 50,
        "thoughtsTokenCount": 300,
        "toolUsePromptTokenCount": 40,
        "totalTokenCount": 6390,
        "trafficType": "ON_DEMAND",
    },
}
DEEPSEEK = {
    "model": "deepseek-v4-pro",
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "prompt_cache_hit_tokens": 640,
        "prompt_cache_miss_tokens": 360,
    },
}
XAI = {
    "model": "grok-4.7",
    "usage": {
        "prompt_tokens": 800,
        "completion_tokens": 9,
        "total_tokens": 1109,
        "prompt_tokens_details": {"cached_tokens": 512},
        "completion_tokens_details": {"reasoning_tokens": 300},
    },
}
VLLM = {"model": "qwen", "usage": {"prompt_tokens": 100, "completion_tokens": 5}}
OLLAMA = {"model": "llama", "done": True, "prompt_eval_count": 26, "eval_count": 290}

Numbers = tuple[int | None, int | None, dict[str, int] | None, int | None, int | None]


def usage_of(body: Any, api: str = "", provider: str = "") -> ReportedUsage:
    found = read_usage(body, api, provider)
    assert found is not None
    return found


def numbers(usage: ReportedUsage) -> Numbers:
    return (
        usage.input_total,
        usage.cached_read,
        usage.writes,
        usage.output_total,
        usage.reasoning,
    )


@pytest.mark.parametrize(
    ("body", "api", "provider", "expected"),
    [
        (OPENAI_CHAT, "chat", "openai", (3210, 2700, {"30m": 400}, 140, 64)),
        (OPENAI_CHAT, "chat", "openrouter", (3210, 2700, {"": 400}, 140, 64)),
        (RESPONSES, "responses", "openai", (5000, 1000, {"30m": 1000, "12h": 2000}, 90, 30)),
        (ANTHROPIC, "messages", "anthropic", (10512, 9000, {"5m": 500, "1h": 1000}, 200, 80)),
        (CONVERSE, "converse", "bedrock", (1520, 500, {"1h": 700, "5m": 300}, 7, None)),
        (GEMINI, "gemini", "gemini", (6040, 4096, None, 350, 300)),
        (DEEPSEEK, "chat", "deepseek", (1000, 640, None, 10, None)),
        (XAI, "chat", "xai", (800, 512, None, 309, 300)),
        (VLLM, "chat", "vllm", (100, None, None, 5, None)),
        (OLLAMA, "ollama", "ollama", (26, None, None, 290, None)),
    ],
)
def test_recorded_bodies(body: Any, api: str, provider: str, expected: Numbers) -> None:
    usage = usage_of(body, api, provider)
    assert numbers(usage) == expected
    assert usage.faults == ()
    # The dialect is seen in the body too.
    assert numbers(usage_of(body, "", provider)) == expected


def test_the_rest_of_a_body() -> None:
    chat, anthropic = usage_of(OPENAI_CHAT, "chat"), usage_of(ANTHROPIC, "messages")
    assert chat.model == "gpt-5.6-sol-2026-09-10"
    assert (chat.service_tier, chat.image_input, chat.audio_input) == ("default", 85, 0)
    assert (anthropic.service_tier, anthropic.speed, anthropic.web_searches) == ("batch", "fast", 2)
    assert anthropic.raw == ANTHROPIC["usage"]
    assert usage_of(GEMINI).service_tier == "ON_DEMAND"
    assert usage_of(GEMINI).model == "gemini-3-pro"


def test_the_parts_of_the_input_are_the_whole() -> None:
    assert usage_of(ANTHROPIC).input_uncached == 12
    assert usage_of(OPENAI_CHAT).input_uncached == 110
    assert usage_of(VLLM).input_uncached == 100
    assert ReportedUsage().input_uncached is None


def test_what_an_entry_keeps() -> None:
    assert usage_of(ANTHROPIC).kept == Usage(
        input_tokens=10512,
        output_tokens=200,
        cache_read_tokens=9000,
        cache_write_tokens=1500,
        reasoning_tokens=80,
        cache_write_1h_tokens=1000,
    )
    assert usage_of(RESPONSES).kept.cache_write_12h_tokens == 2000
    assert usage_of({"usage": {}}, "chat").kept == Usage()


def test_cache_writes_without_a_lifetime_are_of_the_default_one() -> None:
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 5, "output_tokens": 1}
    assert usage_of({"usage": usage}).writes == {"5m": 5}
    split = usage | {"cache_creation": {"ephemeral_1h_input_tokens": 3}}
    assert usage_of({"usage": split}).writes == {"1h": 3, "": 2}


def test_xai_without_a_total_excludes_reasoning_and_others_include_it() -> None:
    usage = {name: count for name, count in XAI["usage"].items() if name != "total_tokens"}  # type: ignore[attr-defined]
    assert usage_of({"usage": usage}, "chat", "xai").output_total == 309
    assert usage_of({"usage": usage}, "chat", "openai").output_total == 9
    assert usage_of({"usage": usage}, "chat", "openai").reasoning is None


def test_deepseek_reports_in_the_details_too() -> None:
    usage = {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64}}
    assert usage_of({"usage": usage}, "chat", "deepseek").cached_read == 64


@pytest.mark.parametrize("body", [None, [], "x", {}, {"usage": None}, {"usage": 7}, {"usage": []}])
def test_no_usage_at_all(body: Any) -> None:
    assert read_usage(body, "chat") is None


@pytest.mark.parametrize(
    ("usage", "fault"),
    [
        ({"prompt_tokens": -1}, "prompt_tokens: -1 is not a count"),
        ({"prompt_tokens": "many"}, "many is not a count"),
        ({"prompt_tokens": True}, "True is not a count"),
        ({"prompt_tokens": 1.5}, "1.5 is not a count"),
        ({"prompt_tokens": float("inf")}, "inf is not a count"),
        ({"prompt_tokens": 1 << 60}, "is not a count"),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}, "6 read and None"),
        (
            {"prompt_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}
            | {"completion_tokens": 5, "total_tokens": 10},
            "reasoning: 6 of 5",
        ),
        (
            {"prompt_tokens": 9, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 5},
            "9 is not 5 hit and 5 missed",
        ),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 1}
            | {"cache_creation": {"ephemeral_5m_input_tokens": 2}},
            "2 by lifetime, 1 in all",
        ),
    ],
)
def test_an_impossible_number_is_named_and_not_fatal(usage: dict[str, Any], fault: str) -> None:
    found = usage_of({"usage": usage}, "chat")
    assert any(fault in one for one in found.faults), found.faults
    assert (found.input_total or 0) >= (found.cached_read or 0)


def test_a_whole_float_is_a_count() -> None:
    assert usage_of({"usage": {"prompt_tokens": 5.0}}).input_total == 5


WORDS = """type message_start message usage message_delta content_block_delta delta text choices
finish_reason prompt_tokens cached_tokens prompt_tokens_details response response.completed
usageMetadata candidates content parts cacheDetails ttl inputTokens metadata input_tokens model
cache_creation cache_creation_input_tokens completion_tokens total_tokens eval_count done"""
NAMES = st.sampled_from(WORDS.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


@given(
    events=st.lists(JSON, max_size=4),
    api=st.sampled_from(["chat", "responses", "messages", "gemini", "converse", "ollama", "?"]),
    provider=st.sampled_from(["", "xai", "openrouter"]),
)
def test_nothing_raises_and_the_parts_fit(events: list[Any], api: str, provider: str) -> None:
    for event in events:
        usage = read_usage(event, api, provider)
        if usage is not None:
            assert usage.input_total is None or (usage.input_uncached or 0) >= 0
            assert (usage.kept.input_tokens) >= usage.kept.cache_read_tokens
