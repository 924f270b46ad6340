"""A request as its provider's prompt cache reads it, in four dialects."""

from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.requests.dialects import DIALECTS
from askonce.prompts.requests.render import render
from askonce.prompts.requests.segments import RenderedPrompt, Segment, SegmentKind

BOOK = load_rules()
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TOOL = {"name": "look_up", "description": "Looks it up.", "input_schema": {"type": "object"}}


def shown(rendered: RenderedPrompt) -> list[tuple[str, str, str]]:
    return [(one.kind.value, one.pointer, one.form) for one in rendered.segments]


def pointers(rendered: RenderedPrompt, which: str) -> list[str]:
    return [one.pointer for one in rendered.segments if getattr(one, which)]


def shared(one: RenderedPrompt, two: RenderedPrompt) -> int:
    """Count the segments that two requests share as a prefix."""
    pairs = zip(one.segments, two.segments, strict=False)
    return sum(1 for _ in takewhile(lambda pair: as_bytes(pair[0]) == as_bytes(pair[1]), pairs))


def as_bytes(segment: Segment) -> tuple[bytes, bytes]:
    return segment.frame, segment.data


def markers(rendered: RenderedPrompt) -> list[tuple[str, str]]:
    return [(one.pointer, one.marker) for one in rendered.segments if one.marker is not None]


def messages_request(**changed: Any) -> dict[str, Any]:
    return {
        "model": "claude-opus-5",
        "max_tokens": 100,
        "tools": [TOOL],
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi."}],
    } | changed


def test_messages() -> None:
    request = messages_request(
        tool_choice={"type": "auto"},
        cache_control={"type": "ephemeral"},
        system=[{"type": "text", "text": "Be brief.", **MARK}],
        messages=[
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}],
            },
        ],
    )

    rendered = render(request, "messages")

    assert shown(rendered) == [
        ("parameters", "", ""),
        ("tool", "/tools/0", "tool"),
        ("system", "/system/0", "text"),
        ("parameters", "", ""),
        ("message", "/messages/0/content", "text"),
        ("message", "/messages/1/content/0", "tool_use"),
        ("message", "/messages/2/content/0", "tool_result"),
    ]
    assert rendered.segments[0].data == b'{"model":"claude-opus-5"}'
    assert rendered.segments[2].data == b"Be brief."
    assert rendered.is_understood
    assert markers(rendered) == [("/system/0", "1h")]
    assert rendered.caching.automatic == ""


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"model": "claude-opus-5-5"}, 0),
        ({"tools": [TOOL | {"description": "Finds it."}]}, 1),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}, TOOL]}, 2),
        ({"speed": "fast"}, 2),
        ({"system": "Be long."}, 2),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 3),
        ({"tool_choice": {"type": "any"}}, 3),
        ({"output_config": {"effort": "low"}}, 3),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, 3),
        ({"messages": [{"role": "user", "content": "Ho."}]}, 3),
        ({"max_tokens": 7, "metadata": {"user_id": "1"}, "temperature": 1}, 4),
    ],
)
def test_what_a_change_of_a_messages_request_loses(change: dict[str, Any], kept: int) -> None:
    before, after = messages_request(), messages_request(**change)
    assert shared(render(before, "messages"), render(after, "messages")) == kept


def test_an_image_later_loses_the_earlier_messages_but_not_the_system() -> None:
    first = {"role": "user", "content": "Hi."}
    image = {"role": "user", "content": [{"type": "image", "source": {}}]}
    before = render(messages_request(messages=[first]), "messages")
    after = render(messages_request(messages=[first, image]), "messages")
    assert shared(before, after) == 3


def test_a_string_is_its_block_and_a_marker_changes_nothing() -> None:
    block = {"type": "text", "text": "Be brief."}
    plain = render(messages_request(), "messages")
    for system in ([block], [block | MARK]):
        other = render(messages_request(system=system), "messages")
        assert shared(plain, other) == len(plain.segments)


def test_runs_of_tool_calls_and_results_are_one_position() -> None:
    def some(kind: str, count: int) -> list[dict[str, Any]]:
        return [{"type": kind, "n": number} for number in range(count)]

    request = messages_request(
        messages=[
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": some("tool_use", 3)},
            {"role": "user", "content": [*some("tool_result", 3), {"type": "text", "text": "?"}]},
        ]
    )
    positions = [one.position for one in render(request, "messages").segments if one.form]
    assert positions == [0, 1, 2, 3, 3, 3, 4, 4, 4, 5]


def test_chat() -> None:
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    request = {
        "model": "gpt-5.6-sol",
        "prompt_cache_key": "team",
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief.", **mark}]},
            {"role": "developer", "content": "In English."},
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}, {"id": "2"}]},
            {"role": "tool", "tool_call_id": "1", "content": "one"},
            {"role": "tool", "tool_call_id": "2", "content": "two"},
            {"role": "user", "name": "ann", "content": [{"type": "image_url", "image_url": {}}]},
        ],
    }

    rendered = render(request, "chat", rule=BOOK.rule("openai", "gpt-5.6-sol"))

    assert shown(rendered) == [
        ("parameters", "", ""),
        ("tool", "/tools/0", "tool"),
        ("system", "/messages/0/content/0", "text"),
        ("system", "/messages/1/content", "text"),
        ("message", "/messages/2/content", "text"),
        ("message", "/messages/3/tool_calls/0", "tool_use"),
        ("message", "/messages/3/tool_calls/1", "tool_use"),
        ("message", "/messages/4", "fields"),
        ("message", "/messages/4/content", "text"),
        ("message", "/messages/5", "fields"),
        ("message", "/messages/5/content", "text"),
        ("message", "/messages/6", "fields"),
        ("message", "/messages/6/content/0", "image"),
    ]
    assert rendered.segments[0].data == b'{"model":"gpt-5.6-sol","prompt_cache_key":"team"}'
    assert rendered.doubts == ()
    assert pointers(rendered, "endpoint") == [
        "/messages/1/content",
        "/messages/2/content",
        "/messages/5/content",
        "/messages/6/content/0",
    ]
    assert markers(rendered) == [("/messages/0/content/0", "")]
    assert (rendered.caching.mode, rendered.caching.ttl) == ("explicit", "30m")


