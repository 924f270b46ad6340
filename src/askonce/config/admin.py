"""Who may tell a running gateway what to forget: the `[admin]` section of the settings."""

from typing import Any

import msgspec

from askonce.core import values as read
from askonce.invalidation.webhooks import PREFIX, secret_bytes

SHORTEST_TOKEN = 16


class Admin(msgspec.Struct, frozen=True, kw_only=True):
    """The token of `POST /askonce/...`, the file of audit lines, and the secret that webhooks are
    signed with."""

    token: str | None = None
    audit: str | None = None
    webhook_secret: str | None = None

    def __repr__(self) -> str:
        return f"Admin(audit={self.audit!r}, secrets masked)"


def token(value: Any) -> str:
    # The value is a secret: it is not repeated.
    text = read.secret(value).strip()
    if len(text) < SHORTEST_TOKEN:
        raise ValueError(f"has fewer than {SHORTEST_TOKEN} characters; write a longer one")
    if not text.isascii() or not text.isprintable() or " " in text or "," in text:
        raise ValueError("cannot stand in a header; write visible ASCII without space and comma")
    return text


def webhook_secret(value: Any) -> str:
    text = read.secret(value).strip()
    if secret_bytes(text) is None:
        raise ValueError(f'is not a webhook\'s secret; write "{PREFIX}" and base64 of 24 bytes')
    return text


READERS: dict[str, read.Reader] = {
    "token": token,
    "audit": read.text,
    "webhook_secret": webhook_secret,
}
