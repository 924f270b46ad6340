"""A gateway that follows a source of events."""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable

import httpx2
import redis

from tests.gateway.stage import PATIENCE_S, Caller, gateway, outcome_of


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def test_an_event_of_a_stream_invalidates_and_the_source_is_seen(
    http: httpx2.Client, provider_url: str, redis8_url: str
) -> None:
    stream = uuid.uuid4().hex
    more = f"""
        [sources.shop]
        url = "{redis8_url}"
        stream = "{stream}"
        [sources.lost]
        url = "redis://127.0.0.1:1"
        [[rules]]
        on = "product_updated"
        tags = ["product:{{id}}"]
    """
    tagged = {"askonce-tags": "product:7"}
    with (
        gateway(provider_url, more=more) as url,
        contextlib.closing(redis.Redis.from_url(redis8_url)) as client,
    ):
        caller = Caller(http, url)
        for _ in range(2):
            last = caller.chat("What does it cost?", headers=tagged)
        assert outcome_of(last) == "hit"
        until(
            lambda: (
                http.get(f"{url}/healthz").json()["sources"]
                == {"shop": "following", "lost": "down"}
            )
        )
        assert http.get(f"{url}/healthz").json()["status"] == "degraded"
        client.xadd(stream, {"event": "product_updated", "data": '{"id": 7}'})
        until(lambda: outcome_of(caller.chat("What does it cost?", headers=tagged)) == "miss")
        shown = http.get(f"{url}/metrics").text
        assert 'askonce_source_up{source="shop"} 1' in shown
        assert 'askonce_source_up{source="lost"} 0' in shown
        client.delete(stream)
