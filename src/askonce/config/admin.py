"""The `[admin]` section of the settings: who may invalidate entries of a running gateway."""

from typing import Annotated, Any

import msgspec

from askonce.core import printers
from askonce.core import values as read
from askonce.core.settings_table import SettingKind, Text
from askonce.invalidation.webhooks import PREFIX, secret_bytes

SHORTEST_TOKEN = 16


def _token(value: Any) -> str:
    # The value is a secret: it is not repeated.
    text = read.secret(value).strip()
    if len(text) < SHORTEST_TOKEN:
        raise ValueError(f"has fewer than {SHORTEST_TOKEN} characters; write a longer one")
    if not text.isascii() or not text.isprintable() or " " in text or "," in text:
        raise ValueError("cannot stand in a header; write visible ASCII without space and comma")
    return text


def _webhook_secret(value: Any) -> str:
    text = read.secret(value).strip()
    if secret_bytes(text) is None:
        raise ValueError(f'is not a webhook\'s secret; write "{PREFIX}" and base64 of 24 bytes')
    return text


class Admin(msgspec.Struct, frozen=True, kw_only=True):
    """The token of `POST /askonce/...`, the secret that signs webhooks, and the audit file.

    None turns a setting off; without a token these endpoints do not exist.
    """

    token: Annotated[
        str | None,
        SettingKind(_token, printers.masked_key),
        "for POST /askonce/invalidate and /askonce/events; 16 characters or more",
    ] = None
    webhook_secret: Annotated[
        str | None,
        SettingKind(_webhook_secret, printers.masked_key),
        "whsec_...: signs webhooks to POST /askonce/events; needs a token too",
    ] = None
    audit: Annotated[Text | None, "a file that gets one line for every invalidation"] = None

    def __repr__(self) -> str:
        return f"Admin(audit={self.audit!r}, secrets masked)"
