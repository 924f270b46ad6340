"""Aliases: model names behind which a provider may put another model.

`gpt-4o` is answered by `gpt-4o-2024-08-06`, until one day it is answered by a newer one. From then
on the older answers are not what the provider would say. So for each name that was asked for, the
models that answered are remembered, and one that was never seen before makes the entries of the
others worthless. One that comes back changes nothing: some providers move a name over bit by bit.

What was seen is also kept in the most shared store, as an entry of the store's own, which is read
whenever this process sees a model for the first time. All of it happens behind the caller.
"""

import hashlib
from typing import Any, NamedTuple

import msgspec

from askonce.core.models import Entry, Key
from askonce.invalidation.target import OWN_NAMESPACE, Invalidation
from askonce.pipeline.context import Context

_MOST = 64
"""Models remembered for a name, the latest; fingerprints come and go."""
_NAMES = 1_024
_KEPT = 10 * 365 * 86_400.0  # seconds


class ModelAlias(NamedTuple):
    """A name that a caller asked a provider for."""

    origin: str
    name: str

    @property
    def key(self) -> Key:
        digest = hashlib.sha256(msgspec.json.encode(self)).digest()
        return Key(OWN_NAMESPACE, "alias", digest)


class ModelAliases:
    """Which models answered for which names, over one context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[ModelAlias, dict[str, None]] = {}
        self._under_way: set[tuple[ModelAlias, str]] = set()

    def note(self, entry: Entry, answer: dict[str, Any]) -> None:
        """See who gave an answer that was just stored; costs a look into a dictionary."""
        mode = self._context.limits.expire_on
        if mode == "never" or not entry.asked_model:
            return
        alias = ModelAlias(entry.origin, entry.asked_model)
        answered_by = entry.model
        if mode == "fingerprint":
            fingerprint = answer.get("system_fingerprint")
            answered_by += f" {fingerprint}" if isinstance(fingerprint, str) else ""
        if answered_by in self._seen.get(alias, ()) or (alias, answered_by) in self._under_way:
            return
        if len(self._seen) >= _NAMES:
            self._seen.clear()
        if answered_by == alias.name:
            # No alias, so far: nothing that another process would have to know.
            self._seen.setdefault(alias, {})[answered_by] = None
            return
        self._under_way.add((alias, answered_by))

        async def learn() -> None:
            try:
                with self._context.boundary.around("alias"):
                    await self._learn(alias, answered_by, entry)
            finally:
                self._under_way.discard((alias, answered_by))

        self._context.runtime.run_in_background(learn)

    async def _learn(self, alias: ModelAlias, answered_by: str, entry: Entry) -> None:
        # Another process may have seen it meanwhile.
        told = dict.fromkeys(await self._read(alias))
        seen = self._seen.setdefault(alias, {})
        for model in told:
            seen.setdefault(model)
        if answered_by in seen:
            return
        others = bool(seen)
        seen[answered_by] = None
        while len(seen) > _MOST:
            del seen[next(iter(seen))]
        if others:
            self._context.background.sweep(self._worthless(alias, entry), "alias")
        await self._write(alias, tuple(seen))

    def _worthless(self, alias: ModelAlias, entry: Entry) -> Invalidation:
        if self._context.limits.expire_on == "model":
            return Invalidation(
                origin=alias.origin, asked_model=alias.name, answered_by=entry.model
            )
        # Entries do not know their fingerprints: all that are older go.
        return Invalidation(
            origin=alias.origin, asked_model=alias.name, created_before=entry.created
        )

    async def _read(self, alias: ModelAlias) -> list[str]:
        """What other processes saw, and this one before it was started anew."""
        authority = self._context.tiers.authority
        if authority is None:
            return []
        entry = await authority.read(alias.key)
        return [] if entry is None else msgspec.json.decode(entry.body, type=list[str])

    async def _write(self, alias: ModelAlias, seen: tuple[str, ...]) -> None:
        authority = self._context.tiers.authority
        if authority is None:
            return
        now = self._context.runtime.now()
        end = now + _KEPT
        entry = Entry(alias.key, msgspec.json.encode(seen), 200, (), now, end, end)
        await authority.ask("alias", lambda: authority.store.write(entry))
