"""Identifying: whose call is this, by a secret that all processes of a store share.

Where the shared secret cannot be read now, memory's own stands in for it: this process's callers
still share, and what they store below is never found under another secret.
"""

from collections.abc import Mapping

from askonce.core.identity import Identity
from askonce.core.protocols import Memory
from askonce.stores.tiered.tier import Tier
from askonce.stores.tiered.tiers import Tiers


class NamespaceResolver:
    """The namespaces of callers; one for both flavors. A fixed `namespace` is everybody's."""

    def __init__(
        self, memory: Memory, namespace: str | None, tenants: Mapping[str, str] | None
    ) -> None:
        self.identity: Identity | None = None
        self._memory = memory
        self._namespace = namespace
        self._tenants = tenants
        self._passing: Identity | None = None
        self._secret: bytes | None = None
        self._tries = 0

    async def identify(self, tiers: Tiers, headers: Mapping[str, str]) -> str | None:
        """The caller's namespace; None if it has no credential."""
        if self._namespace is not None:
            return self._namespace
        identity = self.identity
        if identity is None:
            tries = self._tries
            async with tiers.runtime.async_lock():
                # Whoever waited here while another one tried takes what that one got.
                if self.identity is None and self._tries == tries:
                    await self._learn(tiers)
            identity = self.identity or self._passing
        return None if identity is None else identity.namespace(headers)

    def forget(self) -> None:
        """The store may be another one, with another secret."""
        self.identity = None

    async def _learn(self, tiers: Tiers) -> None:
        own = await self._memory.pepper()
        secret: bytes | None = own
        if tiers.authority is not None:
            secret = await self._shared(tiers.authority)
        if secret is not None:
            self._secret = secret
            self.identity = Identity(secret, self._tenants)
        elif self._passing is None:
            self._passing = Identity(own, self._tenants)
        self._tries += 1

    async def _shared(self, authority: Tier) -> bytes | None:
        """The store's secret; one that has lost everything takes ours over, if we knew it."""
        store, known = authority.store, self._secret
        if known is not None and await authority.ask("identity", lambda: store.adopt(known)):
            return known
        return await authority.ask("identity", store.pepper)
