"""The gateway, an end user's name, a compressed body, and members that never repeat."""

import gzip
import json
from collections.abc import Iterator

import httpx2
import pytest

from askonce.cli import main
from askonce.pipeline.restless_members import WINDOW
from tests.fixtures.scripted import said
from tests.formats.test_content_decoding import PACKERS
from tests.gateway.stage import (
    CHAT,
    Caller,
    Exchange,
    Puppet,
    chat_body,
    gateway,
    outcome_of,
    status_of,
)

STATELESS = {"ASKONCE_PROVIDERS__OPENAI__STATELESS": "true"}


@pytest.fixture
def stateless(http: httpx2.Client, provider_url: str) -> Iterator[Caller]:
    with gateway(provider_url, STATELESS) as url:
        yield Caller(http, url)


def test_an_end_user_counts_unless_the_provider_is_stateless(
    caller: Caller, stateless: Caller
) -> None:
    for asking, outcome in ((caller, "miss"), (stateless, "hit")):
        asking.chat("Who asks?", user="alice")
        assert outcome_of(asking.chat("Who asks?", user="bob")) == outcome
        assert outcome_of(asking.chat("Who asks?", user="alice")) == "hit"


def test_a_conversation_bypasses_unless_the_provider_is_stateless(
    caller: Caller, stateless: Caller
) -> None:
    first = caller.chat("next", session_id="s")
    assert status_of(first) == "askonce; fwd=bypass; detail=server-state"
    assert outcome_of(stateless.chat("next", session_id="s")) == "miss"
    assert outcome_of(stateless.chat("next", session_id="t")) == "miss"
    assert outcome_of(stateless.chat("next", session_id="s")) == "hit"


@pytest.mark.parametrize("coding", sorted(PACKERS))
def test_a_compressed_question_shares_and_goes_on_as_it_came(
    http: httpx2.Client, puppet: Puppet, coding: str
) -> None:
    """The puppet answers with what it got, so nothing is stored; the next test sees the hit."""
    with gateway(puppet.url) as url:
        body = PACKERS[coding](json.dumps(chat_body("How long?")).encode())
        headers = {"authorization": "Bearer k", "content-encoding": coding}
        answer = http.post(url + CHAT, content=body, headers=headers)
        assert answer.content == body
        assert puppet.last.body == body
        assert puppet.last.values("content-encoding") == [coding]


def test_a_compressed_and_a_plain_caller_share_an_answer(caller: Caller) -> None:
    assert outcome_of(caller.chat("How long may I keep it?")) == "miss"
    body = gzip.compress(json.dumps(chat_body("How long may I keep it?")).encode())
    headers = {**caller.bearer, "content-encoding": "gzip", "content-type": "application/json"}
    answer = caller.http.post(caller.url + CHAT, content=body, headers=headers)
    assert outcome_of(answer) == "hit"
    broken = caller.http.post(caller.url + CHAT, content=body[:-1], headers=headers)
    assert status_of(broken) == "askonce; fwd=bypass; detail=malformed"
    headers["content-encoding"] = "compress"
    unknown = caller.http.post(caller.url + CHAT, content=body, headers=headers)
    assert status_of(unknown) == "askonce; fwd=bypass; detail=unknown-encoding"


def test_azure_needs_no_model_in_the_body(puppet: Puppet, puppet_caller: Caller) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.head(content_type="application/json")
        await exchange.end(said())

    puppet.act, caller = answer, puppet_caller
    path = "/openai/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21"
    body = {"messages": chat_body("Which model is it?")["messages"]}
    found = [
        outcome_of(caller.http.post(caller.url + path, json=sent, headers=caller.bearer))
        for sent in (body, body, {**body, "model": "gpt-4o-mini"}, {**body, "model": "other"})
    ]
    assert found == ["miss", "hit", "hit", "miss"]
    assert [json.loads(seen.body).get("model") for seen in puppet.seen] == [None, "other"]


def test_what_never_repeats_is_in_the_statistics(
    http: httpx2.Client,
    provider_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with gateway(provider_url) as url:
        caller = Caller(http, url)
        assert caller.stats()["never_repeats"] == {}
        for number in range(WINDOW):
            caller.chat("What never repeats?", trace_ref=f"t{number}")
        advice = caller.stats()["never_repeats"]["member `trace_ref`"]
        assert advice.startswith("member `trace_ref` differs in each call: ")
        monkeypatch.setenv("ASKONCE_GATEWAY__PORT", url.rpartition(":")[2])
        assert main(["stats"]) == 0
        assert advice in capsys.readouterr().out
        assert main(["stats", "--json"]) == 0
        assert advice in json.loads(capsys.readouterr().out)["never_repeats"].values()
