"""Anthropic Messages: the question, ignored members, the judgment of answers, and usage."""

from typing import Any

import msgspec
import pytest

from askonce.core.errors import CallMalformed
from askonce.core.keys import canonical
from askonce.core.models import Reason, Shape, Usage
from askonce.core.sse import parse
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "default": None}}}
PIXEL = "iVBORw0KGgo="

BODY: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1024,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "How is the weather in Rome?"}],
    "tools": [{"name": "weather", "description": "Weather of a city.", "input_schema": SCHEMA}],
}


def asked(body: Any) -> Any:
    return canonical(ANTHROPIC_MESSAGES.read(body).asked)


def with_turns(*blocks: Any, role: Any = "user") -> Any:
    return {**BODY, "messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/v1/messages", True),
        ("/anthropic/v1/messages", True),
        ("/v1/messages/count_tokens", False),
        ("/v1/messages/batches", False),
        ("/v1/messages/", False),
        ("/v1/complete", False),
    ],
)
def test_recognizes_its_one_endpoint(path: Any, known: Any) -> None:
    assert ANTHROPIC_MESSAGES.recognizes(path) is known


# --- the key --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stream", True),
        ("metadata", {"user_id": "u-1"}),
        ("service_tier", "auto"),
        ("speed", "fast"),
        ("inference_geo", "eu"),
        ("cache_control", {"type": "ephemeral"}),
        ("diagnostics", {"previous_message_id": "msg_1"}),
        ("user_profile_id", "profile_1"),
    ],
)
def test_presentation_and_accounting_are_not_the_question(name: Any, value: Any) -> None:
    assert asked({**BODY, name: value}) == asked(BODY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "claude-opus-4-5"),
        ("messages", [{"role": "user", "content": "How is the weather in Oslo?"}]),
        ("system", "Be verbose."),
        ("tools", []),
        ("tool_choice", {"type": "any"}),
        ("max_tokens", 1025),
        ("stop_sequences", ["\n\n"]),
        ("thinking", {"type": "enabled", "budget_tokens": 2048}),
        ("output_config", {"effort": "low"}),
        ("output_config", {"format": {"type": "json_schema", "schema": SCHEMA}}),
        ("output_format", {"type": "json_schema", "schema": SCHEMA}),
        ("temperature", 0),
        ("top_p", 0.9),
        ("top_k", 5),
        ("context_management", {"edits": []}),
        ("never_heard_of", 1),
        ("never_heard_of", {}),
    ],
)
def test_everything_else_is_and_so_is_the_unknown(name: Any, value: Any) -> None:
    assert asked({**BODY, name: value}) != asked(BODY)


@pytest.mark.parametrize(
    "name", ["stop_sequences", "thinking", "tool_choice", "temperature", "output_config", "unknown"]
)
def test_a_null_field_is_an_absent_one(name: Any) -> None:
    assert asked({**BODY, name: None}) == asked(BODY)


def test_cache_markers_are_dropped_wherever_the_protocol_has_them() -> None:
    marker = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    marked = {
        **BODY,
        "system": [{"type": "text", "text": "Be brief."}],
        "tools": [{**BODY["tools"][0], **marker}],
    }
    assert asked(marked) == asked(BODY)
    text = {"type": "text", "text": "hi"}
    assert asked(with_turns({**text, **marker})) == asked(with_turns(text))
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text]}
    other = {**result, **marker, "content": [{**text, **marker}]}
    assert asked(with_turns(other)) == asked(with_turns(result))


