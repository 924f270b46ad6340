"""Chat Completions: the question, the body sent upstream, and the judgment of answers."""

import copy
import json
from typing import Any

import pytest

from askonce.core.errors import CallMalformed
from askonce.core.keys import canonical, key_of
from askonce.core.models import Key, Reason, Shape, Usage
from askonce.core.sse import parse
from askonce.core.wire_format import ParsedQuestion
from askonce.formats.openai_chat import OPENAI_CHAT

BODY: dict[str, Any] = {
    "model": "gpt-5",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is my card?"},
    ],
}
FIND = {"type": "object", "properties": {"q": {"type": "string"}}}


def read(**members: Any) -> ParsedQuestion:
    return OPENAI_CHAT.read(copy.deepcopy({**BODY, **members}))


def key(**members: Any) -> Key:
    return key_of("team-a", "openai_chat", read(**members).asked)


def said(*messages: dict[str, Any]) -> Key:
    return key(messages=list(messages))


def tool(**function: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "find", **function}}]


# --- Recognizing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "yes"),
    [
        ("/v1/chat/completions", True),
        ("/openai/deployments/x/chat/completions", True),
        ("/api/v1/chat/completions", True),
        ("/chat/completions", True),
        ("/v1/completions", False),
        ("/v1/chat/completions/chatcmpl-1", False),
        ("/v1/embeddings", False),
        ("/v1/messages", False),
    ],
)
def test_recognizes(path: str, yes: bool) -> None:
    assert OPENAI_CHAT.recognizes(path) is yes


# --- The key: the reference table, field by field -------------------------------------------

IN_THE_KEY: list[dict[str, Any]] = [
    {"model": "gpt-5-mini"},
    {"messages": [{"role": "user", "content": "Where is my card?"}]},
    {"tools": tool()},
    {"functions": [{"name": "find"}]},
    {"tool_choice": "required"},
    {"function_call": "none"},
    {"parallel_tool_calls": False},
    {"response_format": {"type": "json_object"}},
    {"temperature": 0},
    {"top_p": 0.5},
    {"seed": 7},
    {"max_tokens": 7},
    {"max_completion_tokens": 7},
    {"stop": "a"},
    {"stop": ["a"]},
    {"presence_penalty": 1},
    {"frequency_penalty": 1},
    {"logit_bias": {"50256": -100}},
    {"logprobs": True},
    {"top_logprobs": 2},
    {"n": 2},
    {"modalities": ["text"]},
    {"audio": {"voice": "alloy", "format": "wav"}},
    {"prediction": {"type": "content", "content": "x"}},
    {"reasoning_effort": "low"},
    {"verbosity": "low"},
    {"moderation": {"level": "low"}},
    {"web_search_options": {}},
    {"top_k": 40},
    {"guided_json": {"const": None}},
    {"something_new": []},
]

NOT_IN_THE_KEY: list[dict[str, Any]] = [
    {"user": "u-1"},
    {"safety_identifier": "s"},
    {"metadata": {"trace": "1"}},
    {"store": True},
    {"service_tier": "flex"},
    {"prompt_cache_key": "k"},
    {"prompt_cache_options": {"mode": "auto"}},
    {"prompt_cache_retention": "24h"},
    {"stream": True},
    {"stream": False},
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"seed": None},
    {"tools": None},
    {"functions": None},
    {"response_format": None},
    {"stream_options": None},
    {"something_new": None},
    {"cache_control": {"type": "ephemeral"}},
]


@pytest.mark.parametrize("members", IN_THE_KEY, ids=str)
def test_what_can_change_the_answer_changes_the_key(members: dict[str, Any]) -> None:
    assert key(**members) != key()


def test_each_change_has_a_key_of_its_own() -> None:
    keys = [key(**members) for members in IN_THE_KEY]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("members", NOT_IN_THE_KEY, ids=str)
def test_presentation_does_not_change_the_key(members: dict[str, Any]) -> None:
    assert key(**members) == key()


