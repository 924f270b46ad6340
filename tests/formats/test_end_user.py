"""Who asks: members that name the end user or a conversation, at each kind of address."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.keys import canonical
from askonce.core.models import Reason
from askonce.core.origins import Origins
from askonce.core.wire_format import ParsedQuestion, WireFormat
from askonce.formats import FORMATS
from askonce.formats.anthropic_messages import NOT_ASKED as NOT_ASKED_OF_MESSAGES
from askonce.formats.end_user import (
    CONVERSATION_NOUNS,
    END_USER,
    REFERENCE_WORDS,
    as_seen_at,
    refers_to_conversation,
)
from askonce.formats.openai_chat import NOT_ASKED as NOT_ASKED_OF_CHAT
from askonce.formats.openai_chat import OPENAI_CHAT, PROTOCOL

OWN, FOREIGN = "https://api.openai.com", "https://llm.example.com"
OPENROUTER = "https://openrouter.ai/api"
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "next"}]}
PATH = "/v1/chat/completions"


def seen(
    origin: str, path: str = PATH, format_: WireFormat = OPENAI_CHAT, /, **more: Any
) -> ParsedQuestion:
    body = {**BODY, **more}
    return as_seen_at(Origins().find(origin), format_.read(body), body, path)


def is_one_question(origin: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    return canonical(seen(origin, **one).asked) == canonical(seen(origin, **other).asked)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", sorted(END_USER))
@pytest.mark.parametrize("value", ["alice", {"team": "a"}, ["a"]], ids=["text", "object", "list"])
def test_the_end_user_counts_where_a_program_may_know_it(
    format_: WireFormat, name: str, value: Any
) -> None:
    foreign = [
        canonical(seen(FOREIGN, PATH, format_, **change).asked)
        for change in ({}, {name: value}, {name: "bob"}, {name: None})
    ]
    assert len(set(foreign)) == 3
    assert foreign[0] == foreign[3]


@pytest.mark.parametrize("name", ["metadata", "safety_identifier", "user"])
def test_the_end_user_changes_no_answer_of_a_provider(name: str) -> None:
    assert is_one_question(OWN, {name: "alice"}, {name: "bob"})
    assert is_one_question(OWN, {name: "alice"}, {})


def test_every_member_that_names_the_end_user_is_one_of_a_format() -> None:
    assert END_USER <= NOT_ASKED_OF_CHAT | NOT_ASKED_OF_MESSAGES


CONVERSATIONS: list[tuple[str, Any]] = [
    ("conversation_id", "conv-1"),
    ("conversationId", "conv-1"),
    ("conversation", "conv-1"),
    ("conversation", {"id": "conv-1"}),
    ("chat_id", "c"),
    ("chatId", 7),
    ("session_id", ""),
    ("sessionid", "s"),
    ("session", {"id": "s"}),
    ("session_params", {"id": "s"}),
    ("x-session-token", "s"),
    ("thread", "t"),
    ("thread", {"type": "create"}),
    ("threadID", "t"),
    ("thread_uuid", "t"),
    ("context_id", "c"),
    ("dialogue_id", "d"),
    ("openai_conversation_id", "c"),
    ("previous_response_id", "r"),
    ("previous_message_id", "r"),
    ("parent_message_id", "r"),
    ("parentId", "r"),
    ("continue_from", "r"),
    ("memory_id", "m"),
    ("continue_conversation", True),
    ("history_id", "h"),
    ("checkpointId", "c"),
    ("continuation", "c"),
    ("thread_ts", "1.2"),
    ("conversation_sid", "c"),
]
NO_CONVERSATIONS: list[tuple[str, Any]] = [
    ("conversation_id", None),
    ("thread", False),
    ("conversation", [{"role": "user"}]),
    ("context", "the text itself"),
    ("context", [1, 2, 3]),
    ("chat_template", "{{ messages }}"),
    ("chat_template_kwargs", {"enable_thinking": False}),
    ("state", {"cart": []}),
    ("history", "Earlier we said"),
    ("state_code", "CA"),
    ("conversation_history", [{"role": "user"}]),
    ("context_length", 4096),
    ("num_thread", 8),
    ("n_threads", 8),
    ("continue_final_message", True),
    ("identifier", "x"),
    ("seed", 7),
    ("x" * 5000 + "_session_id", "too long for a member of a protocol"),
]


@pytest.mark.parametrize(("name", "value"), CONVERSATIONS)
def test_a_conversation_that_a_program_keeps_bypasses(name: str, value: Any) -> None:
    assert refers_to_conversation(name, value)
    assert seen(FOREIGN, **{name: value}).bypass is Reason.SERVER_STATE


@pytest.mark.parametrize(("name", "value"), NO_CONVERSATIONS)
def test_a_member_that_only_looks_like_one_does_not(name: str, value: Any) -> None:
    assert not refers_to_conversation(name, value)
    assert seen(FOREIGN, **{name: value}).bypass is None


@given(
    st.sampled_from(sorted(CONVERSATION_NOUNS)),
    st.sampled_from(sorted(REFERENCE_WORDS)),
    st.sampled_from(["{}_{}", "{}-{}", "my_{}_{}", "{}_{}_v2"]),
    st.text(min_size=1, max_size=5),
)
def test_a_noun_and_a_reference_are_a_conversation_in_every_spelling(
    noun: str, reference: str, form: str, value: str
) -> None:
    name = form.format(noun, reference)
    assert refers_to_conversation(name, value)
    words = name.replace("-", "_").split("_")
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    assert refers_to_conversation(camel, value)


@pytest.mark.parametrize("name", sorted(PROTOCOL | NOT_ASKED_OF_CHAT | NOT_ASKED_OF_MESSAGES))
def test_no_member_of_the_protocols_is_a_conversation(name: str) -> None:
    assert not refers_to_conversation(name, "x")


def test_a_conversation_counts_as_a_member_where_the_provider_keeps_none() -> None:
    assert seen(OWN, conversation_id="c").bypass is None
    assert not is_one_question(OWN, {"conversation_id": "c"}, {"conversation_id": "d"})


def test_a_conversation_may_stand_in_the_query() -> None:
    assert seen(FOREIGN, f"{PATH}?session_id=1").bypass is Reason.SERVER_STATE
    assert seen(FOREIGN, f"{PATH}?api-version=2024-10-21").bypass is None


def test_openrouter_only_displays_a_session_and_a_trace() -> None:
    for name in ("session_id", "trace"):
        assert seen(OPENROUTER, **{name: "a"}).bypass is None
        assert is_one_question(OPENROUTER, {name: "a"}, {name: "b"})
        assert is_one_question(OPENROUTER, {name: "a"}, {})
    assert seen(OPENROUTER, conversation_id="a").bypass is Reason.SERVER_STATE
    assert not is_one_question(OPENROUTER, {"user": "alice"}, {"user": "bob"})
    assert seen(FOREIGN, session_id="a").bypass is Reason.SERVER_STATE


def test_state_is_the_stronger_reason_because_no_rule_overrules_it() -> None:
    found = seen(FOREIGN, conversation_id="c", web_search_options={})
    assert found.bypass is Reason.SERVER_STATE
    found = seen(FOREIGN, conversation_id="c", modalities=["audio"])
    assert found.bypass is Reason.AUDIO
