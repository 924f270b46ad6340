"""Streams of Chat Completions: folded, unfolded, and read by the real SDK."""

import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.core.models import Reason, Shape
from askonce.core.sse import Splitter, parse
from askonce.formats.openai_chat import OPENAI_CHAT

WITH_USAGE = Shape(stream=True, usage=True)

# A busy machine is no reason to fail.

NASTY = [
    "data: [DONE]\n\n",
    "[DONE]",
    "\r\n\r\nevent: error\r\ndata: {}\r\n\r\n",
    "\u2028data: [DONE]\u2028\u2028",
    "\u2029\u0085",
    '"}]}\\',
    "\x00\x0b\x0c\x1c\x7f",
    "👩‍👩‍👧‍👦 à ﷽",
    "   \n\t ",
    "a few plain words that are longer than one piece of text",
]
TEXT = st.lists(st.text(max_size=20) | st.sampled_from(NASTY), max_size=4).map("".join)
NAME = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


FUNCTION_CALLS = st.builds(
    lambda tail, name, arguments: {
        "id": f"call_{tail}",
        "type": "function",
        "function": {"name": name, "arguments": encoded(arguments)},
    },
    NAME,
    NAME,
    st.dictionaries(TEXT, JSON, max_size=3),
)
CUSTOM_CALLS = st.builds(
    lambda tail, name, text: {
        "id": f"call_{tail}",
        "type": "custom",
        "custom": {"name": name, "input": text},
    },
    NAME,
    NAME,
    TEXT,
)


CITATIONS = st.builds(
    lambda title, start: {
        "type": "url_citation",
        "url_citation": {"start_index": start, "end_index": 9, "title": title, "url": "https://x"},
    },
    TEXT,
    st.integers(0, 9),
)


@st.composite
def tokens_of(draw: st.DrawFn, text: str | None) -> list[dict[str, Any]] | None:
    """Tokens that spell the text, or do not (as where a character is cut into bytes), or none."""
    if text is None or draw(st.booleans()):
        spelled = draw(st.none() | st.lists(TEXT, max_size=2))
    else:
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=4)))
        places = [0, *cuts, len(text)]
        spelled = [text[a:b] for a, b in itertools.pairwise(places)]
    if spelled is None:
        return None
    return [
        {"token": word, "logprob": -0.25, "bytes": list(word.encode()), "top_logprobs": []}
        for word in spelled
    ]


