"""Refusals, cache groups and refreshes ahead, through a real gateway."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.gateway.stage import (
    CHAT,
    Caller,
    Clock,
    Exchange,
    Puppet,
    chat_body,
    gateway,
    outcome_of,
    status_of,
)

ERROR = b'{"error": {"message": "no such model", "code": "model_not_found"}}'
GROUPS = '"prices", "a b"'

MORE = """
    [cache]
    negative_ttl = "30s"
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def caller(http: httpx2.Client, puppet: Puppet, clock: Clock) -> Iterator[Caller]:
    with gateway(puppet.url, more=MORE, clock=clock) as url:
        yield Caller(http, url)


async def refuse(exchange: Exchange) -> None:
    await exchange.head(404, content_type="application/json", x_request_id="req-1")
    await exchange.end(ERROR)


@pytest.mark.parametrize("stream", [False, True])
def test_a_no_is_served_as_it_came(
    caller: Caller, puppet: Puppet, clock: Clock, stream: bool
) -> None:
    puppet.act = refuse
    first = caller.chat("Who is it?", stream=stream)
    again = caller.chat("Who is it?", stream=stream)
    other = caller.chat("Who is it?", stream=not stream)

    assert status_of(first) == "askonce; fwd=miss; stored; detail=not-found"
    for answer in (again, other):
        assert (answer.status_code, answer.content) == (404, ERROR)
        assert answer.headers["content-type"] == "application/json"
        assert status_of(answer) == "askonce; hit; ttl=30; detail=memory"
    assert len(puppet.seen) == 1

    clock.forward(30)
    assert outcome_of(caller.chat("Who is it?")) == "miss"


def test_a_no_is_not_another_callers(caller: Caller, puppet: Puppet) -> None:
    puppet.act = refuse
    caller.chat("Who is it?")

    assert outcome_of(caller.with_key("sk-other").chat("Who is it?")) == "miss"


async def grouped(exchange: Exchange) -> None:
    await exchange.start(
        200, [(b"content-type", b"application/json"), (b"cache-groups", GROUPS.encode())]
    )
    await exchange.end(WHOLE)


async def ends(exchange: Exchange) -> None:
    named = (b"cache-group-invalidation", b'"prices"')
    await exchange.start(200, [(b"content-type", b"application/json"), named])
    await exchange.end(b"{}")


WHOLE = (
    b'{"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": '
    b'[{"index": 0, "message": {"role": "assistant", "content": "So."}, "finish_reason": "stop"}]}'
)


@pytest.mark.parametrize("path", ["/v1/files", "/v1/embeddings", CHAT])
def test_groups_are_shown_and_end_with_their_invalidation(
    caller: Caller, puppet: Puppet, path: str
) -> None:
    puppet.act = grouped
    assert caller.chat("What is it?").headers["cache-groups"] == GROUPS
    for stream in (False, True):
        hit = caller.chat("What is it?", stream=stream)
        assert (outcome_of(hit), hit.headers["cache-groups"]) == ("hit", GROUPS)

    # A caller cannot say so, and neither can the response to a safe request.
    own = {"cache-group-invalidation": '"prices"'}
    caller.chat("What is it?", headers=own)
    assert outcome_of(caller.chat("What is it?")) == "hit"
    puppet.act = ends
    assert caller.http.get(caller.url + "/v1/models", headers=caller.bearer).status_code == 200
    assert outcome_of(caller.chat("What is it?", headers=own)) == "hit"

    posted = caller.http.post(
        caller.url + path, json=chat_body("Another?"), headers={**caller.bearer, **own}
    )
    assert posted.headers["cache-group-invalidation"] == '"prices"'
    puppet.act = grouped
    for _ in range(1_000):
        answer = caller.chat("What is it?")
        if outcome_of(answer) == "miss":
            break
    assert outcome_of(answer) == "miss"


def test_a_popular_answer_never_ends(caller: Caller, puppet: Puppet, clock: Clock) -> None:
    """With refresh ahead, only the first of many calls is a miss."""
    puppet.act = grouped
    more = '[cache]\nttl = "10s"\nrefresh_ahead = 100'
    with gateway(puppet.url, more=more, clock=clock) as url:
        asker = Caller(caller.http, url)
        assert outcome_of(asker.chat("Is it refreshed?")) == "miss"
        clock.forward(9)
        for _ in range(480):  # about 50 of them are due; one is enough
            clock.forward(0.002)
            assert outcome_of(asker.chat("Is it refreshed?")) == "hit"
            if len(puppet.seen) > 1:
                break
        assert len(puppet.seen) > 1
