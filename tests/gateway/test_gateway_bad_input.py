"""Whatever is sent, the provider's own word about it is what the caller hears."""

import json
import socket
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.gateway.stage import (
    PATIENCE_S,
    Caller,
    Puppet,
    asked,
    chat_body,
    gateway,
    is_answer,
    outcome_of,
    plain_request,
    status_of,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"model": 7, "messages": "hello"}',
        b'{"model": "m", "messages": {}}',
        b'{"model": "m", "messages": [], "stream": "yes"}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": NaN}]}',
        b"[" * 100_000,
        b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": "m", "messages": [], "x": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"model": "m", "messages": [], "x": 1' + b"0" * 50_000 + b"}",
    ],
)
def test_a_malformed_body_goes_to_the_provider_as_it_is(
    puppet: Puppet, puppet_gateway: str, body: bytes
) -> None:
    headers = {"authorization": "Bearer sk-bad", "content-type": "application/json"}
    for path in ("/v1/chat/completions", "/v1/messages"):
        answer = plain_request(puppet_gateway, "POST", path, headers, body)

        assert (answer.status, answer.body) == (200, body)
        assert answer.values("cache-status") == ["askonce; fwd=bypass; detail=malformed"]
        assert puppet.last.body == body


def test_thirty_megabytes_pass_and_are_not_cached(caller: Caller) -> None:
    question = "x" * (30 << 20)
    for _ in range(2):
        answer = caller.chat(question)

        assert is_answer(answer, question)
        assert status_of(answer) == "askonce; fwd=bypass; detail=too-large"


@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_the_limit_is_refused(gateway_url: str, chunked: bool) -> None:
    body = json.dumps(chat_body("x" * (32 << 20))).encode()
    headers = {"authorization": "Bearer sk-large"} | (
        {"Transfer-Encoding": "chunked"} if chunked else {}
    )
    sent = iter([body[: 1 << 20], body[1 << 20 :]]) if chunked else body
    answer = plain_request(
        gateway_url, "POST", "/v1/chat/completions", headers, sent, chunked=chunked
    )

    assert answer.status == 413
    assert b"[gateway] max_body" in answer.body


def test_the_limit_can_be_set(http: httpx2.Client, provider_url: str) -> None:
    with gateway(provider_url, {"ASKONCE_GATEWAY__MAX_BODY": "200"}) as url:
        caller = Caller(http, url)

        assert caller.chat("Short?").status_code == 200
        assert caller.chat("Too long? " * 20).status_code == 413


def test_many_headers_are_no_matter(caller: Caller) -> None:
    many = {f"x-header-{number}": "v" * 100 for number in range(200)}

    assert is_answer(caller.chat("Many?", headers=many), "Many?")


def test_a_known_question_in_unknown_company(caller: Caller) -> None:
    body = {"model": "gpt-4o-mini", "messages": asked("Company?"), "unheard_of": [None, {}]}
    answers = [
        caller.http.post(f"{caller.url}/v1/chat/completions", json=body, headers=caller.bearer)
        for _ in range(2)
    ]

    assert [outcome_of(answer) for answer in answers] == ["miss", "hit"]
    assert outcome_of(caller.chat("Company?")) == "miss"


def test_a_body_that_never_ends_is_given_up(provider_url: str) -> None:
    head = (
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99\r\n\r\n"
    )
    with gateway(provider_url, {"ASKONCE_GATEWAY__READ_TIMEOUT": "200ms"}) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), PATIENCE_S) as connection:
            connection.sendall(head + b'{"model": ')
            with connection.makefile("rb") as answer:
                said = answer.read()

    assert said.startswith(b"HTTP/1.1 408")
    assert b'"code":"slow-body"' in said
