"""The file of an index: sections, each of plain values and bytes, under one checksum.

    magic   4 bytes   "AskV"
    version 1 byte    1
    parts             each its length (8 bytes, little-endian) and its bytes: the header, then of
                      each section what it says of itself and its columns
    check   16 bytes  BLAKE2b over all that stands before

The whole file is checked before any of it is believed: what reads a graph is native code. The
check finds accidents. It is no signature: whoever may write the file may forge an index.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from askonce.core.errors import StoreError

MAGIC = b"AskV"
VERSION = 1
_CHECK_BYTES = 16
_CHUNK = 1 << 20

Section = tuple[dict[str, Any], list[bytes]]


class Unusable(Exception):
    """A file that cannot be used, and why."""


class Missing(Unusable):
    """There is no file."""


def save(path: Path, header: dict[str, Any], sections: Iterable[Section]) -> None:
    """Write the file anew; until that is done the old one stays. Raises `StoreError`."""
    try:
        handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".new", dir=path.parent)
    except OSError as error:
        raise StoreError(f"the index cannot be saved ({error.strerror})") from None
    try:
        with open(handle, "wb") as out:
            check = hashlib.blake2b(digest_size=_CHECK_BYTES)

            def put(data: bytes) -> None:
                check.update(data)
                out.write(data)

            put(MAGIC + bytes((VERSION,)))
            for part in _parts(header | {"order": sys.byteorder}, sections):
                put(len(part).to_bytes(8, "little"))
                put(part)
            out.write(check.digest())
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise StoreError(f"the index cannot be saved ({error.strerror})") from None


def load(path: Path, expected: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Iterator[bytes]]]:
    """The sections of a whole file whose header has the values expected. Raises `Unusable`."""
    try:
        with open(path, "rb") as file:
            end = _checked(file)
            file.seek(len(MAGIC) + 1)
            header = _plain(_part(file, end))
            for name, value in {**expected, "order": sys.byteorder}.items():
                if header.get(name) != value:
                    raise Unusable(f"its {name} is another one")
            while file.tell() < end:
                about = _plain(_part(file, end))
                yield about, iter([_part(file, end) for _ in range(about["columns"])])
    except FileNotFoundError:
        raise Missing("there is none") from None
    except (OSError, MemoryError, LookupError, TypeError) as error:
        raise Unusable(f"it cannot be read ({type(error).__name__})") from None


def _parts(header: dict[str, Any], sections: Iterable[Section]) -> Iterator[bytes]:
    yield msgspec.msgpack.encode(header)
    for about, columns in sections:
        yield msgspec.msgpack.encode({**about, "columns": len(columns)})
        yield from columns


def _checked(file: IO[bytes]) -> int:
    """Where the parts of a file end that is whole."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(len(MAGIC) + 1)
    if size < len(MAGIC) + 1 + _CHECK_BYTES or not start.startswith(MAGIC):
        raise Unusable("it is not an index")
    if start[-1] != VERSION:
        raise Unusable(f"it has format {start[-1]}; this AskOnce reads {VERSION}")
    check = hashlib.blake2b(start, digest_size=_CHECK_BYTES)
    left = size - _CHECK_BYTES - len(start)
    while left > 0:
        data = file.read(min(_CHUNK, left))
        if not data:
            raise Unusable("it is cut short")
        check.update(data)
        left -= len(data)
    if file.read() != check.digest():
        raise Unusable("its checksum does not match")
    return size - _CHECK_BYTES


def _part(file: IO[bytes], end: int) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    if file.tell() + length > end:
        raise Unusable("a part of it goes beyond its end")
    return file.read(length)


def _plain(part: bytes) -> dict[str, Any]:
    try:
        return msgspec.msgpack.decode(part, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise Unusable("a part of it cannot be read") from None