def test_reading_leaves_the_body_as_it_was() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    call = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    body = {
        **BODY,
        "messages": [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "x"},
        ],
        "tools": tool(parameters=FIND),
        "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
    }
    before = copy.deepcopy(body)
    OPENAI_CHAT.read(body)
    assert body == before


def test_null_counts_in_a_callers_own_json_only() -> None:
    for name in ("parameters", "anything"):
        assert key(tools=tool(**{name: {"default": None}})) != key(tools=tool(**{name: {}}))
    assert key(tools=tool(strict=None)) == key(tools=tool())
    assert key(tools=[{**tool()[0], "cache_control": {"type": "ephemeral"}}]) == key(tools=tool())

    named = {"cache_control": {"type": "string"}}
    assert key(tools=tool(parameters=named)) != key(tools=tool(parameters={}))

    legacy = [{"name": "find", "parameters": {"default": None}}]
    assert key(functions=legacy) != key(functions=[{"name": "find", "parameters": {}}])

    def schema(**members: Any) -> dict[str, Any]:
        return {"type": "json_schema", "json_schema": {"name": "a", **members}}

    assert key(response_format=schema(schema={"const": None})) != key(
        response_format=schema(schema={})
    )
    assert key(response_format=schema(strict=None)) == key(response_format=schema())

    def custom(grammar: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"type": "custom", "custom": {"name": "run", "format": grammar}}]

    assert key(tools=custom({"x": None})) != key(tools=custom({}))
    assert key(guided_json={"const": None}) != key(guided_json={})


# --- Earlier turns --------------------------------------------------------------------------


def turns(first: str, second: str, *, answers: tuple[str, str] | None = None) -> Key:
    calls = [
        {"id": first, "type": "function", "function": {"name": "find", "arguments": '{"q": null}'}},
        {"id": second, "type": "custom", "custom": {"name": "run", "input": "ls"}},
    ]
    one, two = answers or (first, second)
    return said(
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": one, "content": "here"},
        {"role": "tool", "tool_call_id": two, "content": "there"},
    )


def test_random_ids_of_tool_calls_do_not_matter_but_who_answers_which_does() -> None:
    assert turns("call_1", "call_2") == turns("call_x", "call_y")
    assert turns("call_1", "call_2") == turns("call_2", "call_1")
    assert turns("#1", "#0") == turns("call_1", "call_2")
    swapped = turns("call_1", "call_2", answers=("call_2", "call_1"))
    assert swapped != turns("call_1", "call_2")


def test_arguments_of_earlier_calls_are_text() -> None:
    def called(arguments: str) -> Key:
        function = {"name": "find", "arguments": arguments}
        call = {"id": "a", "type": "function", "function": function}
        return said({"role": "assistant", "content": None, "tool_calls": [call]})

    assert called('{"q":1}') != called('{"q": 1}')
    assert called('{"q":1}') != called('{"q":2}')


@pytest.mark.parametrize(
    "change",
    [
        {"role": "developer"},
        {"content": "Be kind."},
        {"name": "ann"},
        {"refusal": "No."},
        {"reasoning_content": "so"},
        {"something_new": 1},
        {"something_new": {"a": None}},
        {"audio": {"id": "audio_1"}},
        {"function_call": {"name": "find", "arguments": "{}"}},
    ],
    ids=str,
)
def test_every_member_of_a_message_is_asked(change: dict[str, Any]) -> None:
    plain = {"role": "system", "content": "Be brief."}
    assert said({**plain, **change}) != said(plain)


def test_null_members_and_cache_markers_of_a_message_are_not_asked() -> None:
    plain = {"role": "assistant", "content": "x"}
    nulls = {"refusal": None, "tool_calls": None, "audio": None, "name": None}
    assert said({**plain, **nulls}) == said(plain)
    part = {"type": "text", "text": "x"}
    marked = {**part, "cache_control": {"type": "ephemeral"}}
    assert said({"role": "user", "content": [marked]}) == said({"role": "user", "content": [part]})


# --- Media ----------------------------------------------------------------------------------

