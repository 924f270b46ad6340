"""Identity: the namespace of a caller, by the credentials that it shows.

A namespace is the name of a configured tenant, or an HMAC of the caller's credentials under the
store's own secret: `key:` and 32 hexadecimal digits, which no tenant can be named. A caller without
a credential has no identity, and its calls bypass the cache.
"""

import hashlib
import hmac
from collections.abc import Mapping

from askonce.core.bounded import BoundedMap

CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""Headers that hold a credential."""

_MEMOIZED = 10_000


class Identity:
    """Maps credentials to namespaces.

    Parameters:
        pepper: the store's secret, 32 bytes.
        tenants: the namespace of each known credential, without its scheme. Default: none.
    """

    def __init__(self, pepper: bytes, tenants: Mapping[str, str] | None = None) -> None:
        self._pepper = pepper
        self._tenants = dict(tenants or {})
        self._known: BoundedMap[tuple[str | None, ...], str] = BoundedMap(_MEMOIZED)

    def namespace(self, headers: Mapping[str, str]) -> str | None:
        """Return the namespace of a call with these headers (lower-case names), or None."""
        shown = tuple([headers.get(name) for name in CREDENTIALS])
        known = self._known.get(shown)
        if known is None:
            if not any(map(bare, shown)):
                return None
            known = self._name(shown)
            self._known[shown] = known
        return known

    def _name(self, shown: tuple[str | None, ...]) -> str:
        tenants = {self._tenants[key] for key in map(bare, shown) if key in self._tenants}
        if len(tenants) == 1:
            return tenants.pop()
        parts = [(part or "").encode() for part in shown]
        joined = b"".join([b"%d:%b" % (len(part), part) for part in parts])
        return "key:" + hmac.new(self._pepper, joined, hashlib.sha256).hexdigest()[:32]


def bare(credential: str | None) -> str:
    """Return a credential without its scheme: `Bearer sk-1` and `sk-1` are the same key."""
    if credential is None:
        return ""
    scheme, _, rest = credential.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else credential.strip()
