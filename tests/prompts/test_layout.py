"""Prompt layouts: static text first, in the same bytes every time, with markers where they pay."""

import json
from typing import Any

import pytest

from askonce import ConfigError, PromptLayout

LONG = "You answer for a bank. Never promise what the terms do not say. " * 100
TOOLS = [{"name": "find", "input_schema": {"type": "object"}}]
TALK = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good morning."}]


def test_the_tutorials_form() -> None:
    layout = PromptLayout(static_prefix="You answer for a bank.")

    prompt = layout.build(dynamic_context="Today is Monday.", user_message="Are you open?")

    assert prompt.messages == [
        {"role": "system", "content": "You answer for a bank."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Today is Monday."},
                {"type": "text", "text": "Are you open?"},
            ],
        },
    ]
    assert prompt.reason == "unknown-model"
    assert dict(**prompt) == prompt


def test_gpt_5_6_gets_breakpoints_and_a_key() -> None:
    layout = PromptLayout(LONG, model="gpt-5.6-sol", key="bank", one_shot=True)

    prompt = layout.build(user_message="Why?", slow="Fees of May.")

    explicit = {"mode": "explicit"}
    assert prompt["messages"][:2] == [
        {
            "role": "system",
            "content": [{"type": "text", "text": LONG, "prompt_cache_breakpoint": explicit}],
        },
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "Fees of May.", "prompt_cache_breakpoint": explicit}
            ],
        },
    ]
    assert (prompt["prompt_cache_options"], prompt["prompt_cache_key"]) == (explicit, "bank")
    assert prompt.marked == ("/messages/0/content/0", "/messages/1/content/0")


def test_responses_put_stable_text_where_it_can_be_marked() -> None:
    prompt = PromptLayout(LONG, dialect="responses", model="gpt-6.2").build(user_message="Why?")

    assert "instructions" not in prompt
    assert prompt["input"][0]["role"] == "developer"
    assert prompt["input"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert prompt["input"][1] == {"role": "user", "content": "Why?"}


def test_older_models_are_laid_out_and_not_marked() -> None:
    prompt = PromptLayout(LONG, model="gpt-4o").build(user_message="Why?")

    assert prompt["messages"][0] == {"role": "system", "content": LONG}
    assert (prompt.marked, prompt.reason) == ((), "automatic")


def test_claude_gets_at_most_four_markers_the_longer_lifetime_first() -> None:
    layout = PromptLayout(
        LONG, tools=TOOLS, dialect="messages", model="claude-sonnet-4-5", ttl="1h"
    )

    prompt = layout.build(user_message="Why?", slow="Fees of May.", volatile="Now.", history=TALK)

    assert prompt["tools"] == TOOLS
    assert [block["cache_control"] for block in prompt["system"]] == [
        {"type": "ephemeral", "ttl": "1h"},
        {"type": "ephemeral"},
    ]
    assert prompt["messages"][1]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert prompt["messages"][2]["content"] == [
        {"type": "text", "text": "Now."},
        {"type": "text", "text": "Why?"},
    ]
    assert json.dumps(prompt).count("cache_control") == 3


def test_tools_alone_are_marked_at_the_last_one() -> None:
    tools = [{"name": f"t{at}", "description": LONG} for at in range(2)]

    prompt = PromptLayout(tools=tools, dialect="messages").build(user_message="Why?")

    assert "cache_control" not in prompt["tools"][0]
    assert prompt["tools"][1]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("model", "marked"), [("claude-sonnet-4-5", 1), ("claude-haiku-4-5", 0), ("claude-opus-5-5", 1)]
)
def test_no_marker_below_the_models_minimum(model: str, marked: int) -> None:
    layout = PromptLayout(LONG, dialect="messages", model=model)  # 1,600 tokens

    prompt = layout.build(user_message="Why?")

    assert len(prompt.marked) == marked
    assert prompt.reason == ("ok" if marked else "too-short")


def test_tokens_may_be_counted_by_the_caller() -> None:
    layout = PromptLayout(
        "Short.", dialect="messages", model="claude-haiku-4-5", count_tokens=_many
    )

    assert layout.build(user_message="Why?").marked == ("/system/0",)


def _many(text: str) -> int:
    return 5_000


def test_bedrock_takes_cache_points() -> None:
    layout = PromptLayout(LONG, dialect="converse", ttl="1h", tools=[{"toolSpec": {"name": "t"}}])

    prompt = layout.build(
        user_message="Why?", history=[{"role": "user", "content": [{"text": "x"}]}]
    )

    assert prompt["system"] == [{"text": LONG}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert prompt["toolConfig"] == {"tools": [{"toolSpec": {"name": "t"}}]}
    assert prompt["messages"][0]["content"] == [{"text": "x"}, {"cachePoint": {"type": "default"}}]


def test_gemini_needs_none() -> None:
    prompt = PromptLayout(LONG, dialect="gemini", model="gemini-3-pro").build(user_message="Why?")

    assert prompt["systemInstruction"] == {"parts": [{"text": LONG}]}
    assert prompt["contents"] == [{"role": "user", "parts": [{"text": "Why?"}]}]
    assert prompt.reason == "automatic"


def test_what_was_given_may_be_changed_afterwards() -> None:
    tools: list[dict[str, Any]] = [{"name": "find"}]
    layout = PromptLayout("Static.", tools=tools)
    first = layout.build(user_message="Why?")
    before = first.prefix

    tools[0]["name"] = "lose"
    first["tools"][0]["name"] = "keep"

    assert layout.build(user_message="Why?").prefix == before


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: PromptLayout(), "nothing is static"),
        (lambda: PromptLayout("a", stable=["b"]), "put the text into stable"),
        (lambda: PromptLayout("a", dialect="message"), "did you mean 'messages'"),  # type: ignore[arg-type]
        (lambda: PromptLayout("a", ttl="1h"), "Anthropic's and Bedrock's"),
        (lambda: PromptLayout("a", dialect="messages", ttl="2h"), "there are 5m, 1h"),
        (lambda: PromptLayout("a", dialect="messages", slow_ttl="1h"), "has to come first"),
        (lambda: PromptLayout("a", dialect="messages", key="k"), "prompt_cache_key"),
        (lambda: PromptLayout("a", provider="unknown"), "there are"),
        (lambda: PromptLayout("a", tools={"name": "t"}), "list of tools"),  # type: ignore[arg-type]
        (lambda: PromptLayout("a", tools=[{"name": object()}]), "written as JSON"),
        (lambda: PromptLayout(stable="a"), "list of texts"),
        (lambda: PromptLayout("a").build(), "user_message is empty"),
        (lambda: PromptLayout("a").build("c", "q", slow=[1]), "slow is not"),  # type: ignore[list-item]
        (lambda: PromptLayout("a").build("", "q", history=["x"]), "history"),  # type: ignore[list-item]
        (
            lambda: PromptLayout("a").build("", "q", history=[{"role": "system", "content": "x"}]),
            "history holds instructions",
        ),
    ],
)
def test_misuse_is_one_clear_error(made: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made()
