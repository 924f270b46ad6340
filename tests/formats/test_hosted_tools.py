"""What a request asks the provider itself to look up or to run, and what only looks like it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.models import Reason
from askonce.core.wire_format import WireFormat
from askonce.formats import FORMATS
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES, PROTOCOL
from askonce.formats.hosted_tools import (
    LIVE_VARIANTS,
    LOOKUP_PAIRS,
    LOOKUP_WORDS,
    QUIET_PLUGINS,
    READING_PLUGIN_WORDS,
    SEARCH_MODELS,
    SEARCH_OF_TEXTS,
    asks_for_lookup,
    is_off,
    is_search_model,
)
from askonce.formats.openai_chat import OPENAI_CHAT
from askonce.formats.openai_chat import PROTOCOL as PROTOCOL_OF_CHAT

BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Why?"}]}
SCHEMA = {"type": "object", "properties": {"search": {"type": "string"}}}
FUNCTION = {"name": "web_search", "parameters": SCHEMA}

LIVE: list[dict[str, Any]] = [
    {"plugins": [{"id": "web"}]},
    {"plugins": [{"id": "web", "max_results": 3}, {"id": "file-parser"}]},
    {"plugins": ["web-fetch"]},
    {"plugins": {"web": {}}},
    {"plugins": [{"id": "something-new"}]},
    {"model": "openai/gpt-4o:online"},
    {"model": "gpt-4o-search-preview-2025-03-11"},
    {"model": "gpt-5-search-api"},
    {"model": "sonar-pro"},
    {"model": "perplexity/sonar-reasoning"},
    {"model": "o3-deep-research"},
    {"model": "groq/compound-mini"},
    {"model": "jina-deepsearch-v1"},
    {"model": "pplx-70b-online"},
    {"model": "ft:gpt-4o-search-preview:acme::id"},
    {"search_parameters": {"mode": "on"}},
    {"search_parameters": {"mode": "auto", "sources": []}},
    {"search_parameters": {}},
    {"web_search_options": {}},
    {"web_search_options": {"search_context_size": "low"}},
    {"enable_search": True},
    {"enable_search": True, "search_options": {"forced_search": True}},
    {"enableSearch": "auto"},
    {"web_search": {"enable": True}},
    {"webSearch": True},
    {"search": "https://example.com"},
    {"search_domain_filter": ["example.com"]},
    {"search_exclude_domains": ["example.com"]},
    {"data_sources": [{"type": "azure_search", "parameters": {}}]},
    {"dataSources": [{"type": "AzureCognitiveSearch"}]},
    {"connectors": [{"id": "web-search"}]},
    {"grounding": {"source": "web"}},
    {"retrieval_config": {"top_k": 3}},
    {"vector_store_ids": ["vs_1"]},
    {"knowledge_base_id": "kb"},
    {"mcp_servers": [{"url": "https://mcp.example.com"}]},
    {"tool_ids": ["server:weather"]},
    {"enable_code_interpreter": True},
    {"internet_access": True},
    {"features": {"web_search": True}},
    {"venice_parameters": {"enable_web_search": "on"}},
    {"extra_body": {"google": {"google_search": {}}}},
    {"extra": {"plugins": [{"id": "web"}]}},
    {"tools": [{"google_search": {}}]},
    {"tools": [{"googleSearchRetrieval": {"dynamicRetrievalConfig": {}}}]},
    {"tools": [{"url_context": {}}]},
    {"tools": [{"code_execution": {}}]},
    {"tools": [{"type": "web_search"}]},
    {"tools": [{"type": "web_search_preview", "search_context_size": "low"}]},
    {"tools": [{"type": "browser_search"}]},
    {"tools": [{"type": "mcp", "server_url": "https://mcp.example.com"}]},
    {"tools": [{"type": "web_search", "web_search": {"enable": True}}]},
    {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]},
    {"tools": [{"type": None, "google_search": {}}]},
    {"tools": [{"name": "web_search"}]},
]
QUIET: list[dict[str, Any]] = [
    {"plugins": []},
    {"plugins": None},
    {"plugins": [{"id": "file-parser", "pdf": {"engine": "pdf-text"}}]},
    {"plugins": [{"id": "pdf-reader"}, {"id": "response-healing"}]},
    {"plugins": [{"id": "web", "enabled": False}]},
    {"plugins": {"web": False}},
    {"search_parameters": {"mode": "off"}},
    {"search_parameters": {"mode": "OFF", "sources": [{"type": "web"}]}},
    {"search_parameters": None},
    {"enable_search": False},
    {"enable_search": False, "search_options": {"search_strategy": "pro"}},
    {"disable_search": True, "model": "sonar-pro", "search_domain_filter": ["example.com"]},
    {"disable_search": False},
    {"web_search": {"enable": False}},
    {"web_search": {"type": "disabled"}},
    {"webSearch": "none"},
    {"connectors": []},
    {"data_sources": []},
    {"use_beam_search": True},
    {"max_search_results": 0},
    {"features": {"web_search": False}},
    {"venice_parameters": {"enable_web_search": "off"}},
    {"venice_parameters": {"note": "search"}},
    {"documents": [{"title": "search", "web": True}]},
    {"guided_json": SCHEMA},
    {"extra": {"json_schema": {"properties": {"search": {"type": "object"}}}}},
    {"metadata": {"search": True}},
    {"model": "gpt-4o"},
    {"model": "NousResearch/Hermes-3-Llama-3.1-8B"},
    {"model": "deep-seek-research"},
    {"model": "accounts/search/models/llama"},
    {"model": "ft:gpt-4o-mini:online:shop:id"},
    {"model": "llama3:8b"},
    {"tools": []},
    {"tools": [{"type": "web_search", "web_search": {"enable": False}}]},
    {"tools": [{"type": "web_search", "enabled": False}]},
]
CALLERS_OWN: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [
        {"type": "function", "function": FUNCTION},
        {"type": "function", **FUNCTION},
        {"type": "function", "function": {"name": "web_search"}},
        {"type": "custom", "custom": {"name": "google_search"}},
        {"function": FUNCTION},
        {**FUNCTION},
        {"type": None, "function": FUNCTION, "search": None},
        {"function_declarations": [FUNCTION]},
        {"toolSpec": {"name": "web_search", "inputSchema": {"json": SCHEMA}}},
    ],
    "anthropic_messages": [
        {"name": "web_search", "input_schema": SCHEMA},
        {"type": "custom", "name": "web_search", "input_schema": SCHEMA},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    ],
}


@pytest.mark.parametrize("format_", FORMATS, ids=lambda one: one.name)
@pytest.mark.parametrize("more", LIVE, ids=str)
def test_a_lookup_by_the_provider_bypasses(format_: WireFormat, more: dict[str, Any]) -> None:
    assert format_.read({**BODY, **more}).bypass is Reason.HOSTED_TOOL


@pytest.mark.parametrize("format_", FORMATS, ids=lambda one: one.name)
@pytest.mark.parametrize("more", QUIET, ids=str)
def test_what_is_off_or_looks_nothing_up_does_not(
    format_: WireFormat, more: dict[str, Any]
) -> None:
    assert format_.read({**BODY, **more}).bypass is None


@pytest.mark.parametrize(
    ("format_", "tool"),
    [(one, tool) for one in FORMATS for tool in CALLERS_OWN[one.name]],
    ids=lambda one: one.name if hasattr(one, "name") else str(one),
)
def test_a_function_of_the_caller_is_its_own(format_: WireFormat, tool: dict[str, Any]) -> None:
    assert format_.read({**BODY, "tools": [tool]}).bypass is None
    beside = {"tools": [tool, {"google_search": {}}]}
    assert format_.read({**BODY, **beside}).bypass is Reason.HOSTED_TOOL
    inside = {"tools": [{**tool, "google_search": {}}]}
    assert format_.read({**BODY, **inside}).bypass is Reason.HOSTED_TOOL or (
        tool.get("type", "").startswith("text_editor_")
    )


def test_a_switch_that_is_on_wins_over_one_that_is_off() -> None:
    both = {"enable_search": False, "search_parameters": {"mode": "on"}}
    assert asks_for_lookup({**BODY, **both})
    assert asks_for_lookup({**BODY, "enable_search": False, "connectors": [{"id": "web"}]})
    assert asks_for_lookup({**BODY, "enable_search": False, "model": "openai/gpt-4o:online"})
    assert asks_for_lookup({**BODY, "search_parameters": {"mode": "on", "enabled": False}})


NAMES = st.sampled_from(
    [
        "plugins", "enable_search", "disable_search", "search_options", "web_search_options",
        "search_parameters", "features", "connectors", "data_sources", "note", "model", "tools",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["on", "off", "web", "x:online"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.sampled_from(["id", "mode", "enabled", "type"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, VALUES), st.data())
def test_any_json_has_a_verdict_which_the_order_of_members_does_not_change(
    body: dict[str, Any], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(list(body.items())))
    assert asks_for_lookup(dict(shuffled)) is asks_for_lookup(body)


@given(st.dictionaries(NAMES, VALUES), NAMES)
def test_a_null_member_is_an_absent_one(body: dict[str, Any], name: str) -> None:
    without = {key: value for key, value in body.items() if key != name}
    assert asks_for_lookup({**body, name: None}) is asks_for_lookup(without)


@pytest.mark.parametrize("word", sorted(LOOKUP_WORDS - {"plugin", "plugins"}))
def test_every_word_for_a_lookup_is_read(word: str) -> None:
    for name in (word, f"my_{word}_options", f"my{word.capitalize()}Options"):
        assert asks_for_lookup({name: {"size": 3}}), name
        assert not asks_for_lookup({name: None, f"{name}_x": False})


@pytest.mark.parametrize("pair", sorted(LOOKUP_PAIRS))
def test_every_pair_of_words_is_read(pair: tuple[str, str]) -> None:
    assert asks_for_lookup({"_".join(pair): {"size": 3}})
    assert not asks_for_lookup({pair[1]: {"size": 3}, "x": pair[0]})


@pytest.mark.parametrize("word", sorted(SEARCH_OF_TEXTS))
def test_a_way_to_pick_tokens_is_no_lookup(word: str) -> None:
    assert not asks_for_lookup({f"{word}_search": True})


def test_every_quiet_plugin_is_read() -> None:
    for name in (*QUIET_PLUGINS, *READING_PLUGIN_WORDS):
        assert not asks_for_lookup({"plugins": [{"id": name}]})


def test_every_search_model_is_read() -> None:
    for word in SEARCH_MODELS:
        assert is_search_model(f"maker/x-{word}-7b")
        assert not is_search_model(f"{word}/x-7b")
    for variant in LIVE_VARIANTS:
        assert is_search_model(f"x:{variant}", switched_off=True)


@pytest.mark.parametrize("name", sorted((PROTOCOL | PROTOCOL_OF_CHAT) - {"web_search_options"}))
def test_no_other_member_of_the_protocols_is_a_lookup(name: str) -> None:
    assert not asks_for_lookup({name: {"size": True}})
    assert not asks_for_lookup({name: [{"search": True}]})


@pytest.mark.parametrize(
    ("value", "off"),
    [
        (None, True), (False, True), (0, True), ("", True), ("Off", True), ("none", True),
        ([], True), ([{"enabled": False}], True), ({"mode": "off"}, True),
        ({"enabled": False}, True), ({"disabled": True}, True), ({"type": "disabled"}, True),
        (True, False), (1, False), ("on", False), ({}, False), ([{}], False),
        ({"mode": "auto"}, False), ({"mode": "off", "enabled": True}, False),
        ({"sources": []}, False), ({"mode": None}, False), ([{"id": "a"}, None], False),
    ],
)  # fmt: skip
def test_what_is_off(value: Any, off: bool) -> None:
    assert is_off(value) is off


@pytest.mark.parametrize(
    ("thread", "reason"),
    [
        ({"type": "create"}, Reason.SERVER_STATE),
        ({"type": "continue", "previous_message_id": "msg_1"}, Reason.SERVER_STATE),
        (False, None),
        (None, None),
    ],
)
def test_a_message_thread_starts_state(thread: Any, reason: Reason | None) -> None:
    assert ANTHROPIC_MESSAGES.read({**BODY, "thread": thread}).bypass is reason


@pytest.mark.parametrize("plain", [{"type": "function", "function": 7}, {"type": 7}, 7])
def test_a_tool_that_is_none_is_malformed(plain: Any) -> None:
    with pytest.raises(Exception, match="tools"):
        OPENAI_CHAT.read({**BODY, "tools": [plain]})
