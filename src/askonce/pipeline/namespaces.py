"""The namespaces of callers, derived from their credentials with a secret of the shared store.

All processes of a store share the secret, so a caller has the same namespace in each of them. While
the secret cannot be read, memory's own stands in: the callers of this process still share answers,
and what they store is never found under the other secret.
"""

from collections.abc import Mapping

from askonce.core.identity import Identity
from askonce.core.origins import Origins
from askonce.core.protocols import Memory
from askonce.core.request_headers import STANDARD, HeaderKinds
from askonce.stores.tiered.tier import Tier
from askonce.stores.tiered.tiers import Tiers

_COOKIE = "cookie"


class NamespaceResolver:
    """Finds a caller's namespace; both modes share it.

    Args:
        memory: Has the secret that stands in for the shared one.
        namespace: The namespace of every caller; None to derive it from credentials.
        tenants: Names of namespaces by credential.
        origins: Which addresses are a provider's own; no cookie is a credential there.
        kinds: Which headers are credentials.
    """

    def __init__(
        self,
        memory: Memory,
        namespace: str | None,
        tenants: Mapping[str, str] | None,
        origins: Origins,
        kinds: HeaderKinds = STANDARD,
    ) -> None:
        self.identity: Identity | None = None
        """Derives namespaces from credentials; None until the shared secret was read."""
        self._memory = memory
        self._namespace = namespace
        self._tenants = tenants
        self._origins = origins
        self._kinds = kinds
        self._stand_in: Identity | None = None
        self._secret: bytes | None = None
        self._attempts = 0

    async def identify(
        self,
        tiers: Tiers,
        headers: Mapping[str, str],
        origin: str,
        path: str,
        verified: tuple[str, str] | None = None,
    ) -> str | None:
        """Return the caller's namespace; None if the caller shows no credential.

        Args:
            tiers: The caller's mode.
            headers: The request's headers, names in lower case.
            origin: The upstream's address.
            path: The path with its query.
            verified: The issuer and the name that a verified token gives; None without one.
        """
        if self._namespace is not None:
            return self._namespace
        identity = self.identity
        if identity is None:
            attempts = self._attempts
            async with tiers.runtime.async_lock():
                # A caller that waited here uses the result of the one that tried.
                if self.identity is None and self._attempts == attempts:
                    await self._load(tiers)
            identity = self.identity or self._stand_in
        if identity is None:
            return None
        is_own = _COOKIE in headers and self._origins.find(origin, path).is_own
        query = path.partition("?")[2]
        return identity.namespace(headers, query=query, with_cookies=not is_own, verified=verified)

    def forget(self) -> None:
        """Read the secret once more: the store may be another one."""
        self.identity = None

    async def _load(self, tiers: Tiers) -> None:
        own = await self._memory.pepper()
        secret: bytes | None = own
        if tiers.authority is not None:
            secret = await self._shared(tiers.authority)
        if secret is not None:
            self._secret = secret
            self.identity = Identity(secret, self._tenants, self._kinds)
        elif self._stand_in is None:
            self._stand_in = Identity(own, self._tenants, self._kinds)
        self._attempts += 1

    async def _shared(self, authority: Tier) -> bytes | None:
        """Read the store's secret; a store that has lost everything adopts the known one."""
        store, known = authority.store, self._secret
        if known is not None and await authority.ask("identity", lambda: store.adopt(known)):
            return known
        return await authority.ask("identity", store.pepper)
