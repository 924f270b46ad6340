"""Addresses: where a cached call goes and who makes it, which is all of a call but its body.

A program sends the same path and the same headers with every question. So what they mean is
worked out for the first one and remembered for the others.
"""

from collections.abc import Mapping
from typing import NamedTuple

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
    *sorted(OWN_HEADERS),
)
_READ_BYTES = tuple([name.encode() for name in _READ])
# What may change the route, or refuse one.
_SEEN_BYTES = (*_READ_BYTES, b"upgrade")
_REMEMBERED = 4_096
_LONGEST = 8_192  # bytes of path and headers; a longer address is worked out each time

Seen = tuple[bytes, bytes, tuple[bytes | None, ...]]


class CachedRoute(NamedTuple):
    """A route, the path (with its query) asked for there, the headers that say something to the
    cache, and the caller's namespace."""

    route: ProviderRoute
    path: bytes
    path_text: str
    headers: dict[str, str]
    namespace: str | None


class RouteCache:
    """Works addresses out, and remembers them."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._known: dict[Seen, CachedRoute] = {}
        self._known_to: Identity | None = None

    def known(
        self, path: bytes, scope: Scope, headers: Mapping[bytes, bytes]
    ) -> tuple[Seen, CachedRoute | None]:
        """What is seen of the request, and its address if that was seen before."""
        seen = (path, scope.get("query_string", b""), tuple(map(headers.get, _SEEN_BYTES)))
        if self._known_to is not self._assembly.namespaces.identity:
            self._known.clear()
            self._known_to = self._assembly.namespaces.identity
        return seen, self._known.get(seen)

    async def work_out(
        self, seen: Seen, route: ProviderRoute, shown: Mapping[bytes, bytes]
    ) -> CachedRoute:
        """The address of a request that goes this route."""
        assembly = self._assembly
        headers = {
            name: shown[raw].decode("latin-1")
            for raw, name in zip(_READ_BYTES, _READ, strict=True)
            if raw in shown
        }
        namespace = await assembly.identify(assembly.services.async_.tiers, headers)
        path = route.path + b"?" + seen[1] if seen[1] else route.path
        address = CachedRoute(route, path, path.decode("latin-1"), headers, namespace)
        size = len(path) + sum([len(value) for value in headers.values()])
        # Without an identity yet, the next call may have one.
        if assembly.namespaces.identity is not None and size <= _LONGEST:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[seen] = address
        return address
