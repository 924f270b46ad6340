"""Matching by meaning through a real gateway, with the SDK's own requests."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from openai import OpenAI

from askonce.semantic.agreement import Agreement
from tests.gateway.stage import PATIENCE_S, Caller, gateway, outcome_of, status_of

SERVE = """
    [semantic]
    mode = "serve"
"""
ASKED = "How do I change my PIN?"
AGAIN = "How can I change my PIN?"


@pytest.fixture(scope="module")
def serving_url(provider_url: str) -> Iterator[str]:
    with gateway(provider_url, more=SERVE) as url:
        yield started(url)


@pytest.fixture
def serving(http: httpx2.Client, serving_url: str) -> Caller:
    return Caller(http, serving_url)


def started(url: str) -> str:
    """The gateway, once its model is in memory."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if httpx2.get(f"{url}/healthz").json()["semantic"]["index"] != "starting":
            return url
    raise AssertionError("the index is never ready")


def settled(url: str, what: str) -> dict[str, int]:
    """The gateway's counts, once it has counted that."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        counts: dict[str, int] = httpx2.get(f"{url}/askonce/stats").json()["semantic"]
        if any(word.startswith(what) for word in counts):
            return counts
    raise AssertionError(f"{what} was never counted")


@pytest.mark.parametrize("stream", [False, True])
def test_another_wording_is_served_in_either_shape(serving: Caller, stream: bool) -> None:
    asker = serving.with_key(f"sk-shape-{stream}")
    first = asker.chat(ASKED, stream=stream)
    again = asker.chat(AGAIN, stream=not stream)
    assert status_of(first).startswith("askonce; fwd=miss")
    assert "; detail=semantic; similarity=0.99" in status_of(again)
    assert outcome_of(again) == "hit"
    negated = asker.chat("How don't I change my PIN?")
    assert outcome_of(negated) == "miss"


def test_never_for_another_caller(serving: Caller) -> None:
    serving.with_key("sk-one").chat(ASKED)
    assert outcome_of(serving.with_key("sk-two").chat(AGAIN)) == "miss"
    assert "detail=semantic" in status_of(serving.with_key("sk-one").chat(AGAIN))


def test_a_caller_refuses_with_a_header_through_the_sdk(serving_url: str) -> None:
    with OpenAI(api_key="sk-sdk", base_url=f"{serving_url}/v1") as client:
        create = client.chat.completions.with_raw_response.create

        def ask(question: str, **headers: str) -> str:
            response = create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": question}],
                extra_headers=headers,
            )
            return str(response.headers["cache-status"])

        ask(ASKED)
        assert "detail=not-found" in ask(AGAIN, **{"AskOnce-Semantic": "off"})
        other = "Please, how do I change my PIN?"
        assert "detail=not-found" in ask(other, **{"AskOnce-Similarity": "0.9999"})
        assert "detail=semantic" in ask("How could I change my PIN?")


def test_semantic_answers_are_measured_and_not_served_by_default(
    http: httpx2.Client, provider_url: str
) -> None:
    with gateway(provider_url) as url:
        caller = Caller(http, url)
        assert outcome_of(caller.chat(ASKED)) == "miss"
        assert outcome_of(caller.chat(AGAIN)) == "miss"
        counts = settled(url, "shadow:0.99:")
        said = [counts.get(f"shadow:{word}", 0) for word in Agreement]
        assert sum(said) == 1
        metrics = httpx2.get(f"{url}/metrics").text
        assert 'askonce_semantic_total{what="shadow:0.99:' in metrics
        health = httpx2.get(f"{url}/healthz").json()
        assert health["semantic"] == {"embedder": "closed", "index": "closed"}
        assert health["status"] == "ok"


def test_a_dead_embedder_degrades_and_calls_go_on(http: httpx2.Client, provider_url: str) -> None:
    dead = """
        [semantic]
        mode = "serve"
        embedder = "http://127.0.0.1:9/v1?model=none"
    """
    with gateway(provider_url, more=dead) as url:
        caller = Caller(http, url)
        for number in range(8):
            assert outcome_of(caller.chat(f"Question {number}")) == "miss"
        assert outcome_of(caller.chat("Question 1")) == "hit"
        health = httpx2.get(f"{url}/healthz").json()
        assert (health["status"], health["semantic"]["embedder"] != "closed") == ("degraded", True)


def test_off_loads_nothing(http: httpx2.Client, provider_url: str) -> None:
    with gateway(provider_url, {"ASKONCE_SEMANTIC__MODE": "off"}) as url:
        caller = Caller(http, url)
        caller.chat(ASKED)
        headers = {"AskOnce-Semantic": "serve"}
        assert outcome_of(caller.chat(AGAIN, headers=headers)) == "miss"
        assert "semantic" not in httpx2.get(f"{url}/healthz").json()
        assert httpx2.get(f"{url}/askonce/stats").json()["semantic"] == {}
