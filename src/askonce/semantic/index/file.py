"""The file of an index: sections of plain values and bytes, under one checksum.

    magic   4 bytes   "AskV"
    version 1 byte    1
    parts             each is a length (8 bytes, little-endian) and so many bytes: the header, then
                      for each section its description and its columns
    check   16 bytes  BLAKE2b over everything before it

The checksum is verified before anything else is read, because native code reads the graph. It finds
accidents. It is no signature: anyone who may write the file can forge an index.
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


class UnusableIndexFile(Exception):
    """The file cannot be used; the message says why."""


class MissingIndexFile(UnusableIndexFile):
    """There is no file."""


def save(path: Path, header: dict[str, Any], sections: Iterable[Section]) -> None:
    """Write the file and then replace the old one. Raises `StoreError`."""
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
    """Yield the sections of a whole file whose header has the expected values. Raises
    `UnusableIndexFile`."""
    try:
        with open(path, "rb") as file:
            end = _checked(file)
            file.seek(len(MAGIC) + 1)
            header = _plain(_part(file, end))
            for name, value in {**expected, "order": sys.byteorder}.items():
                if header.get(name) != value:
                    raise UnusableIndexFile(f"its {name} is different")
            while file.seek(0, os.SEEK_CUR) < end:
                about = _plain(_part(file, end))
                yield about, iter([_part(file, end) for _ in range(about["columns"])])
    except FileNotFoundError:
        raise MissingIndexFile("there is no file") from None
    except (OSError, MemoryError, LookupError, TypeError) as error:
        raise UnusableIndexFile(f"it cannot be read ({type(error).__name__})") from None


def _parts(header: dict[str, Any], sections: Iterable[Section]) -> Iterator[bytes]:
    yield msgspec.msgpack.encode(header)
    for about, columns in sections:
        yield msgspec.msgpack.encode({**about, "columns": len(columns)})
        yield from columns


def _checked(file: IO[bytes]) -> int:
    """Verify the checksum and return where the parts end."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(len(MAGIC) + 1)
    if size < len(MAGIC) + 1 + _CHECK_BYTES or not start.startswith(MAGIC):
        raise UnusableIndexFile("it is not an index")
    if start[-1] != VERSION:
        raise UnusableIndexFile(f"it has format {start[-1]}; this AskOnce reads {VERSION}")
    check = hashlib.blake2b(start, digest_size=_CHECK_BYTES)
    left = size - _CHECK_BYTES - len(start)
    while left > 0:
        data = file.read(min(_CHUNK, left))
        if not data:
            raise UnusableIndexFile("it is cut short")
        check.update(data)
        left -= len(data)
    if file.read() != check.digest():
        raise UnusableIndexFile("its checksum does not match")
    return size - _CHECK_BYTES


def _part(file: IO[bytes], end: int) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    if file.seek(0, os.SEEK_CUR) + length > end:
        raise UnusableIndexFile("a part of it goes beyond its end")
    return file.read(length)


def _plain(part: bytes) -> dict[str, Any]:
    try:
        return msgspec.msgpack.decode(part, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise UnusableIndexFile("a part of it cannot be read") from None
