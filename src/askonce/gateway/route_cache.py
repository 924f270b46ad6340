"""The route cache: remembers the route, the namespace and the cache headers of recent requests.

A program sends the same path and headers with every question, so the gateway works out their
meaning once: everything of a call except its body.
"""

from collections.abc import Mapping
from typing import NamedTuple

from askonce.core.bounded import BoundedMap
from askonce.core.content_encoding import HEADER
from askonce.core.directives import OWN_HEADERS
from askonce.core.identity import CREDENTIALS, Identity
from askonce.core.keys import HEADERS_THAT_MATTER
from askonce.gateway.messages import Scope
from askonce.gateway.routes import ProviderRoute
from askonce.library.assembly import Assembly

_READ = (
    *CREDENTIALS,
    *HEADERS_THAT_MATTER,
    "cache-control",
    HEADER,
    *sorted(OWN_HEADERS),
)
_READ_BYTES = tuple([name.encode() for name in _READ])
# The headers that can change a route or refuse it.
_SIGNED = (*_READ_BYTES, b"upgrade")
_MOST = 4_096
_LONGEST = 8_192  # bytes of path and headers; longer requests are not cached

RouteSignature = tuple[bytes, bytes, tuple[bytes | None, ...]]
"""Path, query and headers of a request: all that its route depends on."""


class CachedRoute(NamedTuple):
    """Everything of a call except its body.

    Parameters:
        route: The provider and the path.
        path: The path with its query.
        path_text: The same as text.
        headers: The headers that the cache reads.
        namespace: The caller's namespace; None without a credential.
    """

    route: ProviderRoute
    path: bytes
    path_text: str
    headers: dict[str, str]
    namespace: str | None


class RouteCache:
    """Maps the signatures of requests to their routes."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._routes: BoundedMap[RouteSignature, CachedRoute] = BoundedMap(_MOST)
        self._identity: Identity | None = None

    def find(
        self, path: bytes, scope: Scope, headers: Mapping[bytes, bytes]
    ) -> tuple[RouteSignature, CachedRoute | None]:
        """Return the signature of a request, and its route if that is cached."""
        signature = (path, scope.get("query_string", b""), tuple(map(headers.get, _SIGNED)))
        if self._identity is not self._assembly.namespaces.identity:
            self._routes.clear()
            self._identity = self._assembly.namespaces.identity
        return signature, self._routes.get(signature)

    async def add(
        self, signature: RouteSignature, route: ProviderRoute, request: Mapping[bytes, bytes]
    ) -> CachedRoute:
        """Work out and cache the route of a request with these headers."""
        assembly = self._assembly
        headers = {
            name: request[raw].decode("latin-1")
            for raw, name in zip(_READ_BYTES, _READ, strict=True)
            if raw in request
        }
        namespace = await assembly.identify(assembly.services.async_.tiers, headers)
        path = route.path + b"?" + signature[1] if signature[1] else route.path
        cached = CachedRoute(route, path, path.decode("latin-1"), headers, namespace)
        size = len(path) + sum([len(value) for value in headers.values()])
        # Without an identity yet, the next call may have one.
        if assembly.namespaces.identity is not None and size <= _LONGEST:
            self._routes[signature] = cached
        return cached
