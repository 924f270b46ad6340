"""Webhooks' signatures: what proves a sender, and what does not."""

import base64
from typing import Any

import pytest

from askonce.invalidation.webhooks import TOLERANCE, fault, secret_bytes, sign

SECRET = b"0123456789abcdef01234567"
NOW = 1_800_000_000.0
BODY = b'{"event":"product_updated"}'


def message(**changes: Any) -> dict[bytes, bytes]:
    id_, at, body = b"msg_1", b"1800000000", changes.pop("body", BODY)
    headers = {b"webhook-id": id_, b"webhook-timestamp": at}
    return {
        **headers,
        b"webhook-signature": sign(SECRET, id_, at, body),
        **{name.replace("_", "-").encode(): value for name, value in changes.items()},
    }


def test_the_example_of_the_specification() -> None:
    secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert secret is not None
    body = b'{"test": 2432232314}'
    signed = sign(secret, b"msg_p5jXN8AQM9LWM0D4loKWxJek", b"1614265330", body)
    assert signed == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signed_message_is_believed() -> None:
    assert fault(SECRET, message(), BODY, NOW) is None
    other = sign(b"another secret, the old one", b"msg_1", b"1800000000", BODY)
    good = message()[b"webhook-signature"]
    many = message(webhook_signature=b" ".join((b"v1a,xyz", other, good)))
    assert fault(SECRET, many, BODY, NOW) is None
    assert fault(SECRET, message(), BODY, NOW + TOLERANCE) is None
    assert fault(SECRET, message(), BODY, NOW - TOLERANCE) is None


@pytest.mark.parametrize(
    ("headers", "body", "now", "said"),
    [
        (message(), BODY + b" ", NOW, "does not verify"),
        (message(webhook_id=b"msg_2"), BODY, NOW, "does not verify"),
        (message(webhook_timestamp=b"1800000001"), BODY, NOW, "does not verify"),
        (message(webhook_signature=b"v1,"), BODY, NOW, "does not verify"),
        (message(webhook_signature=b"\xff v1"), BODY, NOW, "does not verify"),
        (message(), BODY, NOW + TOLERANCE + 1, "expired"),
        (message(), BODY, NOW - TOLERANCE - 1, "future"),
        (message(webhook_timestamp=b"soon"), BODY, NOW, "not a number"),
        (message(webhook_id=b"x" * 513), BODY, NOW, "too long"),
        (message(webhook_signature=b""), BODY, NOW, "no webhook-signature"),
        ({}, BODY, NOW, "no webhook-id and no webhook-timestamp and no webhook-signature"),
    ],
)
def test_a_message_that_is_not_believed(
    headers: dict[bytes, bytes], body: bytes, now: float, said: str
) -> None:
    assert said in (fault(SECRET, headers, body, now) or "")


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_ä", "whsec_!!!!", "sk-1"])
def test_a_text_that_is_no_secret(text: str) -> None:
    assert secret_bytes(text) is None


def test_a_secret() -> None:
    assert secret_bytes("whsec_" + base64.b64encode(SECRET).decode()) == SECRET
