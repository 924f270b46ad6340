"""Snapshots: hashes of a repository's prompts, which show a test that one changed, and where.

A snapshot contains no text. It holds, for each block of a prompt, its pointer and hashes of its
pieces, so that a change can be located to a few hundred bytes.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from askonce.prompts.requests.segments import RenderedPrompt

VERSION = 1
_PIECE = 256  # bytes


class SnapshotBlock(msgspec.Struct, frozen=True):
    """A block's pointer, its size in bytes and the hashes of its pieces, one after the other."""

    pointer: str
    size: int
    pieces: str


class Snapshot(msgspec.Struct, frozen=True):
    """One prompt: its dialect, a hash of all of it, and its blocks."""

    api: str
    digest: str
    blocks: tuple[SnapshotBlock, ...]


class Snapshots(msgspec.Struct, frozen=True):
    """The file: a snapshot for each prompt, by its name."""

    version: int
    prompts: dict[str, Snapshot]


class SnapshotChange(msgspec.Struct, frozen=True):
    """How a prompt differs from its snapshot, from `pointer` and `byte` on.

    `kept` is how many bytes of the prompt, which has `size` bytes, come before that place.
    """

    file: str
    what: str
    pointer: str = ""
    byte: int = 0
    kept: int = 0
    size: int = 0


def snapshot(rendered: RenderedPrompt) -> Snapshot:
    whole = blake2b(digest_size=16)
    blocks = []
    for segment in rendered.segments:
        whole.update(segment.frame + len(segment.data).to_bytes(8, "big") + segment.data)
        pieces = "".join(
            blake2b(segment.frame + segment.data[start : start + _PIECE], digest_size=4).hexdigest()
            for start in range(0, len(segment.data), _PIECE)
        )
        blocks.append(SnapshotBlock(segment.pointer, len(segment.data), pieces))
    return Snapshot(rendered.dialect, whole.hexdigest(), tuple(blocks))


def compare(before: Mapping[str, Snapshot], after: Mapping[str, Snapshot]) -> list[SnapshotChange]:
    """Return the changes, in the order of the names."""
    changes = []
    for name in sorted({*before, *after}):
        if name not in after:
            changes.append(SnapshotChange(name, "gone"))
        elif name not in before:
            changes.append(SnapshotChange(name, "new"))
        elif before[name].digest != after[name].digest:
            changes.append(_change(name, before[name], after[name]))
    return changes


def _change(name: str, before: Snapshot, after: Snapshot) -> SnapshotChange:
    size = sum(block.size for block in after.blocks)
    kept = 0
    for old, new in zip(before.blocks, after.blocks, strict=False):
        if (old.size, old.pieces) != (new.size, new.pieces):
            byte = min(_first_piece(old.pieces, new.pieces), new.size)
            return SnapshotChange(name, "changed", new.pointer, byte, kept + byte, size)
        kept += new.size
    longer: Sequence[SnapshotBlock] = max(before.blocks, after.blocks, key=len)
    shared = min(len(before.blocks), len(after.blocks))
    what = "longer" if len(after.blocks) > shared else "shorter"
    pointer = longer[shared].pointer if shared < len(longer) else ""
    return SnapshotChange(name, what, pointer, 0, kept, size)


def _first_piece(a: str, b: str) -> int:
    """Return the byte where the first differing piece begins; each hash has 8 digits."""
    place = 0
    while place < min(len(a), len(b)) and a[place : place + 8] == b[place : place + 8]:
        place += 8
    return place // 8 * _PIECE


def guess_api(request: Mapping[str, Any]) -> str | None:
    """Guess the dialect of a body by members that only one dialect has."""
    if "contents" in request:
        return "gemini"
    if "messages" not in request:
        return "responses" if "input" in request or "instructions" in request else None
    if "system" in request or "anthropic_version" in request or "stop_sequences" in request:
        return "messages"
    tools = request.get("tools")
    first = tools[0] if isinstance(tools, list) and tools else {}
    if isinstance(first, dict) and ("input_schema" in first or "function" in first):
        return "messages" if "input_schema" in first else "chat"
    model = request.get("model")
    return "messages" if isinstance(model, str) and "claude" in model else "chat"
