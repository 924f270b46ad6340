"""The archive: a file of entries that moves them from one store to another.

    header   one line of JSON that names the format: {"askonce": "archive", "version": 1, ...}
    entry    "E", the length in 4 bytes (big-endian), one envelope (see `stores/envelope.py`);
             as many of these as there are entries
    footer   "F", the length in 4 bytes, JSON: the number of entries before it, and the
             invalidations that came while they were collected
    check    16 bytes, BLAKE2b over everything before it

`docs/guides/moving.md` describes every field. A name that ends in `.gz` or `.zst` means that the
whole file is compressed, as gzip members or zstd frames that usual tools read as one. An archive
without its footer was cut and is refused, as is one with a changed byte.
"""

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO, cast

import msgspec
import zstandard

from askonce.core.errors import StoreError
from askonce.core.models import Entry, Selection
from askonce.stores.envelope import MAX_PAYLOAD_BYTES, seal, unseal_any

VERSION = 1

_BLOCK_BYTES = 1 << 20
_LONGEST_LINE = 64 << 10
_LONGEST_FRAME = MAX_PAYLOAD_BYTES + 1_024
_CHECK_BYTES = 16


class ArchiveHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `created` is seconds since the Unix epoch, `pepper` the old store's."""

    askonce: str = "archive"
    version: int = VERSION
    made_by: str
    created: float
    pepper: bytes
    namespace: str | None = None

    def __repr__(self) -> str:
        return f"Header(version={self.version}, made_by={self.made_by!r})"


class ArchiveFooter(msgspec.Struct, frozen=True, kw_only=True):
    """The part after the entries: an entry with an older epoch, or a removed one, is not valid."""

    entries: int
    epochs: dict[str, int] = {}
    removed: tuple[Selection, ...] = ()


class ArchiveDamaged(StoreError):
    """The file is no archive, or not a whole one."""


class ArchiveWriter:
    """Writes an archive to a file, in blocks that are each complete by themselves.

    `offset` is where the last complete block ends: a file that is cut there can be continued.

    Parameters:
        file: open for writing, in binary mode.
        name: the file's name; its ending chooses the compression.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.entries = 0
        self.offset = 0
        self._file = file
        self._pack = packing(name)
        self._check = _new_check()
        self._block: list[bytes] = []
        self._size = 0

    def begin(self, header: ArchiveHeader) -> None:
        """Write the header of a new archive."""
        self._add(msgspec.json.encode(header) + b"\n")
        self.flush()

    def go_on(self, entries: int, offset: int, check: Any) -> None:
        """Continue an archive after the entries that a reader has found in it."""
        self.entries, self.offset, self._check = entries, offset, check

    def add(self, entry: Entry) -> bool:
        """Add an entry; return whether it completed a block."""
        self._add(_frame(b"E", seal(entry)))
        self.entries += 1
        if self._size < _BLOCK_BYTES:
            return False
        self.flush()
        return True

    def end(self, footer: ArchiveFooter) -> None:
        """Write the footer and the checksum."""
        self._add(_frame(b"F", msgspec.json.encode(footer)))
        self._block.append(self._check.digest())
        self.flush()

    def flush(self) -> None:
        """Complete the block and write it to the file."""
        packed = self._pack(b"".join(self._block))
        self._block, self._size = [], 0
        self._file.write(packed)
        self._file.flush()
        self.offset += len(packed)

    def _add(self, frame: bytes) -> None:
        self._check.update(frame)
        self._block.append(frame)
        self._size += len(frame)


class ArchiveReader:
    """Reads an archive and checks all of it. Raises `ArchiveDamaged`.

    Parameters:
        file: open for reading, in binary mode; it need not be seekable.
        name: the file's name, for the compression and in errors.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.count = 0
        self.check = _new_check()
        self.footer: ArchiveFooter | None = None
        self._name = name
        self._file = unpacking(file, name)
        with self._reading():
            line = self._file.readline(_LONGEST_LINE)
        self.check.update(line)
        self.header = self._header(line)

    def entries(self) -> Iterator[Entry]:
        """Yield all entries, then set `footer`."""
        for frame in self.frames():
            try:
                yield unseal_any(frame)
            except StoreError as error:
                raise ArchiveDamaged(f"{self._name}: is damaged: {error}") from None

    def frames(self) -> Iterator[bytes]:
        """Yield the envelopes of all entries unopened, then set `footer`."""
        while True:
            head = self._read(5)
            kind, size = head[:1], int.from_bytes(head[1:], "big")
            if kind not in (b"E", b"F") or size > _LONGEST_FRAME:
                raise ArchiveDamaged(f"{self._name}: is damaged after {self.count} entries")
            body = self._read(size)
            self.check.update(head)
            self.check.update(body)
            if kind == b"F":
                self._end(body)
                return
            self.count += 1
            yield body

    def _end(self, body: bytes) -> None:
        whole = self._read(_CHECK_BYTES) == self.check.digest()
        with self._reading():
            whole = whole and not self._file.read(1)
        footer = _decoded(body, ArchiveFooter)
        if not whole or footer is None or footer.entries != self.count:
            raise ArchiveDamaged(f"{self._name}: is damaged: its checksum does not match")
        self.footer = footer

    def _header(self, line: bytes) -> ArchiveHeader:
        fields = _decoded(line, dict[str, Any])
        if fields is None or fields.get("askonce") != "archive" or not line.endswith(b"\n"):
            raise ArchiveDamaged(f"{self._name}: is not an archive that `askonce export` wrote")
        version = fields.get("version")
        if isinstance(version, int) and version > VERSION:
            raise ArchiveDamaged(
                f"{self._name}: has format {version}; this AskOnce reads up to {VERSION}: upgrade"
            )
        header: ArchiveHeader | None = _decoded(line, ArchiveHeader)
        if header is None or header.version != VERSION or len(header.pepper) != 32:
            raise ArchiveDamaged(f"{self._name}: is damaged: its first line makes no sense")
        return header

    def _read(self, size: int) -> bytes:
        with self._reading():
            found = self._file.read(size)
            if len(found) == size:
                return found
        raise ArchiveDamaged(
            f"{self._name}: ends too early, after {self.count} entries; copy or export it again"
        )

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError):
            raise ArchiveDamaged(f"{self._name}: is damaged: it cannot be unpacked") from None
        except EOFError:
            raise ArchiveDamaged(f"{self._name}: ends too early; copy or export it again") from None


def packing(name: str) -> Callable[[bytes], bytes]:
    """Return the compression of one block, chosen by the file's name."""
    if name.endswith(".gz"):
        return lambda block: gzip.compress(block, 6, mtime=0)
    if name.endswith(".zst"):
        return lambda block: zstandard.ZstdCompressor(level=3).compress(block)
    return lambda block: block


def unpacking(file: BinaryIO, name: str) -> IO[bytes]:
    """Return the file's unpacked content; the file need not be seekable."""
    if name.endswith(".gz"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))
    if name.endswith(".zst"):
        packed = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True, closefd=False
        )
        return cast("IO[bytes]", io.BufferedReader(packed, _BLOCK_BYTES))
    return file


def _new_check() -> Any:
    return hashlib.blake2b(digest_size=_CHECK_BYTES)


def _frame(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "big") + body


def _decoded(data: bytes, type_: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
