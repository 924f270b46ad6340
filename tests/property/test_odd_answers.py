"""Answers as providers with a compatible API write them: odd in shape, whole in content.

Folding undoes unfolding for them too, wherever the bytes are cut, and odd ways to stream an answer
fold into that answer.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.core.models import Shape
from askonce.core.sse import Splitter
from askonce.core.wire_format import WireFormat
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES
from askonce.formats.openai_chat import OPENAI_CHAT

SHAPES = st.sampled_from([Shape(stream=True), Shape(stream=True, usage=True)])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["data: [DONE]\n\n", "a\u2028b\u0085", " \n\t", "two words", "漢" * 50]
)
NAME = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAME, inner, max_size=2),
    max_leaves=5,
)
UNKNOWN = st.dictionaries(NAME.map("x_{}".format), VALUE, max_size=2)
"""Members that no format knows; an empty object or list is as good as any other value."""

PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT})
    | st.fixed_dictionaries({"type": st.just("thinking"), "thinking": st.lists(VALUE, max_size=2)})
    | st.fixed_dictionaries({"type": st.just("image_url"), "image_url": VALUE}),
    max_size=3,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "function": st.fixed_dictionaries(
                {"name": NAME},
                optional={"arguments": st.none() | TEXT | st.dictionaries(NAME, VALUE, max_size=2)},
            )
        },
        optional={"id": st.none() | NAME, "type": st.sampled_from([None, "", "function"])},
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def indexed(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A list whose objects say which one they are, by their index and kind."""
    places = draw(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), unique=True))
    return [
        {"type": f"reasoning.{kind}", "index": index, "text": draw(TEXT), "signature": draw(TEXT)}
        for index, kind in places
    ]


@st.composite
def chat_messages(draw: st.DrawFn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | TEXT | PARTS)}
    for name, strategy in {
        "tool_calls": CALLS,
        "reasoning_details": indexed(),
        "thinking_blocks": PARTS,
        "reasoning": TEXT | VALUE,
        "function_call": CALLS.map(lambda calls: calls[0]["function"]),
    }.items():
        if draw(st.booleans()):
            message[name] = draw(strategy)
    return {**message, **draw(UNKNOWN)}


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    """An answer with members before and after its choices."""
    finish = st.sampled_from(["stop", "eos", "STOP", "end_turn", "length", "tool_calls"])
    choices = [
        {"index": index, "message": message, "finish_reason": draw(finish)}
        for index, message in enumerate(draw(st.lists(chat_messages(), min_size=1, max_size=2)))
    ]
    members = [
        *draw(UNKNOWN).items(),
        ("choices", choices),
        *{name.replace("x_", "y_"): value for name, value in draw(UNKNOWN).items()}.items(),
    ]
    usage = draw(st.none() | st.integers(0, len(members)))
    if usage is not None:
        members.insert(usage, ("usage", {"prompt_tokens": 3, "completion_tokens": 4}))
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", **dict(members)}


BLOCKS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT})
    | st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXT, "signature": TEXT})
    | st.fixed_dictionaries({"type": st.just("something_new"), "x": VALUE}),
    max_size=4,
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """A message with unknown members wherever one may come."""
    early, late, beside = draw(UNKNOWN), draw(UNKNOWN), draw(UNKNOWN)
    usage = {
        "input_tokens": 3,
        **draw(UNKNOWN),
        "output_tokens": 4,
        **{name.replace("x_", "y_"): value for name, value in draw(UNKNOWN).items()},
    }
    known = st.sampled_from(["context_management", "input_transformations"])
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        **early,
        "content": draw(BLOCKS),
        "stop_reason": draw(st.sampled_from(["end_turn", "tool_use", "eos"])),
        "stop_sequence": None,
        **{name.replace("x_", "y_"): value for name, value in late.items()},
        "usage": usage,
        **{name.replace("x_", "z_"): value for name, value in beside.items()},
        **{name: draw(VALUE) for name in draw(st.sets(known))},
    }


def folded(format_: WireFormat, stream: bytes, *cuts: int) -> dict[str, Any]:
    folding, splitter, start = format_.fold(), Splitter(), 0
    for stop in [*sorted(cuts), len(stream)]:
        for event in splitter.feed(stream[start:stop]):
            folding.feed(event)
        start = stop
    assert folding.ended
    assert folding.failed is None
    return folding.answer()


