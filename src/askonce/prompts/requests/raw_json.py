"""JSON objects and lists taken apart one level at a time.

Unchanged parts stay the sender's own bytes, so no number, escape or order can change on the way.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Json = bytes | msgspec.Raw
"""One JSON value, not decoded."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class NotUnderstood(Exception):
    """A request that the optimizer must not touch.

    Parameters:
        reason: the word under which it is counted.
    """

    def __init__(self, reason: str = "not-understood") -> None:
        super().__init__(reason)
        self.reason = reason


def parse_object(raw: Json) -> dict[str, Json]:
    """Return an object's members. Raises NotUnderstood, also if a name occurs twice."""
    try:
        found: dict[str, Json] = dict(_members(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotUnderstood from None
    if not _is_whole(raw, found):
        _refuse_repeated(raw)
    return found


def parse_list(raw: Json) -> list[bytes]:
    """Return a list's items. Raises NotUnderstood."""
    try:
        return list(map(bytes, _items(raw)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotUnderstood from None


def parse_value(raw: Json) -> Any:
    """Decode a value. Raises NotUnderstood."""
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotUnderstood from None


def parse_text(raw: Json | None) -> str | None:
    """Decode a text; None for any other value. Raises NotUnderstood for an invalid text."""
    if raw is None or not is_text(raw):
        return None
    found = parse_value(raw)
    return found if isinstance(found, str) else None


def is_text(raw: Json) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'


def is_list(raw: Json) -> bool:
    return bytes(memoryview(raw)[:1]) == b"["


def is_object(raw: Json) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def is_null(raw: Json | None) -> bool:
    return raw is None or bytes(memoryview(raw)[:4]) == b"null"


def join_object(found: Mapping[str, Json]) -> bytes:
    """Encode an object from its members."""
    return _encode({name: msgspec.Raw(raw) for name, raw in found.items()})


def join_list(found: Sequence[Json]) -> bytes:
    """Encode a list from its items."""
    return b"[" + b",".join(map(bytes, found)) + b"]"


def encode(plain: Any, *, order: Literal["sorted"] | None = None) -> bytes:
    return _encode(plain) if order is None else _encode_sorted(plain)


def append_member(raw: Json, name: str, member: bytes) -> bytes:
    """Append a member to an object and keep all other bytes."""
    head = bytes(raw).rstrip()
    if head[:1] != b"{" or head[-1:] != b"}":
        raise NotUnderstood
    inside = head[1:-1].strip()
    return head[:-1] + (b"," if inside else b"") + _encode(name) + b":" + member + b"}"


def _is_whole(raw: Json, found: Mapping[str, Json]) -> bool:
    """Check by size that the members fill the object, so that no name can occur twice.

    True for the output of SDKs and of `json.dumps`; any other object is parsed again.
    """
    count = len(found)
    if not count:
        return len(memoryview(raw)) == 2
    filled = sum([len(memoryview(member)) for member in found.values()])
    filled += sum([len(name.encode()) + 2 for name in found])
    left = len(memoryview(raw)) - filled - 2 * count - 1
    if left == 0:
        return True
    spaced = _encode(next(iter(found))) + b": "
    return left == 2 * count - 1 and bytes(memoryview(raw)[1 : len(spaced) + 1]) == spaced


def _refuse_repeated(raw: Json) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            raise NotUnderstood

    try:
        json.loads(bytes(raw), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise NotUnderstood from None
