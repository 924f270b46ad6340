"""Anthropic's streams: folding and unfolding are inverse, and the real SDK reads the result."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from typing import Any

import anthropic
import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.core.errors import AnswerCut
from askonce.core.models import Reason, Shape
from askonce.core.sse import Splitter
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES

SHAPE = Shape(stream=True)

# --- generated answers ----------------------------------------------------------------------

unicode = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
nasty = st.sampled_from(
    [
        "event: message_stop\ndata: {}\n\n",
        "\r\n\r\nevent: error\r\n\r\n",
        "a\u2028event: message_stop\u2029\u0085data: {}\u2028\u2028",
        "\ufeff\x00\x0b\x0c\x1c\x1d\x1e",
        "data: [DONE]\n\n",
        "👩‍👩‍👧 cafe\u0301 𝔘𝔫𝔦",
        " \n\t ",
        "x" * 300,
    ]
)
texts = st.lists(unicode | nasty, max_size=4).map("".join)
counts = st.integers(0, 1_000_000)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
citations = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("char_location"),
            "cited_text": texts,
            "document_index": counts,
            "document_title": st.none() | texts,
            "start_char_index": counts,
            "end_char_index": counts,
        }
    ),
    max_size=3,
)
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": texts, "citations": st.none() | citations}
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use"]),
            "id": texts,
            "name": texts,
            "input": st.dictionaries(texts, json_values, max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("web_search_tool_result"), "tool_use_id": texts, "content": json_values}
    ),
    st.fixed_dictionaries({"type": st.just("from_the_future"), "anything": json_values}),
)
usages = st.fixed_dictionaries(
    {"input_tokens": counts, "output_tokens": counts},
    optional={
        "cache_read_input_tokens": st.none() | counts,
        "cache_creation_input_tokens": st.none() | counts,
        "cache_creation": st.none() | st.just({"ephemeral_5m_input_tokens": 3}),
        "server_tool_use": st.none() | st.just({"web_search_requests": 1}),
        "output_tokens_details": st.none() | st.just({"thinking_tokens": 7}),
        "service_tier": st.sampled_from(["standard", "priority"]),
    },
)
messages: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.just("message"),
        "role": st.just("assistant"),
        "model": texts,
        "content": st.lists(blocks, max_size=5),
        "stop_reason": st.sampled_from(["end_turn", "tool_use", "stop_sequence", "max_tokens"]),
        "stop_sequence": st.none() | texts,
        "usage": usages,
    },
    optional={
        "stop_details": st.none() | st.just({"type": "refusal", "category": None}),
        "container": st.none() | st.just({"id": "c", "expires_at": "2026-01-01T00:00:00Z"}),
        "context_management": st.just({"applied_edits": []}),
    },
)

WHOLE: dict[str, Any] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [
        {
            "type": "thinking",
            "thinking": "Two cities, so two calls.\n" * 3,
            "signature": "c2lnbg==",
        },
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {
            "type": "text",
            "text": "Élan — 18 °C,\u2028event: message_stop\r\n\r\ndata: {}\n\n sunny 👩‍👩‍👧.",
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "18 °C",
                    "document_index": 0,
                    "document_title": None,
                    "file_id": None,
                    "start_char_index": 0,
                    "end_char_index": 5,
                }
            ],
        },
        {
            "type": "tool_use",
            "id": "toolu_01",
            "name": "weather",
            "input": {"city": "Rome", "days": [1, 2.5], "note": "a\u2028b\n\n"},
        },
        {"type": "tool_use", "id": "toolu_02", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "usage": {
        "input_tokens": 12,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 30,
        "output_tokens": 345,
        "output_tokens_details": {"thinking_tokens": 40},
        "service_tier": "standard",
    },
}


def folded(stream: bytes, *cuts: int) -> Any:
    """A folding fed with the stream, cut into pieces at these offsets."""
    folding, splitter = ANTHROPIC_MESSAGES.fold(), Splitter()
    borders = [0, *sorted(cuts), len(stream)]
    for start, stop in pairwise(borders):
        for event in splitter.feed(stream[start:stop]):
            folding.feed(event)
    return folding


def unfolded(answer: dict[str, Any]) -> bytes:
    return b"".join(ANTHROPIC_MESSAGES.unfold(answer, SHAPE))


def frame(data: Any, name: str | None = None) -> bytes:
    written = data if isinstance(data, bytes) else json.dumps(data).encode()
    name = name or (data["type"] if isinstance(data, dict) and "type" in data else "message")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), written)


# --- laws -----------------------------------------------------------------------------------


@given(messages)
def test_folding_an_unfolded_answer_gives_the_answer(answer: Any) -> None:
    folding = folded(unfolded(answer))
    assert folding.failed is None
    assert folding.ended
    assert folding.answer() == answer


@given(messages)
def test_nothing_stored_can_forge_an_event(answer: Any) -> None:
    frames = ANTHROPIC_MESSAGES.unfold(answer, SHAPE)
    for at, raw in enumerate(frames):
        # Not even for a reader that breaks lines wherever Unicode does.
        name, data, *blank = raw.decode().splitlines()
        assert blank == [""]
        assert json.loads(data.removeprefix("data: "))["type"] == name.removeprefix("event: ")
        assert (name == "event: message_stop") == (at == len(frames) - 1)


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_where_the_bytes_are_cut_does_not_matter(cuts: Any) -> None:
    stream = unfolded(WHOLE)
    assert folded(stream, *(cut % len(stream) for cut in cuts)).answer() == WHOLE


def test_byte_by_byte_and_in_any_line_ending() -> None:
    stream = unfolded(WHOLE)
    assert folded(stream, *range(len(stream))).answer() == WHOLE
    assert folded(stream.replace(b"\n", b"\r\n") + b":").answer() == WHOLE


@given(st.data())
def test_a_stream_cut_anywhere_before_its_end_has_not_ended(data: Any) -> None:
    stream = unfolded(WHOLE)
    cut = data.draw(st.integers(0, len(stream) - 2))
    folding = folded(stream[:cut])
    assert not folding.ended
    with pytest.raises(AnswerCut):
        folding.answer()


@given(st.lists(st.sampled_from(range(12)), max_size=12))
def test_pings_comments_and_events_of_unknown_kinds_are_passed_over(places: Any) -> None:
    noise = [
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b": keep-alive\n\n",
        frame({"type": "from_the_future", "index": 0, "delta": {"type": "text_delta"}}),
        b"event: ping\ndata: not json\n\n",
    ]
    frames = ANTHROPIC_MESSAGES.unfold(WHOLE, SHAPE)
    for at, place in enumerate(places):
        frames.insert(place, noise[at % len(noise)])
    assert folded(b"".join(frames)).answer() == WHOLE


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "index", "delta", "usage", "message", "content", "content_block"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
KINDS = (
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), json_like), max_size=8))
def test_no_event_makes_the_folding_raise(events: Any) -> None:
    folding, splitter = ANTHROPIC_MESSAGES.fold(), Splitter()
    for kind, data in events:
        data = {**data, "type": kind} if isinstance(data, dict) else data
        for event in splitter.feed(frame(data, kind)):
            folding.feed(event)
    if folding.ended:
        ANTHROPIC_MESSAGES.judge(folding.answer(), wants_json=True)


# --- a stream as the provider writes it -----------------------------------------------------

START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        **{name: WHOLE[name] for name in ("id", "type", "role", "model")},
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 7, "output_tokens": 1},
    },
}
OPEN_TEXT = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "text", "text": ""},
}
OPEN_TOOL = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "tool_use", "id": "t", "name": "w", "input": {}},
}
CLOSE = {"type": "content_block_stop", "index": 0}
DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 15},
}
STOP = {"type": "message_stop"}


def delta(index: Any = 0, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": members}


HELLO = delta(type="text_delta", text="Hello")


def fold(*events: dict[str, Any]) -> Any:
    return folded(b"".join(frame(event) for event in events))


def test_a_plain_stream() -> None:
    answer = fold(START, OPEN_TEXT, HELLO, delta(type="text_delta", text="!"), CLOSE, DELTA, STOP)
    assert answer.answer() == {
        **START["message"],
        "content": [{"type": "text", "text": "Hello!"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 7, "output_tokens": 15},
    }


def test_usage_is_cumulative_and_a_null_keeps_the_earlier_value() -> None:
    news = {"output_tokens": 5, "input_tokens": None, "server_tool_use": None}
    more = {"output_tokens": 9, "cache_read_input_tokens": 8}
    answer = fold(START, {**DELTA, "usage": news}, {**DELTA, "usage": more}, STOP).answer()
    assert answer["usage"] == {
        "input_tokens": 25,
        "cache_read_input_tokens": 8,
        "output_tokens": 9,
        "server_tool_use": None,
    }


def test_the_late_members_arrive_with_message_delta() -> None:
    late = {
        "stop_reason": "stop_sequence",
        "stop_sequence": "END",
        "stop_details": {"type": "refusal"},
        "container": {"id": "c"},
    }
    answer = fold(START, {**DELTA, "delta": late, "context_management": {"a": 1}}, STOP).answer()
    assert {name: answer[name] for name in late} == late
    assert answer["context_management"] == {"a": 1}


def test_a_late_member_cannot_replace_what_the_message_is() -> None:
    answer = fold(START, {**DELTA, "delta": {"id": "x", "content": [1], "new": 2}}, STOP).answer()
    assert (answer["id"], answer["content"], answer["new"]) == ("msg_01", [], 2)


def test_tool_input_without_a_piece_or_with_empty_ones_is_an_empty_object() -> None:
    empty = delta(type="input_json_delta", partial_json="")
    for pieces in ([], [empty], [empty, empty]):
        answer = fold(START, OPEN_TOOL, *pieces, CLOSE, DELTA, STOP).answer()
        assert answer["content"][0]["input"] == {}


def test_the_event_name_stands_in_for_a_missing_type() -> None:
    events: list[dict[str, Any]] = [START, OPEN_TEXT, HELLO, CLOSE, DELTA, STOP]
    nameless = [{n: v for n, v in event.items() if n != "type"} for event in events]
    frames = [frame(data, event["type"]) for data, event in zip(nameless, events, strict=True)]
    assert folded(b"".join(frames)).answer() == fold(*events).answer()


def test_what_follows_the_end_is_not_part_of_it() -> None:
    stream = unfolded(WHOLE)
    error = frame({"type": "error", "error": {"type": "overloaded_error"}})
    folding = folded(stream + error + b"event: x\ndata: not json\n\n" + stream)
    assert folding.answer() == WHOLE


ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    "error",
    [frame(ERROR), frame(ERROR, "message"), frame(b"gone", "error"), b"event: error\n\n"],
    ids=["named", "typed", "text", "bare"],
)
def test_an_error_event_fails_the_stream(error: Any) -> None:
    folding = folded(frame(START) + error + frame(DELTA) + frame(STOP))
    assert folding.failed is Reason.STREAM_ERROR
    assert not folding.ended


@pytest.mark.parametrize(
    "events",
    [
        [OPEN_TEXT],
        [STOP],
        [DELTA],
        [START, START],
        [{**START, "message": 5}],
        [{**START, "message": {**START["message"], "content": [{"type": "text"}]}}],
        [START, {**OPEN_TEXT, "index": 1}],
        [START, {**OPEN_TEXT, "index": "0"}],
        [START, {**OPEN_TEXT, "index": False}],
        [START, {**OPEN_TEXT, "content_block": "text"}],
        [START, {**OPEN_TEXT, "content_block": {}}],
        [START, {**OPEN_TEXT, "content_block": {"type": "text", "text": 5}}, HELLO, CLOSE],
        [START, {**OPEN_TEXT, "content_block": {"type": "text", "citations": 5}}, HELLO, CLOSE],
        [START, HELLO],
        [START, OPEN_TEXT, OPEN_TEXT],
        [START, OPEN_TEXT, delta(type="from_the_future", text="x")],
        [START, OPEN_TEXT, delta(type="thinking_delta", thinking="x")],
        [START, OPEN_TEXT, delta(type="input_json_delta", partial_json="{}")],
        [START, OPEN_TOOL, delta(type="text_delta", text="x")],
        [START, OPEN_TEXT, delta(type="text_delta", text=5)],
        [START, OPEN_TEXT, delta(type="text_delta")],
        [START, OPEN_TEXT, delta(type=["text_delta"])],
        [START, OPEN_TEXT, delta(index=False, type="text_delta", text="x")],
        [START, OPEN_TEXT, {**HELLO, "delta": "Hello"}],
        [START, OPEN_TEXT, CLOSE, HELLO],
        [START, OPEN_TEXT, CLOSE, CLOSE],
        [START, OPEN_TEXT, HELLO, DELTA, STOP],
        [START, {**DELTA, "delta": None}],
        [START, {**DELTA, "usage": []}],
    ],
    ids=lambda events: msgspec.json.encode(events[-1]).decode()[:70],
)
def test_what_cannot_be_kept_faithfully_is_not_kept(events: Any) -> None:
    folding = fold(*events, STOP)
    assert folding.failed is Reason.GARBAGE
    assert not folding.ended


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"5", b'"text"', b"\xff", b"[" * 100_000, b'{"type": "ping"} x']
)
def test_data_that_is_not_a_json_object_is_garbage(data: Any) -> None:
    assert folded(frame(START) + frame(data) + frame(STOP)).failed is Reason.GARBAGE


@pytest.mark.parametrize("text", ["{", '{"city": "Ro', "nonsense", "[" * 100_000])
def test_tool_input_that_is_not_json_is_a_bad_call(text: Any) -> None:
    piece = delta(type="input_json_delta", partial_json=text)
    assert fold(START, OPEN_TOOL, piece, CLOSE, DELTA, STOP).failed is Reason.BAD_TOOL_CALL


def test_text_is_cut_into_a_few_words_at_a_time() -> None:
    def pieces(text: Any) -> Any:
        answer = {**WHOLE, "content": [{"type": "text", "text": text}]}
        events = Splitter().feed(unfolded(answer))
        datas = [json.loads(event.data) for event in events]
        return [data["delta"]["text"] for data in datas if data["type"] == "content_block_delta"]

    words = " ".join(f"word{n}" for n in range(40))
    assert len(pieces(words)) == 10
    assert pieces("") == []
    assert max(map(len, pieces("漢" * 1000))) <= 96
    assert max(map(len, pieces(" \n" * 1000))) <= 192


def test_message_start_promises_no_output_yet() -> None:
    start = json.loads(Splitter().feed(unfolded(WHOLE))[0].data)["message"]
    assert start["content"] == []
    assert start["stop_reason"] is None
    assert start["usage"]["output_tokens"] == 1
    assert start["usage"]["input_tokens"] == 12


# --- the real SDK, over a real connection ---------------------------------------------------


class Provider(HTTPServer):
    """A provider on a real port that answers every question with `answer`, as it was asked."""

    answer: Any = None
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = self.server.answer
        streamed = asked.get("stream") and isinstance(answer, dict)
        body = unfolded(answer) if streamed else msgspec.json.encode(answer)
        self.send_response(self.server.status)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Provider, anthropic.Anthropic]]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        # No proxy of the environment may stand between this test and its own server.
        http = httpx2.Client(trust_env=False)
        url = f"http://127.0.0.1:{server.server_port}"
        client = anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, http_client=http)
        with client:
            yield server, client
        server.shutdown()
        thread.join()


@pytest.fixture
def provider(running: tuple[Provider, anthropic.Anthropic]) -> Provider:
    running[0].answer, running[0].status = WHOLE, 200
    return running[0]


@pytest.fixture
def client(running: tuple[Provider, anthropic.Anthropic]) -> anthropic.Anthropic:
    return running[1]


QUESTION: dict[str, Any] = {
    "model": "a-model",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "hi"}],
}


def as_sent(message: Any) -> Any:
    """What the SDK understood, as JSON without what it added."""
    return message.to_dict(mode="json")


def test_the_sdk_reads_the_same_message_streamed_and_not(provider: Any, client: Any) -> None:
    plain = client.messages.create(**QUESTION)
    with client.messages.stream(**QUESTION) as stream:
        heard = "".join(stream.text_stream)
        final = stream.get_final_message()
    with client.beta.messages.stream(**QUESTION) as beta_stream:
        beta = beta_stream.get_final_message()
    assert as_sent(final) == as_sent(plain) == WHOLE
    assert as_sent(beta) == WHOLE
    assert heard == WHOLE["content"][2]["text"]


def test_the_sdk_reads_every_event_of_a_raw_stream(provider: Any, client: Any) -> None:
    events = list(client.messages.create(**QUESTION, stream=True))
    expected = [event.name.decode() for event in Splitter().feed(unfolded(WHOLE))]
    assert [event.type for event in events] == expected
    assert events[-2].type == "message_delta"
    assert events[-2].usage.output_tokens == 345
    kinds = [event.delta.type for event in events if event.type == "content_block_delta"]
    seen = list(dict.fromkeys(kinds))
    assert seen == [
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "citations_delta",
        "input_json_delta",
    ]


sdk_blocks = blocks.filter(
    lambda block: block["type"] in ("text", "thinking", "redacted_thinking", "tool_use")
)
sdk_messages = messages.flatmap(
    lambda message: st.lists(sdk_blocks, max_size=4).map(
        lambda content: {**message, "content": content, "usage": WHOLE["usage"]}
    )
)


@settings(max_examples=25)
@given(answer=sdk_messages)
def test_the_sdk_reads_any_answer_alike(running: Any, answer: Any) -> None:
    server, client = running
    server.answer, server.status = answer, 200
    plain = client.messages.create(**QUESTION)
    with client.messages.stream(**QUESTION) as stream:
        final = stream.get_final_message()
    assert as_sent(final)["content"] == as_sent(plain)["content"]
    assert (final.stop_reason, final.stop_sequence) == (plain.stop_reason, plain.stop_sequence)
    assert as_sent(final.usage) == as_sent(plain.usage)


def test_our_own_error_is_read_by_the_sdk(provider: Any, client: Any) -> None:
    body = ANTHROPIC_MESSAGES.error("nothing stored for this question", "only-if-cached")
    provider.answer, provider.status = msgspec.Raw(body), 504
    with pytest.raises(anthropic.APIStatusError, match="nothing stored") as caught:
        client.messages.create(**QUESTION)
    assert caught.value.status_code == 504
    error: Any = caught.value  # its type says which words Anthropic's own API uses
    assert error.type == "askonce_error"
    assert caught.value.error_code == "only-if-cached"
