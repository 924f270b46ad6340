"""What the gateway stores of a provider's answers: whole ones, with headers that can be written."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from askonce.core.models import Selection
from askonce.core.runtime.threads import fork_safe_lock, run_sync
from askonce.stores.sqlite.store import SqliteStore
from tests.fixtures.scripted import said
from tests.gateway.stage import Caller, Clock, Exchange, Puppet, gateway, status_of

HOUR = 3_600.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextlib.contextmanager
def opened(puppet: Puppet, http: httpx2.Client, clock: Clock, file: Path) -> Iterator[Caller]:
    with gateway(puppet.url, {"ASKONCE_STORE__URL": f"sqlite:{file}"}, clock=clock) as url:
        yield Caller(http, url)


def answers(status: int = 200, **headers: str) -> Any:
    async def act(exchange: Exchange) -> None:
        await exchange.head(status, content_type="application/json", **headers)
        await exchange.end(said())

    return act


@pytest.mark.parametrize(
    ("status", "headers", "detail"),
    [
        (200, {"cache_control": "private, no-cache"}, "not-found"),
        (200, {"vary": "Origin, Accept-Encoding"}, "not-found"),
        (200, {"vary": "*"}, "vary"),
        (200, {"cache_control": "no-store"}, "no-store"),
        (206, {}, "status"),
        (203, {}, "status"),
    ],
)
def test_the_providers_headers_and_status_decide(
    http: httpx2.Client,
    puppet: Puppet,
    clock: Clock,
    tmp_path: Path,
    status: int,
    headers: dict[str, str],
    detail: str,
) -> None:
    puppet.act = answers(status, **headers)
    with opened(puppet, http, clock, tmp_path / "a.db") as caller:
        first = caller.chat("Who is it?")
        assert (first.status_code, first.content) == (status, said())
        stored = "; stored" if detail == "not-found" else ""
        assert status_of(first) == f"askonce; fwd=miss{stored}; detail={detail}"
        assert ("hit" in status_of(caller.chat("Who is it?"))) is bool(stored)


@pytest.mark.parametrize(
    "forged",
    [
        {"headers": (("openai-model", "m\r\nset-cookie: a=b"),)},
        {"headers": (("openai-model", "\u2603"),)},
        {"headers": (("bad name", "m"),)},
        {"status": 999},
        {"expires": float("inf")},
        {"created": 4e9},
    ],
)
def test_an_entry_that_cannot_be_served_is_a_miss(
    http: httpx2.Client, puppet: Puppet, clock: Clock, tmp_path: Path, forged: dict[str, Any]
) -> None:
    puppet.act = answers()
    file = tmp_path / "a.db"
    with opened(puppet, http, clock, file) as caller:
        caller.chat("Who is it?")

    async def forge() -> None:
        store = SqliteStore(file, lock=fork_safe_lock(), clock=clock)
        found = [entry async for entry in store.scan(Selection())]
        for entry in found:
            if entry.key.format == "openai_chat":
                await store.write(msgspec.structs.replace(entry, **forged))
        await store.close()

    run_sync(forge())
    with opened(puppet, http, clock, file) as caller:
        again = caller.chat("Who is it?")
        assert (again.status_code, again.content) == (200, said())
        assert "; stored; detail=" in status_of(again)
        assert "hit" in status_of(caller.chat("Who is it?"))
        assert len(puppet.seen) == 2


class RawProvider(socketserver.StreamRequestHandler):
    """A provider that sends headers which no HTTP server would write."""

    def handle(self) -> None:
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self.rfile.read(length)
        body = said()
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"x-request-id: a\x01b\x1fc\r\nopenai-model: m\x7fn\xe9\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )


def test_control_characters_reach_no_caller(
    http: httpx2.Client, clock: Clock, tmp_path: Path
) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RawProvider) as provider:
        thread = threading.Thread(target=provider.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{provider.server_address[1]}"
        try:
            with gateway(url, clock=clock) as running:
                caller = Caller(http, running)
                first, again = caller.chat("Who is it?"), caller.chat("Who is it?")
        finally:
            provider.shutdown()
            thread.join()
    assert "hit" in status_of(again)
    assert first.headers["x-request-id"] == "a b c"
    assert again.headers["askonce-original-request-id"] == "a b c"
    assert first.headers["openai-model"] == again.headers["openai-model"] == "m n\xe9"


def test_a_clock_that_was_ahead_lengthens_no_life(
    http: httpx2.Client, puppet: Puppet, clock: Clock, tmp_path: Path
) -> None:
    puppet.act = answers()
    ttl = {"askonce-ttl": "1h"}
    with opened(puppet, http, clock, tmp_path / "a.db") as caller:
        clock.forward(24 * HOUR)
        assert "stored" in status_of(caller.chat("Who is it?", headers=ttl))
        clock.forward(-24 * HOUR)
        assert "stored" in status_of(caller.chat("Who is it?", headers=ttl))
        assert "hit" in status_of(caller.chat("Who is it?", headers=ttl))
        clock.forward(HOUR)
        assert "stored" in status_of(caller.chat("Who is it?", headers=ttl))
