"""Scopes: equal in everything but the words of the last user turn, or never compared."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.keys import KeyContext
from askonce.core.scopes import Incomparable, Scoped, Scoping, compared_by, scope_of_text, scoped
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES
from askonce.formats.openai_chat import OPENAI_CHAT

PLACE = KeyContext(
    "team", "openai_chat", origin="https://api.openai.com", path="/v1/chat/completions"
)
CHAT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "temperature": 0,
    "messages": [
        {"role": "system", "content": "You sell lamps."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "What does the red one cost?"},
    ],
}
MESSAGES: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "system": "You sell lamps.",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "What does it cost?"}]}],
}


def of(
    body: dict[str, Any],
    scoping: Scoping | None = None,
    *,
    place: KeyContext = PLACE,
    embedder: str = "local",
) -> Scoped | Incomparable:
    read = ANTHROPIC_MESSAGES if "max_tokens" in body and "system" in body else OPENAI_CHAT
    found = scoped(place, read.read(body).asked, scoping or Scoping())
    if isinstance(found, Scoped):
        found = found._replace(scope=compared_by(found.scope, embedder))
    return found


def scope(body: dict[str, Any], scoping: Scoping | None = None, **more: Any) -> bytes:
    found = of(body, scoping, **more)
    assert isinstance(found, Scoped), found
    return found.scope


def changed(body: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**copy.deepcopy(body), **members}


def asking(body: dict[str, Any], content: Any, **turn: Any) -> dict[str, Any]:
    made = copy.deepcopy(body)
    made["messages"][-1] = {"role": "user", "content": content, **turn}
    return made


@given(st.text(min_size=1).filter(str.strip))
def test_other_words_in_the_last_turn_are_the_same_scope(words: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in words):
        return
    for body in (CHAT, MESSAGES):
        assert scope(asking(body, words)) == scope(asking(body, "Something else"))
        found = of(asking(body, words))
        assert isinstance(found, Scoped)
        assert found.text == words


@pytest.mark.parametrize(
    "other",
    [
        changed(CHAT, model="gpt-4o"),
        changed(CHAT, temperature=0.2),
        changed(CHAT, max_tokens=10),
        changed(CHAT, response_format={"type": "json_object"}),
        changed(CHAT, x_unknown=1),
        changed(CHAT, messages=CHAT["messages"][1:]),
        changed(CHAT, messages=[CHAT["messages"][0], CHAT["messages"][3]]),
        changed(CHAT, messages=[{"role": "developer", "content": "x"}, *CHAT["messages"][1:]]),
        asking(CHAT, "What does the red one cost?", name="anna"),
        asking(CHAT, [{"type": "text", "text": "What"}, {"type": "text", "text": "cost?"}]),
    ],
)
def test_anything_else_is_another_scope(other: dict[str, Any]) -> None:
    assert scope(other) != scope(CHAT)


def test_namespace_place_and_embedder_are_in_it() -> None:
    here = scope(CHAT)
    assert scope(CHAT, place=KeyContext("other", "openai_chat")) != here
    assert scope(CHAT, embedder="local@2") != here
    elsewhere = KeyContext("team", "openai_chat", origin="https://api.openai.com", path="/other")
    assert scope(CHAT, place=elsewhere) != here


def test_what_is_no_part_of_the_question_is_none_of_the_scope() -> None:
    assert scope(changed(CHAT, stream=True, user="anna")) == scope(CHAT)
    one = asking(MESSAGES, [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}])
    assert scope(one) == scope(asking(MESSAGES, [{"type": "text", "text": "y"}]))
    assert scope(asking(CHAT, [{"type": "text", "text": "x"}])) == scope(CHAT)


TOOL = {"type": "function", "function": {"name": "order", "parameters": {}}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (changed(CHAT, tools=[TOOL]), Incomparable.TOOLS),
        (changed(CHAT, functions=[{"name": "order"}]), Incomparable.TOOLS),
        (asking(CHAT, ""), Incomparable.NOT_TEXT),
        (asking(CHAT, " \n"), Incomparable.NOT_TEXT),
        (
            asking(CHAT, [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
            Incomparable.NOT_TEXT,
        ),
        (
            asking(CHAT, [{"type": "text", "text": "x", "weight": 2}]),
            Incomparable.NOT_TEXT,
        ),
        (changed(CHAT, messages=CHAT["messages"][:3]), Incomparable.NOT_TEXT),
        (changed(CHAT, messages=[]), Incomparable.NOT_TEXT),
    ],
)
def test_what_cannot_be_compared(body: dict[str, Any], reason: Incomparable) -> None:
    assert of(body) is reason


def test_tools_may_be_allowed_and_then_they_count() -> None:
    scoping = Scoping(tools=True)
    one = scope(changed(CHAT, tools=[TOOL]), scoping)
    assert one == scope(asking(changed(CHAT, tools=[TOOL]), "Another"), scoping)
    renamed = {"type": "function", "function": {"name": "send", "parameters": {}}}
    assert one != scope(changed(CHAT, tools=[renamed]), scoping)
    assert one != scope(CHAT, scoping)


def test_the_last_turn_alone_leaves_earlier_turns_out_and_the_developer_in() -> None:
    alone = Scoping(history="last_turn")
    short = changed(CHAT, messages=[CHAT["messages"][0], CHAT["messages"][3]])
    assert scope(short, alone) == scope(CHAT, alone)
    assert scope(changed(CHAT, messages=CHAT["messages"][1:]), alone) != scope(CHAT, alone)
    assert scope(short, alone) != scope(short)  # modes never mix


def test_parameters_may_be_free_and_models_a_family() -> None:
    free = Scoping(parameters="free")
    assert scope(changed(CHAT, temperature=1, max_tokens=5), free) == scope(CHAT, free)
    assert scope(changed(CHAT, response_format={"type": "json_object"}), free) != scope(CHAT, free)
    family = Scoping(models=(("gpt-4o*",), ("claude-*",)))
    assert scope(changed(CHAT, model="gpt-4o"), family) == scope(CHAT, family)
    assert scope(changed(CHAT, model="gpt-5"), family) != scope(CHAT, family)
    assert scope(changed(CHAT, model="claude-x"), family) != scope(CHAT, family)


def test_texts_have_scopes_of_their_own() -> None:
    here = scope_of_text("team", "v1")
    assert here not in {scope_of_text("team", "v2"), scope_of_text("other", "v1")}
    assert compared_by(here, "local") not in {here, compared_by(here, "local@2")}
