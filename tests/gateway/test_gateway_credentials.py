"""Credentials at the gateway: trailers and hop-by-hop headers name no one, and no key leaks."""

import base64
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

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

TOKEN = "an-admin-token-of-a-test"
SETTINGS = f"""
    [admin]
    token = "{TOKEN}"
    [tenants.acme]
    keys = ["sk-acme"]
    upstream_key = "sk-upstream-of-acme"
"""


async def answers(exchange: Exchange) -> None:
    await exchange.head(content_type="application/json")
    message = {"role": "assistant", "content": "Yes."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    await exchange.end(json.dumps({**answer, "choices": [choice]}).encode())


@pytest.fixture(scope="module")
def guarded(_puppet: Puppet) -> Iterator[str]:
    with gateway(_puppet.url, more=SETTINGS) as url:
        yield url


@pytest.fixture
def own(http: httpx2.Client, guarded: str, puppet: Puppet) -> Caller:
    puppet.act = answers
    return Caller(http, guarded)


def sent_raw(url: str, head: list[str], body: bytes, trailers: list[str]) -> tuple[int, str]:
    """Send a chunked request with trailers in one packet; return status and `Cache-Status`."""
    where = urlsplit(url)
    lines = [f"POST {CHAT} HTTP/1.1", f"Host: {where.netloc}", *head]
    lines += ["Content-Type: application/json", "Transfer-Encoding: chunked", "", ""]
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    tail = "".join(f"{line}\r\n" for line in trailers) + "\r\n"
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as wire:
        wire.sendall("\r\n".join(lines).encode() + chunk + tail.encode())
        response = b""
        while b"\r\n\r\n" not in response:
            piece = wire.recv(65_536)
            if not piece:
                break
            response += piece
    status = int(response.split(b" ", 2)[1])
    shown = [line for line in response.split(b"\r\n") if line.lower().startswith(b"cache-status:")]
    return status, shown[0].decode() if shown else ""


def body_of(question: str) -> bytes:
    return json.dumps(chat_body(question)).encode()


def test_a_trailer_names_no_caller(own: Caller, puppet: Puppet) -> None:
    """The victim's answer is stored; a thief who sends the key as a trailer does not get it."""
    own.with_key("sk-victim").chat("Whose trailer?")
    body = body_of("Whose trailer?")
    status, shown = sent_raw(own.url, [], body, ["Authorization: Bearer sk-victim"])
    assert status == 200
    assert "detail=no-identity" in shown
    assert puppet.last.values("authorization") == []


def test_a_trailer_is_no_part_of_the_question_and_reaches_no_provider(
    own: Caller, puppet: Puppet
) -> None:
    head = ["Authorization: Bearer sk-a"]
    _, first = sent_raw(own.url, head, body_of("A trailer?"), ["X-Route: one"])
    _, second = sent_raw(own.url, head, body_of("A trailer?"), ["X-Route: two"])
    assert "fwd=miss" in first
    assert "hit" in second
    assert puppet.last.values("x-route") == []


def test_a_header_that_connection_names_is_no_header(own: Caller, puppet: Puppet) -> None:
    own.with_key("sk-victim").chat("Whose hop?")
    head = ["Authorization: Bearer sk-victim", "Connection: close, Authorization"]
    status, shown = sent_raw(own.url, head, body_of("Whose hop?"), [])
    assert status == 200
    assert "detail=no-identity" in shown
    assert puppet.last.values("authorization") == []


def test_connection_cannot_take_away_where_a_message_goes_and_ends(own: Caller) -> None:
    head = ["Authorization: Bearer sk-a", "Connection: close, host, transfer-encoding"]
    status, shown = sent_raw(own.url, head, body_of("Where does it end?"), [])
    assert (status, "fwd=miss" in shown) == (200, True)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


TOKENS = {
    "bearer": {"authorization": f"Bearer {TOKEN}"},
    "plain": {"authorization": TOKEN},
    "another scheme": {"authorization": f"Token {TOKEN}"},
    "the password of Basic": {"authorization": basic("admin", TOKEN)},
    "the user of Basic": {"authorization": basic(TOKEN, "")},
    "a list": {"authorization": f"Bearer sk-test, Bearer {TOKEN}"},
    "a list of Basic": {"authorization": f"Bearer sk-test, {basic('a', TOKEN)}"},
    "x-api-key": {"x-api-key": TOKEN},
    "an unknown header": {"x-note": TOKEN},
    "a harmless header": {"user-agent": TOKEN},
    "a cookie": {"cookie": f"a=b; admin={TOKEN}"},
    "an encoded cookie": {"cookie": "admin=" + TOKEN.replace("-", "%2D")},
}


@pytest.mark.parametrize("form", TOKENS)
def test_the_admin_token_reaches_no_provider_in_any_form(
    own: Caller, puppet: Puppet, form: str
) -> None:
    before = len(puppet.seen)
    headers = {"authorization": "Bearer sk-test", **TOKENS[form]}
    body = chat_body(f"Any form, {form}?")
    for _ in range(2):
        refused = own.http.post(own.url + CHAT, json=body, headers=headers)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "admin-token"
    assert own.http.get(f"{own.url}/v1/models", headers=headers).status_code == 401
    assert len(puppet.seen) == before


def test_the_admin_token_in_a_query_reaches_no_provider(own: Caller, puppet: Puppet) -> None:
    before = len(puppet.seen)
    for query in (f"key={TOKEN}", f"a=b&x={TOKEN.replace('-', '%2d')}"):
        answer = own.http.get(f"{own.url}/v1/models?{query}", headers=own.bearer)
        assert answer.status_code == 401
    assert len(puppet.seen) == before


def test_the_admin_token_as_a_trailer_reaches_no_provider(own: Caller, puppet: Puppet) -> None:
    head = ["Authorization: Bearer sk-a"]
    status, _ = sent_raw(own.url, head, body_of("As a trailer?"), [f"X-Api-Key: {TOKEN}"])
    assert status == 200
    assert not any(TOKEN in value for _, value in puppet.last.headers)


def test_a_tenants_key_beside_another_credential_gets_no_upstream_key(
    own: Caller, puppet: Puppet
) -> None:
    tenant = {"authorization": "Bearer sk-acme"}
    body = chat_body("For the tenant?")
    own.http.post(own.url + CHAT, json=body, headers=tenant)
    assert puppet.last.values("authorization") == ["Bearer sk-upstream-of-acme"]
    beside = {**tenant, "x-end-user-token": "alice"}
    answer = own.http.post(own.url + CHAT, json=body, headers=beside)
    assert outcome_of(answer) == "miss"
    assert puppet.last.values("authorization") == ["Bearer sk-acme"]
    assert own.http.get(f"{own.url}/v1/models", headers=beside).status_code == 200
    assert puppet.last.values("authorization") == ["Bearer sk-acme"]


@pytest.mark.parametrize(
    "name", ["cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "x-amzn-oidc-data",
             "x-ms-token-aad-id-token", "x-csrf-token"],
)  # fmt: skip
def test_assertions_of_access_proxies_are_not_forwarded_and_do_not_part_callers(
    own: Caller, puppet: Puppet, name: str
) -> None:
    question = f"Through a proxy, {name}?"
    assert outcome_of(own.chat(question, headers={name: "first"})) == "miss"
    assert puppet.last.values(name) == []
    assert outcome_of(own.chat(question, headers={name: "second"})) == "hit"


def test_a_signed_request_bypasses_and_goes_on_as_it_came(own: Caller, puppet: Puppet) -> None:
    signature = (
        "AWS4-HMAC-SHA256 Credential=AKIA/20261130/eu-west-1/bedrock/aws4_request, "
        "SignedHeaders=host, Signature=abc"
    )
    headers = {"authorization": signature, "x-amz-date": "20261130T000000Z"}
    body = body_of("Signed?")
    for _ in range(2):
        answer = own.http.post(own.url + CHAT, content=body, headers=headers)
        assert "fwd=bypass; detail=signed" in status_of(answer)
        assert puppet.last.body == body
        assert puppet.last.values("authorization") == [signature]
        assert puppet.last.values("x-amz-date") == ["20261130T000000Z"]


def test_a_tenants_key_in_a_credential_of_the_user_is_replaced(
    http: httpx2.Client, puppet: Puppet
) -> None:
    puppet.act = answers
    settings = f'{SETTINGS}\n[keys]\ncredentials = ["x-portal"]\n'
    with gateway(puppet.url, more=settings) as url:
        headers = {"authorization": "Bearer sk-acme", "x-portal": "sk-acme"}
        http.post(url + CHAT, json=chat_body("Through the portal?"), headers=headers)
        http.get(f"{url}/v1/models", headers=headers)
        for sent in puppet.seen[-2:]:
            assert sent.values("authorization") == ["Bearer sk-upstream-of-acme"]
            assert sent.values("x-portal") == []
