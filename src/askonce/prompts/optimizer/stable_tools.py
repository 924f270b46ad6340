"""Freezing: tools that are equal go out in the same bytes and the same order every time.

Providers read tools before everything else, so a set of tools in another order, or a schema with
its members in another order, loses the whole prompt. Two tools are the same if they are equal as
JSON values; the first serialisation and the first order that were seen are used from then on. All
of it was written by the sender: nothing is sorted and nothing is made up.
"""

import hashlib
from collections.abc import Hashable

from askonce.prompts.requests.members import Json, encoded, items, listed, value

_LARGEST = 1 << 20
"""Bytes of tools; more than that is left as it is."""


class FrozenTools:
    """Remembers tools as they were first seen, within a bound; what was not used longest goes."""

    def __init__(self, size_bytes: int = 4 << 20) -> None:
        self._bound = size_bytes
        self._used = 0
        self._known: dict[Hashable, bytes] = {}

    @property
    def used_bytes(self) -> int:
        return self._used

    def frozen(self, place: Hashable, tools: Json) -> Json:
        """The tools as this place saw them first. Raises NotUnderstood."""
        given = bytes(tools)
        if not 2 < len(given) <= _LARGEST:
            return tools
        seen = (place, b"as", _digest(given))
        known = self._recall(seen)
        if known is not None:
            return known
        named = {_digest(encoded(value(tool), order="sorted")): tool for tool in items(tools)}
        if len(named) < len(items(tools)):
            return tools  # the same tool twice: who knows what is meant
        equal = (place, b"set", _digest(b"".join(sorted(named))))
        frozen = self._recall(equal)
        if frozen is None:
            frozen = given
            firsts = [self._first(place, name, tool) for name, tool in named.items()]
            if any(first is not tool for first, tool in zip(firsts, named.values(), strict=True)):
                frozen = listed(firsts)
            self._keep(equal, frozen)
        self._keep(seen, frozen)
        return frozen

    def _first(self, place: Hashable, name: bytes, tool: Json) -> Json:
        known = self._recall((place, b"one", name))
        if known is None:
            self._keep((place, b"one", name), bytes(tool))
            return tool
        return tool if known == bytes(tool) else known

    def _recall(self, key: Hashable) -> bytes | None:
        known = self._known.pop(key, None)
        if known is not None:
            self._known[key] = known
        return known

    def _keep(self, key: Hashable, tools: bytes) -> None:
        before = self._known.pop(key, None)
        self._used += _cost(tools) - (0 if before is None else _cost(before))
        self._known[key] = tools
        while self._used > self._bound and len(self._known) > 1:
            oldest = next(iter(self._known))
            self._used -= _cost(self._known.pop(oldest))


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()


def _cost(tools: bytes) -> int:
    return len(tools) + 200  # and its key, roughly