def normal(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the type that a call without one gets."""
    for choice in answer["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            call["type"] = "function"
    return answer


def sent(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The members before, at and after the content: what came when."""
    names = list(answer)
    middle = names.index("choices" if "choices" in answer else "content")
    return [("before", sorted(names[:middle])), ("after", sorted(names[middle:]))]


@given(chats(), SHAPES)
def test_fold_undoes_unfold_for_odd_chats(answer: dict[str, Any], shape: Shape) -> None:
    said = json.loads(json.dumps(answer))
    stream = b"".join(OPENAI_CHAT.unfold(answer, shape))
    assert answer == said, "unfolding changed the answer"
    before = list(answer).index("usage") < list(answer).index("choices") if "usage" in answer else 1
    if not shape.usage and not before:
        said.pop("usage")
    assert folded(OPENAI_CHAT, stream) == normal(said)


@given(chats())
def test_what_came_when_stays_for_odd_chats(answer: dict[str, Any]) -> None:
    once = folded(OPENAI_CHAT, b"".join(OPENAI_CHAT.unfold(answer, Shape(stream=True, usage=True))))
    again = folded(OPENAI_CHAT, b"".join(OPENAI_CHAT.unfold(once, Shape(stream=True, usage=True))))
    assert sent(again) == sent(once)
    assert again == once


@given(messages())
def test_fold_undoes_unfold_for_odd_messages(answer: dict[str, Any]) -> None:
    stream = b"".join(ANTHROPIC_MESSAGES.unfold(answer, Shape(stream=True)))
    whole = folded(ANTHROPIC_MESSAGES, stream)
    assert whole == answer
    assert sent(whole) == sent(answer)
    assert list(whole["usage"]) == list(answer["usage"])


@settings(max_examples=40)
@given(chats() | messages(), st.lists(st.integers(0, 10_000), max_size=20))
def test_where_the_bytes_are_cut_does_not_matter(answer: dict[str, Any], cuts: list[int]) -> None:
    format_: WireFormat = OPENAI_CHAT if "choices" in answer else ANTHROPIC_MESSAGES
    stream = b"".join(format_.unfold(answer, Shape(stream=True, usage=True)))
    whole = folded(format_, stream)
    assert folded(format_, stream, *(cut % len(stream) for cut in cuts)) == whole
    assert folded(format_, stream, *range(len(stream))) == whole


# --- Odd ways to stream an answer -----------------------------------------------------------


def pieces_of(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streamed_calls(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tool calls, and fragments of them without an index or without a type."""
    numbered, typed = draw(st.booleans()), draw(st.booleans())
    calls, fragments = [], []
    for number in range(draw(st.integers(1, 3))):
        arguments = json.dumps(draw(st.dictionaries(NAME, TEXT, max_size=2)))
        call: dict[str, Any] = {"id": f"call_{number}", "type": "function"}
        calls.append({**call, "function": {"name": "w", "arguments": arguments}})
        first, *rest = pieces_of(draw, arguments)
        begin: dict[str, Any] = {"id": call["id"], "function": {"name": "w", "arguments": first}}
        if typed:
            begin["type"] = "function"
        own = [begin, *({"function": {"arguments": piece}} for piece in rest)]
        fragments += [{"index": number, **each} if numbered else each for each in own]
    return calls, fragments


@st.composite
def streamed_details(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Objects with an index and a kind, and their texts in pieces that interleave."""
    items = draw(indexed())
    queues = []
    for item in items:
        same = {"type": item["type"], "index": item["index"]}
        queue: list[dict[str, Any]] = [{**same, "text": p} for p in pieces_of(draw, item["text"])]
        queues.append([*queue, {**same, "signature": item["signature"]}])
    fragments = [queue.pop(0) for queue in draw(st.permutations(queues))]
    while any(queues):
        fragments.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return items, fragments


def frames(deltas: list[dict[str, Any]], *, done: bool, end: str) -> bytes:
    last: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
    parts = [*({"index": 0, "delta": d, "finish_reason": None} for d in deltas), last]
    chunks = [{"choices": [part]} for part in parts]
    said = [f"data: {json.dumps(chunk)}" for chunk in chunks] + ["data: [DONE]"] * done
    return (end * 2).join(said).encode() + end.encode() * 2


@given(streamed_calls(), streamed_details(), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_odd_streams_fold_into_the_whole(
    calls: tuple[list[Any], list[Any]],
    details: tuple[list[Any], list[Any]],
    done: bool,
    end: str,
) -> None:
    deltas = [{"reasoning_details": [each]} for each in details[1]]
    deltas += [{"tool_calls": [each]} for each in calls[1]]
    folding = OPENAI_CHAT.fold()
    for event in Splitter().feed(frames(deltas, done=done, end=end) + b":"):
        folding.feed(event)
    assert folding.ended is done
    folding.finish()
    assert folding.ended
    message = folding.answer()["choices"][0]["message"]
    assert message["tool_calls"] == calls[0]
    found = message.get("reasoning_details", [])
    assert [item["index"] for item in found] == sorted(item["index"] for item in details[0])
    assert all(item in found for item in details[0])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=5, unique=True), st.booleans())
def test_blocks_may_begin_anywhere_and_leave_gaps(indexes: list[int], stopped: bool) -> None:
    frames_ = ANTHROPIC_MESSAGES.unfold(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": f"block {n}"} for n in range(len(indexes))],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
        Shape(stream=True),
    )
    stream = b"".join(frames_ if stopped else frames_[:-1])
    for number, index in reversed(list(enumerate(sorted(indexes)))):
        stream = stream.replace(b'"index":%d,' % number, b'"index":%d,' % (index + 1_000))
        stream = stream.replace(b'"index":%d}' % number, b'"index":%d}' % (index + 1_000))
    folding = ANTHROPIC_MESSAGES.fold()
    for event in Splitter().feed(stream):
        folding.feed(event)
    assert folding.ended is stopped
    folding.finish()
    assert folding.ended
    texts = [block["text"] for block in folding.answer()["content"]]
    assert texts == [f"block {number}" for number in range(len(indexes))]


# --- Answers with something wrong in them -----------------------------------------------------


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree, as what holds it and the name or number there."""
    steps: Any = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    return [place for step, inner in steps for place in [(value, step), *places_in(inner)]]


@settings(max_examples=300)
@given(chats() | messages(), st.data())
def test_an_answer_that_may_be_stored_can_be_shown(
    answer: dict[str, Any], data: st.DataObject
) -> None:
    answer = json.loads(json.dumps(answer))
    format_: WireFormat = OPENAI_CHAT if "choices" in answer else ANTHROPIC_MESSAGES
    for _ in range(data.draw(st.integers(0, 3))):
        holder, step = data.draw(st.sampled_from(places_in(answer)))
        holder[step] = data.draw(VALUE | st.sampled_from(["stop", "text", "function", "custom"]))
    if format_.judge(answer, wants_json=False) is None:
        format_.text(answer)
        format_.usage(answer)
        whole = folded(format_, b"".join(format_.unfold(answer, Shape(stream=True))))
        assert format_.judge(whole, wants_json=False) is None