PNG = "data:image/png;base64," + "iVBORw0KGgo" * 10


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": PNG + "A", "detail": "low"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGR" * 20, "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "UklGX" * 20, "format": "wav"}},
        ),
        (
            {"type": "file", "file": {"file_data": "JVBER" * 20, "filename": "a.pdf"}},
            {"type": "file", "file": {"file_data": "JVBEX" * 20, "filename": "a.pdf"}},
        ),
        (
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"file_id": "file-2"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/b.png"}},
        ),
        ({"type": "something_new", "it": {"a": None}}, {"type": "something_new", "it": {}}),
        ({"type": "text", "text": "a"}, {"type": "refusal", "refusal": "a"}),
    ],
    ids=str,
)
def test_parts_differ_by_their_content(part: dict[str, Any], other: dict[str, Any]) -> None:
    assert said({"role": "user", "content": [part]}) == said({"role": "user", "content": [part]})
    assert said({"role": "user", "content": [part]}) != said({"role": "user", "content": [other]})


def test_base64_is_replaced_by_its_digest() -> None:
    content = [{"type": "image_url", "image_url": {"url": PNG}}]
    question = canonical(read(messages=[{"role": "user", "content": content}]).asked)
    assert b"base64" not in question
    assert b"sha256(" in question


# --- What else is read ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "shape"),
    [
        ({}, Shape()),
        ({"stream": None}, Shape()),
        ({"stream": False}, Shape()),
        ({"stream": True}, Shape(stream=True)),
        ({"stream": True, "stream_options": {}}, Shape(stream=True)),
        ({"stream": True, "stream_options": {"include_usage": False}}, Shape(stream=True)),
        ({"stream": True, "stream_options": {"include_usage": None}}, Shape(stream=True)),
        (
            {"stream": True, "stream_options": {"include_usage": True}},
            Shape(stream=True, usage=True),
        ),
    ],
    ids=str,
)
def test_shape(members: dict[str, Any], shape: Shape) -> None:
    assert read(**members).shape == shape


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, None),
        ({"tools": tool()}, None),
        ({"tools": [{"type": "custom", "custom": {"name": "run"}}]}, None),
        ({"modalities": ["text"]}, None),
        ({"audio": None, "web_search_options": None, "modalities": None}, None),
        ({"web_search_options": {}}, Reason.HOSTED_TOOL),
        ({"tools": [{"type": "web_search"}]}, Reason.HOSTED_TOOL),
        ({"modalities": ["text", "audio"]}, Reason.AUDIO),
        ({"audio": {"voice": "alloy"}}, Reason.AUDIO),
    ],
    ids=str,
)
def test_bypass(members: dict[str, Any], reason: Reason | None) -> None:
    assert read(**members).bypass is reason


@pytest.mark.parametrize(
    ("temperature", "sampled"), [(None, False), (0, False), (0.0, False), (0.1, True), (1, True)]
)
def test_sampled_is_an_explicit_temperature_above_zero(temperature: Any, sampled: bool) -> None:
    assert read(temperature=temperature).sampled is sampled


def test_wants_json() -> None:
    assert not read().wants_json
    assert not read(response_format={"type": "text"}).wants_json
    assert not read(response_format={"type": ["json_object"]}).wants_json
    assert read(response_format={"type": "json_object"}).wants_json
    assert read(response_format={"type": "json_schema", "json_schema": {}}).wants_json


def test_model_and_the_text_of_the_last_user_turn() -> None:
    assert read().model == "gpt-5"
    assert read().text == "Where is my card?"
    parts = [
        {"type": "text", "text": "What "},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "text", "text": "is this?"},
    ]
    later = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A card."}]
    assert read(messages=BODY["messages"] + later).text == "What \nis this?"
    assert read(messages=[{"role": "system", "content": "x"}]).text == ""
    assert read(messages=[]).text == ""


