"""A prefix trie over every prompt of a log, as chained hashes of blocks.

A block's hash covers everything before it, so a node needs neither children nor text: two prompts
share a prefix of `n` blocks exactly if they share the `n`-th hash. Of each node the latest visitor
is kept. Where two prompts part within a block, `diverging` finds.
"""

import zlib
from array import array
from bisect import bisect_left
from typing import NamedTuple

BLOCK = 256
"""Bytes of one block."""

_PACKED = 1024  # from how many bytes on a text is worth compressing
_ROOM = 256 << 20  # bytes; from there on texts are kept compressed


class TrieMatch(NamedTuple):
    """How far a prompt follows an earlier one: `neighbor` is the latest that goes as far."""

    neighbor: int
    blocks: int


class PrefixTrie:
    """Finds for each prompt the earlier one that it shares most of its beginning with.

    The hash is Python's own, which is keyed anew for each process: a collision could only propose
    a neighbor that shares less, and whoever asks compares the texts themselves.
    """

    def __init__(self) -> None:
        self._latest: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def add(self, scope: str, text: bytes, visitor: int) -> TrieMatch | None:
        """Enter a prompt; what it shares with those of the same scope, None if not a block."""
        return self.visit(self.nodes(scope, text), visitor)

    def nodes(self, scope: str, text: bytes) -> list[int]:
        """The node at the end of each whole block."""
        chained = hash(scope)
        nodes = []
        for end in range(BLOCK, len(text) + 1, BLOCK):
            chained = hash((chained, text[end - BLOCK : end]))
            nodes.append(chained)
        return nodes

    def visit(self, nodes: list[int], visitor: int) -> TrieMatch | None:
        """Come by these nodes, and remember whoever did."""
        # A node that is known has known nodes before it.
        blocks = bisect_left(nodes, True, key=lambda node: node not in self._latest)
        match = TrieMatch(self._latest[nodes[blocks - 1]], blocks) if blocks else None
        self._latest.update(dict.fromkeys(nodes, visitor))
        return match


class TrieTexts:
    """The prompts of a log, each kept as what it does not share with an earlier one."""

    def __init__(self) -> None:
        self._tails: list[bytes] = []
        self._bytes = 0
        self._parents = array("q")
        self._shared = array("q")
        self._lengths = array("q")

    def __len__(self) -> int:
        return len(self._tails)

    def add(self, text: bytes, parent: int = -1, shared: int = 0) -> int:
        """Keep a text whose first `shared` bytes are those of the text `parent`."""
        tail = text[shared:]
        self._bytes += len(tail)
        if len(tail) >= _PACKED and self._bytes > _ROOM:
            tail = b"\x01" + zlib.compress(tail, 1)
        else:
            tail = b"\x00" + tail
        self._tails.append(tail)
        self._parents.append(parent)
        self._shared.append(shared)
        self._lengths.append(len(text))
        return len(self._tails) - 1

    def __getitem__(self, number: int) -> bytes:
        need = self._lengths[number]
        pieces: list[bytes] = []
        while need > 0:
            shared = self._shared[number]
            if need > shared:
                tail = self._tails[number]
                whole = zlib.decompress(tail[1:]) if tail[0] else tail[1:]
                pieces.append(whole[: need - shared])
                need = shared
            number = self._parents[number]
        return b"".join(reversed(pieces))
