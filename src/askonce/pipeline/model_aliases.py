"""Model aliases: names behind which a provider may put another model.

`gpt-4o` is answered by `gpt-4o-2024-08-06`, until one day by a newer model. Then the older answers
are not what the provider would say. So the cache remembers which models answered for each name
that was asked for. A model that was never seen before invalidates the entries of the others. A
model that comes back changes nothing: some providers move a name over bit by bit.

The models are also kept in the authority, as an entry of the store's own. It is read when this
process sees a model for the first time. All of this happens in the background.
"""

import hashlib
from typing import Any, NamedTuple

import msgspec

from askonce.core.bounded import BoundedMap
from askonce.core.models import Entry, Key
from askonce.invalidation.target import OWN_NAMESPACE, Invalidation
from askonce.pipeline.context import Context

_MODELS = 64
"""Models remembered for a name, the latest; fingerprints come and go."""
_NAMES = 1_024
_LIFETIME = 10 * 365 * 86_400.0  # seconds


class ModelAlias(NamedTuple):
    """A model's name as a caller wrote it, at one provider."""

    origin: str
    name: str

    @property
    def key(self) -> Key:
        """The key of the entry that keeps its models."""
        digest = hashlib.sha256(msgspec.json.encode(self)).digest()
        return Key(OWN_NAMESPACE, "alias", digest)


class ModelAliases:
    """The models that answered for each name."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._models: BoundedMap[ModelAlias, dict[str, None]] = BoundedMap(_NAMES)
        self._pending: set[tuple[ModelAlias, str]] = set()

    def note(self, entry: Entry, answer: dict[str, Any]) -> None:
        """Note which model gave an answer that was just stored; mostly one look into a map."""
        mode = self._context.limits.expire_on
        if mode == "never" or not entry.asked_model:
            return
        alias = ModelAlias(entry.origin, entry.asked_model)
        model = entry.model
        if mode == "fingerprint":
            fingerprint = answer.get("system_fingerprint")
            model += f" {fingerprint}" if isinstance(fingerprint, str) else ""
        if model in self._models.get(alias, ()) or (alias, model) in self._pending:
            return
        if model == alias.name:
            # Not an alias, so far: other processes need not know it.
            self._models.setdefault(alias, {})[model] = None
            return
        self._pending.add((alias, model))

        async def merge() -> None:
            try:
                with self._context.boundary.around("alias"):
                    await self._merge(alias, model, entry)
            finally:
                self._pending.discard((alias, model))

        self._context.runtime.run_in_background(merge)

    async def _merge(self, alias: ModelAlias, model: str, entry: Entry) -> None:
        """Merge a new model with those that other processes saw; invalidate if it is new to all."""
        known = await self._read(alias)
        seen = self._models.setdefault(alias, {})
        seen.update(dict.fromkeys(known))
        if model in seen:
            return
        has_others = bool(seen)
        seen[model] = None
        while len(seen) > _MODELS:
            del seen[next(iter(seen))]
        if has_others:
            self._context.background.sweep(self._outdated(alias, entry), "alias")
        await self._write(alias, tuple(seen))

    def _outdated(self, alias: ModelAlias, entry: Entry) -> Invalidation:
        if self._context.limits.expire_on == "model":
            return Invalidation(
                origin=alias.origin, asked_model=alias.name, answered_by=entry.model
            )
        # Entries do not know their fingerprints: all that are older go.
        return Invalidation(
            origin=alias.origin, asked_model=alias.name, created_before=entry.created
        )

    async def _read(self, alias: ModelAlias) -> list[str]:
        """Read what other processes saw, and what this cache saw before a restart."""
        authority = self._context.tiers.authority
        if authority is None:
            return []
        entry = await authority.ask("read", lambda: authority.store.read(alias.key))
        return [] if entry is None else msgspec.json.decode(entry.body, type=list[str])

    async def _write(self, alias: ModelAlias, models: tuple[str, ...]) -> None:
        authority = self._context.tiers.authority
        if authority is None:
            return
        now = self._context.runtime.now()
        end = now + _LIFETIME
        entry = Entry(alias.key, msgspec.json.encode(models), 200, (), now, end, end)
        await authority.ask("alias", lambda: authority.store.write(entry))
