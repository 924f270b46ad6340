"""Content encodings of request bodies: a compressed question is the same question.

A body is decoded for its key only; it goes on to the provider as it came. Decoding is bounded at
every step, so a small body cannot become a large one.
"""

import importlib
import importlib.util
import zlib
from collections.abc import Callable
from typing import Any

import zstandard

from askonce.core.models import Reason

# At once, because an import in an event loop would stop it; None where it is not installed.
_brotli_library: Any = (
    importlib.import_module("brotli") if importlib.util.find_spec("brotli") else None
)

CODINGS = ("gzip", "x-gzip", "deflate", "zstd", "br")
"""The content codings that are decoded, besides `identity`; `br` needs the library `brotli`."""

MOST_CODINGS = 4
"""Codings that may be stacked on one body."""

_MOST_FRAMES = 16  # members of a gzip body, frames of a zstd one; real clients write one
_ZSTD_WINDOW = 1 << 23  # bytes; RFC 9659 lets a decoder of HTTP refuse larger ones
_GZIP, _ZLIB, _RAW = 31, 15, -15  # what `zlib` calls the three containers


class _Broken(Exception):
    """The bytes are not what their coding says."""


class _TooLarge(Exception):
    """The decoded bytes would be more than allowed."""


class _Missing(Exception):
    """No library that is installed decodes this."""


def decoded(body: bytes, codings: tuple[str, ...], most: int) -> bytes | Reason:
    """Return a body without its codings, or the reason why it has no key.

    Parameters:
        body: the bytes as received.
        codings: their codings, in the order in which they were applied; see
            `core.content_encoding`.
        most: the largest size in bytes that the body may have at any step.
    """
    if len(codings) > MOST_CODINGS:
        return Reason.TOO_LARGE
    if not all(coding in _DECODERS for coding in codings):
        return Reason.UNKNOWN_ENCODING
    try:
        for coding in reversed(codings):
            body = _DECODERS[coding](body, most)
    except _TooLarge:
        return Reason.TOO_LARGE
    except _Missing:
        return Reason.UNKNOWN_ENCODING
    except _Broken:
        return Reason.MALFORMED
    return body


def _gzip(body: bytes, most: int) -> bytes:
    parts: list[bytes] = []
    left = most
    for _ in range(_MOST_FRAMES):
        part, body = _inflate(body, _GZIP, left)
        parts.append(part)
        left -= len(part)
        if not body:
            return b"".join(parts)
    raise _Broken


def _deflate(body: bytes, most: int) -> bytes:
    """Decode `deflate`: with the header of zlib, or without, as some clients write it."""
    try:
        whole, rest = _inflate(body, _ZLIB, most)
    except _Broken:
        whole, rest = _inflate(body, _RAW, most)
    if rest:
        raise _Broken
    return whole


def _inflate(body: bytes, container: int, most: int) -> tuple[bytes, bytes]:
    """Return the decoded bytes of one member, and the bytes behind it."""
    decoder = zlib.decompressobj(container)
    try:
        whole = decoder.decompress(body, most + 1)
    except zlib.error:
        raise _Broken from None
    if len(whole) > most:
        raise _TooLarge
    if not decoder.eof:
        raise _Broken
    return whole, decoder.unused_data


def _zstd(body: bytes, most: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    try:
        # The reader stops at a size but accepts a cut body; the other way round below.
        with decoder.stream_reader(body, read_across_frames=True) as reader:
            if len(reader.read(most + 1)) > most:
                raise _TooLarge
        parts: list[bytes] = []
        for _ in range(_MOST_FRAMES):
            frame = decoder.decompressobj()
            parts.append(frame.decompress(body))
            if not frame.eof:
                raise _Broken
            body = frame.unused_data
            if not body:
                return b"".join(parts)
    except zstandard.ZstdError:
        raise _Broken from None
    raise _Broken


def _brotli(body: bytes, most: int) -> bytes:
    if _brotli_library is None:
        raise _Missing
    decoder = _brotli_library.Decompressor()
    try:
        whole: bytes = decoder.process(body, output_buffer_limit=most + 1)
    except TypeError:  # before 1.2 it had no limit
        raise _Missing from None
    except _brotli_library.error:
        raise _Broken from None
    if len(whole) > most:
        raise _TooLarge
    if not decoder.is_finished():
        raise _Broken
    return whole


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "br": _brotli,
}