@pytest.mark.parametrize(
    "with_schema",
    [
        lambda schema: {"tools": [{"name": "weather", "input_schema": schema}]},
        lambda schema: {"tools": [{"name": "weather", "input_examples": [schema]}]},
        lambda schema: {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        lambda schema: {"output_format": {"type": "json_schema", "schema": schema}},
        lambda schema: with_turns({"type": "tool_use", "id": "t", "name": "w", "input": schema}),
        lambda schema: with_turns({"type": "tool_definition", "tool": {"input_schema": schema}}),
        lambda schema: {"never_heard_of": [schema]},
    ],
    ids=["tool", "examples", "output_config", "output_format", "input", "block", "unknown"],
)
@pytest.mark.parametrize("name", ["default", "cache_control"])
def test_in_a_callers_own_json_nulls_and_marker_names_count(with_schema: Any, name: Any) -> None:
    plain = asked({**BODY, **with_schema({"title": "T"})})
    assert asked({**BODY, **with_schema({"title": "T", name: None})}) != plain
    assert asked({**BODY, **with_schema({"title": "T", name: "x"})}) != plain


def tool_turns(first: Any, second: Any, *, kind: Any = "tool_use") -> Any:
    """A conversation with two parallel calls and their results."""
    result = "tool_result" if kind == "tool_use" else f"{kind.removesuffix('_use')}_result"
    calls = [
        {"type": kind, "id": first, "name": "weather", "input": {"city": "Rome"}},
        {"type": kind, "id": second, "name": "weather", "input": {"city": "Oslo"}},
    ]
    results = [
        {"type": result, "tool_use_id": first, "content": "18 °C"},
        {"type": result, "tool_use_id": second, "content": "3 °C"},
    ]
    turns = [
        {"role": "user", "content": "How is the weather in Rome and Oslo?"},
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
    ]
    return {**BODY, "messages": turns}


@pytest.mark.parametrize("kind", ["tool_use", "server_tool_use", "mcp_tool_use"])
def test_random_tool_ids_of_earlier_turns_are_not_content(kind: Any) -> None:
    one = tool_turns("toolu_01A", "toolu_01B", kind=kind)
    assert asked(one) == asked(tool_turns("toolu_02Y", "toolu_02X", kind=kind))


def test_but_whose_result_is_whose_is() -> None:
    crossed = tool_turns("a", "b")
    one, two = crossed["messages"][2]["content"]
    crossed["messages"][2]["content"] = [{**one, "tool_use_id": "b"}, {**two, "tool_use_id": "a"}]
    assert asked(crossed) != asked(tool_turns("a", "b"))
    assert asked(tool_turns("a", "a")) != asked(tool_turns("a", "b"))


def test_the_id_of_a_programmatic_caller_is_random_too() -> None:
    def turns(server_id: Any) -> Any:
        caller = {"type": "code_execution_20250825", "tool_id": server_id}
        return with_turns(
            {"type": "server_tool_use", "id": server_id, "name": "code_execution", "input": {}},
            {"type": "tool_use", "id": "t", "name": "w", "input": {}, "caller": caller},
        )

    assert asked(turns("srvtoolu_1")) == asked(turns("srvtoolu_2"))


def media(data: Any, kind: Any = "image", media_type: Any = "image/png") -> Any:
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": kind, "source": source}


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda block: block,
        lambda block: {"type": "tool_result", "tool_use_id": "t", "content": [block]},
        lambda block: {"type": "document", "source": {"type": "content", "content": [block]}},
    ],
    ids=["turn", "tool_result", "document"],
)
def test_base64_media_enter_as_their_hash(wrapped: Any) -> None:
    big = PIXEL * 100_000
    question = asked(with_turns(wrapped(media(big))))
    assert len(question) < 1_000
    assert question == asked(with_turns(wrapped(media(big))))
    assert question != asked(with_turns(wrapped(media(big + "AAAA"))))
    assert question != asked(with_turns(wrapped(media(big, media_type="image/webp"))))
    assert question != asked(with_turns(wrapped(media(big, kind="document"))))


def test_media_by_url_text_or_file_stay_as_they_are() -> None:
    for source in (
        {"type": "url", "url": "https://a.example/x.png"},
        {"type": "text", "media_type": "text/plain", "data": "A contract."},
        {"type": "file", "file_id": "file_1"},
    ):
        changed = {name: f"{value}!" for name, value in source.items() if name != "type"}
        one = with_turns({"type": "document", "source": source})
        other = with_turns({"type": "document", "source": {**source, **changed}})
        assert asked(one) != asked(other)


