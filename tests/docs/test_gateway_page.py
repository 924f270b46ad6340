"""The gateway answers as docs/guides/gateway.md says."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.config import load
from askonce.gateway.server import build
from tests.docs.pages import rows, words

CHAT = "/v1/chat/completions"
KEY = {"authorization": "Bearer sk-practice"}


def chat(model: str = "gpt-4o-mini") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Where is my card?"}]}


@pytest.fixture(scope="module")
def gateway_url() -> Iterator[str]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        unreachable = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with running(DemoProvider(first_byte_ms=(0, 0), word_ms=0)) as provider_url:
            file = f"""
                store.url = "memory:"
                gateway = {{ max_body = "1 kB", read_timeout = "100ms" }}
                providers.openai.base_url = "{provider_url}"
                tenants.odd = {{ keys = ["sk-odd"], upstream_key = "sk\\r\\nx-injected: 1" }}
                providers.unreachable = {{ base_url = "{unreachable}", format = "openai" }}
            """
            with running(
                build(load.load(file, {})), lifespan="on", http="httptools", server_header=False
            ) as url:
                yield url


def asked_for(code: str) -> dict[str, Any]:
    """The request that ends in this error."""
    match code:
        case "dot-segments":
            return {"method": "GET", "url": "/openai/%2e%2e/v1/models"}
        case "no-route":
            return {"method": "GET", "url": "/elsewhere/v1/models"}
        case "too-large":
            return {"method": "POST", "url": CHAT, "content": b"x" * 1001}
        case "websocket":
            upgrade = {"connection": "upgrade", "upgrade": "websocket"}
            return {"method": "GET", "url": "/v1/realtime", "headers": upgrade}
        case "upstream-unreachable":
            return {"method": "POST", "url": f"/unreachable{CHAT}", "json": chat(), "headers": KEY}
        case "upstream-timeout":
            body = chat("practice-stall")
            return {"method": "POST", "url": CHAT, "json": body, "headers": KEY}
        case "not-http":
            return {"method": "GET", "url": "/v1/models", "headers": {"authorization": "sk-odd"}}
        case "only-if-cached":
            only = {**KEY, "cache-control": "only-if-cached"}
            return {"method": "POST", "url": CHAT, "json": chat(), "headers": only}
    raise AssertionError(f"no test for {code}")


LISTED = [(int(row[0]), words(row[1])[0]) for row in rows("docs/guides/gateway.md", "status")]
# A client library always sends its body; tests/gateway stalls one on a bare socket.
ERRORS = [error for error in LISTED if error != (408, "slow-body")]


def test_there_are_errors_to_test() -> None:
    assert len(LISTED) == 9
    assert len(ERRORS) == 8


@pytest.mark.parametrize(("status", "code"), ERRORS)
def test_an_error_has_the_status_and_code_that_the_page_lists(
    gateway_url: str, status: int, code: str
) -> None:
    with httpx2.Client(base_url=gateway_url) as client:
        response = client.request(**asked_for(code))

    assert response.status_code == status
    assert response.json()["error"]["code"] == code


def test_a_hit_carries_no_more_headers_than_the_page_says(gateway_url: str) -> None:
    with httpx2.Client(base_url=gateway_url) as client:
        miss, hit = (client.post(CHAT, json=chat(), headers=KEY) for _ in range(2))

    assert "; hit;" in hit.headers["cache-status"]
    assert hit.headers["askonce-original-request-id"] == miss.headers["x-request-id"]
    ours = {"age", "cache-status", "content-length", "content-type", "date"}
    theirs = {"openai-version", "openai-model", "askonce-original-request-id"}
    assert set(hit.headers) <= ours | theirs


@pytest.mark.parametrize("page_path", ["/healthz", "/metrics", "/askonce/stats"])
def test_its_own_pages_are_there(gateway_url: str, page_path: str) -> None:
    listed = [word for row in rows("docs/guides/gateway.md", "path") for word in words(row[0])]

    assert f"GET {page_path}" in listed
    assert httpx2.get(f"{gateway_url}{page_path}").status_code == 200
