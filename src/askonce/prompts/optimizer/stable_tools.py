"""Stable tools: equal tools are sent in the same bytes and the same order every time.

Providers read tools before everything else, so a set of tools in another order, or a tool in other
bytes, loses the whole prompt. Two tools are the same if they differ in nothing but white space and
the order of the protocol's own members. The order inside a schema is never changed, because a model
writes its arguments in that order. The first bytes and the first order that were seen are used from
then on. The sender wrote all of them: nothing is sorted or made up.
"""

import hashlib
from collections.abc import Hashable

import msgspec

from askonce.core.bounded import BoundedMap
from askonce.prompts.requests.raw_json import (
    Json,
    NotUnderstood,
    encode,
    is_object,
    join_list,
    parse_list,
    parse_object,
)

_LARGEST = 1 << 20
"""Bytes of tools; longer ones are left as they are."""

_PROTOCOL = frozenset({"function", "custom"})
"""Members of a tool that are the protocol's own, so the order inside them is free."""

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
        named = {_digest(_form(tool)): tool for tool in listed}
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


def _form(tool: Json, protocol: frozenset[str] = _PROTOCOL) -> bytes:
    """Write a tool in a form that is equal for the same tools."""
    if not is_object(tool):
        return _compact(tool)
    members = {
        name: _form(member, frozenset()) if name in protocol else _compact(member)
        for name, member in parse_object(tool).items()
    }
    return encode({name: msgspec.Raw(raw) for name, raw in members.items()}, order="sorted")


def _compact(raw: Json) -> bytes:
    """Remove the white space between the tokens of a value; its text stays as it is."""
    try:
        return msgspec.json.format(bytes(raw), indent=-1)
    except (msgspec.MsgspecError, RecursionError):
        raise NotUnderstood from None


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()