@pytest.mark.parametrize(
    "members",
    [
        {"model": None},
        {"model": 5},
        {"messages": None},
        {"messages": {}},
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"content": "hi"}]},
        {"messages": [{"role": 1, "content": "hi"}]},
        {"messages": [{"role": "user", "content": 1}]},
        {"messages": [{"role": "user", "content": {}}]},
        {"messages": [{"role": "user", "content": ["hi"]}]},
        {"messages": [{"role": "assistant", "tool_calls": {}}]},
        {"messages": [{"role": "assistant", "tool_calls": ["x"]}]},
        {"stream": "yes"},
        {"stream": 1},
        {"stream_options": []},
        {"stream": True, "stream_options": {"include_usage": "yes"}},
        {"temperature": "0"},
        {"temperature": True},
        {"tools": {}},
        {"tools": ["find"]},
        {"tools": [{"type": 1}]},
        {"tools": [{"type": "function", "function": "find"}]},
        {"functions": "find"},
        {"functions": ["find"]},
        {"response_format": "json"},
        {"modalities": "audio"},
    ],
    ids=str,
)
def test_wrong_types_are_malformed(members: dict[str, Any]) -> None:
    with pytest.raises(CallMalformed, match=r"^`[^`]+` is [a-z ]+\.$"):
        read(**members)


@pytest.mark.parametrize("body", [None, [], "x", 7, {}, {"model": "m"}])
def test_wrong_bodies_are_malformed(body: Any) -> None:
    with pytest.raises(CallMalformed):
        OPENAI_CHAT.read(body)


# --- Upstream -------------------------------------------------------------------------------


def upstream(body: bytes) -> bytes:
    return OPENAI_CHAT.to_upstream(body, OPENAI_CHAT.read(json.loads(body)))


MESSAGES = b'"messages" : [{"role":"user","content":"\\u00e9 \\/ \xc3\xa9"}]'


@pytest.mark.parametrize(
    "extra",
    [
        b"",
        b', "stream": false',
        b', "stream": true, "stream_options": {"include_usage": true}',
    ],
)
def test_what_needs_nothing_is_sent_as_it_came(extra: bytes) -> None:
    body = b' { "model" :"m", ' + MESSAGES + extra + b" } "
    assert upstream(body) is body


def test_a_stream_is_asked_for_its_usage_and_nothing_else_changes() -> None:
    numbers = (
        b'"seed":123456789012345678901234567890,"top_p":0.10000000000000000001,"x":1.0,"y":-1E+2'
    )
    start = b'{"stream":true,' + numbers + b",%b,"
    body = b'{"stream" : true, ' + numbers + b", " + MESSAGES + b', "model":"m"}'
    sent = upstream(body)
    assert sent == (
        start % MESSAGES.replace(b" : ", b":")
        + b'"model":"m","stream_options":{"include_usage":true}}'
    )


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"null", b'{"include_usage":true}'),
        (b"{}", b'{"include_usage":true}'),
        (b'{"include_usage":false}', b'{"include_usage":true}'),
        (
            b'{"include_usage": null, "include_obfuscation": false, "z": 1.0}',
            b'{"include_usage":true,"include_obfuscation":false,"z":1.0}',
        ),
    ],
)
def test_other_stream_options_stay(options: bytes, sent: bytes) -> None:
    start = b'{"model":"m","messages":[],"stream":true,"stream_options":'
    assert upstream(start + options + b',"n":1}') == start + sent + b',"n":1}'


# --- Showing --------------------------------------------------------------------------------