@st.composite
def choices(draw: st.DrawFn, calls: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    message["content"] = draw(st.none() | TEXT)
    message["refusal"] = draw(st.none() | TEXT)
    if draw(st.booleans()):
        message[draw(st.sampled_from(["reasoning_content", "reasoning"]))] = draw(TEXT)
    if made := draw(st.lists(calls, max_size=2)):
        message["tool_calls"] = made
    if draw(st.booleans()):
        message["annotations"] = draw(st.lists(CITATIONS))
    logprobs = None
    if draw(st.booleans()):
        logprobs = {
            "content": draw(tokens_of(message["content"])),
            "refusal": draw(tokens_of(message["refusal"])),
        }
    return {
        "message": message,
        "logprobs": logprobs,
        "finish_reason": draw(st.sampled_from(["stop", "length", "tool_calls"])),
    }


@st.composite
def answers(
    draw: st.DrawFn, calls: st.SearchStrategy[dict[str, Any]] = FUNCTION_CALLS | CUSTOM_CALLS
) -> dict[str, Any]:
    made = draw(st.lists(choices(calls), min_size=1, max_size=4))
    return {
        "id": "chatcmpl-" + draw(NAME),
        "object": "chat.completion",
        "created": draw(st.integers(0, 2**40)),
        "model": draw(NAME),
        "system_fingerprint": draw(st.none() | NAME),
        "service_tier": "default",
        "choices": [{"index": index, **choice} for index, choice in enumerate(made)],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }


def folded(stream: bytes) -> dict[str, Any]:
    folding = OPENAI_CHAT.fold()
    for event in Splitter().feed(stream):
        folding.feed(event)
    assert folding.ended
    assert folding.failed is None
    return folding.answer()


# --- Laws -----------------------------------------------------------------------------------


@given(answers())
def test_fold_undoes_unfold(answer: dict[str, Any]) -> None:
    assert folded(b"".join(OPENAI_CHAT.unfold(answer, WITH_USAGE))) == answer


@given(answers(), st.sampled_from([Shape(stream=True), WITH_USAGE]))
def test_no_text_can_forge_an_event(answer: dict[str, Any], shape: Shape) -> None:
    frames = OPENAI_CHAT.unfold(answer, shape)
    # Even a client that ends lines wherever Unicode does sees one line of data in each frame.
    assert all(len(frame.decode().splitlines()) == 2 for frame in frames)
    assert [event.raw for event in Splitter().feed(b"".join(frames))] == frames
    assert [frame for frame in frames if b"[DONE]" in frame[:12]] == frames[-1:]


@given(answers())
def test_chunks_agree_on_what_they_belong_to(answer: dict[str, Any]) -> None:
    *frames, _ = OPENAI_CHAT.unfold(answer, WITH_USAGE)
    chunks = [msgspec.json.decode(parse(frame).data) for frame in frames]
    for name in ("id", "created", "model", "system_fingerprint"):
        assert {chunk[name] for chunk in chunks} == {answer[name]}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["choices"] == []
    assert [chunk["usage"] for chunk in chunks] == [None] * (len(chunks) - 1) + [answer["usage"]]
    seen = list(dict.fromkeys(chunk["choices"][0]["index"] for chunk in chunks[:-1]))
    assert seen == list(range(len(answer["choices"])))


@given(answers())
def test_without_usage_nothing_speaks_of_it(answer: dict[str, Any]) -> None:
    frames = OPENAI_CHAT.unfold(answer, Shape(stream=True))
    assert folded(b"".join(frames)) == {k: v for k, v in answer.items() if k != "usage"}
    shown = [
        OPENAI_CHAT.show(parse(frame), Shape(stream=True))
        for frame in OPENAI_CHAT.unfold(answer, WITH_USAGE)
    ]
    left = [frame.replace(b',"usage":null}\n', b"}\n") for frame in shown if frame is not None]
    assert left == frames


@settings(max_examples=25)
@given(answers(), st.data())
def test_pieces_do_not_matter(answer: dict[str, Any], data: st.DataObject) -> None:
    stream = b"".join(OPENAI_CHAT.unfold(answer, WITH_USAGE))
    whole = Splitter().feed(stream)
    bytewise = Splitter()
    assert [e for byte in stream for e in bytewise.feed(bytes([byte]))] == whole
    splitter, at, events = Splitter(), 0, []
    while at < len(stream):
        length = data.draw(st.integers(1, len(stream)))
        events += splitter.feed(stream[at : at + length])
        at += length
    assert events == whole


@given(answers(), st.data())
def test_cut_anywhere_it_never_ends(answer: dict[str, Any], data: st.DataObject) -> None:
    stream = b"".join(OPENAI_CHAT.unfold(answer, WITH_USAGE))
    folding = OPENAI_CHAT.fold()
    for event in Splitter().feed(stream[: data.draw(st.integers(0, len(stream) - 1))]):
        folding.feed(event)
    assert not folding.ended


ODD_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "index",
                    "tool_calls",
                    "function",
                    "logprobs",
                    "content",
                    "message",
                    "usage",
                    "role",
                    "type",
                    "finish_reason",
                    "arguments",
                    "function_call",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.lists(ODD_JSON, max_size=3), st.booleans())
