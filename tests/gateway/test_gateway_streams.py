"""Live streams: relayed at once, shared while they grow, dropped without a reader."""

import asyncio
import json
import threading
from collections.abc import Iterator

import httpx2
import pytest

from tests.gateway.stage import (
    PATIENCE_S,
    Caller,
    Exchange,
    Puppet,
    outcome_of,
    status_of,
    text_of_stream,
)

SSE = "text/event-stream"


def chunk(text: str = "", finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"


class Slowly:
    """A stream that the test advances, and that notes when its caller goes away."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.gone = threading.Event()
        self.asked = 0

    async def act(self, exchange: Exchange) -> None:
        self.asked += 1
        await exchange.head(content_type=SSE)
        await exchange.piece(chunk("first "))
        going_on = asyncio.ensure_future(asyncio.to_thread(self.go_on.wait, PATIENCE_S))
        leaving = asyncio.ensure_future(exchange.until_gone())
        await asyncio.wait([going_on, leaving], return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            self.gone.set()
            self.go_on.set()
            await going_on
            return
        leaving.cancel()
        await exchange.piece(chunk("last"))
        await exchange.end(chunk(finish="stop") + b"data: [DONE]\n\n")


@pytest.fixture
def slowly(puppet: Puppet) -> Iterator[Slowly]:
    slowly = Slowly()
    puppet.act = slowly.act
    yield slowly
    slowly.go_on.set()


def test_the_first_event_arrives_before_the_last_was_sent(
    puppet_caller: Caller, slowly: Slowly
) -> None:
    with puppet_caller.chat_stream("Live?") as response:
        pieces = response.iter_bytes()
        first = next(pieces)
        slowly.go_on.set()
        rest = b"".join(pieces)

    assert first == chunk("first ")
    assert text_of_stream((first + rest).decode()) == "first last"


def test_a_joined_caller_sees_what_there_is_and_then_what_comes(
    puppet_caller: Caller, slowly: Slowly
) -> None:
    with (
        puppet_caller.chat_stream("Together?") as leader,
        puppet_caller.chat_stream("Together?") as joined,
    ):
        assert [outcome_of(leader), outcome_of(joined)] == ["miss", "joined"]
        leading, following = leader.iter_bytes(), joined.iter_bytes()
        assert next(leading) == next(following) == chunk("first ")
        slowly.go_on.set()
        assert b"".join(leading) == b"".join(following)

    assert slowly.asked == 1
    after = puppet_caller.chat("Together?", stream=True)
    assert outcome_of(after) == "hit"
    assert text_of_stream(after.text) == "first last"


def test_a_joined_caller_gets_none_of_the_leaders_private_headers(
    puppet: Puppet, puppet_caller: Caller, slowly: Slowly
) -> None:
    private = {"set-cookie": "__cf_bm=1", "x-ratelimit-remaining": "3", "x-request-id": "r"}

    async def with_cookie(exchange: Exchange) -> None:
        head = exchange.head
        exchange.head = lambda status=200, **more: head(  # type: ignore[method-assign]
            status, **more, **private
        )
        await slowly.act(exchange)

    puppet.act = with_cookie
    with (
        puppet_caller.chat_stream("Cookies together?") as leader,
        puppet_caller.chat_stream("Cookies together?") as joined,
    ):
        slowly.go_on.set()
        leader.read()
        joined.read()

    assert private.keys() <= leader.headers.keys()
    assert not private.keys() & joined.headers.keys()


def test_the_provider_is_disconnected_when_the_only_caller_goes(
    puppet_caller: Caller, slowly: Slowly
) -> None:
    with puppet_caller.chat_stream("Gone?") as response:
        assert next(response.iter_bytes()) == chunk("first ")
    # Leaving the block closes the connection in the middle of the answer.

    assert slowly.gone.wait(PATIENCE_S)
    slowly.go_on.set()
    again = puppet_caller.chat("Gone?", stream=True)
    assert outcome_of(again) == "miss"
    assert slowly.asked == 2


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/chat/completions"])
def test_a_passed_through_stream_is_let_go_of_too(
    puppet_caller: Caller, slowly: Slowly, path: str
) -> None:
    url = puppet_caller.url + path
    headers = {**puppet_caller.bearer, "cache-control": "no-store"}
    with puppet_caller.http.stream("POST", url, content=b"{}", headers=headers) as response:
        assert outcome_of(response) == "bypass"
        assert next(response.iter_bytes()) == chunk("first ")

    assert slowly.gone.wait(PATIENCE_S)


def test_when_the_leader_goes_the_joined_caller_goes_on(
    puppet_caller: Caller, slowly: Slowly
) -> None:
    with puppet_caller.chat_stream("Leaderless?") as leader:
        leading = leader.iter_bytes()
        first = next(leading)
        with puppet_caller.chat_stream("Leaderless?") as stays:
            following = stays.iter_bytes()
            assert next(following) == first
            leader.close()
            slowly.go_on.set()
            rest = b"".join(following)

    assert outcome_of(stays) == "joined"
    assert text_of_stream((first + rest).decode()) == "first last"
    assert slowly.asked == 1
    assert not slowly.gone.is_set()
    assert outcome_of(puppet_caller.chat("Leaderless?")) == "hit"


def test_a_joined_caller_may_want_the_other_shape(puppet_caller: Caller, slowly: Slowly) -> None:
    with puppet_caller.chat_stream("Two shapes?") as leader:
        pieces = leader.iter_bytes()
        next(pieces)
        answers: list[httpx2.Response] = []
        thread = threading.Thread(target=lambda: answers.append(puppet_caller.chat("Two shapes?")))
        thread.start()
        slowly.go_on.set()
        thread.join()
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")

    # Joined, or, if the stream had ended before it came, a hit: never a second call.
    assert outcome_of(answers[0]) in ("joined", "hit")
    assert answers[0].json()["choices"][0]["message"]["content"] == "first last"
    assert slowly.asked == 1


def test_a_slow_reader_does_not_hold_up_another(puppet_caller: Caller, puppet: Puppet) -> None:
    """Four megabytes are more than sockets hold: the leader is stuck, the joined goes on."""
    long = [chunk("x" * 4_000) for _ in range(1_000)]

    async def at_length(exchange: Exchange) -> None:
        await exchange.head(content_type=SSE)
        for frame in long:
            await exchange.piece(frame)
        await exchange.end(chunk(finish="stop") + b"data: [DONE]\n\n")

    puppet.act = at_length
    with (
        puppet_caller.chat_stream("Slow reader?") as leader,
        puppet_caller.chat_stream("Slow reader?") as joined,
    ):
        text = text_of_stream(joined.read().decode())
        assert text == "x" * 4_000_000
        assert text_of_stream(leader.read().decode()) == text
    assert len(puppet.seen) == 1


def test_many_callers_at_once_ask_once(puppet_caller: Caller, slowly: Slowly) -> None:
    with puppet_caller.chat_stream("Crowd?") as leader:
        pieces = leader.iter_bytes()
        next(pieces)
        answers: list[httpx2.Response] = []

        def ask(stream: bool) -> None:
            answers.append(puppet_caller.chat("Crowd?", stream=stream))

        crowd = [threading.Thread(target=ask, args=(n % 2 == 0,)) for n in range(20)]
        for thread in crowd:
            thread.start()
        slowly.go_on.set()
        for thread in crowd:
            thread.join()
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")

    assert slowly.asked == 1
    assert len(answers) == 20
    assert {outcome_of(answer) for answer in answers} <= {"joined", "hit"}
    assert {status_of(answer).partition(";")[0] for answer in answers} == {"askonce"}
