"""Stable tools: equal tools are sent in the same bytes and the same order every time.

Providers read tools before everything else, so a set of tools in another order, or a schema with
its members in another order, loses the whole prompt. Two tools are the same if they are equal as
JSON values; the first bytes and the first order that were seen are used from then on. The sender
wrote all of them: nothing is sorted or made up.
"""

import hashlib
from collections.abc import Hashable

from askonce.core.bounded import BoundedMap
from askonce.prompts.requests.raw_json import Json, encode, join_list, parse_list, parse_value

_LARGEST = 1 << 20
"""Bytes of tools; longer ones are left as they are."""

_ENTRY_BYTES = 200
"""What an entry takes beside its tools, roughly."""


class StableTools:
    """Remembers tools as they were first seen, in a bounded memory.

    Parameters:
        size_bytes: how much to remember; the least recently used tools are forgotten first.
    """

    def __init__(self, size_bytes: int = 4 << 20) -> None:
        self._known: BoundedMap[Hashable, bytes] = BoundedMap(
            size_bytes, lambda _, tools: len(tools) + _ENTRY_BYTES
        )

    @property
    def used_bytes(self) -> int:
        return self._known.weight

    def stabilize(self, scope: Hashable, tools: Json) -> Json:
        """Return the tools as they were first seen in this scope. Raises NotUnderstood."""
        given = bytes(tools)
        if not 2 < len(given) <= _LARGEST:
            return tools
        as_sent = (scope, b"as", _digest(given))
        known = self._known.get(as_sent)
        if known is not None:
            return known
        listed = parse_list(tools)
        named = {_digest(encode(parse_value(tool), order="sorted")): tool for tool in listed}
        if len(named) < len(listed):
            return tools  # the same tool twice: the meaning is unclear
        as_set = (scope, b"set", _digest(b"".join(sorted(named))))
        stable = self._known.get(as_set)
        if stable is None:
            stable = given
            firsts = [self._first(scope, name, tool) for name, tool in named.items()]
            if any(first is not tool for first, tool in zip(firsts, named.values(), strict=True)):
                stable = join_list(firsts)
            self._known[as_set] = stable
        self._known[as_sent] = stable
        return stable

    def _first(self, scope: Hashable, name: bytes, tool: Json) -> Json:
        known = self._known.setdefault((scope, b"one", name), bytes(tool))
        return tool if known == bytes(tool) else known


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()