def test_no_stream_and_no_answer_raises(chunks: list[Any], wants_json: bool) -> None:
    folding = OPENAI_CHAT.fold()
    for chunk in chunks:
        folding.feed(parse(b"data: " + json.dumps(chunk).encode() + b"\n\n"))
        if isinstance(chunk, dict):
            OPENAI_CHAT.judge(chunk, wants_json=wants_json)
            OPENAI_CHAT.usage(chunk)
            OPENAI_CHAT.model(chunk)
    folding.feed(parse(b"data: [DONE]\n\n"))
    if folding.failed is None:
        answer = folding.answer()
        if OPENAI_CHAT.judge(answer, wants_json=wants_json) is None:
            OPENAI_CHAT.unfold(answer, WITH_USAGE)


# --- Streams as providers send them ---------------------------------------------------------


def stream_of(*chunks: Any) -> bytes:
    frames = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
    return b"".join([*frames, b"data: [DONE]\n\n"])


def chunk_of(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": list(parts),
        **members,
    }


def part(delta: dict[str, Any], index: int = 0, run_sync: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": run_sync}


def messages_of(stream: bytes) -> list[dict[str, Any]]:
    return [choice["message"] for choice in folded(stream)["choices"]]


def test_choices_interleave() -> None:
    stream = stream_of(
        chunk_of(part({"role": "assistant", "content": ""}, 1)),
        chunk_of(part({"role": "assistant", "content": ""}, 0)),
        chunk_of(part({"content": "one"}, 1), part({"content": "zero"}, 0)),
        chunk_of(part({"content": "!"}, 1)),
        chunk_of(part({}, 0, "stop")),
        chunk_of(part({}, 1, "length")),
    )
    answer = folded(stream)
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["zero", "one!"]
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["stop", "length"]


def test_parallel_tool_calls_grow_by_index() -> None:
    def call(index: int, **members: Any) -> dict[str, Any]:
        return chunk_of(part({"tool_calls": [{"index": index, **members}]}))

    stream = stream_of(
        chunk_of(part({"role": "assistant", "content": None})),
        call(1, id="b", type="custom", custom={"name": "run", "input": ""}),
        call(0, id="a", type="function", function={"name": "find", "arguments": ""}),
        call(0, function={"arguments": '{"q":'}),
        call(1, custom={"input": "ls"}),
        call(0, function={"arguments": "1}"}),
        chunk_of(part({}, 0, "tool_calls")),
    )
    assert messages_of(stream)[0]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"q":1}'}},
        {"id": "b", "type": "custom", "custom": {"name": "run", "input": "ls"}},
    ]


def test_repeated_names_are_one_name() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "find", "arguments": "{}"}}
    again = {"index": 0, "id": "", "function": {"name": "find", "arguments": " "}}
    stream = stream_of(
        chunk_of(part({"tool_calls": [call]})), chunk_of(part({"tool_calls": [again]}))
    )
    assert messages_of(stream)[0]["tool_calls"] == [
        {"type": "function", "id": "a", "function": {"name": "find", "arguments": "{} "}}
    ]


def test_legacy_function_call() -> None:
    stream = stream_of(
        chunk_of(part({"role": "assistant", "function_call": {"name": "f", "arguments": ""}})),
        chunk_of(part({"function_call": {"arguments": "{"}})),
        chunk_of(part({"function_call": {"arguments": "}"}})),
        chunk_of(part({}, 0, "function_call")),
    )
    answer = folded(stream)
    message = answer["choices"][0]["message"]
    assert message["function_call"] == {"name": "f", "arguments": "{}"}
    assert folded(b"".join(OPENAI_CHAT.unfold(answer, WITH_USAGE))) == answer


def test_azure_begins_with_filters_and_no_choices() -> None:
    azure = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "usage": None}
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    stream = stream_of(
        {**first, "prompt_filter_results": azure},
        chunk_of({**part({"role": "assistant", "content": "hi"}), "content_filter_results": {}}),
        chunk_of({"index": 0, "finish_reason": "stop", "content_filter_results": safe}),
        chunk_of(usage={"prompt_tokens": 1}),
    )
    answer = folded(stream)
    assert (answer["id"], answer["created"], answer["model"]) == ("c", 1, "m")
    assert answer["prompt_filter_results"] == azure
    assert answer["usage"] == {"prompt_tokens": 1}
    assert answer["choices"][0]["content_filter_results"] == safe
    assert OPENAI_CHAT.judge(answer, wants_json=False) is None
    assert folded(b"".join(OPENAI_CHAT.unfold(answer, WITH_USAGE))) == answer


