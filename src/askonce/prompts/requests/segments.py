"""Segments: a request as the canonical stream that a provider's prompt cache compares.

The stream is in the provider's own order and holds only what the prompt depends on: a cache marker
is removed and remembered in its segment. Two requests share a prefix as far as their segments are
equal in `frame` and `data`.
"""

import enum
import json
from functools import lru_cache
from typing import Any

import msgspec

from askonce.core.keys import CACHE_MARKERS

_encode = msgspec.json.Encoder().encode


class SegmentKind(enum.StrEnum):
    """Which part of the prompt a segment belongs to."""

    PARAMETERS = "parameters"
    TOOL = "tool"
    SYSTEM = "system"
    MESSAGE = "message"


class Segment(msgspec.Struct, frozen=True):
    """One block of a prompt.

    kind      the part of the prompt that it belongs to
    pointer   its place in the request (RFC 6901): a block, or a string that counts as one
    data      the bytes of a text; anything else as JSON, its members in the order they were sent in
    role      the role of its message; empty for tools and parameters
    form      the kind of block: `text`, `image`, `tool_use`, `tool_result`, `thinking` …
    marker    the lifetime that the client's own cache marker asks for; empty for the provider's
              default, None without a marker
    endpoint  a provider that caches by endpoints may end an entry here by itself
    position  how many content blocks come before it, as a look-back counts them: a run of tool
              calls, or of their results, counts as one
    """

    kind: SegmentKind
    pointer: str
    data: bytes
    role: str = ""
    form: str = ""
    marker: str | None = None
    endpoint: bool = False
    position: int = 0

    @property
    def frame(self) -> bytes:
        """The bytes that separate this block from the one before it in the stream."""
        return _frame(self.kind, self.role, self.form)


class CacheRequestMarks(msgspec.Struct, frozen=True):
    """What a request asks of the provider's cache, beside the markers of its blocks.

    automatic  the lifetime of a marker at the request's top level (Anthropic); None without one
    mode, ttl  OpenAI's `prompt_cache_options`, or its older `prompt_cache_retention`
    """

    automatic: str | None = None
    mode: str = ""
    ttl: str = ""


class RenderedPrompt(msgspec.Struct, frozen=True):
    """A request as the provider reads it; segment 0 holds the parameters that it depends on.

    `doubts` lists what is not understood, each with its pointer. If there is any, the segments are
    incomplete, and the request must not be rewritten.
    """

    dialect: str
    model: str
    segments: tuple[Segment, ...]
    caching: CacheRequestMarks = CacheRequestMarks()
    doubts: tuple[str, ...] = ()

    @property
    def is_understood(self) -> bool:
        return not self.doubts


@lru_cache(maxsize=4096)
def _frame(kind: SegmentKind, role: str, form: str) -> bytes:
    return f"\x1e{kind.value}\x1f{role}\x1f{form}\x1f".encode(errors="surrogatepass")


def json_bytes(value: Any) -> bytes:
    """Encode as JSON without white space, members in their own order; invalid Unicode too."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, ValueError, TypeError):
        # A lone surrogate is legal in JSON, and no number of another library may end a log.
        return json.dumps(value, separators=(",", ":"), default=str).encode()


def pointer_to(name: str, number: int | None = None) -> str:
    """Return the JSON pointer to a member of the request, or to one of its items."""
    if "~" in name or "/" in name:
        name = name.replace("~", "~0").replace("/", "~1")
    return f"/{name}" if number is None else f"/{name}/{number}"


def split_marker(block: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the lifetime of a block's marker, None without one, and the block without it."""
    if CACHE_MARKERS.isdisjoint(block):
        return None, block
    bare = {name: value for name, value in block.items() if name not in CACHE_MARKERS}
    marked = (block[name] for name in block if name in CACHE_MARKERS and block[name] is not None)
    found = next(marked, None)
    return (None if found is None else marker_ttl(found)), bare


def marker_ttl(marker: Any) -> str:
    """Return the lifetime that a marker asks for; empty for the provider's default."""
    ttl = marker.get("ttl") if isinstance(marker, dict) else None
    return ttl if isinstance(ttl, str) else ""
