"""Stored answers have the form that was asked for: JSON fits its schema, and calls their tools."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.models import Reason
from askonce.formats import BY_NAME
from askonce.formats.answer_check import violation
from tests.fixtures.scripted import (
    ANSWER,
    SSE_HEADERS,
    CacheUnderTest,
    Script,
    Scripted,
    call,
    said,
    streamed,
)

CHAT, MESSAGES = BY_NAME["openai_chat"], BY_NAME["anthropic_messages"]
STEPS = 10_000

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
STRICT = {"type": "json_schema", "json_schema": {"name": "P", "strict": True, "schema": PERSON}}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}},
    "required": ["city"],
}


def verdict(body: dict[str, Any], *choices: Any) -> Reason | None:
    """What the check says of a Chat Completions answer; a text is a choice that says it."""
    messages = [
        {"role": "assistant", "content": choice} if isinstance(choice, str) else choice
        for choice in choices
    ]
    answer = {"choices": [{"index": n, "message": m} for n, m in enumerate(messages)]}
    return violation(CHAT.expected(body), CHAT.parts(answer), STEPS)


def calls(name: str, arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    called = {"id": "call_1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [called]}


def offers(*tools: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": tool} for tool in tools]}


@pytest.mark.parametrize(
    "body",
    [
        {"response_format": STRICT},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": PERSON}}},
        {"response_format": {"type": "json_object", "schema": PERSON}},
        {"response_format": {"type": "json_schema", "schema": PERSON}},
        {"text": {"format": {"type": "json_schema", "name": "P", "schema": PERSON}}},
        {"guided_json": PERSON},
        {"guided_json": msgspec.json.encode(PERSON).decode()},
        {"structured_outputs": {"json": PERSON}},
        {"json_schema": PERSON},
        {"nvext": {"guided_json": PERSON}},
        {"output_format": {"type": "json_schema", "schema": PERSON}},
        {"output_config": {"format": {"type": "json_schema", "schema": PERSON}}},
    ],
)
def test_json_fits_the_schema_that_was_asked_for_in_any_way(body: dict[str, Any]) -> None:
    right = '{"name": "A", "age": 3}'
    assert verdict(body, right) is None
    assert verdict(body, right, ' {"age": 3.0, "name": ""}\n') is None
    for wrong in ('{"name": "A"}', "null", "[]", '{"name": "A", "age": "3"}', '"text"'):
        assert verdict(body, wrong) is Reason.BAD_SCHEMA
        assert verdict(body, right, wrong) is Reason.BAD_SCHEMA
    assert verdict(body, '{"name": ') is Reason.NOT_JSON
    assert verdict({**body, **offers({"name": "w"})}, calls("w", "{}")) is None


def test_a_json_object_is_one() -> None:
    for body in (
        {"response_format": {"type": "json_object"}},
        {"text": {"format": {"type": "json_object"}}},
    ):
        assert verdict(body, '{"anything": [1]}') is None
        for wrong in ("[1]", "null", '"x"', "7"):
            assert verdict(body, wrong) is Reason.BAD_SCHEMA


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "text", "schema": PERSON}},
        {"response_format": "json"},
        {"guided_json": None},
        {"tools": []},
    ],
)
def test_where_no_json_was_asked_for_any_text_is_right(body: dict[str, Any]) -> None:
    assert verdict(body, "Hello.") is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "required": "name"},
        {"$ref": "https://schemas.example/person.json"},
        {"pattern": "(?=a)"},
        "not a schema",
        None,
    ],
)
def test_a_schema_that_cannot_be_checked_asks_for_well_formed_json(schema: Any) -> None:
    body = {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
    assert verdict(body, '"any"') is None
    assert verdict(body, "{") is Reason.NOT_JSON


def test_arguments_are_an_object_with_what_the_tool_requires() -> None:
    body = offers({"name": "weather", "parameters": WEATHER}, {"name": "now"})
    fitting: list[Any] = ['{"city": "Rome"}', '{"city": 1, "days": 70, "x": 1}', {"city": "Rome"}]
    for right in fitting:
        assert verdict(body, calls("weather", right)) is None
    for wrong in ("{}", "", None, "[]", '"{}"', "{", '{"days": 1}', ["city"]):
        assert verdict(body, calls("weather", wrong)) is Reason.BAD_TOOL_CALL
    nothing: list[Any] = ["{}", "", None, {}, " "]
    for none in nothing:
        assert verdict(body, calls("now", none)) is None
    assert verdict(body, calls("later", "{}")) is Reason.BAD_TOOL_CALL
    assert verdict({}, calls("now", "{}")) is Reason.BAD_TOOL_CALL


def test_tools_in_other_forms() -> None:
    flat = {"tools": [{"type": "function", "name": "weather", "parameters": WEATHER}]}
    plain = {"tools": [{"function": {"name": "weather", "parameters": WEATHER}}]}
    for body in (flat, plain):
        assert verdict(body, calls("weather", '{"city": "Rome"}')) is None
        assert verdict(body, calls("weather", "{}")) is Reason.BAD_TOOL_CALL
        assert verdict(body, calls("other", "{}")) is Reason.BAD_TOOL_CALL
    # Nothing says which names the tools of a server have.
    server = {"tools": [*plain["tools"], {"type": "mcp", "server_url": "https://mcp.example"}]}
    assert verdict(server, calls("other", "{}")) is None
    assert verdict(server, calls("other", "[]")) is Reason.BAD_TOOL_CALL
    assert verdict(server, calls("weather", "{}")) is Reason.BAD_TOOL_CALL


def test_a_strict_tool_takes_what_fits_its_whole_schema() -> None:
    body = offers({"name": "weather", "parameters": WEATHER, "strict": True})
    assert verdict(body, calls("weather", '{"city": "Rome", "days": 7}')) is None
    assert verdict(body, calls("weather", '{"city": "Rome", "days": 70}')) is Reason.BAD_TOOL_CALL
    assert verdict(body, calls("weather", '{"city": 1}')) is Reason.BAD_TOOL_CALL
    loose = offers({"name": "weather", "parameters": {"$ref": "https://x.example"}, "strict": True})
    assert verdict(loose, calls("weather", "{}")) is None


def test_calls_of_other_kinds() -> None:
    custom = {"type": "custom", "custom": {"name": "run"}}
    named = {"id": "c", "type": "custom", "custom": {"name": "run", "input": "not json {"}}
    message = {"role": "assistant", "content": None, "tool_calls": [named]}
    assert verdict({"tools": [custom]}, message) is None
    assert verdict(offers({"name": "other"}), message) is Reason.BAD_TOOL_CALL
    legacy = {"role": "assistant", "function_call": {"name": "weather", "arguments": "{}"}}
    functions = {"functions": [{"name": "weather", "parameters": WEATHER}]}
    assert verdict(functions, legacy) is Reason.BAD_TOOL_CALL
    assert verdict({"functions": [{"name": "weather"}]}, legacy) is None


def test_calls_of_the_messages_api() -> None:
    def judged(tool: dict[str, Any], given: Any, kind: str = "tool_use") -> Reason | None:
        block = {"type": kind, "id": "t", "name": "weather", "input": given}
        parts = MESSAGES.parts({"content": [{"type": "text", "text": "Well."}, block]})
        return violation(MESSAGES.expected({"tools": [tool]}), parts, STEPS)

    tool = {"name": "weather", "input_schema": WEATHER}
    assert judged(tool, {"city": "Rome", "days": 70}) is None
    assert judged(tool, {"days": 7}) is Reason.BAD_TOOL_CALL
    assert judged({**tool, "strict": True}, {"city": "Rome", "days": 70}) is Reason.BAD_TOOL_CALL
    assert judged({"type": "bash_20250124", "name": "weather"}, {"command": "ls"}) is None
    assert judged({"name": "other"}, {}) is Reason.BAD_TOOL_CALL
    assert judged({"name": "other"}, {}, "server_tool_use") is None


@given(
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=4),
    st.sets(st.text(max_size=3), max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_generated_calls(
    arguments: dict[str, int], required: set[str], strict: bool, closed: bool
) -> None:
    schema = {"type": "object", "required": sorted(required), "additionalProperties": not closed}
    body = offers({"name": "t", "parameters": schema, "strict": strict})
    right = required <= arguments.keys() and not (strict and closed and arguments)
    found = verdict(body, calls("t", msgspec.json.encode(arguments).decode()))
    assert found is (None if right else Reason.BAD_TOOL_CALL)


def answers(message: dict[str, Any], finish: str = "stop", n: int = 1) -> bytes:
    choices = [{"index": i, "message": message, "finish_reason": finish} for i in range(n)]
    return msgspec.json.encode({**ANSWER, "choices": choices})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "A", "age": 3}', None),
        ('{"name": "A"}', "bad-schema"),
        ("null", "bad-schema"),
        ("none", "not-json"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_what_violates_its_schema_is_not_stored(
    under_test: CacheUnderTest, text: str, reason: str | None, is_stream: bool
) -> None:
    async def scenario() -> None:
        whole = Scripted(lambda: Script(said(text)))
        pieces = Scripted(lambda: Script(*streamed(text), headers=SSE_HEADERS))
        provider = pieces if is_stream else whole
        asked = call(response_format=STRICT, stream=is_stream)
        _, body = await under_test.ask(asked, provider)
        assert is_stream or body == said(text)
        status, _ = await under_test.ask(asked, provider)
        assert ("hit" in status) is (reason is None)
        assert reason is None or is_stream or status.endswith(f"detail={reason}")
        stats = under_test.cache.assembly.stats()
        assert stats.not_stored == ({} if reason is None else {reason: 2})

    under_test.run(scenario)


def test_cut_answers_keep_their_own_reason(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        message = {"role": "assistant", "content": '{"name": '}
        provider = Scripted(lambda: Script(answers(message, "length")))
        status, _ = await under_test.ask(call(response_format=STRICT), provider)
        assert status.endswith("detail=length")

    under_test.run(scenario)


def test_with_json_only_well_formedness_counts(under_test: CacheUnderTest) -> None:
    under_test.open(validate="json")

    async def scenario() -> None:
        for text, hit in (("null", True), ("none", False)):
            asked = call(text, response_format=STRICT)
            provider = Scripted(lambda text=text: Script(said(text)))  # type: ignore[misc]
            await under_test.ask(asked, provider)
            assert ("hit" in (await under_test.ask(asked, provider))[0]) is hit
        asked = call(**offers({"name": "w", "parameters": WEATHER}))
        provider = Scripted(lambda: Script(answers(calls("w", "{}"), "tool_calls")))
        await under_test.ask(asked, provider)
        assert "hit" in (await under_test.ask(asked, provider))[0]

    under_test.run(scenario)


ROWS = {"type": "array", "items": PERSON}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("last", ['{"name": "Z", "age": 3}', '{"name": "Z"}'])
def test_a_long_check_is_made_after_the_caller_has_the_answer(
    under_test: CacheUnderTest, last: str, is_stream: bool
) -> None:
    async def scenario() -> None:
        rows = ['{"name": "A", "age": 3}'] * 3_000
        text = f"[{','.join([*rows, last])}]"
        script = Script(*streamed(text), headers=SSE_HEADERS) if is_stream else Script(said(text))
        provider = Scripted(lambda: script)
        form = {"type": "json_schema", "json_schema": {"schema": ROWS}}
        asked = call(response_format=form, stream=is_stream)
        status, _ = await under_test.ask(asked, provider)
        assert "stored" not in status
        await under_test.settle()
        right = "age" in last
        stats = under_test.cache.assembly.stats()
        assert stats.not_stored == ({} if right else {"bad-schema": 1})
        if right:
            status, _ = await under_test.ask(call(response_format=form), provider)
            assert "hit" in status
        assert script.closed
        assert len(under_test.parts.context.flights) == 0

    under_test.run(scenario)


def test_a_check_beyond_its_steps_asks_for_well_formed_json(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        defs: dict[str, Any] = {"n60": {"type": "integer"}}
        for n in range(60):
            defs[f"n{n}"] = {"allOf": [{"$ref": f"#/$defs/n{n + 1}"}] * 2}
        schema = {"$ref": "#/$defs/n0", "$defs": defs}
        asked = call(response_format={"type": "json_schema", "json_schema": {"schema": schema}})
        provider = Scripted(lambda: Script(said("1")))
        await under_test.ask(asked, provider)
        await under_test.settle()
        assert "hit" in (await under_test.ask(asked, provider))[0]

    under_test.run(scenario)
