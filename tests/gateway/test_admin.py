"""The admin endpoints over HTTP: authentication, responses, and invalidated answers."""

import base64
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from askonce.cli import main
from askonce.cli.access.gateways import started_gateway
from askonce.invalidation.webhooks import sign
from tests.fixtures.engines import Engines
from tests.gateway.stage import (
    CHAT,
    PATIENCE_S,
    Caller,
    Exchange,
    Puppet,
    chat_body,
    gateway,
    outcome_of,
)

TOKEN = "an-admin-token-of-a-test"
SECRET = b"0123456789abcdef01234567"
RULES = """
    [[rules]]
    on = "product_updated"
    tags = ["product:{product_id}", "group:api.example.com:prices"]
"""
ADMIN = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


def settings(audit: Path) -> str:
    secret = "whsec_" + base64.b64encode(SECRET).decode()
    return f"""
        [admin]
        token = "{TOKEN}"
        webhook_secret = "{secret}"
        audit = "{audit}"
        {RULES}
    """


@pytest.fixture(scope="module")
def admin_url(_puppet: Puppet, audit: Path) -> Iterator[str]:
    with gateway(_puppet.url, more=settings(audit)) as url:
        yield url


@pytest.fixture
def caller(http: httpx2.Client, admin_url: str, puppet: Puppet) -> Caller:
    puppet.act = answer
    return Caller(http, admin_url)


async def answer(exchange: Exchange) -> None:
    """A whole answer of the right form."""
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "30 days"},
    }
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    await exchange.head(content_type="application/json")
    await exchange.end(json.dumps({**body, "choices": [choice]}).encode())


def invalidate(caller: Caller, body: Any, **headers: str) -> httpx2.Response:
    return caller.http.post(
        f"{caller.url}/askonce/invalidate", json=body, headers={**ADMIN, **headers}
    )


def tagged(caller: Caller, question: str, tags: str) -> str:
    return outcome_of(caller.chat(question, headers={"askonce-tags": tags}))


def lines(audit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.read_text().splitlines()]


def test_tags_are_invalidated(caller: Caller) -> None:
    assert [tagged(caller, "tags?", "t:1") for _ in range(2)] == ["miss", "hit"]

    done = invalidate(caller, {"tags": ["t:1", "t:2"]})

    assert done.status_code == 200
    assert done.json() == {"entries": None, "layers": {}, "tags": ["t:1", "t:2"], "dry_run": False}
    assert "cache-group-invalidation" not in done.headers
    assert tagged(caller, "tags?", "t:1") == "miss"


def test_a_selection_is_counted_shown_and_removed(caller: Caller, audit: Path) -> None:
    for question in ("a red ball", "a blue ball", "a red box"):
        caller.chat(question)

    looked = invalidate(caller, {"match": "RED b", "older_than": "0s", "dry_run": True}).json()
    assert (looked["entries"], looked["layers"], looked["dry_run"]) == (2, {"memory": 2}, True)
    assert sorted(sample["question"] for sample in looked["samples"]) == ["a red ball", "a red box"]
    assert outcome_of(caller.chat("a red ball")) == "hit"
    assert lines(audit)[-1]["what"]["dry_run"]["match"] == "RED b"

    done = invalidate(caller, {"match": "RED b"}).json()
    assert (done["entries"], "samples" in done) == (2, False)
    assert outcome_of(caller.chat("a red ball")) == "miss"
    assert outcome_of(caller.chat("a blue ball")) == "hit"
    assert lines(audit)[-1]["who"] == "admin"
    assert lines(audit)[-1]["entries"] == 2


def test_a_group_is_named_in_the_header(caller: Caller) -> None:
    body = {"tag": ["group:api.example.com:prices", "group:localhost:8080:a%20b", "other"]}
    done = invalidate(caller, body)
    assert done.headers["cache-group-invalidation"] == '"prices", "a b"'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "names nothing"),
        (b'{"tags": 7}', "tags is neither"),
        (b'{"older_than": "soon"}', "older_than is"),
        (b'{"match": "("}', "not a pattern"),
        (b'{"keys": ["x"]}', "not a key"),
        (b'{"all": true}', "'all' is not a field"),
        (b'{"tag": "x", "dry_run": "no"}', "dry_run is not"),
    ],
)
def test_bad_input_is_one_clear_line(caller: Caller, audit: Path, body: bytes, said: str) -> None:
    refused = caller.http.post(f"{caller.url}/askonce/invalidate", content=body, headers=ADMIN)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert said in error["message"]
    assert error["type"] == "askonce_error"
    assert "\n" not in error["message"]
    assert lines(audit)[-1]["what"]["refused"] == error["message"]