USAGE_CHUNK = b'data: {"id":"c","choices": [ ],"usage":{"total_tokens":7}}\n\n'


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (USAGE_CHUNK, None),
        (b'data: {"usage":{"a":1},"id":"c","created":1,"x":null}\r\n\r\n', None),
        (b'data: {"choices":null,"usage":{},\ndata: "object":"x"}\n\n', None),
    ],
)
def test_usage_is_shown_to_those_who_asked(raw: bytes, shown: bytes | None) -> None:
    assert OPENAI_CHAT.show(parse(raw), Shape(stream=True, usage=True)) == raw
    assert OPENAI_CHAT.show(parse(raw), Shape(stream=True)) == shown


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"choices":[{"delta":{"content":"\\"usage\\": 7"}}]}\n\n',
        b'data: {"choices":[{"usage":{"a":1}}]}\r\n\r\n',
        b'data: {"choices":[{}],"usage":null}\n\n',
        b'data: {"usage":{"a":1},"choices":[{}]}\r\n\r\n',
        b'data: {"choices":[],"usage":null,"prompt_filter_results":[]}\n\n',
        b'data: {"choices":[],"usage":{"a":1},"timings":{"b":1}}\n\n',
        b'data: {"choices":[],"usage":{"a":1},"citations":[]}\n\n',
        b'data: {"x":[1,\ndata: 2],"usage":{}}\n\n',
        b'data: {"usage"\n\n',
        b'data: ["usage"]\n\n',
        b": comment\n\n",
        b"data: [DONE]\n\n",
    ],
)
def test_everything_else_is_shown_as_it_came(raw: bytes) -> None:
    for shape in (Shape(stream=True), Shape(stream=True, usage=True)):
        assert OPENAI_CHAT.show(parse(raw), shape) == raw


# --- Judging --------------------------------------------------------------------------------


def called(arguments: Any) -> dict[str, Any]:
    return {"id": "a", "type": "function", "function": {"name": "find", "arguments": arguments}}


def typed(text: Any) -> dict[str, Any]:
    return {"id": "a", "type": "custom", "custom": {"name": "run", "input": text}}


def answer(run_sync: Any = "stop", **message: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "refusal": None, **message}
    choice = {"index": 0, "message": message, "finish_reason": run_sync}
    return {"id": "c", "object": "chat.completion", "model": "gpt-5", "choices": [choice]}


def but(**members: Any) -> dict[str, Any]:
    whole = answer(content="x")
    whole["choices"][0].update(members)
    return whole


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer(content="x"), None),
        (answer("tool_calls", tool_calls=[called("{}")]), None),
        (answer("tool_calls", tool_calls=[typed("ls")]), None),
        (answer("stop", tool_calls=[called("{}")]), None),
        (answer("function_call", function_call={"name": "f", "arguments": "{}"}), None),
        (answer("content_filter", content="x"), Reason.FILTERED),
        (answer(content="x", refusal="No."), Reason.REFUSAL),
        (answer(content="x", refusal=""), None),
        (answer("length", content="x"), Reason.LENGTH),
        (answer(), Reason.EMPTY),
        (answer(content="", tool_calls=[]), Reason.EMPTY),
        (answer(content=None, reasoning="so"), Reason.EMPTY),
        ({"object": "chat.completion", "choices": []}, Reason.EMPTY),
        ({}, Reason.EMPTY),
        (answer(None, content="x"), Reason.CUT_SHORT),
        (answer("error", content="x"), Reason.UNKNOWN_FINISH),
        (answer("tool_calls", tool_calls=[called('{"q":')]), Reason.BAD_TOOL_CALL),
        (answer("tool_calls", tool_calls=[called("")]), None),
        (answer("tool_calls", tool_calls=[called(" \n")]), None),
        (answer("tool_calls", tool_calls=[called(None)]), None),
        (answer("tool_calls", tool_calls=[called({})]), None),
        (answer("tool_calls", tool_calls=[called({"q": 1})]), None),
        (answer("tool_calls", tool_calls=[{"function": {"name": "find"}}]), None),
        (answer("tool_calls", tool_calls=[{"id": "", "custom": {"name": "run"}}]), None),
        (answer("tool_calls", tool_calls=[{**called("{}"), "type": None}]), None),
        (answer("function_call", function_call={"name": "f"}), None),
        (answer("function_call", function_call={"name": "f", "arguments": {}}), None),
        (answer(content=[{"type": "text", "text": "x"}]), None),
        (answer(content=[{"type": "thinking", "thinking": []}]), None),
        (answer(content=[]), Reason.EMPTY),
        (answer(content=[{"type": "text"}]), Reason.GARBAGE),
        (answer(content=[{"text": "x"}]), Reason.GARBAGE),
        (answer(content="x", reasoning=[{"type": "text", "text": "y"}]), None),
        (answer("", content="x"), Reason.CUT_SHORT),
        (answer("null", content="x"), Reason.CUT_SHORT),
        (answer("eos", content="x"), None),
        (answer("max_tokens", content="x"), Reason.LENGTH),
        (answer("SAFETY", content="x"), Reason.FILTERED),
        (answer("pause_turn", content="x"), Reason.PAUSED),
        (answer("tool_calls", tool_calls=[called("[" * 5000)]), Reason.BAD_TOOL_CALL),
        (
            answer("function_call", function_call={"name": "f", "arguments": "{"}),
            Reason.BAD_TOOL_CALL,
        ),
        ({"error": {"message": "x"}}, Reason.STREAM_ERROR),
        ({"object": "error", "message": "x"}, Reason.STREAM_ERROR),
        ({**answer(content="x"), "error": None}, None),
        ({"choices": {}}, Reason.GARBAGE),
        ({"choices": [7]}, Reason.GARBAGE),
        ({"choices": [{"message": 7}]}, Reason.GARBAGE),
        (but(index="0"), Reason.GARBAGE),
        (but(finish_reason=7), Reason.GARBAGE),
        (but(logprobs=[]), Reason.GARBAGE),
        (but(logprobs={"content": {}}), Reason.GARBAGE),
        (but(message=None), Reason.GARBAGE),
        (answer(content=7), Reason.GARBAGE),
        (answer(content=["x"]), Reason.GARBAGE),
        (answer(content="x", refusal=7), Reason.GARBAGE),
        (answer(content="x", tool_calls={}), Reason.GARBAGE),
        (answer(tool_calls=[called([])]), Reason.GARBAGE),
        (answer(tool_calls=[{"function": {}}]), Reason.GARBAGE),
        (answer(tool_calls=[typed(7)]), Reason.GARBAGE),
        (answer(tool_calls=[{**called("{}"), "id": 7}]), Reason.GARBAGE),
        (answer(tool_calls=[{**called("{}"), "type": "new"}]), Reason.GARBAGE),
        (answer(content="x", function_call="f"), Reason.GARBAGE),
        ({**answer(content="x"), "usage": []}, Reason.GARBAGE),
        ({**answer(content="x"), "model": 7}, Reason.GARBAGE),
    ],
    ids=str,
)
def test_judge(given: dict[str, Any], reason: Reason | None) -> None:
    assert OPENAI_CHAT.judge(given, wants_json=False) is reason


