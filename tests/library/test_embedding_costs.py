"""What an embeddings endpoint is paid for is in the ledger: questions, and answers in shadow."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from askonce import Cache, LedgerSettings, Savings, Semantic
from askonce.cli.demo.provider.serving import running
from askonce.core.models import Usage
from askonce.core.runtime.threads import run_sync
from askonce.ledger.savings import SavingsPart

TOKENS = 7
"""Of every text, says the endpoint below."""


class Endpoint:
    """Says of all texts that they are the same; `usage` is what it says that they cost."""

    def __init__(self) -> None:
        self.usage: Any = {"prompt_tokens": TOKENS}
        self.requests = 0
        self.texts = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (event := await receive()).get("more_body") or event.get("body"):
            body += event["body"]
            if not event.get("more_body"):
                break
        texts = json.loads(body)["input"]
        self.requests += 1
        self.texts += len(texts)
        data = [{"index": n, "embedding": [1.0, 0.0, 0.0, 0.0]} for n in range(len(texts))]
        usage = self.usage
        if isinstance(usage, dict) and "prompt_tokens" in usage:
            usage = {"prompt_tokens": TOKENS * len(texts)}
        reply = json.dumps({"data": data, "usage": usage}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": reply})


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def url(endpoint: Endpoint) -> Iterator[str]:
    with running(endpoint) as url:
        yield f"{url}/v1?model=text-embedding-x"


class Prices:
    """A dollar for a million tokens, of any model whose name is known."""

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None:
        return Decimal(usage.input_tokens) / 10**6 if model == "text-embedding-x" else None


def asked(url: str, mode: Any, **settings: Any) -> Savings:
    """Return the savings of a cache after some questions."""
    # A busy machine may take its time: no test waits for it.
    semantic = Semantic(mode=mode, embedder=url, threshold=0.9, deadline=timedelta(seconds=20))
    with Cache(semantic=semantic, **{"prices": Prices(), **settings}) as cache:
        cache.put("How do I pay?", "By card.")
        run_sync(cache.assembly.services.sync.tiers.settle())
        cache.put("How may I pay?", "By card.")
        run_sync(cache.assembly.services.sync.tiers.settle())
        cache.get("How can I pay?")
        run_sync(cache.assembly.services.sync.tiers.settle())
        assert cache.assembly.semantic is not None
        for _ in range(400):  # the index asks too, beside everybody
            if cache.assembly.semantic.reconciler.ready:
                break
            threading.Event().wait(0.05)
        return cache.savings(days=1)


def test_questions_are_paid_for(endpoint: Endpoint, url: str) -> None:
    found = asked(url, "serve")
    tokens = TOKENS * endpoint.texts
    assert endpoint.texts >= 3  # the index asks how many numbers a vector has
    assert found.total.embedding == SavingsPart(endpoint.requests, tokens, Decimal(tokens) / 10**6)
    assert found.total.audit == SavingsPart()
    assert found.total.cost_usd == found.total.embedding.usd
    (line,) = [line for line in found.lines if line.model]
    assert (line.tenant, line.model, line.route) == ("", "text-embedding-x", "")


def test_the_settings_price_goes_before_the_tables(endpoint: Endpoint, url: str) -> None:
    terms = LedgerSettings(embedding_price=Decimal("0.02"))
    found = asked(url, "serve", bookkeeping=terms)
    assert found.total.embedding.usd == Decimal("0.00000014") * endpoint.texts


def test_answers_that_shadow_mode_compares_are_audits(endpoint: Endpoint, url: str) -> None:
    found = asked(url, "shadow").total
    assert found.audit.tokens > 0
    assert found.audit.tokens + found.embedding.tokens == TOKENS * endpoint.texts
    assert found.audit.usd + found.embedding.usd == Decimal(TOKENS * endpoint.texts) / 10**6


class NoPrices:
    """Knows no price."""

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None:
        return None


def test_without_a_price_it_is_unpriced(endpoint: Endpoint, url: str) -> None:
    found = asked(url, "serve", prices=NoPrices()).total.embedding
    tokens = TOKENS * endpoint.texts
    assert found == SavingsPart(
        endpoint.requests, tokens, Decimal(0), endpoint.requests, unpriced_tokens=tokens
    )


@pytest.mark.parametrize("usage", [None, [], {}, {"total_tokens": -5}, {"total_tokens": "many"}])
def test_an_endpoint_that_does_not_say_is_unpriced(
    endpoint: Endpoint, url: str, usage: Any
) -> None:
    endpoint.usage = usage
    found = asked(url, "serve").total.embedding
    assert found == SavingsPart(endpoint.requests, 0, Decimal(0), endpoint.requests, 0)