@pytest.mark.parametrize("door", ["invalidate", "events"])
def test_who_may_not(caller: Caller, audit: Path, door: str) -> None:
    url = f"{caller.url}/askonce/{door}"
    wrong = ["Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
    for headers in [{}, *[{"authorization": value} for value in wrong]]:
        refused = caller.http.post(url, json={"tag": "x"}, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert lines(audit)[-1]["who"] == "admin"
    assert caller.http.get(url, headers=ADMIN).status_code == 405
    assert caller.http.get(url, headers=ADMIN).headers["allow"] == "POST"
    large = b" " * (65 << 10)
    assert caller.http.post(url, content=large, headers=ADMIN).status_code == 413
    assert TOKEN not in audit.read_text()


def test_the_token_is_never_forwarded(caller: Caller, puppet: Puppet) -> None:
    before = len(puppet.seen)
    shown = caller.with_key(TOKEN)
    assert shown.chat("with the token?").status_code == 401
    assert shown.claude("with the token?").status_code == 401
    models = caller.http.get(f"{caller.url}/v1/models", headers={"x-api-key": TOKEN})
    assert models.status_code == 401
    assert models.json()["error"]["code"] == "admin-token"
    assert len(puppet.seen) == before


def test_without_a_token_there_are_no_endpoints(http: httpx2.Client, provider_url: str) -> None:
    with gateway(provider_url) as url:
        for door in ("invalidate", "events"):
            gone = http.post(f"{url}/askonce/{door}", json={"tag": "x"}, headers=ADMIN)
            assert gone.status_code == 404
            assert gone.json()["error"]["code"] == "no-route"


# Events


def event(caller: Caller, body: Any, headers: dict[str, str] | None = None) -> httpx2.Response:
    url = f"{caller.url}/askonce/events"
    return caller.http.post(url, json=body, headers=ADMIN if headers is None else headers)


def signed(body: bytes, *, id_: str = "msg_1", at: float | None = None) -> dict[str, str]:
    when = str(round(time.time() if at is None else at))
    signature = sign(SECRET, id_.encode(), when.encode(), body).decode()
    return {"webhook-id": id_, "webhook-timestamp": when, "webhook-signature": signature}


def test_an_event_counts_once(caller: Caller) -> None:
    assert [tagged(caller, "event?", "product:1") for _ in range(2)] == ["miss", "hit"]
    message = {"event": "product_updated", "data": {"product_id": "1"}, "id": "e-1"}

    done = event(caller, message)

    assert done.status_code == 200
    assert done.json()["tags"] == ["product:1", "group:api.example.com:prices"]
    assert done.headers["cache-group-invalidation"] == '"prices"'
    assert tagged(caller, "event?", "product:1") == "miss"
    assert event(caller, message).json()["repeated"] is True
    assert tagged(caller, "event?", "product:1") == "hit"


def test_bad_events(caller: Caller) -> None:
    for body, said in (
        ({}, "event is not a text"),
        ({"event": "unheard_of"}, "is unknown"),
        ({"event": "product_updated", "data": []}, "not an object"),
        ({"event": "product_updated"}, "product_id"),
        ({"event": "product_updated", "data": {"product_id": "1"}, "id": 7}, "id"),
        ({"event": "product_updated", "more": 1}, "not a member"),
    ):
        refused = event(caller, body)
        assert refused.status_code == 400
        assert said in refused.json()["error"]["message"]


def test_a_signed_webhook_needs_no_token(caller: Caller, audit: Path) -> None:
    assert [tagged(caller, "hook?", "product:9") for _ in range(2)] == ["miss", "hit"]
    body = b'{"type": "product_updated", "timestamp": "now", "data": {"product_id": "9"}}'
    url = f"{caller.url}/askonce/events"

    for repeated in (False, True):
        done = caller.http.post(url, content=body, headers=signed(body))
        assert done.status_code == 200
        assert done.json()["id"] == "msg_1"
        assert done.json().get("repeated", False) is repeated
    assert tagged(caller, "hook?", "product:9") == "miss"

    for headers, said in (
        (signed(body + b" "), "does not verify"),
        (signed(body, at=time.time() - 400), "expired"),
        ({"webhook-id": "msg_1"}, "missing"),
    ):
        refused = caller.http.post(url, content=body, headers=headers)
        assert refused.status_code == 401
        assert said in refused.json()["error"]["message"]
        assert lines(audit)[-1]["who"] == "webhook"
    # A signature opens this door alone.
    other = f"{caller.url}/askonce/invalidate"
    assert caller.http.post(other, content=body, headers=signed(body)).status_code == 401


# Answers under way


def test_an_answer_that_streams_meanwhile_is_not_kept(
    caller: Caller, puppet: Puppet, http: httpx2.Client
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}

    async def slowly(exchange: Exchange) -> None:
        await exchange.head(content_type="text/event-stream")
        for delta, reason in (({"role": "assistant", "content": "old"}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            await exchange.piece(
                b"data: %b\n\n" % json.dumps({**frame, "choices": [choice]}).encode()
            )
            if reason is None:
                begun.set()
                while not go_on.is_set():
                    await _moment()
        await exchange.end(b"data: [DONE]\n\n")

    puppet.act = slowly
    got: list[bytes] = []

    def ask() -> None:
        with caller.chat_stream("how slow?") as response:
            got.append(response.read())

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(PATIENCE_S)
    assert invalidate(caller, {"match": "how slow"}).status_code == 200
    go_on.set()
    asking.join(PATIENCE_S)

    # Its caller gets it whole, and no later caller does.
    assert got[0].endswith(b"data: [DONE]\n\n")
    puppet.act = answer
    body = chat_body("how slow?")
    again = http.post(caller.url + CHAT, json=body, headers=caller.bearer)
    assert outcome_of(again) == "miss"


async def _moment() -> None:
    import asyncio

    await asyncio.sleep(0.01)


def test_a_store_out_of_reach_is_503(http: httpx2.Client, provider_url: str) -> None:
    environ = {"ASKONCE_ADMIN__TOKEN": TOKEN, "ASKONCE_STORE__URL": "redis://127.0.0.1:1"}
    with gateway(provider_url, environ) as url:
        done = invalidate(Caller(http, url), {"tag": "x"})
    assert done.status_code == 503
    assert done.json()["error"]["code"] == "store"


def test_forget_asks_the_gateway_that_runs(
    http: httpx2.Client,
    provider_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ = {"ASKONCE_ADMIN__TOKEN": TOKEN, "ASKONCE_STORE__URL": f"sqlite:{tmp_path}/a.db"}
    with gateway(provider_url, environ) as url:
        caller = Caller(http, url)
        assert [tagged(caller, "whose?", "user:42") for _ in range(2)] == ["miss", "hit"]
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ASKONCE_GATEWAY__PORT", url.rpartition(":")[2])
        monkeypatch.chdir(tmp_path)

        status = main(["forget", "--subject", "user:42", "--json"])

        receipt = json.loads(capsys.readouterr().out)
        assert status == 0
        assert receipt["layers"]["gateway's memory"] == {"found": 1, "removed": 1, "left": 0}
        assert receipt["layers"]["sqlite"] == {"found": 1, "removed": 1, "left": 0}
        assert tagged(caller, "whose?", "user:42") == "miss"


@pytest.mark.parametrize("engine", ["sqlite", "redis8", "postgres"])
def test_the_command_reaches_a_gateway_of_another_process(
    http: httpx2.Client,
    provider_url: str,
    engines: Engines,
    engine: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_STORE__URL", engines.plain(engine))
    monkeypatch.setenv("ASKONCE_PROVIDERS__OPENAI__BASE_URL", provider_url)
    monkeypatch.setenv("ASKONCE_ADMIN__TOKEN", TOKEN)
    with started_gateway(str(tmp_path), os.environ) as url:
        caller = Caller(http, url)
        assert [tagged(caller, "tagged?", "t:1") for _ in range(2)] == ["miss", "hit"]
        assert [outcome_of(caller.chat("untagged?")) for _ in range(2)] == ["miss", "hit"]

        assert main(["invalidate", "--tag", "t:1", "--json"]) == 0
        assert main(["invalidate", "--match", "UNTAGGED", "--json"]) == 0

        # The command waited longer than a gateway may take to hear of it.
        assert tagged(caller, "tagged?", "t:1") == "miss"
        assert outcome_of(caller.chat("untagged?")) == "miss"
        looked = invalidate(caller, {"match": "tagged", "dry_run": True}).json()
        assert looked["layers"]["memory"] == 2
        # And over HTTP, at once.
        assert invalidate(caller, {"match": "tagged"}).json()["entries"] == 2
        assert outcome_of(caller.chat("untagged?")) == "miss"
    assert capsys.readouterr().out.count('"entries"') == 2


def test_answers_stream_on_while_a_large_store_is_swept(
    caller: Caller, puppet: Puppet, http: httpx2.Client
) -> None:
    """The event loop goes on: a hundred hits are answered while sweeps run."""
    assert outcome_of(caller.chat("still here?")) == "miss"
    done: list[int] = []

    def sweep() -> None:
        sweeps = (invalidate(caller, {"match": "nothing at all"}) for _ in range(5))
        done.extend(sweep.status_code for sweep in sweeps)

    sweeping = threading.Thread(target=sweep)
    sweeping.start()
    outcomes = {outcome_of(caller.chat("still here?")) for _ in range(100)}
    sweeping.join(PATIENCE_S)

    assert outcomes == {"hit"}
    assert done == [200] * 5


def test_a_body_that_does_not_begin_is_refused_too(
    puppet: Puppet, audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("askonce.gateway.admin._BODY_SECONDS", 0.1)
    head = (
        "POST /askonce/events HTTP/1.1\r\nhost: x\r\nwebhook-id: m\r\n"
        "webhook-timestamp: 1\r\nwebhook-signature: v1,x\r\ncontent-length: 9\r\n\r\n"
    )
    with gateway(puppet.url, more=settings(audit)) as url:
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port), PATIENCE_S) as caller:
            caller.sendall(head.encode())
            assert b" 408 " in caller.recv(100)
