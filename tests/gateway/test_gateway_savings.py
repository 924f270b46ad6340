"""`GET /askonce/savings`: sums without a token, names with it, one ledger for all gateways."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from askonce.ledger.savings import savings_of_json
from tests.gateway.stage import Caller, Clock, gateway
from tests.gateway.test_gateway_numbers import read_exposition

TOKEN = "an-admin-token-of-a-test"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
TENANTS = """
    [admin]
    token = "an-admin-token-of-a-test"
    [tenants.acme]
    keys = ["sk-acme"]
    [tenants.globex]
    keys = ["sk-globex"]
    [ledger]
    storage_price = "0.10"
"""


@pytest.fixture
def guarded(http: httpx2.Client, provider_url: str) -> Iterator[Caller]:
    with gateway(provider_url, more=TENANTS) as url:
        yield Caller(http, url, "sk-acme")


@pytest.fixture
def open_(http: httpx2.Client, provider_url: str) -> Iterator[Caller]:
    with gateway(provider_url) as url:
        yield Caller(http, url)


def savings(caller: Caller, query: str = "", **headers: str) -> httpx2.Response:
    return caller.http.get(f"{caller.url}/askonce/savings{query}", headers=headers)


def test_the_admin_hears_of_every_tenant(guarded: Caller) -> None:
    other = guarded.with_key("sk-globex")
    for caller, times in ((guarded, 3), (other, 2)):
        for _ in range(times):
            assert caller.chat("What is it?").status_code == 200
    answer = savings(guarded, "?days=2", **ADMIN)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found = savings_of_json(answer.content)
    assert found is not None
    by = found.by("tenant")
    assert {name: sums.exact.calls for name, sums in by.items()} == {"acme": 2, "globex": 1}
    assert list(found.by("route")) == ["/v1/chat/completions"]
    assert found.total.exact.usd == by["acme"].exact.usd + by["globex"].exact.usd > 0
    assert found.total.upstream.calls == 2
    assert found.total.storage_usd is not None
    # Every digit is there: what other programs read is what the library says.
    numbers = json.loads(answer.content, parse_float=Decimal)
    assert numbers["total"]["saved_usd"] == found.total.saved_usd
    assert sum(Decimal(line["net_usd"]) for line in numbers["lines"]) == found.total.net_usd


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer sk-acme"}]
)
def test_no_one_else_gets_an_answer(guarded: Caller, headers: dict[str, str]) -> None:
    guarded.chat("What is it?")
    answer = savings(guarded, **headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "acme" not in answer.text


def test_without_a_token_there_are_sums_and_no_names(open_: Caller) -> None:
    for _ in range(3):
        open_.chat("What is it?")
    answer = savings(open_)
    found: dict[str, Any] = answer.json()
    assert found["total"]["exact"]["calls"] == 2
    (line,) = found["lines"]
    assert (line["tenant"], line["model"], line["route"]) == ("", "", "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", line["day"])
    assert "gpt" not in answer.text


@pytest.mark.parametrize(
    "query", ["?days=0", "?days=-3", "?days=x", "?days=36501", "?days=", "?days=²"]
)
def test_days_that_are_none(open_: Caller, query: str) -> None:
    answer = savings(open_, query)
    assert answer.status_code == (200 if query == "?days=" else 400)
    if answer.status_code == 400:
        assert "from 1 to 36500" in answer.json()["error"]["message"]


def test_it_is_only_asked_for(open_: Caller) -> None:
    assert open_.http.post(f"{open_.url}/askonce/savings").status_code == 405
    assert open_.http.head(f"{open_.url}/askonce/savings").status_code == 200


def test_the_day_is_the_clock_s(http: httpx2.Client, provider_url: str) -> None:
    clock = Clock()
    clock.seconds = 20_000 * 86_400.0 - 5
    with gateway(provider_url, more=TENANTS, clock=clock) as url:
        caller = Caller(http, url, "sk-acme")
        caller.chat("What is it?")
        caller.chat("What is it?")
        clock.forward(10)
        caller.chat("What is it?")
        found = savings_of_json(savings(caller, **ADMIN).content)
        assert found is not None
        days = {day: sums.exact.calls for day, sums in found.by("day").items()}
        assert days == {"2024-10-03": 1, "2024-10-04": 1}
        today = savings_of_json(savings(caller, "?days=1", **ADMIN).content)
        assert today is not None
        assert today.total.exact.calls == 1


def test_two_gateways_and_a_restart(http: httpx2.Client, provider_url: str, tmp_path: Path) -> None:
    shared = {"ASKONCE_STORE__URL": f"sqlite:{tmp_path / 'askonce.db'}"}
    with (
        gateway(provider_url, shared, more=TENANTS) as one,
        gateway(provider_url, shared, more=TENANTS) as two,
    ):
        first, second = Caller(http, one, "sk-acme"), Caller(http, two, "sk-acme")
        first.chat("What is it?")
        first.chat("What is it?")
        second.chat("What is it?")
        second.chat("What is it?")
    with gateway(provider_url, shared, more=TENANTS) as again:
        found = savings_of_json(savings(Caller(http, again), **ADMIN).content)
        assert found is not None
        assert found.total.exact.calls + found.total.upstream.calls == 4
        assert found.total.upstream.calls in (1, 2)  # the second may have been too early


def test_metrics_have_totals_and_no_names(guarded: Caller) -> None:
    guarded.chat("What is it?")
    guarded.chat("What is it?")
    text = guarded.http.get(f"{guarded.url}/metrics").text
    samples = read_exposition(text)
    saved = samples["askonce_ledger_saved_usd_total", frozenset([("what", "exact")])]
    assert saved == samples["askonce_saved_usd_total", frozenset()] > 0
    assert samples["askonce_ledger_upstream_usd_total", frozenset()] == pytest.approx(saved)
    assert samples["askonce_ledger_cost_usd_total", frozenset([("what", "write")])] == 0
    assert "acme" not in text
