"""`/healthz`, `/metrics` and `/askonce/stats`: what the gateway says about itself."""

import math
import re
from collections.abc import Iterator

import httpx2
import pytest

import askonce
from tests.gateway.stage import Caller, gateway, plain_request

_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?:\{(?P<labels>[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*)\})?'
    r" (?P<value>[0-9.+eE-]+|\+Inf)"
)
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
_SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read_exposition(text: str) -> Samples:
    """Prometheus' text format 0.0.4, read strictly: every sample under its own HELP and TYPE."""
    samples: Samples = {}
    families: set[str] = set()
    lines = iter(text.removesuffix("\n").split("\n"))
    allowed: set[str] = set()
    for line in lines:
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in families, f"{family} comes twice"
            families.add(family)
            kind = next(lines)
            assert kind.startswith(f"# TYPE {family} ")
            allowed = {family + suffix for suffix in _SUFFIXES[kind.rpartition(" ")[2]]}
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, f"not a sample: {line!r}"
            assert found["name"] in allowed
            labels = frozenset(_LABEL.findall(found["labels"] or ""))
            assert (found["name"], labels) not in samples
            samples[found["name"], labels] = float(found["value"])
    return samples


@pytest.fixture
def caller(http: httpx2.Client, provider_url: str) -> Iterator[Caller]:
    """A caller with a gateway, and its counters, of its own."""
    with gateway(provider_url) as url:
        yield Caller(http, url)


def test_healthz(caller: Caller) -> None:
    answer = caller.http.get(f"{caller.url}/healthz?from=probe")

    health = answer.json()
    assert set(health.pop("semantic")) == {"embedder", "index"}
    assert health == {
        "status": "ok",
        "version": askonce.__version__,
        "layers": {},
    }
    assert caller.http.head(f"{caller.url}/healthz").status_code == 200
    assert caller.http.post(f"{caller.url}/healthz").status_code == 404


def ask_around(caller: Caller) -> None:
    for question in ("One?", "One?", "Two?"):
        caller.chat(question)
    caller.chat("Warm?", temperature=1)
    caller.chat("Cut off?", model="practice-length")
    caller.http.get(f"{caller.url}/v1/models")


def test_metrics_can_be_read_and_add_up(caller: Caller) -> None:
    ask_around(caller)
    answer = caller.http.get(f"{caller.url}/metrics")
    samples = read_exposition(answer.text)

    def value(name: str, **labels: str) -> float:
        return samples[f"askonce_{name}", frozenset(labels.items())]

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    outcomes = {o: value("calls_total", outcome=o) for o in ("memory", "miss", "bypass", "joined")}
    assert outcomes == {"memory": 1, "miss": 3, "bypass": 2, "joined": 0}
    assert value("reasons_total", because="sampling") == 1
    assert value("reasons_total", because="unknown-route") == 1
    assert value("not_stored_total", because="length") == 1
    assert value("stored_total") == 2
    assert value("upstream_calls_total") == 5
    assert value("errors_total") == 0
    assert value("saved_tokens_total") > 0
    assert value("saved_usd_total") > 0
    assert value("memory_bytes") > 0
    assert value("flights") == 0


def test_the_histogram_is_one(caller: Caller) -> None:
    ask_around(caller)
    samples = read_exposition(caller.http.get(f"{caller.url}/metrics").text)
    name = "askonce_first_byte_seconds"
    for outcome, calls in (("memory", 1), ("miss", 3), ("bypass", 1)):
        label = ("outcome", outcome)
        buckets = sorted(
            (float(dict(labels)["le"]), count)
            for (shown, labels), count in samples.items()
            if shown == f"{name}_bucket" and label in labels
        )
        counts = [count for _, count in buckets]

        assert counts == sorted(counts)
        assert buckets[-1] == (math.inf, calls)
        assert samples[f"{name}_count", frozenset([label])] == calls
        assert samples[f"{name}_sum", frozenset([label])] > 0


def test_metrics_of_a_gateway_that_was_never_asked(caller: Caller) -> None:
    samples = read_exposition(caller.http.get(f"{caller.url}/metrics").text)

    assert samples["askonce_stored_total", frozenset()] == 0
    assert samples["askonce_calls_total", frozenset([("outcome", "memory")])] == 0


def test_stats(caller: Caller) -> None:
    ask_around(caller)
    stats = caller.stats()

    assert {name: stats[name] for name in ("calls", "hits", "misses", "joined", "bypassed")} == {
        "calls": 6,
        "hits": 1,
        "misses": 3,
        "joined": 0,
        "bypassed": 2,
    }
    assert (stats["stored"], stats["errors"], stats["upstream"]) == (2, 0, 5)
    assert isinstance(stats["saved_usd"], float)
    assert stats["saved_tokens"] > 0
    assert stats["hit_rate"] == 0.25
    assert stats["not_stored"] == {"length": 1}


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/askonce/stats"])
def test_the_gateways_own_pages_are_never_asked_of_a_provider(caller: Caller, path: str) -> None:
    assert plain_request(caller.url, "DELETE", path).status == 404
    assert caller.stats()["upstream"] == 0
