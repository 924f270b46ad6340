"""Identity: whose answers these are, in the server's view of the caller.

A namespace is a configured tenant's name, or an HMAC of the caller's credential under the
store's own secret: `key:` and 32 hex digits, which no tenant can be called. A caller without any
credential has no identity, and its calls bypass the cache.
"""

import hashlib
import hmac
from collections.abc import Mapping

CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""Headers that say who asks."""

_REMEMBERED = 10_000


class Identity:
    """Names the namespace of each credential, under one secret."""

    def __init__(self, pepper: bytes, tenants: Mapping[str, str] | None = None) -> None:
        self._pepper = pepper
        self._tenants = dict(tenants or {})
        self._known: dict[tuple[str | None, ...], str] = {}

    def namespace(self, headers: Mapping[str, str]) -> str | None:
        """The namespace of a call with these headers (lower-case names), or None."""
        shown = tuple([headers.get(name) for name in CREDENTIALS])
        known = self._known.get(shown)
        if known is None:
            if not any(map(bare, shown)):
                return None
            known = self._name(shown)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[shown] = known
        return known

    def _name(self, shown: tuple[str | None, ...]) -> str:
        tenants = {self._tenants[key] for key in map(bare, shown) if key in self._tenants}
        if len(tenants) == 1:
            return tenants.pop()
        parts = [(part or "").encode() for part in shown]
        said = b"".join([b"%d:%b" % (len(part), part) for part in parts])
        return "key:" + hmac.new(self._pepper, said, hashlib.sha256).hexdigest()[:32]


def bare(credential: str | None) -> str:
    """A credential without its scheme: `Bearer sk-1` and `sk-1` are the same key."""
    if credential is None:
        return ""
    scheme, _, rest = credential.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else credential.strip()
