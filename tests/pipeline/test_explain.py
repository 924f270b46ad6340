"""The explanation: what makes a difference, what does not, and that it agrees with the key."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.errors import CallMalformed
from askonce.core.models import Reason
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES
from askonce.formats.openai_chat import OPENAI_CHAT
from askonce.pipeline.explain import ABSENT, SHORTENED, Explanation, explain, guess_format

ASKED: dict[str, Any] = {
    "model": "gpt-5",
    "messages": [{"role": "user", "content": "What is your return policy?"}],
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "1", "a/b", "~"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "a/b", "~", "cache_control"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def compare(**changes: Any) -> Explanation:
    return explain(OPENAI_CHAT, ASKED, {**ASKED, **changes})


def test_a_body_shares_its_own_key() -> None:
    assert compare() == Explanation(True, "openai_chat", [], [], None, None)


def test_what_matters_is_pointed_at_with_both_values() -> None:
    explanation = compare(seed=7, messages=[{"role": "user", "content": "Hello"}])
    assert not explanation.same
    found = {item.pointer: (item.a, item.b) for item in explanation.matter}
    assert found == {
        "/messages/0/content": ('"What is your return policy?"', '"Hello"'),
        "/seed": ("null", "7"),
    }


def answering(*names: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    return {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}


def test_order_alone_is_said_to_make_the_difference() -> None:
    a = {**ASKED, "response_format": answering("why", "verdict")}
    b = {**ASKED, "response_format": answering("verdict", "why")}
    explanation = explain(OPENAI_CHAT, a, b)
    assert not explanation.same
    assert explanation.order_only
    (difference,) = explanation.matter
    assert difference.pointer == "/response_format/json_schema/schema/properties"
    assert (difference.a, difference.b) == ("why, verdict", "verdict, why")


def test_order_is_not_alone_beside_another_difference() -> None:
    a = {**ASKED, "response_format": answering("why", "verdict")}
    b = {**ASKED, "seed": 1, "response_format": answering("verdict", "why")}
    explanation = explain(OPENAI_CHAT, a, b)
    assert not explanation.order_only
    assert len(explanation.matter) == 2


def test_the_order_of_the_protocols_own_members_makes_no_difference() -> None:
    explanation = explain(OPENAI_CHAT, ASKED, dict(reversed(ASKED.items())))
    assert explanation.same
    assert not explanation.order_only


def test_what_does_not_matter_is_listed_apart() -> None:
    explanation = compare(user="me", stream=True, seed=None)
    assert explanation.same
    assert {item.pointer for item in explanation.ignored} == {"/user", "/stream", "/seed"}
    assert {item.a for item in explanation.ignored} == {ABSENT}


def turns(identifier: str, question: str) -> dict[str, Any]:
    call = {"id": identifier, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return {
        "model": "gpt-5",
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": identifier, "content": "42"},
        ],
    }


@pytest.mark.parametrize("question", ["same", "another"])
def test_random_ids_of_tool_calls_are_ignored_together(question: str) -> None:
    explanation = explain(OPENAI_CHAT, turns("call_1", "same"), turns("call_2", question))
    assert explanation.same == (question == "same")
    assert [item.pointer for item in explanation.ignored] == [
        "/messages/1/tool_calls/0/id",
        "/messages/2/tool_call_id",
    ]


def test_an_id_that_leads_nowhere_is_not_ignored() -> None:
    other = turns("call_1", "same")
    other["messages"][2]["tool_call_id"] = "call_x"
    explanation = explain(OPENAI_CHAT, turns("call_1", "same"), other)
    assert not explanation.same
    assert explanation.ignored == []


def test_long_values_are_shown_where_they_part() -> None:
    long = "x" * 500
    explanation = explain(
        OPENAI_CHAT, {**ASKED, "a": f"{long}1{long}"}, {**ASKED, "a": f"{long}2{long}"}
    )
    (difference,) = explanation.matter
    assert len(difference.a) <= SHORTENED + 2
    assert "x1x" in difference.a
    assert "x2x" in difference.b


def test_a_bypass_is_reported_with_its_reason() -> None:
    assert compare(temperature=0.7).bypass_b is Reason.SAMPLING
    assert compare(temperature=0.7).bypass_a is None
    warm = {**ASKED, "temperature": 0.7}
    assert explain(OPENAI_CHAT, warm, warm, samples=1).bypass_a is None


@given(JSON, JSON)
def test_there_is_a_difference_exactly_where_the_keys_differ(a: Any, b: Any) -> None:
    explanation = explain(OPENAI_CHAT, {**ASKED, "x": a}, {**ASKED, "x": b})
    assert explanation.same == (explanation.matter == [])
    if explanation.same and a != b:
        assert all(item.pointer.startswith("/x") for item in explanation.ignored)


def test_a_body_that_is_none_is_refused() -> None:
    with pytest.raises(CallMalformed):
        explain(ANTHROPIC_MESSAGES, ["no"], ASKED)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (ASKED, "openai_chat"),
        ({**ASKED, "model": "claude-opus-5", "max_tokens": 5}, "anthropic_messages"),
        ({**ASKED, "system": "Be brief."}, "anthropic_messages"),
        ({**ASKED, "tools": [{"name": "f", "input_schema": {}}]}, "anthropic_messages"),
        ({**ASKED, "tools": [{"type": "function", "function": {"name": "f"}}]}, "openai_chat"),
        ({"model": "gpt-5", "input": "Hi"}, None),
        ([], None),
    ],
)
def test_the_format_is_guessed(body: Any, name: str | None) -> None:
    assert guess_format(body) == name
