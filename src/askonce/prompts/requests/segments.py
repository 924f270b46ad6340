"""Segments: a request as the canonical stream that a provider's prompt cache compares.

The stream is in the provider's own order and holds nothing that the prompt does not depend on: a
marker is taken out and remembered beside its segment. Two requests share a prefix as far as their
segments are equal in `frame` and `data`.
"""

import enum
import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode

MARKERS = ("cache_control", "prompt_cache_breakpoint")
"""The members that mark a block, in any dialect; a block that has one is otherwise the same."""


class Kind(enum.StrEnum):
    """Which part of the prompt a segment belongs to."""

    PARAMETERS = "parameters"
    TOOL = "tool"
    SYSTEM = "system"
    MESSAGE = "message"


class SegmentMarker(msgspec.Struct, frozen=True):
    """A marker that the client set itself; `ttl` is empty where it left that to the provider."""

    syntax: str
    ttl: str
    pointer: str


class Segment(msgspec.Struct, frozen=True):
    """One block of a prompt.

    pointer   where it stands in the request (RFC 6901): a block, or the string that is one
    data      a text's own bytes; anything else as JSON, its members in the order they were sent in
    form      what kind of block it is: `text`, `image`, `tool_use`, `tool_result`, `thinking` …
    markable  the dialect lets this block carry a marker (a string has to become a list first)
    endpoint  a provider that caches by endpoints may end an entry here by itself
    position  how many content blocks come before it, as a look-back counts them: a run of tool
              calls, or of their results, is one
    """

    kind: Kind
    pointer: str
    data: bytes
    role: str = ""
    form: str = ""
    marker: SegmentMarker | None = None
    markable: bool = False
    endpoint: bool = False
    position: int = 0

    @property
    def frame(self) -> bytes:
        """What sets this block apart from the one before it in the stream."""
        return _frame(self.kind, self.role, self.form)


class RequestedCaching(msgspec.Struct, frozen=True):
    """What a request itself says about the provider's cache, beside the markers of its blocks.

    `automatic` is a marker at the request's top level (Anthropic); `mode` and `ttl` are OpenAI's
    `prompt_cache_options` (or its older `prompt_cache_retention`), `key` whatever field routes or
    isolates.
    """

    automatic: SegmentMarker | None = None
    mode: str = ""
    ttl: str = ""
    key: str = ""


class Rendered(msgspec.Struct, frozen=True):
    """A request as the provider reads it; segment 0 holds the parameters that it depends on.

    `doubts` says what is not understood, each with its pointer. With any, the segments are what
    could be read, and the request must not be rewritten.
    """

    dialect: str
    model: str
    segments: tuple[Segment, ...]
    asked: RequestedCaching = RequestedCaching()
    doubts: tuple[str, ...] = ()

    @property
    def is_understood(self) -> bool:
        return not self.doubts

    @property
    def markers(self) -> tuple[SegmentMarker, ...]:
        """The client's own, in the order of the stream."""
        return tuple(one.marker for one in self.segments if one.marker is not None)


def prefix_digests(segments: Iterable[Segment], scope: bytes = b"") -> list[bytes]:
    """For each segment, 16 bytes that stand for everything up to its end.

    `scope` (a tenant, say) sets apart what must not be shared; as a secret of at most 64 bytes it
    makes the digests keyed hashes.
    """
    chained, digests = hashlib.blake2b(key=scope, digest_size=16), []
    update, digest = chained.update, chained.digest
    for segment in segments:
        data = segment.data
        update(_frame(segment.kind, segment.role, segment.form) + len(data).to_bytes(8, "big"))
        update(data)
        digests.append(digest())
    return digests


@lru_cache(maxsize=4096)
def _frame(kind: Kind, role: str, form: str) -> bytes:
    return f"\x1e{kind.value}\x1f{role}\x1f{form}\x1f".encode(errors="surrogatepass")


def json_bytes(value: Any) -> bytes:
    """JSON without white space, members in their own order; also of text that is not Unicode."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, ValueError, TypeError):
        # A lone surrogate is legal in JSON, and no number of another library ends a log.
        return json.dumps(value, separators=(",", ":"), default=str).encode()


def text_bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def pointed(name: str, number: int | None = None) -> str:
    """A JSON pointer to a member, or to one of its items."""
    if "~" in name or "/" in name:
        name = name.replace("~", "~0").replace("/", "~1")
    return f"/{name}" if number is None else f"/{name}/{number}"


class SegmentWriter:
    """Collects a prompt's segments: takes markers out, counts positions, keeps what is in doubt."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.doubts: list[str] = []
        self._position = 0
        self._run = ""

    def doubt(self, pointer: str, why: str) -> None:
        self.doubts.append(f"{pointer or '/'}: {why}")

    def parameters(self, found: dict[str, Any], *, always: bool = False) -> None:
        """Parameters that the prompt depends on from here on."""
        if found or always:
            self.segments.append(Segment(Kind.PARAMETERS, "", json_bytes(found)))

    def text(
        self,
        kind: Kind,
        pointer: str,
        text: str,
        role: str = "",
        *,
        markable: bool = False,
        marker: SegmentMarker | None = None,
    ) -> None:
        """A block of text, given as a string or as a block that says no more than it."""
        self._add(Segment(kind, pointer, text_bytes(text), role, "text", marker, markable))

    def block(
        self,
        kind: Kind,
        pointer: str,
        block: dict[str, Any],
        form: str,
        role: str = "",
        *,
        markable: bool = False,
    ) -> None:
        """A block of any other form, whole but for its marker."""
        marker, bare = taken_out(block, pointer)
        self._add(Segment(kind, pointer, json_bytes(bare), role, form, marker, markable))

    def mark_last(self, marker: SegmentMarker) -> None:
        """A marker that stands for one at the last block, which has none itself."""
        if self.segments and self.segments[-1].marker is None:
            self.segments[-1] = msgspec.structs.replace(self.segments[-1], marker=marker)

    def end_message(self, *, is_endpoint: bool) -> None:
        """The segments so far end a message."""
        if is_endpoint and self.segments:
            last = self.segments[-1]
            self.segments[-1] = msgspec.structs.replace(last, endpoint=True)

    def _add(self, segment: Segment) -> None:
        if segment.form == "fields":
            self.segments.append(msgspec.structs.replace(segment, position=self._position))
            return
        # A run of calls or of results is one position; anything else is one by itself.
        run = segment.form if segment.form in ("tool_use", "tool_result") else ""
        if self._run and run == self._run:
            self._position -= 1
        self._run = run
        self.segments.append(msgspec.structs.replace(segment, position=self._position))
        self._position += 1


def taken_out(block: dict[str, Any], pointer: str) -> tuple[SegmentMarker | None, dict[str, Any]]:
    """A block's marker, and the block without it; the same object where it has none."""
    if not any(name in block for name in MARKERS):
        return None, block
    bare = {name: value for name, value in block.items() if name not in MARKERS}
    for name in MARKERS:
        if block.get(name) is not None:
            return marker_of(name, block[name], f"{pointer}/{name}"), bare
    return None, bare


def marker_of(syntax: str, value: Any, pointer: str) -> SegmentMarker:
    ttl = value.get("ttl") if isinstance(value, dict) else None
    return SegmentMarker(syntax, ttl if isinstance(ttl, str) else "", pointer)