@pytest.mark.parametrize("member", ["thinking", "signature"])
def test_earlier_thinking_is_part_of_the_question(member: Any) -> None:
    block = {"type": "thinking", "thinking": "Rome, then.", "signature": "c2ln"}
    one = with_turns(block, role="assistant")
    assert asked(one) != asked(with_turns({**block, member: "other"}, role="assistant"))


def test_reading_leaves_the_body_as_it_was_and_copies_no_plain_turn() -> None:
    body = tool_turns("toolu_01A", "toolu_01B")
    before = msgspec.json.encode(body)
    question = ANTHROPIC_MESSAGES.read(body)
    assert msgspec.json.encode(body) == before
    assert question.asked["messages"][0] is body["messages"][0]
    assert ANTHROPIC_MESSAGES.read(BODY).asked["messages"] is BODY["messages"]


# --- what else a request says ---------------------------------------------------------------


def test_shape_model_and_upstream_bytes() -> None:
    question = ANTHROPIC_MESSAGES.read({**BODY, "stream": True})
    assert question.shape == Shape(stream=True)
    assert question.model == "claude-sonnet-4-5"
    raw = b'{ "model" :"claude-sonnet-4-5"}'
    assert ANTHROPIC_MESSAGES.to_upstream(raw, question) is raw
    assert ANTHROPIC_MESSAGES.read({**BODY, "stream": None}).shape == Shape()


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({}, None),
        ({"tools": [{"type": "custom", "name": "w", "input_schema": {}}]}, None),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, None),
        ({"tools": [{"type": "text_editor_20250728", "name": "edit"}]}, None),
        ({"tools": [{"type": "computer_20251124", "name": "computer"}]}, None),
        ({"tools": [{"type": "memory_20250818", "name": "memory"}]}, None),
        ({"tools": None, "mcp_servers": [], "container": None, "thread": None}, None),
        ({"tools": [{"type": "web_search_20250305"}]}, Reason.HOSTED_TOOL),
        ({"tools": [*BODY["tools"], {"type": "code_execution_20250825"}]}, Reason.HOSTED_TOOL),
        ({"tools": [{"type": "mcp_toolset"}]}, Reason.HOSTED_TOOL),
        ({"tools": [{"type": "from_the_future"}]}, Reason.HOSTED_TOOL),
        ({"mcp_servers": [{"type": "url"}]}, Reason.HOSTED_TOOL),
        ({"container": "container_1"}, Reason.HOSTED_TOOL),
        ({"max_tokens": 0}, Reason.SERVER_STATE),
        ({"thread": {"id": "thread_1"}}, Reason.SERVER_STATE),
        ({"thread_id": "thread_1"}, Reason.SERVER_STATE),
    ],
)
def test_what_the_provider_does_or_remembers_is_not_cached(member: Any, reason: Any) -> None:
    assert ANTHROPIC_MESSAGES.read({**BODY, **member}).bypass is reason


@pytest.mark.parametrize(
    ("temperature", "sampled"), [(None, False), (0, False), (0.0, False), (0.1, True), (1, True)]
)
def test_only_an_explicit_temperature_above_zero_is_sampling(
    temperature: Any, sampled: Any
) -> None:
    assert ANTHROPIC_MESSAGES.read({**BODY, "temperature": temperature}).sampled is sampled