def test_a_marker_at_a_chat_message_is_one_at_its_last_block() -> None:
    said = {"role": "user", "content": "Hi.", "cache_control": {"type": "ephemeral"}}
    rendered = render({"model": "m", "messages": [said]}, "chat")
    assert markers(rendered) == [("/messages/0/content", "")]
    assert rendered.segments[-1].data == b"Hi."


def test_responses() -> None:
    request = {
        "model": "gpt-6.2",
        "instructions": "Be brief.",
        "reasoning": {"effort": "low", "summary": "auto"},
        "input": [
            {"role": "developer", "content": "In English."},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "one"},
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Yes.", "annotations": []}],
            },
        ],
    }

    early = render(request, "responses", rule=BOOK.rule("openai", "gpt-6-sol"))
    late = render(request, "responses", rule=BOOK.rule("openai", "gpt-6.2"))

    assert early.doubts == ()
    assert early.segments[0].data == b'{"model":"gpt-6.2","reasoning.effort":"low"}'
    assert shown(early)[1] == ("system", "/instructions", "text")
    assert shown(late)[-1] == ("message", "/instructions", "text")
    assert [one.form for one in late.segments][1:-1] == [
        *("text", "text", "thinking", "tool_use", "tool_result", "text")
    ]
    assert pointers(early, "endpoint") == ["/input/0/content", "/input/1/content/0", "/input/4"]


def test_what_lies_at_the_provider_is_in_doubt() -> None:
    rendered = render({"model": "m", "input": "Hi.", "previous_response_id": "r"}, "responses")
    assert rendered.doubts == ("/previous_response_id: a part of the prompt lies at the provider",)
    assert rendered.segments[-1].data == b"Hi."


def test_gemini() -> None:
    request = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": []}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi."}, {"inlineData": {"data": "AA"}}]},
            {"role": "model", "parts": [{"text": "Hm.", "thought": True}, {"functionCall": {}}]},
        ],
    }
    rendered = render(request, "gemini", model="gemini-3-pro")
    assert shown(rendered) == [
        ("parameters", "", ""),
        ("tool", "/tools/0", "tool"),
        ("system", "/systemInstruction/parts/0", "text"),
        ("parameters", "", ""),
        ("message", "/contents/0/parts/0", "text"),
        ("message", "/contents/0/parts/1", "image"),
        ("message", "/contents/1/parts/0", "thinking"),
        ("message", "/contents/1/parts/1", "tool_use"),
    ]
    assert rendered.segments[0].data == b'{"model":"gemini-3-pro"}'
    assert rendered.is_understood


@pytest.mark.parametrize(
    ("dialect", "request_body", "doubt"),
    [
        ("smoke", {}, "'smoke' is no dialect"),
        ("chat", [], "not an object"),
        ("chat", {"messages": "Hi."}, "/messages: not a list"),
        ("chat", {"messages": [{"role": 7}]}, "/messages/0: not a message"),
        ("chat", {"messages": [{"role": "wizard", "content": ""}]}, "unknown role"),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "unknown type"),
        ("chat", {"messages": [], "cache_salt": "x"}, "/cache_salt: not a known member"),
        ("chat", {"messages": [], "tools": ["f"]}, "/tools/0: not an object"),
        ("responses", {"input": [{"type": "item_reference", "id": "1"}]}, "unknown type"),
        ("messages", {"messages": [{"role": "user", "content": 1}]}, "neither a string nor"),
        ("messages", {"messages": [], "a/b~c": 1}, "/a~1b~0c: not a known member"),
        ("messages", {"messages": [], "mcp_servers": [{}]}, "lies at the provider"),
        ("gemini", {"contents": [{"text": "Hi."}]}, "not a content with parts"),
        ("gemini", {"contents": [], "cachedContent": "cachedContents/1"}, "lies at the provider"),
    ],
)
def test_what_is_not_understood_is_said(dialect: str, request_body: Any, doubt: str) -> None:
    rendered = render(request_body, dialect)
    assert not rendered.is_understood
    assert any(doubt in one for one in rendered.doubts), rendered.doubts


def test_text_that_is_not_unicode_and_depth_do_not_raise() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    odd = {"role": "user", "content": "\ud800"}
    rendered = render({"messages": [odd, {"role": "tool", "x": "\ud800", "content": ""}]}, "chat")
    assert [one.data for one in rendered.segments][1:2] == ["\ud800".encode(errors="surrogatepass")]
    assert not render({"messages": [], "tools": [{"a": deep}]}, "chat").is_understood


WORDS = """model messages input contents system systemInstruction tools role content parts type text
user assistant tool system function_call input_text image cache_control ttl 5m tool_calls
prompt_cache_breakpoint thinking reasoning effort citations enabled"""
NAMES = st.sampled_from(WORDS.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=2), inner, max_size=6)
    ),
    max_leaves=40,
)


@settings(max_examples=300)
@given(request_body=JSON, dialect=st.sampled_from(DIALECTS))
def test_nothing_raises(request_body: Any, dialect: str) -> None:
    rendered = render(request_body, dialect)
    assert not rendered.segments or rendered.segments[0].kind is SegmentKind.PARAMETERS
    assert render(request_body, dialect) == rendered
