"""Faults of a provider: reported clearly, never stored, and covered by a stale answer."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator

import httpx2
import pytest

from askonce.cli.demo.provider.provider import DemoProvider
from tests.gateway.stage import (
    PATIENCE_S,
    Caller,
    Clock,
    Exchange,
    Puppet,
    gateway,
    outcome_of,
    status_of,
)

NOWHERE = "http://127.0.0.1:9"  # no program listens on the discard port
BRISK = {"ASKONCE_GATEWAY__READ_TIMEOUT": "300ms"}


@pytest.fixture(scope="module")
def brisk(http: httpx2.Client, provider_url: str) -> Iterator[Caller]:
    """A caller of a gateway that waits 300 ms for a provider."""
    with gateway(provider_url, BRISK) as url:
        yield Caller(http, url)


class TestOutOfReach:
    @pytest.fixture
    def caller(self, http: httpx2.Client) -> Iterator[Caller]:
        with gateway(NOWHERE) as url:
            yield Caller(http, url)

    def test_openai_s_callers_hear_it_in_their_dialect(self, caller: Caller) -> None:
        answer = caller.chat("Anybody there?")

        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"] == {
            "message": "the provider 'openai' cannot be reached, or broke off its answer",
            "type": "askonce_error",
            "param": None,
            "code": "upstream-unreachable",
        }

    def test_anthropic_s_callers_in_theirs(self, caller: Caller) -> None:
        answer = caller.claude("Anybody there?")

        assert answer.status_code == 502
        assert answer.json()["type"] == "error"
        assert "'anthropic' cannot be reached" in answer.json()["error"]["message"]

    def test_whatever_was_asked(self, caller: Caller) -> None:
        answer = caller.http.post(f"{caller.url}/v1/files", content=b"x" * 100_000)

        assert answer.status_code == 502

    def test_the_gateway_itself_is_well(self, caller: Caller) -> None:
        caller.chat("Anybody there?")

        assert caller.http.get(f"{caller.url}/healthz").status_code == 200


class TestTooSlow:
    @pytest.mark.parametrize("stream", [False, True])
    def test_no_answer_in_time_is_504(self, brisk: Caller, stream: bool) -> None:
        answer = brisk.chat("Slow?", model="practice-slow", stream=stream)

        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "upstream-timeout"

    def test_a_body_that_never_comes_is_504(self, brisk: Caller) -> None:
        assert brisk.chat("Stalled?", model="practice-stall").status_code == 504

    def test_a_stream_that_stalls_breaks_off(self, brisk: Caller, provider: DemoProvider) -> None:
        with pytest.raises(httpx2.RemoteProtocolError):
            brisk.chat("Stalled stream?", model="practice-stall", stream=True)

    def test_everyone_who_joined_hears_of_it(self, brisk: Caller, provider: DemoProvider) -> None:
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(brisk.chat("All slow?", model="practice-slow").status_code)

        crowd = [threading.Thread(target=ask) for _ in range(4)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()

        assert statuses == [504] * 4


class TestBrokenAnswers:
    def test_a_stream_that_is_cut_breaks_off_and_is_not_stored(
        self, caller: Caller, provider: DemoProvider
    ) -> None:
        question = "Cut?"
        before = caller.stats()
        for _ in range(2):
            with caller.chat_stream(question, model="practice-cut") as response:
                pieces: list[bytes] = []
                with pytest.raises(httpx2.RemoteProtocolError):
                    pieces.extend(response.iter_bytes())
                assert outcome_of(response) == "miss"

        assert provider.calls.questions[question] == 2
        assert caller.stats()["stored"] == before["stored"]

    def test_a_body_that_is_cut_breaks_off_and_is_not_stored(
        self, caller: Caller, provider: DemoProvider
    ) -> None:
        for _ in range(2):
            with pytest.raises(httpx2.RemoteProtocolError):
                caller.chat("Cut body?", model="practice-cut")

        assert provider.calls.questions["Cut body?"] == 2

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            ("practice-garbage", "garbage"),
            ("practice-length", "length"),
            ("practice-refusal", "refusal"),
            ("practice-filter", "filtered"),
            ("practice-empty", "empty"),
        ],
    )
    def test_what_must_not_be_stored_is_relayed_and_not_stored(
        self, caller: Caller, provider: DemoProvider, stream: bool, model: str, reason: str
    ) -> None:
        question = f"{model}, {stream}?"
        before = caller.stats()["not_stored"].get(reason, 0)
        answers = [caller.chat(question, model=model, stream=stream) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert [outcome_of(answer) for answer in answers] == ["miss", "miss"]
        assert provider.calls.questions[question] == 2
        assert caller.stats()["not_stored"][reason] == before + 2
        if not stream and reason != "garbage":  # where the end is not in sight, the head goes out
            assert status_of(answers[0]) == f"askonce; fwd=miss; detail={reason}"

    @pytest.mark.parametrize(
        ("model", "reason"),
        [("practice-cut-quiet", "cut-short"), ("practice-stream-error", "stream-error")],
    )
    def test_a_stream_that_fails_politely_is_relayed_and_not_stored(
        self, caller: Caller, provider: DemoProvider, model: str, reason: str
    ) -> None:
        before = caller.stats()["not_stored"].get(reason, 0)
        for _ in range(2):
            answer = caller.chat(f"{model}?", model=model, stream=True)
            assert "[DONE]" not in answer.text

        assert provider.calls.questions[f"{model}?"] == 2
        assert caller.stats()["not_stored"][reason] == before + 2

    def test_a_429_and_its_retry_after_are_passed_on(
        self, caller: Caller, provider: DemoProvider
    ) -> None:
        for _ in range(2):
            answer = caller.chat("Too fast?", model="practice-429")

            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "7"
            assert answer.json()["error"]["message"] == "You are asking too fast."
            assert status_of(answer) == "askonce; fwd=miss; detail=status"
        assert provider.calls.questions["Too fast?"] == 2

    def test_what_cannot_be_unpacked_is_502(self, puppet: Puppet, puppet_caller: Caller) -> None:
        async def badly_packed(exchange: Exchange) -> None:
            await exchange.head(content_type="application/json", content_encoding="gzip")
            await exchange.end(b"this is not gzip")

        puppet.act = badly_packed
        answer = puppet_caller.chat("Packed badly?")

        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream-unreachable"

    def test_a_configured_key_cannot_smuggle_in_a_header(
        self, http: httpx2.Client, puppet: Puppet
    ) -> None:
        """As from an environment variable that was read from a file, line end and all."""
        tenant = '[tenants.t]\nkeys = ["sk-1"]\nupstream_key = "sk-up\\r\\nX-Injected: yes"'
        with gateway(puppet.url, more=tenant) as url:
            answer = Caller(http, url, "sk-1").chat("Injected?")

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "not-http"
        assert "sk-up" not in answer.text
        assert puppet.seen == []


class TestStale:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def stage(
        self, http: httpx2.Client, puppet: Puppet, clock: Clock
    ) -> Iterator[Callable[..., Caller]]:
        """Makes a caller of a gateway with these cache settings, one per test."""
        opened = []

        def make(**settings: str) -> Caller:
            environ = {f"ASKONCE_CACHE__{n.upper()}": value for n, value in settings.items()}
            opened.append(gateway(puppet.url, {**BRISK, **environ}, clock=clock))
            return Caller(http, opened[-1].__enter__())

        yield make
        for context in opened:
            context.__exit__(None, None, None)

    async def fail_with_429(self, exchange: Exchange) -> None:
        await exchange.head(429, retry_after="3", content_type="application/json")
        await exchange.end(b'{"error": {"message": "slow down"}}')

    async def fail_with_500(self, exchange: Exchange) -> None:
        await exchange.head(500)
        await exchange.end(b"oops")

    async def hang(self, exchange: Exchange) -> None:
        await exchange.until_gone()

    async def fail_with_400(self, exchange: Exchange) -> None:
        await exchange.head(400)
        await exchange.end(b"no")

    @pytest.mark.parametrize("fault", ["fail_with_429", "fail_with_500", "hang"])
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_stale_answer_stands_in_for_a_failure(
        self,
        puppet: Puppet,
        stage: Callable[..., Caller],
        clock: Clock,
        fault: str,
        stream: bool,
    ) -> None:
        caller = stage(ttl="60s", stale_if_error="1h")
        puppet.act = completion("the old answer")
        caller.chat("Stale?")
        clock.forward(90)
        puppet.act = getattr(self, fault)
        stale = caller.chat("Stale?", stream=stream)

        assert stale.status_code == 200
        assert status_of(stale) == "askonce; hit; ttl=-30; detail=stale"
        assert stale.headers["age"] == "90"
        assert "the old answer" in stale.text
        assert len(puppet.seen) == 2

    def test_but_not_for_ever(
        self, puppet: Puppet, stage: Callable[..., Caller], clock: Clock
    ) -> None:
        caller = stage(ttl="60s", stale_if_error="1h")
        puppet.act = completion("too old")
        caller.chat("Stale?")
        clock.forward(60 + 3600)
        puppet.act = self.fail_with_500

        assert caller.chat("Stale?").status_code == 500

    def test_nor_for_the_callers_own_mistake(
        self, puppet: Puppet, stage: Callable[..., Caller], clock: Clock
    ) -> None:
        caller = stage(ttl="60s", stale_if_error="1h")
        puppet.act = completion("still there")
        caller.chat("Stale?")
        clock.forward(90)
        puppet.act = self.fail_with_400

        assert caller.chat("Stale?").status_code == 400

    def test_without_the_setting_a_failure_is_a_failure(
        self, puppet: Puppet, stage: Callable[..., Caller], clock: Clock
    ) -> None:
        caller = stage(ttl="60s")
        puppet.act = completion("old")
        caller.chat("Stale?")
        clock.forward(90)
        puppet.act = self.fail_with_429
        failed = caller.chat("Stale?")

        assert (failed.status_code, failed.headers["retry-after"]) == (429, "3")

    def test_a_stale_answer_is_refreshed_once_in_the_background(
        self, puppet: Puppet, stage: Callable[..., Caller], clock: Clock
    ) -> None:
        caller = stage(ttl="60s", stale_while_revalidate="1h")
        puppet.act = completion("old")
        caller.chat("Refresh?")
        clock.forward(90)
        asked_again, answer_now = threading.Event(), threading.Event()

        async def late(exchange: Exchange) -> None:
            asked_again.set()
            await asyncio.to_thread(answer_now.wait, PATIENCE_S)
            await completion("new")(exchange)

        puppet.act = late
        stale = [caller.chat("Refresh?") for _ in range(5)]
        assert asked_again.wait(PATIENCE_S)
        answer_now.set()
        # A call that accepts nothing stale joins the refresh, or finds its answer.
        new = caller.chat("Refresh?", headers={"cache-control": "max-age=30"})

        assert {status_of(a) for a in stale} == {"askonce; hit; ttl=-30; detail=stale"}
        assert all("old" in answer.text for answer in stale)
        assert "new" in new.text
        assert 2 <= len(puppet.seen) <= 3  # the refresh, and perhaps the one with max-age


def completion(text: str) -> Callable[[Exchange], Awaitable[None]]:
    """An act that answers with this text, in JSON."""
    body = {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
    }

    async def act(exchange: Exchange) -> None:
        await exchange.head(content_type="application/json")
        await exchange.end(json.dumps(body).encode())

    return act
