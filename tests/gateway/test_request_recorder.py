"""The request log: the requests to the provider, without credentials, written in the background."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from askonce.cli import main
from askonce.gateway.request_recorder import api_of
from tests.gateway.stage import PATIENCE_S, Caller, Exchange, Puppet, gateway, plain_request

RESPONSES = "/v1/responses"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "requests.jsonl"


@pytest.fixture
def url(puppet: Puppet, file: Path) -> Iterator[str]:
    more = f'[log]\nrequests = "{file}"\nmax_size = "2 KiB"\nkeep = 2'
    with gateway(puppet.url, more=more) as url:
        yield url


def logged(file: Path, count: int) -> list[dict[str, Any]]:
    """The lines, as soon as there are so many."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        text = file.read_text() if file.exists() else ""
        if text.count("\n") >= count:
            return [json.loads(line) for line in text.splitlines()]
        time.sleep(0.01)
    raise AssertionError(f"not {count} lines: {text[:500]!r}")


async def answer(exchange: Exchange) -> None:
    message = {"role": "assistant", "content": "Yes."}
    body = {
        "id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }  # fmt: skip
    await exchange.head(content_type="application/json")
    await exchange.end(json.dumps(body).encode())


def test_a_line_has_the_request_and_the_usage_and_no_credential(
    http: httpx2.Client, puppet: Puppet, url: str, file: Path
) -> None:
    puppet.act = answer
    caller = Caller(http, url, "sk-very-secret-key")
    session = {"x-session-id": "s-1"}
    caller.chat("Is it logged?", headers=session)
    caller.chat("Is it logged?", headers=session)  # a hit never reaches the provider's cache

    (line,) = logged(file, 1)
    assert line["request"]["messages"][0]["content"] == "Is it logged?"
    assert line["response"] == {
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        "model": "gpt-4o-mini-2024",
    }
    assert (line["provider"], line["api"], line["session"]) == ("openai", "chat", "s-1")
    assert line["ts"] > 1e9
    assert line["tenant"]
    assert "secret" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_the_log_can_be_analyzed(
    http: httpx2.Client, puppet: Puppet, url: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    puppet.act = answer
    for number in range(2):
        Caller(http, url).chat(f"Question {number}")
    logged(file, 2)

    assert main(["prompts", "analyze", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (route,) = report["routes"]
    assert (route["provider"], route["requests"], route["with_usage"]) == ("openai", 2, 2)
    assert report["bad_lines"] == []


def test_a_stream_that_is_passed_on_is_logged_too(puppet: Puppet, url: str, file: Path) -> None:
    async def stream(exchange: Exchange) -> None:
        usage = {"input_tokens": 70, "input_tokens_details": {"cached_tokens": 64}}
        events = [
            {"type": "response.created", "response": {"model": "gpt-5.6", "usage": None}},
            {"type": "response.completed", "response": {"model": "gpt-5.6", "usage": usage}},
        ]
        await exchange.head(content_type="text/event-stream")
        for event in events:
            await exchange.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await exchange.end()

    puppet.act = stream
    body = json.dumps({"model": "gpt-5.6", "input": "Hello", "stream": True}).encode()
    plain_request(url, "POST", RESPONSES, {"authorization": "Bearer sk-other"}, body)

    (line,) = logged(file, 1)
    assert line["api"] == "responses"
    assert line["response"]["usage"]["input_tokens_details"]["cached_tokens"] == 64


def test_what_the_provider_refused_is_not_logged_and_files_are_moved(
    http: httpx2.Client, puppet: Puppet, url: str, file: Path
) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.head(429)
        await exchange.end(b"{}")

    puppet.act = refuse
    caller = Caller(http, url)
    caller.chat("Refused")
    puppet.act = answer
    for number in range(6):
        caller.chat(f"Number {number} " + "x" * 700)

    folder = file.parent
    until = time.monotonic() + PATIENCE_S
    while len(list(folder.iterdir())) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(path.name for path in folder.iterdir()) == [
        "requests.jsonl", "requests.jsonl.1", "requests.jsonl.2",
    ]  # fmt: skip
    assert "Refused" not in "".join(path.read_text() for path in folder.iterdir())


def test_a_log_that_cannot_be_written_fails_no_call(
    http: httpx2.Client, puppet: Puppet, tmp_path: Path
) -> None:
    puppet.act = answer
    more = f'[log]\nrequests = "{tmp_path / "no" / "such" / "folder.jsonl"}"'
    with gateway(puppet.url, more=more) as url:
        caller = Caller(http, url)
        assert caller.chat("Still answered?").status_code == 200
        until = time.monotonic() + PATIENCE_S
        while not caller.stats()["errors"] and time.monotonic() < until:
            time.sleep(0.01)
        assert caller.stats()["errors"] == 1


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/chat/completions", "chat"),
        ("/v1/responses?x=1", "responses"),
        ("/v1/messages", "messages"),
        ("/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse", "gemini"),
        ("/v1beta/models/gemini-3-pro:generateContent", "gemini"),
        ("/v1/messages/count_tokens", None),
        ("/v1/files", None),
    ],
)
def test_what_is_logged(path: str, api: str | None) -> None:
    assert api_of(path) == api