def test_comments_padding_and_what_follows_the_end_are_not_content() -> None:
    stream = (
        b": OPENROUTER PROCESSING\n\n"
        + stream_of(
            chunk_of(part({"role": "assistant", "reasoning": "so "}), obfuscation="x9"),
            chunk_of(part({"role": "assistant", "reasoning": "far", "content": ""})),
            chunk_of(part({"role": "assistant", "content": "ok"}, 0, "stop"), provider="P"),
        )
        + stream_of(chunk_of(part({"content": " and more"})))
        + b'data: {"error":{"message":"late"}}\n\n'
    )
    answer = folded(stream)
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "ok",
        "reasoning": "so far",
    }
    assert answer["provider"] == "P"
    assert "obfuscation" not in answer


def test_unknown_members_of_a_delta() -> None:
    stream = stream_of(
        chunk_of(part({"note": "a", "steps": [1], "score": 1, "map": {"x": 1}})),
        chunk_of(part({"note": "b", "steps": [2], "score": 2, "map": {"y": 1}})),
    )
    message = messages_of(stream)[0]
    assert message == {
        "role": "assistant",
        "content": None,
        "note": "ab",
        "steps": [1, 2],
        "score": 2,
        "map": {"y": 1},
    }


def test_end_without_a_finish_is_cut_short() -> None:
    answer = folded(stream_of(chunk_of(part({"role": "assistant", "content": "half"}))))
    assert OPENAI_CHAT.judge(answer, wants_json=False) is Reason.CUT_SHORT


def two(first: dict[str, Any], second: dict[str, Any]) -> bytes:
    return stream_of(chunk_of(part(first)), chunk_of(part(second)))


def call_of(**members: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, **members}]}


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b'data: {"error":{"message":"overloaded"}}\n\n', Reason.STREAM_ERROR),
        (b'data: {"object":"error","message":"x"}\n\n', Reason.STREAM_ERROR),
        (b'event: error\ndata: {"message":"x"}\n\n', Reason.STREAM_ERROR),
        (b"data: <html>\n\n", Reason.GARBAGE),
        (b'data: {"choices":\n\n', Reason.GARBAGE),
        (b'data: "\xff"\n\n', Reason.GARBAGE),
        (b"data: " + b"[" * 5000 + b"\n\n", Reason.GARBAGE),
        (b"data: 7\n\n", Reason.GARBAGE),
        (b'data: {"choices":{}}\n\n', Reason.GARBAGE),
        (b'data: {"choices":[7]}\n\n', Reason.GARBAGE),
        (b'data: {"choices":[{"index":"0"}]}\n\n', Reason.GARBAGE),
        (b'data: {"choices":[],"usage":7}\n\n', Reason.GARBAGE),
        (two({"content": ["a"]}, {}), Reason.GARBAGE),
        (two({"note": "a"}, {"note": ["b"]}), Reason.GARBAGE),
        (two({"note": ["a"]}, {"note": "b"}), Reason.GARBAGE),
        (two(call_of(id="a"), call_of(id="b")), Reason.GARBAGE),
        (two(call_of(function={"name": "a"}), call_of(function={"name": "b"})), Reason.GARBAGE),
        (two({"tool_calls": [{"id": "a", "index": "0"}]}, {}), Reason.GARBAGE),
        (two({"tool_calls": [{"id": "a"}, {"id": "b"}]}, {"tool_calls": [{}, {}]}), Reason.GARBAGE),
        (
            two(call_of(function={"arguments": "{"}), call_of(function={"arguments": {}})),
            Reason.GARBAGE,
        ),
        (two({"audio": {"id": "a"}}, {}), Reason.AUDIO),
    ],
)
def test_streams_that_fail(stream: bytes, reason: Reason) -> None:
    folding = OPENAI_CHAT.fold()
    for event in Splitter().feed(stream):
        folding.feed(event)
    assert folding.failed is reason
    assert not folding.ended


