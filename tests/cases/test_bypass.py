"""The table of bypasses: which requests are never kept, and which only look so.

A row of `bypass.json` is a request to a provider that is not at a provider's own address:

    name        a few words
    path        where the request goes (default: Chat Completions)
    body        its members besides a model and a question
    detail      the reason of the bypass; without it, the same request is a hit

Every row runs through the transport in both modes, and through the gateway.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fixtures.scripted import said
from tests.fixtures.stores import run_blocking
from tests.gateway.stage import CHAT, PATIENCE_S, Exchange, Puppet, gateway
from tests.library.sdks import Door, entered, ready

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("bypass.json").read_text())
_QUESTIONS = itertools.count()
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
    "content": [{"type": "text", "text": "Thirty days."}], "stop_reason": "end_turn",
    "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip


async def answer(exchange: Exchange) -> None:
    await exchange.head(content_type="application/json")
    is_chat = exchange.seen.target.startswith(CHAT)
    await exchange.end(said() if is_chat else json.dumps(MESSAGE).encode())


async def check(row: dict[str, Any], puppet: Puppet, post: Callable[..., Any]) -> None:
    puppet.act = answer
    question = {"role": "user", "content": f"What is my balance? ({next(_QUESTIONS)})"}
    body = {"model": "gpt-4o-mini", "messages": [question], **row["body"]}
    before = len(puppet.seen)
    found = []
    for _ in range(2):
        response = await ready(
            post(row.get("path", CHAT), json=body, headers={"authorization": "Bearer sk-a"})
        )
        assert response.status_code == 200
        found.append(response.headers["cache-status"])
    if "detail" in row:
        assert found == [f"askonce; fwd=bypass; detail={row['detail']}"] * 2
        assert len(puppet.seen) - before == 2
        return
    assert found[0] == "askonce; fwd=miss; stored; detail=not-found"
    assert found[1].startswith("askonce; hit; ")
    assert len(puppet.seen) - before == 1


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
            await check(row, puppet, client.post)

    door.run(scenario())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_through_the_gateway(
    row: dict[str, Any], puppet: Puppet, gateway_client: httpx2.Client
) -> None:
    run_blocking(check(row, puppet, gateway_client.post))


def test_the_table_is_read() -> None:
    details = [row.get("detail") for row in ROWS]
    assert {"hosted-tool", "server-state", None} == set(details)
    assert len({row["name"] for row in ROWS}) == len(ROWS) > 25
