"""The envelope: the stored form of an entry, as bytes that verify themselves.

    magic   4 bytes   "AskE"
    version 1 byte    2; entries of 1 are under keys of version 1, all else is the same
    flags   1 byte    bit 0: the payload is one zstd frame
    payload           the whole entry, its key included, as MessagePack
    check   16 bytes  BLAKE2b over everything before it

Every store outside the process keeps envelopes. Reading one back gives the entry that was written
under that very key, or `EntryDamaged`: for a flipped bit, a cut, a blob under another key and a
format from the future. The check finds accidents. It is no signature: a program that may write to
the store may forge an entry.
"""

import hashlib
from collections import deque

import msgspec
import zstandard

from askonce.core.errors import EntryDamaged, StoreError
from askonce.core.models import Entry, Key
from askonce.core.response_headers import is_clean, is_name

MAGIC = b"AskE"
VERSION = 2
_OF_OLD_KEYS = 1
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""The largest entry, so that damaged or hostile bytes cannot claim gigabytes when unpacked."""

_ZSTD = 1
_ZSTD_LEVEL = 3
_WORTH_TRYING_BYTES = 2048
_WORTH_KEEPING = 0.9
_HEAD_BYTES = len(MAGIC) + 2
_CHECK_BYTES = 16

_MOST_SECONDS = 1e13  # since the Unix epoch: no clock and no lifetime gets there

# Decimal travels as text and is read back exactly; floats are IEEE doubles on both sides.
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def seal(entry: Entry) -> bytes:
    """Return the entry as bytes that `unseal` can verify.

    Raises `StoreError` if it is too large, or holds text that UTF-8 cannot encode (a lone
    surrogate) or a number of more than 64 bits.
    """
    try:
        payload = _encoder.encode(entry)
    except UnicodeEncodeError:
        # From None: the codec's message quotes the text.
        raise StoreError("the entry holds text that is not valid Unicode") from None
    except OverflowError:
        raise StoreError("the entry holds a number that is too large") from None
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise StoreError(f"the entry is larger than {MAX_PAYLOAD_BYTES} bytes")
    flags = 0
    # A small answer would save less than a page and take four times as long to read back.
    if len(entry.body) > _WORTH_TRYING_BYTES:
        packed = _pack(payload)
        if len(packed) <= len(payload) * _WORTH_KEEPING:
            payload, flags = packed, _ZSTD
    sealed = MAGIC + bytes((VERSION, flags)) + payload
    return sealed + _checksum(sealed)


def unseal(blob: object, key: Key) -> Entry:
    """Return the sealed entry, if `blob` is bytes that are whole and belong to `key`.

    Raises `EntryDamaged` otherwise; the message names the fault and never the content.
    """
    if not isinstance(blob, bytes):
        raise EntryDamaged("the stored value is not bytes")
    entry = unseal_any(blob)
    if entry.key != key:
        raise EntryDamaged("the entry belongs to another key")
    return entry


def fault_in(blob: object, key: Key) -> str | None:
    """Return what is wrong with a stored value; None if it is the whole entry of this key."""
    try:
        unseal(blob, key)
    except EntryDamaged as error:
        return str(error)
    return None


def unseal_any(blob: bytes) -> Entry:
    """Return the sealed entry, whatever its key: for archives, which do not sort by key.

    Raises `EntryDamaged` like `unseal`.
    """
    if len(blob) < _HEAD_BYTES + _CHECK_BYTES or not blob.startswith(MAGIC):
        raise EntryDamaged("the stored bytes are not an entry")
    version, flags = blob[4], blob[5]
    if version not in (_OF_OLD_KEYS, VERSION):
        raise EntryDamaged(_version_fault(version))
    view = memoryview(blob)
    if _checksum(view[:-_CHECK_BYTES]) != blob[-_CHECK_BYTES:]:
        raise EntryDamaged("the entry's checksum does not match")
    payload = view[_HEAD_BYTES:-_CHECK_BYTES]
    try:
        entry = _decoder.decode(_unpack(payload, flags) if flags else payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # From None: the decoder's message may quote what it read.
        raise EntryDamaged(f"the entry cannot be decoded ({type(error).__name__})") from None
    if version == _OF_OLD_KEYS:
        entry = msgspec.structs.replace(entry, key_version=1)
    if (fault := _value_fault(entry)) is not None:
        raise EntryDamaged(fault)
    return entry


def _value_fault(entry: Entry) -> str | None:
    """Return which value of an entry no cache writes; None if there is none.

    A reply of such values could not be written, or would never end to be served.
    """
    if not 200 <= entry.status <= 599:
        return "the entry has a status that is no answer's"
    if not all(is_name(name) and is_clean(value) for name, value in entry.headers):
        return "the entry has a header that cannot be written"
    times = (entry.created, entry.expires, entry.stale_until, entry.latency_ms)
    if not all(abs(time) < _MOST_SECONDS for time in times):  # never true of NaN
        return "the entry has a time that no clock shows"
    if entry.cost_usd is not None and not entry.cost_usd.is_finite():
        return "the entry has a cost that is no amount"
    return None


def _checksum(sealed: bytes | memoryview) -> bytes:
    return hashlib.blake2b(sealed, digest_size=_CHECK_BYTES).digest()


def _version_fault(version: int) -> str:
    if version > VERSION:
        return f"the entry has format {version}; this AskOnce reads up to {VERSION}: upgrade it"
    return f"the entry has format {version}, which never existed"


def _unpack(payload: memoryview, flags: int) -> bytes:
    """Unpack the payload of a compressed envelope, of at most `MAX_PAYLOAD_BYTES`."""
    if flags != _ZSTD:
        raise EntryDamaged(f"the entry has unknown flags {flags:#x}")
    try:
        # The frame states its size, and zstd then writes no byte more. We check it here, because
        # `max_output_size` does not apply to a frame that states its size.
        size = zstandard.frame_content_size(payload)
        if not 0 <= size <= MAX_PAYLOAD_BYTES:
            raise EntryDamaged(f"the entry would unpack to more than {MAX_PAYLOAD_BYTES} bytes")
        unpacker = _unpackers.pop()
    except IndexError:
        unpacker = zstandard.ZstdDecompressor()
    except zstandard.ZstdError as error:
        raise EntryDamaged("the entry cannot be unpacked") from error
    try:
        return unpacker.decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise EntryDamaged("the entry cannot be unpacked") from error
    finally:
        _unpackers.append(unpacker)


# Making one costs more than using it. A thread takes one out of the deque and puts it back, and
# both steps are atomic: one shared by two threads would corrupt their output.
_packers: deque[zstandard.ZstdCompressor] = deque(maxlen=8)
_unpackers: deque[zstandard.ZstdDecompressor] = deque(maxlen=8)


def _pack(payload: bytes) -> bytes:
    try:
        packer = _packers.pop()
    except IndexError:
        packer = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    try:
        return packer.compress(payload)
    finally:
        _packers.append(packer)
