"""Signatures of webhooks, in the form of Standard Webhooks (https://www.standardwebhooks.com).

A sender signs `ID.TIMESTAMP.BODY` with HMAC-SHA-256 and a shared secret. A message may carry
several signatures, because secrets are rotated while messages are in flight.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping

HEADERS = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
PREFIX = "whsec_"
TOLERANCE = 300.0
"""How far a message's time may differ from the clock, in seconds, in either direction."""
_LEAST_BYTES = 16
_LONGEST_ID = 512
_VERSION = b"v1"


def secret_bytes(text: str) -> bytes | None:
    """Return the bytes of a secret such as `whsec_MfKQ9r8...`; None if malformed or too short."""
    if not text.startswith(PREFIX):
        return None
    try:
        found = base64.b64decode(text[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) >= _LEAST_BYTES else None


def sign(secret: bytes, id_: bytes, timestamp: bytes, body: bytes) -> bytes:
    """Return the signature of a message, in the form of its header."""
    signed = b".".join((id_, timestamp, body))
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return _VERSION + b"," + base64.b64encode(digest)


def fault(secret: bytes, headers: Mapping[bytes, bytes], body: bytes, now: float) -> str | None:
    """Return why a message is not authentic, in a few words; None if it is.

    `headers` have lower-case names; `now` is in seconds since the Unix epoch. The time that the
    comparison takes does not depend on the secret.
    """
    missing = [name.decode() for name in HEADERS if not headers.get(name)]
    if missing:
        return f"the signature is missing: there is no {' and no '.join(missing)}"
    id_, timestamp, signatures = (headers[name] for name in HEADERS)
    if len(id_) > _LONGEST_ID:
        return "the webhook-id is too long"
    if not re.fullmatch(rb"[0-9]{1,12}", timestamp):
        return "the webhook-timestamp is not a number of seconds"
    expected = sign(secret, id_, timestamp, body)
    # Compare all of them, so that the time does not reveal which one matched.
    fits = [hmac.compare_digest(expected, one) for one in signatures.split()]
    if not any(fits):
        return "the signature does not verify"
    if now - int(timestamp) > TOLERANCE:
        return "the signature is expired"
    if int(timestamp) - now > TOLERANCE:
        return "the webhook-timestamp is in the future"
    return None
