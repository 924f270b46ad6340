"""The table of answers: which whole answers of providers are stored, and how they are shown.

A row of `answers.json` is a request and the provider's answer to it:

    name        a few words
    path        where the request goes (default: Chat Completions)
    request     its body
    json, sse   the answer: a JSON body, or the bytes of an event stream
    stored      whether the same question is a hit afterwards
    detail      why not: the reason in the statistics
    whole       members of the message that a caller without `stream` gets from the store
    last        members of the last event (before `[DONE]`), live and replayed
    shown       members of events, each of them in one event, live and replayed

Every row runs through the transport in both modes, and through the gateway.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest

from askonce import Rules
from tests.fixtures.stores import run_blocking
from tests.gateway.stage import CHAT, PATIENCE_S, Exchange, Puppet, gateway
from tests.library.sdks import Door, entered, ready

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("answers.json").read_text())
_KEYS = itertools.count()


class Answer(Protocol):
    """What the rows need of a response; `httpx2.Response` has it."""

    headers: Any
    content: bytes


class Asking:
    """One way to the provider, with a namespace that no other row shares."""

    def __init__(self, send: Callable[..., Any], not_stored: Callable[[], dict[str, int]]) -> None:
        self._send = send
        self.not_stored = not_stored
        self._key = f"sk-row-{next(_KEYS)}"

    async def __call__(self, row: dict[str, Any], **change: Any) -> Answer:
        body = {name: v for name, v in {**row["request"], **change}.items() if v is not None}
        path = row.get("path", CHAT)
        key = {"x-api-key": self._key, "anthropic-version": "2023-06-01"}
        if path == CHAT:
            key = {"authorization": f"Bearer {self._key}"}
        answer: Answer = await ready(self._send(path, json=body, headers=key))
        return answer


def bytes_of(row: dict[str, Any]) -> bytes:
    return row["sse"].encode() if "sse" in row else json.dumps(row["json"]).encode()


def answering(row: dict[str, Any]) -> Callable[[Exchange], Any]:
    async def act(exchange: Exchange) -> None:
        kind = "text/event-stream" if "sse" in row else "application/json"
        await exchange.head(content_type=kind)
        await exchange.end(bytes_of(row))

    return act


def is_hit(answer: Answer) -> bool:
    return bool(answer.headers["cache-status"].startswith("askonce; hit"))


def events_of(body: bytes) -> list[dict[str, Any]]:
    data = [line[5:].strip() for line in body.split(b"\n") if line.startswith(b"data:")]
    return [json.loads(datum) for datum in data if datum != b"[DONE]"]


def holds(found: Any, members: dict[str, Any]) -> bool:
    return {name: found.get(name) for name in members} == members


async def check(row: dict[str, Any], puppet: Puppet, ask: Asking) -> None:
    puppet.act = answering(row)
    before, asked = ask.not_stored(), len(puppet.seen)
    first = await ask(row)
    assert first.content == bytes_of(row)
    again = await ask(row)
    assert is_hit(again) is row["stored"], (again.headers["cache-status"], ask.not_stored())
    assert len(puppet.seen) - asked == (1 if row["stored"] else 2)
    if reason := row.get("detail"):
        assert ask.not_stored().get(reason, 0) == before.get(reason, 0) + 2
    if not row["stored"]:
        return
    plain = json.loads((await ask(row, stream=None)).content)
    streamed = await ask(row, stream=True)
    assert is_hit(streamed)
    if whole := row.get("whole"):
        message = plain if row.get("path", CHAT) != CHAT else plain["choices"][0]["message"]
        assert holds(message, whole)
    for body in (first.content, streamed.content) if "sse" in row else ():
        assert holds(events_of(body)[-1], row.get("last", {}))
        for shown in row.get("shown", ()):
            assert any(holds(event, shown) for event in events_of(body)), shown


@pytest.fixture(scope="module")
def puppet() -> Iterator[Puppet]:
    with Puppet().served() as puppet:
        yield puppet


@pytest.fixture(scope="module")
def gateway_client(puppet: Puppet) -> Iterator[httpx2.Client]:
    with (
        gateway(puppet.url) as url,
        httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_through_the_transport(row: dict[str, Any], puppet: Puppet, mode: str) -> None:
    door = Door(httpx2, mode == "blocking", puppet.url)

    async def scenario() -> None:
        async with (
            door.cache() as cache,
            entered(door.http(cache, timeout=PATIENCE_S)) as client,
        ):
            asking = Asking(client.post, lambda: dict(cache.stats().not_stored))
            await check(row, puppet, asking)

    door.run(scenario())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_through_the_gateway(
    row: dict[str, Any], puppet: Puppet, gateway_client: httpx2.Client
) -> None:
    def not_stored() -> dict[str, int]:
        found: dict[str, int] = gateway_client.get("/askonce/stats").json()["not_stored"]
        return found

    scenario = check(row, puppet, Asking(gateway_client.post, not_stored))
    run_blocking(scenario)


async def _broken_off(exchange: Exchange) -> None:
    await exchange.head(content_type="text/event-stream")
    await exchange.piece(bytes_of(row_of("stream-without-done")))
    raise ConnectionResetError("the connection breaks after the finish reason")


def row_of(name: str) -> dict[str, Any]:
    return next(row for row in ROWS if row["name"] == name)


def test_a_body_that_its_framing_does_not_end_is_not_whole(puppet: Puppet, mode: str) -> None:
    door, row = Door(httpx2, mode == "blocking", puppet.url), row_of("stream-without-done")

    async def scenario() -> None:
        async with (
            door.cache() as cache,
            entered(door.http(cache, timeout=PATIENCE_S)) as client,
        ):
            asking = Asking(client.post, lambda: dict(cache.stats().not_stored))
            puppet.act = _broken_off
            with pytest.raises(httpx2.RemoteProtocolError):
                await asking(row)
            assert cache.stats().stored == 0

    door.run(scenario())


@pytest.mark.parametrize("name", ["answer-with-citations-of-a-search", "claude-search-blocks"])
def test_a_rule_may_store_searches(name: str, puppet: Puppet, mode: str) -> None:
    door, row = Door(httpx2, mode == "blocking", puppet.url), row_of(name)
    rules = Rules().after("larger|today", "5m", also_store=["hosted-tool"])

    async def scenario() -> None:
        async with (
            door.cache(rules=rules) as cache,
            entered(door.http(cache, timeout=PATIENCE_S)) as client,
        ):
            asking = Asking(client.post, lambda: dict(cache.stats().not_stored))
            puppet.act = answering(row)
            assert not is_hit(await asking(row))
            assert is_hit(await asking(row))

    door.run(scenario())


def test_the_table_is_read() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS)
    assert {row["stored"] for row in ROWS} == {True, False}
    assert all(("json" in row) != ("sse" in row) for row in ROWS)
    assert all(row["stored"] or "detail" in row for row in ROWS)
