"""Identity: the namespace of a caller, by all the credentials that it shows.

A namespace is the name of a configured tenant, or an HMAC of the caller's credentials under the
store's own secret: `key:` and 32 hexadecimal digits, which no tenant can be named. Every header and
query member that may authenticate is a credential (see `request_headers.py`), and all of them count
together: two callers with one common `Authorization` and different keys beside it never share. A
caller without a credential has no identity, and its calls bypass the cache.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from askonce.core.bounded import BoundedMap
from askonce.core.request_headers import STANDARD, HeaderKinds, HeaderSelector, caller_cookies
from askonce.core.request_signature import SIGNATURE_HEADERS, signer

CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""Headers that hold a credential at the providers' own addresses."""

_MEMOIZED = 10_000
_COOKIE = "cookie"
_SIGNER, _ISSUER, _NAME = ":signer", ":issuer", ":name"
"""Names of what we found out ourselves: no header's name has a colon."""
_QUERY = "?"
"""Before the name of a query member, which no header's name begins with."""

ShownCredentials = tuple[tuple[str, str], ...]
"""Pairs of a name and a value: credentials of one request, in a fixed order."""


class Identity:
    """Maps credentials to namespaces; safe from several threads.

    Parameters:
        pepper: the store's secret, 32 bytes.
        tenants: the namespace of each known credential, without its scheme. Default: none.
        kinds: which headers are credentials. Default: those of the table.
    """

    def __init__(
        self,
        pepper: bytes,
        tenants: Mapping[str, str] | None = None,
        kinds: HeaderKinds = STANDARD,
    ) -> None:
        self._pepper = pepper
        self._tenants = {bare(key): name for key, name in (tenants or {}).items()}
        self._kinds = kinds
        self._known: BoundedMap[ShownCredentials, str] = BoundedMap(_MEMOIZED)
        self._credentials = HeaderSelector[str](kinds.is_credential)

    def namespace(
        self,
        headers: Mapping[str, str],
        *,
        query: str = "",
        with_cookies: bool = True,
        verified: tuple[str, str] | None = None,
    ) -> str | None:
        """Return the namespace of a call, or None if it shows no credential.

        Parameters:
            headers: the request's headers, with lower-case names.
            query: the query of its path. Default: none.
            with_cookies: False at a provider's own address, where a cookie is no credential.
            verified: the issuer and the name that a verified token in `Authorization` gives; they
                count instead of the token. Default: none.
        """
        shown = self._shown(headers, query, with_cookies)
        if verified is not None:
            rest = [pair for pair in shown if pair[0] != "authorization"]
            shown = ((_ISSUER, verified[0]), (_NAME, verified[1]), *rest)
        known = self._known.get(shown)
        if known is None:
            if not any(bare(value) for _, value in shown):
                return None
            known = self._known[shown] = self._name(shown)
        return known

    def _shown(
        self, headers: Mapping[str, str], query: str, with_cookies: bool
    ) -> ShownCredentials:
        """Return the credentials of a request; see `namespace` for the parameters."""
        chosen, values = self._credentials.select(headers)
        if headers.get("authorization", "").find("-HMAC-SHA") > 0:
            by = signer(headers)
            if by is not None:
                chosen = tuple([name for name in chosen if name not in SIGNATURE_HEADERS])
                return ((_SIGNER, by), *self._with_rest(headers, chosen, query, with_cookies))
        if _COOKIE in chosen or query:
            return tuple(self._with_rest(headers, chosen, query, with_cookies))
        return tuple(zip(chosen, values, strict=True))

    def _with_rest(
        self, headers: Mapping[str, str], chosen: Iterable[str], query: str, with_cookies: bool
    ) -> Iterable[tuple[str, str]]:
        """Yield the credentials of a request that has cookies or a query."""
        for name in chosen:
            if name != _COOKIE:
                yield name, headers[name]
            elif with_cookies and (cookies := caller_cookies(headers[name])):
                yield name, cookies
        yield from sorted(query_credentials(query, self._kinds))

    def _name(self, shown: ShownCredentials) -> str:
        tenants = {self._tenants.get(bare(value)) for _, value in shown if bare(value)}
        if len(tenants) == 1 and (tenant := tenants.pop()) is not None:
            return tenant
        filled = [pair for pair in shown if bare(pair[1])]
        parts = [part.encode(errors="surrogatepass") for pair in filled for part in pair]
        joined = b"".join([b"%d:%b" % (len(part), part) for part in parts])
        return "key:" + hmac.new(self._pepper, joined, hashlib.sha256).hexdigest()[:32]


def query_credentials(query: str, kinds: HeaderKinds = STANDARD) -> list[tuple[str, str]]:
    """Return the members of a query that may authenticate, each name with a leading `?`.

    Parameters:
        query: the query of a path, without its question mark.
        kinds: which names are credentials; `_` and `-` are one. Default: those of the table.
    """
    found = []
    for member in query.split("&"):
        name, _, value = member.partition("=")
        if is_query_credential(name, kinds):
            found.append((f"{_QUERY}{unquote_plus(name).lower()}", unquote_plus(value)))
    return found


def without_credentials(path: str, kinds: HeaderKinds = STANDARD) -> str:
    """Return a path without the members of its query that may authenticate.

    Parameters:
        path: a path with its query.
        kinds: which names are credentials. Default: those of the table.
    """
    start, mark, query = path.partition("?")
    if not mark:
        return path
    kept = [
        member
        for member in query.split("&")
        if not is_query_credential(member.partition("=")[0], kinds)
    ]
    return f"{start}?{'&'.join(kept)}" if kept else start


def is_query_credential(name: str, kinds: HeaderKinds = STANDARD) -> bool:
    """Whether a member of a query, by its name as it is written there, may authenticate."""
    plain = unquote_plus(name).strip().lower().replace("_", "-")
    return plain in _SIGNATURES or (bool(plain) and kinds.is_credential(plain))


_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature"})
"""Members of a query that sign it."""


def bare(credential: str | None) -> str:
    """Return a credential without its scheme: `Bearer sk-1` and `sk-1` are the same key."""
    text = (credential or "").strip()
    scheme, _, rest = text.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else text