@pytest.mark.parametrize(
    ("member", "wants_json"),
    [
        ({}, False),
        ({"output_config": {"effort": "low", "format": None}}, False),
        ({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, True),
        ({"output_format": {"type": "json_schema", "schema": SCHEMA}}, True),
    ],
)
def test_whether_json_was_asked_for(member: Any, wants_json: Any) -> None:
    assert ANTHROPIC_MESSAGES.read({**BODY, **member}).wants_json is wants_json


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([("user", "hi")], "hi"),
        ([("user", "one"), ("assistant", "two"), ("user", "three")], "three"),
        ([("user", "one"), ("assistant", "The answer is (")], "one"),
        ([("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], "a\nb"),
        ([("user", [media(PIXEL), {"type": "text", "text": "what is it?"}])], "what is it?"),
        ([("user", "one"), ("user", [{"type": "tool_result", "tool_use_id": "t"}])], ""),
        ([("assistant", "hello")], ""),
    ],
)
def test_the_text_of_the_last_user_turn(turns: Any, text: Any) -> None:
    messages = [{"role": role, "content": content} for role, content in turns]
    assert ANTHROPIC_MESSAGES.read({**BODY, "messages": messages}).text == text


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"model": "m"},
        {"messages": []},
        {**BODY, "model": 5},
        {**BODY, "messages": {"role": "user"}},
        {**BODY, "messages": ["hi"]},
        {**BODY, "messages": [{"content": "hi"}]},
        {**BODY, "messages": [{"role": "user"}]},
        {**BODY, "messages": [{"role": "user", "content": 5}]},
        with_turns("hi"),
        with_turns({"text": "hi"}),
        with_turns({"type": ["text"]}),
        with_turns({"type": "tool_result", "tool_use_id": "t", "content": [5]}),
        {**BODY, "max_tokens": "many"},
        {**BODY, "max_tokens": True},
        {**BODY, "system": 5},
        {**BODY, "system": [5]},
        {**BODY, "stream": "yes"},
        {**BODY, "temperature": "hot"},
        {**BODY, "temperature": True},
        {**BODY, "tools": {}},
        {**BODY, "tools": ["weather"]},
        {**BODY, "tools": [{"type": 5}]},
        {**BODY, "mcp_servers": "all"},
        {**BODY, "output_config": "json"},
        {**BODY, "output_format": []},
    ],
    ids=repr,
)
def test_wrong_types_are_malformed_in_one_sentence(body: Any) -> None:
    with pytest.raises(CallMalformed) as caught:
        ANTHROPIC_MESSAGES.read(body)
    assert "\n" not in str(caught.value)


# --- what an answer says --------------------------------------------------------------------

TEXT = {"type": "text", "text": "18 °C and sunny."}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}


