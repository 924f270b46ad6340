"""The gateway's optimizer of prompts, in front of a provider that shows what it was sent."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from askonce.core.errors import ConfigError
from tests.gateway.stage import PATIENCE_S, Caller, Clock, Exchange, Puppet, gateway

LONG = "You answer for a bank. Never promise what the terms do not say. " * 300
MARK = '[prompts]\nlevel = "mark"'
SPLIT = '[prompts]\nlevel = "split"\nvolatile = ["It is [0-9:]+ o.clock[.]"]'
HOLD = '[prompts]\nlevel = "mark"\nhold = "20s"'


def claude_says(text: str, **usage: int) -> bytes:
    took = {"input_tokens": 20, "output_tokens": 5, **usage}
    content = [{"type": "text", "text": text}]
    return json.dumps(
        {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": content, "stop_reason": "end_turn", "usage": took,
        }
    ).encode()  # fmt: skip


def chat_says(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    took = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5.6-sol",
         "choices": [choice], "usage": took}
    ).encode()  # fmt: skip


async def answer(exchange: Exchange) -> None:
    await exchange.head(content_type="application/json")
    chats = exchange.seen.target.endswith("/chat/completions")
    await exchange.end(chat_says("Yes.") if chats else claude_says("Yes."))


@pytest.fixture
def puppet(puppet: Puppet) -> Puppet:
    puppet.act = answer
    return puppet


def sent(puppet: Puppet) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(puppet.last.body)
    return body


def ask(caller: Caller, question: str, **more: Any) -> httpx2.Response:
    response = caller.claude(question, model="claude-sonnet-4-5", system=LONG, **more)
    assert response.status_code == 200
    return response


@pytest.fixture
def marking(http: httpx2.Client, puppet: Puppet) -> Iterator[Caller]:
    with gateway(puppet.url, more=MARK) as url:
        yield Caller(http, url)


def test_by_default_the_provider_gets_what_the_caller_sent(
    http: httpx2.Client, puppet: Puppet
) -> None:
    with gateway(puppet.url) as url:
        caller = Caller(http, url)
        for at in range(4):
            response = ask(caller, f"observed {at}")
            assert puppet.last.body == response.request.content
            assert "askonce-prompts" not in response.headers
        assert caller.stats()["prompts"] == {"not-seen-before": 1, "would-mark": 3}


def test_a_shared_prompt_is_marked_and_the_response_says_so(
    marking: Caller, puppet: Puppet
) -> None:
    for at in range(3):
        response = ask(marking, f"marked {at}")

    assert sent(puppet)["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert response.headers["askonce-prompts"].startswith(
        'did=marked; because=ok; at="/system 5m"; tokens='
    )
    stats = marking.stats()
    assert stats["prompts"] == {"marked": 2, "not-seen-before": 1}
    hit = ask(marking, "marked 2")
    assert "hit" in hit.headers["cache-status"]
    assert "askonce-prompts" not in hit.headers
    metrics = marking.http.get(f"{marking.url}/metrics").text
    assert 'askonce_prompts_total{what="marked"} 2' in metrics


def test_a_chat_gets_a_key_that_names_no_caller(marking: Caller, puppet: Puppet) -> None:
    messages = [{"role": "system", "content": LONG}, {"role": "user", "content": "keyed"}]
    keys = []
    for key in ("sk-1", "sk-2", "sk-1"):
        marking.with_key(key).chat("", model="gpt-5.6-sol", messages=messages, temperature=1)
        keys.append(sent(puppet)["prompt_cache_key"])

    assert keys[0] == keys[2] != keys[1]
    assert all(key.startswith("askonce-") and "sk-" not in key for key in keys)


def test_a_callers_own_markers_go_through_untouched(marking: Caller, puppet: Puppet) -> None:
    own = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for at in range(3):
        ask(marking, f"neighbor {at}")
        response = marking.claude(f"own {at}", model="claude-sonnet-4-5", system=own)
        assert puppet.last.body == response.request.content


def test_volatile_text_goes_to_the_end_and_stays_in_the_key(
    http: httpx2.Client, puppet: Puppet
) -> None:
    with gateway(puppet.url, more=SPLIT) as url:
        caller = Caller(http, url)
        for at in range(3):
            system = f"It is 1{at}:00 o'clock. {LONG}"
            response = caller.claude("What time?", model="claude-sonnet-4-5", system=system)
            assert "fwd=miss" in response.headers["cache-status"]
        body = sent(puppet)
        assert body["system"][0]["text"] == f" {LONG}"
        assert body["messages"][0]["content"][-1]["text"] == (
            "<context>\nIt is 12:00 o'clock.\n</context>"
        )
        assert "did=split+marked" in response.headers["askonce-prompts"]


def test_a_route_that_loses_money_is_left_alone(http: httpx2.Client, puppet: Puppet) -> None:
    clock = Clock()

    async def never_reads(exchange: Exchange) -> None:
        await exchange.head(content_type="application/json")
        await exchange.end(claude_says("Yes.", cache_creation_input_tokens=5_000))

    puppet.act = never_reads
    with gateway(puppet.url, more=MARK, clock=clock) as url:
        caller = Caller(http, url)
        for at in range(52):
            ask(caller, f"losing {at}")
        response = ask(caller, "one more")
        assert puppet.last.body == response.request.content
        assert caller.stats()["prompts"]["resting"] >= 1
        clock.forward(25 * 3600)
        ask(caller, "a day later")
        ask(caller, "and again")
        assert "resting" not in ask(caller, "and again and").headers.get("askonce-prompts", "")
        assert b"cache_control" in puppet.last.body


def test_concurrent_calls_wait_for_the_first_byte_of_the_first(
    http: httpx2.Client, puppet: Puppet
) -> None:
    begun, may_begin = threading.Event(), threading.Event()

    async def slow_first(exchange: Exchange) -> None:
        if len(puppet.seen) == 1:
            begun.set()
            while not may_begin.is_set():
                await asyncio.sleep(0)
        await answer(exchange)

    puppet.act = slow_first
    with gateway(puppet.url, more=HOLD) as url, ThreadPoolExecutor(8) as pool:
        caller = Caller(http, url)
        messages = [{"role": "system", "content": LONG}]

        def one(at: int) -> int:
            asked = [*messages, {"role": "user", "content": f"q{at}"}]
            return caller.chat("", model="gpt-4o", messages=asked).status_code

        answers = [pool.submit(one, at) for at in range(6)]
        assert begun.wait(PATIENCE_S)
        quick = caller.chat("short prompts do not wait", model="gpt-4o")
        assert quick.status_code == 200
        assert len(puppet.seen) == 2
        may_begin.set()
        assert {done.result(PATIENCE_S) for done in answers} == {200}
        assert len(puppet.seen) == 7


def test_wrong_settings_are_one_clear_line(puppet: Puppet) -> None:
    for more, complaint in (
        ('[prompts]\nlevel = "marks"', "prompts.level cannot be 'marks'"),
        ('[prompts]\nhold = "2m"', "prompts.hold is not from"),
        ('[prompts]\nlevel = "split"\nvolatile = ["("]', "not a pattern"),
    ):
        with pytest.raises(ConfigError, match=complaint), gateway(puppet.url, more=more):
            pass
