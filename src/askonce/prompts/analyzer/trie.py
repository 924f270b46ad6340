"""A prefix trie over every prompt of a log, as chained hashes of blocks.

A block's hash covers everything before it, so a node needs neither children nor text: two prompts
share a prefix of `n` blocks exactly if they share the `n`-th hash. Each node keeps its latest
visitor. `text_diff` finds where two prompts differ within a block.
"""

import zlib
from array import array
from bisect import bisect_left
from typing import NamedTuple

BLOCK = 256
"""Bytes of one block."""

_COMPRESSED_FROM = 1024  # bytes; compressing a shorter text gains nothing
_UNCOMPRESSED = 256 << 20  # bytes of texts; further ones are stored compressed


class TrieMatch(NamedTuple):
    """The latest prompt that shares the most blocks, by its number, and how many it shares."""

    prompt: int
    blocks: int


class PrefixTrie:
    """Finds for each prompt the earlier one that shares most of its beginning.

    The hash is Python's own, which has another key in each process. A collision could only propose
    a prompt that shares less, and callers compare the texts themselves.
    """

    def __init__(self) -> None:
        self._latest: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def add(self, scope: str, text: bytes, visitor: int) -> TrieMatch | None:
        """Add a prompt; return its match in the same scope, None if no whole block matches."""
        return self.visit(self.nodes(scope, text), visitor)

    def nodes(self, scope: str, text: bytes) -> list[int]:
        """Return the node at the end of each whole block."""
        chained = hash(scope)
        nodes = []
        for end in range(BLOCK, len(text) + 1, BLOCK):
            chained = hash((chained, text[end - BLOCK : end]))
            nodes.append(chained)
        return nodes

    def visit(self, nodes: list[int], visitor: int) -> TrieMatch | None:
        """Visit these nodes as a prompt, given by its number; return its match."""
        # All nodes before a known node are known.
        blocks = bisect_left(nodes, True, key=lambda node: node not in self._latest)
        match = TrieMatch(self._latest[nodes[blocks - 1]], blocks) if blocks else None
        self._latest.update(dict.fromkeys(nodes, visitor))
        return match


class DeltaTexts:
    """The texts of a log's prompts, each stored as its difference from an earlier one."""

    def __init__(self) -> None:
        self._tails: list[bytes] = []
        self._bytes = 0
        self._parents = array("q")
        self._shared = array("q")
        self._lengths = array("q")

    def add(self, text: bytes, parent: int = -1, shared: int = 0) -> int:
        """Store a text whose first `shared` bytes are those of the text `parent`."""
        tail = text[shared:]
        self._bytes += len(tail)
        if len(tail) >= _COMPRESSED_FROM and self._bytes > _UNCOMPRESSED:
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
