"""The route cache: remembers the route, the namespace and the cache headers of recent requests.

A program sends the same path and headers with every question, so the gateway works out their
meaning once: everything of a call except its body.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from askonce.core.bounded import BoundedMap
from askonce.core.content_encoding import HEADER
from askonce.core.directives import OWN_HEADERS
from askonce.core.identity import Identity
from askonce.core.request_headers import HeaderKind, HeaderSelector
from askonce.core.request_signature import signer
from askonce.gateway.messages import Scope
from askonce.gateway.routes import ProviderRoute
from askonce.gateway.token_verifier import TokenVerifier
from askonce.library.assembly import Assembly

_READ_THOUGH_HARMLESS = frozenset({"cache-control", "pragma", HEADER, *OWN_HEADERS})
_UNVERIFIED_S = 10.0
"""How long a token counts as unverified before it is tried again."""
_MOST = 4_096
_LONGEST = 8_192  # bytes of path and headers; longer requests are not cached

RouteSignature = tuple[bytes, bytes, tuple[bytes, ...], tuple[bytes, ...]]
"""Path, query and headers of a request: all that its route depends on."""


class CachedRoute(NamedTuple):
    """Everything of a call except its body.

    Parameters:
        route: The provider and the path.
        path: The path with its query.
        path_text: The same as text.
        headers: The headers that the cache reads.
        namespace: The caller's namespace; None without a credential.
        until: When the caller's token expires, in seconds since the Unix epoch.
    """

    route: ProviderRoute
    path: bytes
    path_text: str
    headers: dict[str, str]
    namespace: str | None
    until: float = math.inf


class RouteCache:
    """Maps the signatures of requests to their routes.

    Parameters:
        assembly: The cache's parts.
        verifier: Verifies tokens; None if none are verified.
    """

    def __init__(self, assembly: Assembly, verifier: TokenVerifier | None = None) -> None:
        self._assembly = assembly
        self._verifier = verifier
        self._routes: BoundedMap[RouteSignature, CachedRoute] = BoundedMap(_MOST)
        self._kinds = assembly.settings.kinds
        self._headers = HeaderSelector[bytes](self._may_matter)
        self._identity: Identity | None = None

    def find(
        self, path: bytes, scope: Scope, headers: Mapping[bytes, bytes]
    ) -> tuple[RouteSignature, CachedRoute | None]:
        """Return the signature of a request, and its route if that is cached."""
        names, values = self._headers.select(headers)
        signature = (path, scope.get("query_string", b""), names, values)
        if self._identity is not self._assembly.namespaces.identity:
            self._routes.clear()
            self._identity = self._assembly.namespaces.identity
        found = self._routes.get(signature)
        if (
            found is not None
            and self._verifier is not None
            and found.until <= self._assembly.runtimes.async_.now()
        ):
            self._routes.pop(signature)
            found = None
        return signature, found

    async def add(
        self, signature: RouteSignature, route: ProviderRoute, request: Mapping[bytes, bytes]
    ) -> CachedRoute:
        """Work out and cache the route of a request with these headers."""
        assembly = self._assembly
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in zip(*signature[2:], strict=True)
        }
        path = route.path + b"?" + signature[1] if signature[1] else route.path
        path_text = path.decode("latin-1")
        namespace, until = None, math.inf
        if signer(headers) is None:
            caller = None
            if self._verifier is not None and "authorization" in headers:
                caller = await self._verifier.caller(headers["authorization"])
                # A token that does not verify now may do so once its issuer's keys are here.
                until = caller.until if caller else assembly.runtimes.async_.now() + _UNVERIFIED_S
            verified = None if caller is None else caller.name
            tiers, origin = assembly.services.async_.tiers, route.provider.base_url
            namespace = await assembly.namespaces.identify(
                tiers, headers, origin, path_text, verified
            )
        cached = CachedRoute(route, path, path_text, headers, namespace, until)
        size = len(path) + sum([len(value) for value in headers.values()])
        # Without an identity yet, the next call may have one.
        if assembly.namespaces.identity is not None and size <= _LONGEST:
            self._routes[signature] = cached
        return cached

    def _may_matter(self, raw: bytes) -> bool:
        """Whether a route, a namespace or a key may depend on a header."""
        name = raw.decode("latin-1")
        if name in _READ_THOUGH_HARMLESS or name == "upgrade":
            return True
        return self._kinds.kind(name) not in (HeaderKind.HARMLESS, HeaderKind.DROPPED)