def message(*content: Any, stop_reason: Any = "end_turn", **members: Any) -> Any:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **members,
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (message(TEXT), None),
        (message(TEXT, usage=None), None),
        (message(TEXT, stop_reason="stop_sequence", stop_sequence="."), None),
        (message(CALL, stop_reason="tool_use"), None),
        (message({"type": "thinking", "thinking": "", "signature": "s"}, TEXT), None),
        (message({"type": "from_the_future", "x": 1}, TEXT), None),
        (message(TEXT, stop_reason="max_tokens"), Reason.LENGTH),
        (message(TEXT, stop_reason="model_context_window_exceeded"), Reason.LENGTH),
        (message(stop_reason="refusal"), Reason.REFUSAL),
        (message(TEXT, stop_reason="pause_turn"), Reason.PAUSED),
        (message(TEXT, stop_reason=None), Reason.CUT_SHORT),
        (message(TEXT, stop_reason="stop"), None),
        (message(TEXT, stop_reason="compaction"), Reason.PAUSED),
        (message(TEXT, stop_reason="error"), Reason.UNKNOWN_FINISH),
        (message(), Reason.EMPTY),
        (message({"type": "text", "text": " \n"}), Reason.EMPTY),
        (message({"type": "thinking", "thinking": "Hm.", "signature": "s"}), Reason.EMPTY),
        (message(TEXT, stop_reason="tool_use"), Reason.BAD_TOOL_CALL),
        (message({**CALL, "input": "Rome"}, stop_reason="tool_use"), Reason.BAD_TOOL_CALL),
        (message({**CALL, "input": [1]}, stop_reason="tool_use"), Reason.BAD_TOOL_CALL),
        (message({**CALL, "input": None}, stop_reason="tool_use"), None),
        (message({"type": "tool_use", "id": "t", "name": "w"}, stop_reason="tool_use"), None),
        (message({**CALL, "id": None}, stop_reason="tool_use"), Reason.BAD_TOOL_CALL),
        (message({**CALL, "name": 5}, stop_reason="tool_use"), Reason.BAD_TOOL_CALL),
        ({"type": "error", "error": {"type": "overloaded_error"}}, Reason.STREAM_ERROR),
        (None, Reason.GARBAGE),
        ([], Reason.GARBAGE),
        ({}, Reason.GARBAGE),
        (message(TEXT, type="completion"), Reason.GARBAGE),
        (message(TEXT, content="hi"), Reason.GARBAGE),
        (message("hi"), Reason.GARBAGE),
        (message({"text": "hi"}), Reason.GARBAGE),
        (message({"type": ["text"]}), Reason.GARBAGE),
        (message({"type": "text", "text": None}), Reason.GARBAGE),
        (message({**TEXT, "citations": "no"}), Reason.GARBAGE),
        (message({"type": "thinking", "thinking": "", "signature": 5}, TEXT), Reason.GARBAGE),
        (message({"type": "redacted_thinking"}, TEXT), Reason.GARBAGE),
        (message(TEXT, usage=[]), Reason.GARBAGE),
        (message(TEXT, usage="none"), Reason.GARBAGE),
        (message(TEXT, stop_reason=["end_turn"]), Reason.GARBAGE),
    ],
)
def test_what_must_not_be_stored_and_why(answer: Any, reason: Any) -> None:
    assert ANTHROPIC_MESSAGES.judge(answer, wants_json=False) is reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (message({"type": "text", "text": '{"city": "Rome"}'}), None),
        (message({"type": "text", "text": '{"a"'}, {"type": "text", "text": ": 1}"}), None),
        (message(TEXT), Reason.NOT_JSON),
        (message({"type": "text", "text": '{"city": '}), Reason.NOT_JSON),
        (message(TEXT, CALL, stop_reason="tool_use"), None),
        (message({"type": "text", "text": "[" * 100_000}), Reason.NOT_JSON),
    ],
)
def test_what_was_asked_for_as_json_must_be_json(answer: Any, reason: Any) -> None:
    assert ANTHROPIC_MESSAGES.judge(answer, wants_json=True) is reason


def test_usage_counts_the_whole_prompt() -> None:
    counts = {
        "input_tokens": 10,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    }
    assert ANTHROPIC_MESSAGES.usage(message(TEXT, usage=counts)) == Usage(
        input_tokens=2310,
        output_tokens=50,
        cache_read_tokens=2000,
        cache_write_tokens=300,
        reasoning_tokens=20,
        cache_write_1h_tokens=100,
    )


def test_usage_bears_nulls_and_absence() -> None:
    counts = {
        "input_tokens": 10,
        "cache_read_input_tokens": None,
        "output_tokens": 5,
        "output_tokens_details": None,
    }
    usage = ANTHROPIC_MESSAGES.usage(message(TEXT, usage=counts))
    assert usage == Usage(input_tokens=10, output_tokens=5)
    assert ANTHROPIC_MESSAGES.usage(message(TEXT, usage=None)) is None
    assert ANTHROPIC_MESSAGES.usage({}) is None


def test_the_model_that_answered() -> None:
    assert ANTHROPIC_MESSAGES.model(message(TEXT)) == "claude-sonnet-4-5-20250929"
    assert ANTHROPIC_MESSAGES.model({"model": None}) == ""


@pytest.mark.parametrize("stream", [True, False])
def test_every_event_is_shown_as_it_came(stream: Any) -> None:
    raw = b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n'
    assert ANTHROPIC_MESSAGES.show(parse(raw), Shape(stream=stream)) == raw
