"""Signatures of webhooks, in the form of Standard Webhooks (https://www.standardwebhooks.com).

A sender signs `ID.TIMESTAMP.BODY` with HMAC-SHA-256 under a secret that both sides know. A message
may carry several signatures, because a secret is changed while messages are on their way.
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
"""Seconds that a message's time may be off, on either side."""
_LEAST_BYTES = 16
_LONGEST_ID = 512
_VERSION = b"v1"


def secret_bytes(text: str) -> bytes | None:
    """The bytes of a secret such as `whsec_MfKQ9r8...`; None if it is none or too short."""
    if not text.startswith(PREFIX):
        return None
    try:
        found = base64.b64decode(text[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) >= _LEAST_BYTES else None


def sign(secret: bytes, id_: bytes, timestamp: bytes, body: bytes) -> bytes:
    """The signature of a message, as its header carries it."""
    told = b".".join((id_, timestamp, body))
    digest = hmac.new(secret, told, hashlib.sha256).digest()
    return _VERSION + b"," + base64.b64encode(digest)


def fault(secret: bytes, headers: Mapping[bytes, bytes], body: bytes, now: float) -> str | None:
    """Why a message cannot be believed, in a few words; None if it can.

    `headers` have lower-case names; `now` is in seconds since the Unix epoch. How long a
    comparison takes says nothing about the secret.
    """
    lacking = [name.decode() for name in HEADERS if not headers.get(name)]
    if lacking:
        return f"the signature is missing: there is no {' and no '.join(lacking)}"
    id_, timestamp, shown = (headers[name] for name in HEADERS)
    if len(id_) > _LONGEST_ID:
        return "the webhook-id is too long"
    if not re.fullmatch(rb"[0-9]{1,12}", timestamp):
        return "the webhook-timestamp is not a number of seconds"
    expected = sign(secret, id_, timestamp, body)
    # All of them are compared, so that the time does not tell which one it was.
    fits = [hmac.compare_digest(expected, one) for one in shown.split()]
    if not any(fits):
        return "the signature does not verify"
    if now - int(timestamp) > TOLERANCE:
        return "the signature is expired"
    if int(timestamp) - now > TOLERANCE:
        return "the webhook-timestamp is in the future"
    return None