# --- The real SDK ---------------------------------------------------------------------------


class Provider(http.server.ThreadingHTTPServer):
    """A real server that answers every question with the same stream."""

    daemon_threads = True
    stream = b""


class Answering(http.server.BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.end_headers()
        for at in range(0, len(self.server.stream), 97):
            self.wfile.write(self.server.stream[at : at + 97])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    url = f"http://127.0.0.1:{provider.server_port}/v1"
    with openai.OpenAI(api_key="test", base_url=url, max_retries=0) as made:
        yield made


ASKED: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
FEW = settings(max_examples=30)


@FEW
@given(answer=answers(FUNCTION_CALLS))
def test_helper_of_the_sdk_sees_the_same_answer(
    provider: Provider, client: openai.OpenAI, answer: dict[str, Any]
) -> None:
    for choice in answer["choices"]:
        # The helper raises on answers that were cut at their limit.
        choice["finish_reason"] = choice["finish_reason"].replace("length", "stop")
    provider.stream = b"".join(OPENAI_CHAT.unfold(answer, WITH_USAGE))
    with client.chat.completions.stream(**ASKED) as stream:
        final = stream.get_final_completion()
    seen = final.to_dict(mode="json")
    for name in ("id", "created", "model", "system_fingerprint", "service_tier"):
        assert seen[name] == answer[name]
    assert final.usage is not None
    assert final.usage.total_tokens == 7
    for choice, was in zip(final.choices, answer["choices"], strict=True):
        said = choice.to_dict(mode="json")
        message: Any = said["message"]
        message["tool_calls"] = message.get("tool_calls") or []
        for call in message["tool_calls"]:
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        expected = {"tool_calls": [], **was["message"]}
        assert {name: message[name] for name in expected} == expected
        assert choice.finish_reason == was["finish_reason"]
        assert said["logprobs"] == was["logprobs"]


@FEW
@given(answer=answers())
def test_plain_stream_of_the_sdk_sees_the_same_answer(
    provider: Provider, client: openai.OpenAI, answer: dict[str, Any]
) -> None:
    provider.stream = b"".join(OPENAI_CHAT.unfold(answer, WITH_USAGE))
    with client.chat.completions.create(**ASKED, stream=True) as stream:
        chunks = [chunk.to_dict(mode="json") for chunk in stream]
    # What the SDK parsed, streamed again, is the answer: nothing was lost on its way there.
    assert folded(stream_of(*chunks)) == answer


def test_two_calls_at_once_through_the_sdk(provider: Provider, client: openai.OpenAI) -> None:
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}
        for n in range(2)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    answer = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    provider.stream = b"".join(OPENAI_CHAT.unfold(answer, Shape(stream=True)))
    with client.chat.completions.stream(**ASKED) as stream:
        done = [
            (event.index, event.name, event.arguments)
            for event in stream
            if event.type == "tool_calls.function.arguments.done"
        ]
    assert done == [(0, "f", '{"n": 1}'), (1, "f", '{"n": 1}')]


def test_error_in_mid_stream_reaches_the_caller_of_the_sdk(
    provider: Provider, client: openai.OpenAI
) -> None:
    body = OPENAI_CHAT.error("The provider went away.", "cut-short")
    provider.stream = b"data: " + body + b"\n\n"
    with (
        client.chat.completions.create(**ASKED, stream=True) as stream,
        pytest.raises(openai.APIError, match="went away") as raised,
    ):
        list(stream)
    assert (raised.value.type, raised.value.code) == ("askonce_error", "cut-short")
