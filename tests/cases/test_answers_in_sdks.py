"""The answers of the table, read by the parsers of the real SDKs: from the provider and replayed.

A caller with a stream and one without get what the SDK makes of the provider's own answer. The SDKs
fail on a few odd streams of providers (blocks that begin at 1, calls without an index); the replay
of those is read all the same.
"""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from askonce.core.models import Shape
from askonce.core.sse import Splitter
from askonce.core.wire_format import WireFormat
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES
from askonce.formats.openai_chat import OPENAI_CHAT
from tests.cases.test_answers import ROWS, bytes_of
from tests.gateway.stage import CHAT

STORED = [row for row in ROWS if row["stored"]]
UNREADABLE = {
    "claude-blocks-from-1", "claude-blocks-that-are-all-number-0", "claude-blocks-with-gaps",
    "claude-without-message-stop",
    "stream-tool-call-without-index", "stream-parallel-calls-without-index",
    "stream-calls-in-one-list-without-index", "stream-content-as-parts",
    "stream-call-with-object-arguments", "stream-call-without-arguments",
    "stream-calls-that-are-all-number-0", "stream-thinking-blocks",
    "stream-reasoning-details-of-two-kinds", "reasoning-details-in-pieces",
    "stream-whose-last-event-the-body-ends",
}  # fmt: skip
"""Streams of providers that the SDKs' helpers fail on, or put together wrongly."""


def format_of(row: dict[str, Any]) -> WireFormat:
    return OPENAI_CHAT if row.get("path", CHAT) == CHAT else ANTHROPIC_MESSAGES


def whole(row: dict[str, Any]) -> dict[str, Any]:
    if "json" in row:
        answer: dict[str, Any] = row["json"]
        return answer
    folding = format_of(row).fold()
    for event in Splitter().feed(bytes_of(row) + b"\n\n"):
        folding.feed(event)
    folding.finish()
    return folding.answer()


def replayed(row: dict[str, Any], *, usage: bool = False) -> bytes:
    return b"".join(format_of(row).unfold(whole(row), Shape(stream=True, usage=usage)))


def client_over(body: bytes) -> httpx2.Client:
    kind = "application/json" if body.startswith(b"{") else "text/event-stream"

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def read_chat(row: dict[str, Any], body: bytes) -> dict[str, Any]:
    """What the SDK makes of an answer: of a stream, its chunks put together by its helper."""
    asked = {name: value for name, value in row["request"].items() if name != "stream"}
    with client_over(body) as http, openai.OpenAI(api_key="k", http_client=http) as client:
        if body.startswith(b"{"):
            plain: openai.BaseModel = client.chat.completions.create(**asked)
            return plain.to_dict(mode="json", warnings=False)
        with client.chat.completions.stream(**asked) as stream:
            final: openai.BaseModel = stream.get_final_completion()
            return final.to_dict(mode="json", warnings=False)


def read_claude(row: dict[str, Any], body: bytes) -> dict[str, Any]:
    asked = {name: value for name, value in row["request"].items() if name != "stream"}
    with client_over(body) as http, anthropic.Anthropic(api_key="k", http_client=http) as client:
        if body.startswith(b"{"):
            plain: anthropic.BaseModel = client.beta.messages.create(**asked)
            return plain.to_dict(mode="json", warnings=False)
        with client.beta.messages.stream(**asked) as stream:
            final: anthropic.BaseModel = stream.get_final_message()
            return final.to_dict(mode="json", warnings=False)


def read(row: dict[str, Any], body: bytes) -> dict[str, Any]:
    """What the SDK of the row's format makes of an answer, cleaned."""
    claude = format_of(row) is ANTHROPIC_MESSAGES
    return cleaned(read_claude(row, body) if claude else read_chat(row, body))


def cleaned(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without null and without members that the SDK's helper adds."""
    for choice in answer.get("choices", ()):
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        choice["message"].pop("parsed", None)
    shown: dict[str, Any] = without_nothing(answer)
    return shown


def without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: without_nothing(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in (None, [], {})}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["name"])
def test_a_plain_caller_reads_the_whole_answer(row: dict[str, Any]) -> None:
    found = read(row, json.dumps(whole(row)).encode())
    assert found == cleaned(json.loads(json.dumps(whole(row))))


@pytest.mark.parametrize(
    "row",
    [row for row in STORED if "sse" in row and row["name"] not in UNREADABLE],
    ids=lambda row: row["name"],
)
def test_a_replay_reads_as_the_providers_own_stream(row: dict[str, Any]) -> None:
    assert read(row, replayed(row)) == read(row, bytes_of(row))


@pytest.mark.parametrize(
    "row", [row for row in STORED if "json" in row], ids=lambda row: row["name"]
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_a_stream_of_a_whole_answer_reads_as_the_answer(row: dict[str, Any]) -> None:
    streamed, plain = read(row, replayed(row, usage=True)), read(row, bytes_of(row))
    for name in ("choices", "content", "stop_reason", "usage", "id", "model"):
        assert streamed.get(name) == plain.get(name)