def test_one_bad_choice_is_enough() -> None:
    whole = answer(content="x")
    whole["choices"] += answer("length", content="x")["choices"]
    assert OPENAI_CHAT.judge(whole, wants_json=False) is Reason.LENGTH


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer(content='{"a": 1}'), None),
        (answer(content="Sure: {}"), Reason.NOT_JSON),
        (answer(content='{"a": '), Reason.NOT_JSON),
        (answer("tool_calls", tool_calls=[called("{}")]), None),
    ],
    ids=str,
)
def test_judge_where_json_was_asked(given: dict[str, Any], reason: Reason | None) -> None:
    assert OPENAI_CHAT.judge(given, wants_json=True) is reason


# --- Model, usage, errors -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ([], None),
        ({}, Usage()),
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(input_tokens=3, output_tokens=4)),
        (
            {
                "prompt_tokens": 30,
                "completion_tokens": 40,
                "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(30, 40, 20, 5, 30),
        ),
        (
            {
                "prompt_tokens": None,
                "completion_tokens": "4",
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(),
        ),
    ],
    ids=str,
)
def test_usage(usage: Any, read: Usage | None) -> None:
    assert OPENAI_CHAT.usage({"usage": usage}) == read


def test_model() -> None:
    assert OPENAI_CHAT.model({"model": "gpt-5-2025-08-07"}) == "gpt-5-2025-08-07"
    assert OPENAI_CHAT.model({"model": 7}) == OPENAI_CHAT.model({}) == ""


def test_error() -> None:
    assert json.loads(OPENAI_CHAT.error('No "answer".', "not-found")) == {
        "error": {
            "message": 'No "answer".',
            "type": "askonce_error",
            "param": None,
            "code": "not-found",
        }
    }
