"""Signs of a provider's search in an answer, and what is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.models import Reason
from askonce.formats import provider_search
from askonce.formats.provider_search import judged_with_search, shows_search
from tests.docs.pages import rows, words

PAGE = "https://news.example/1"

SIGNS: list[dict[str, Any]] = [
    {"citations": [PAGE]},
    {"citations": [{"url": PAGE}]},
    {"search_results": [{"title": "t"}]},
    {"web_search": [{"title": "t", "link": PAGE}]},
    {"search_info": {"search_results": [{"index": 1}]}},
    {"groundingMetadata": {"webSearchQueries": ["q"]}},
    {"grounding_metadata": {"grounding_chunks": [{"web": {"uri": PAGE}}]}},
    {"vertex_ai_grounding_metadata": [{"webSearchQueries": ["q"]}]},
    {"choices": [{"message": {"annotations": [{"type": "url_citation", "url": PAGE}]}}]},
    {"choices": [{"message": {"executed_tools": [{"type": "search", "output": "x"}]}}]},
    {"choices": [{"message": {"provider_specific_fields": {"citations": [[{"url": PAGE}]]}}}]},
    {"choices": [{"message": {"content": [{"type": "tool_reference", "source": PAGE}]}}]},
    {"tool_uses": [{"name": "browser"}]},
    {"url_context_metadata": {"url_metadata": [{"retrieved_url": PAGE}]}},
    {"usage": {"server_tool_use": {"web_search_requests": 1}}},
    {"usage": {"num_search_queries": 1}},
    {"usage": {"num_sources_used": 3}},
    {"usage": {"citation_tokens": 3}},
    {"usage": {"tool_usage": {"web_search": 1}}},
    {"usage": {"server_side_tool_usage": {"SERVER_SIDE_TOOL_WEB_SEARCH": 1}}},
    {"usage": {"search_context_size": "low"}},
    {"content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]},
    {"content": [{"type": "web_search_tool_result", "content": []}]},
    {"content": [{"type": "mcp_tool_result", "content": []}]},
    {"content": [{"type": "text", "citations": [{"type": "web_search_result_location"}]}]},
    {"references": [{"title": "t", "url": PAGE}]},
    {"sources": [PAGE]},
]  # fmt: skip

NO_SIGNS: list[dict[str, Any]] = [
    {},
    {"citations": []},
    {"citations": None, "search_results": [], "annotations": [], "grounding_metadata": {}},
    {"citations": ["d0", "d1"]},
    {"citations": [{"document_id": "d0", "text": "x"}]},
    {"citations": [{"sources": [{"type": "document", "document": {"url": PAGE}}]}]},
    {"vertex_ai_grounding_metadata": [{}]},
    {"web_search": {"enable": False, "search_engine": "std"}},
    {"search": "off", "web_search": False},
    {"usage": {"server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0}}},
    {"usage": {"num_sources_used": 0, "num_search_queries": None}},
    {"usage": {"prompt_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}},
    {"content": [{"type": "text", "text": f"Search {PAGE}"}]},
    {"content": [{"type": "tool_use", "name": "web_search", "input": {"search": PAGE}}]},
    {"content": [{"type": "text", "citations": [{"type": "char_location", "x": PAGE}]}]},
    {"content": [{"type": "text", "citations": [{"type": "page_location", "x": PAGE}]}]},
    {"content": [{"citations": [{"type": "search_result_location", "source": PAGE}]}]},
    {"choices": [{"message": {"content": "x", "reasoning": "I search", "research": {"a": 1}}}]},
    {"choices": [{"message": {"tool_calls": [{"function": {"arguments": {"search": 1}}}]}}]},
    {"choices": [{"message": {"annotations": [{"type": "file_citation", "file_id": "f"}]}}]},
    {"choices": [{"message": {"annotations": [{"type": "file", "file": {"content": [PAGE]}}]}}]},
    {"choices": [{"message": {"images": [{"image_url": {"url": PAGE}}]}}]},
    {"choices": [{"logprobs": {"content": [{"token": "search"}]}}]},
    {"model": "m", "system_fingerprint": "fp", "service_tier": "default"},
]  # fmt: skip


@pytest.mark.parametrize("answer", SIGNS, ids=str)
def test_signs_of_a_search(answer: dict[str, Any]) -> None:
    assert shows_search(answer)


@pytest.mark.parametrize("answer", NO_SIGNS, ids=str)
def test_no_signs_of_a_search(answer: dict[str, Any]) -> None:
    assert not shows_search(answer)


EMPTY: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, False, 0, ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc"), inner, max_size=2),
)
NAMES = st.sampled_from(
    [
        form.format(word)
        for word in (*provider_search.SEARCH_WORDS, *provider_search.SEARCH_NAMES)
        for form in ("{}", "x_{}", "{}_results")
        if word not in provider_search.SEARCH_NAMES or form == "{}"
    ]
)


@given(NAMES, EMPTY)
def test_what_is_empty_is_no_sign(name: str, value: Any) -> None:
    assert not shows_search({"choices": [{"message": {name: value}}], name: value})


@given(NAMES, st.integers(1, 9) | st.just([{"title": "t"}]) | st.just({"queries": ["q"]}))
def test_what_is_shown_is_a_sign_wherever_it_stands(name: str, value: Any) -> None:
    assert shows_search({name: value})
    assert shows_search({"usage": {name: value}})
    assert shows_search({"choices": [{"message": {"extra": {name: value}}}]})


@pytest.mark.parametrize(
    ("judged", "searched", "reason"),
    [
        (None, False, None),
        (None, True, Reason.HOSTED_TOOL),
        (Reason.LENGTH, False, Reason.LENGTH),
        (Reason.LENGTH, True, Reason.CUT_SHORT),
        (Reason.REFUSAL, True, Reason.FILTERED),
        (Reason.EMPTY, True, Reason.EMPTY),
    ],
)
def test_a_setting_that_allows_one_reason_never_allows_two(
    judged: Reason | None, searched: bool, reason: Reason | None
) -> None:
    answer = {"citations": [PAGE] if searched else []}
    assert judged_with_search(answer, judged) is reason


def test_the_page_lists_the_signs() -> None:
    listed = [words(row[1]) for row in rows("docs/reference/reasons.md", "sign")]
    known = (
        provider_search.SEARCH_WORDS,
        provider_search.SEARCH_NAMES,
        provider_search.SOURCE_WORDS,
        provider_search.OF_THE_REQUEST,
    )
    assert [listed[number] for number in (0, 1, 2, 4)] == [sorted(names) for names in known]


def test_deep_nesting_ends() -> None:
    value: Any = [PAGE]
    for _ in range(5_000):
        value = {"citations": value} if isinstance(value, list) else [value]
    assert not shows_search({"x": value})
