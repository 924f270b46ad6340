"""Members: a JSON object or list taken apart so that what is not changed stays the sender's bytes.

Nothing here decodes more than one level, so no number, escape or order can change on the way.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Json = bytes | msgspec.Raw

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class NotUnderstood(Exception):
    """A request that nothing is done to; `reason` is the word for why."""

    def __init__(self, reason: str = "not-understood") -> None:
        super().__init__(reason)
        self.reason = reason


def members(raw: Json) -> dict[str, Json]:
    """An object's members. Raises NotUnderstood, also where one name stands there twice."""
    try:
        found: dict[str, Json] = dict(_members(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotUnderstood from None
    if not _is_whole(raw, found):
        _refuse_repeated(raw)
    return found


def items(raw: Json) -> list[bytes]:
    """A list's items. Raises NotUnderstood."""
    try:
        return list(map(bytes, _items(raw)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotUnderstood from None


def value(raw: Json) -> Any:
    """The whole value. Raises NotUnderstood."""
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotUnderstood from None


def text(raw: Json | None) -> str | None:
    """A text, or None for anything else. Raises NotUnderstood for a text that is none."""
    if raw is None or not is_text(raw):
        return None
    found = value(raw)
    return found if isinstance(found, str) else None


def is_text(raw: Json) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'


def is_list(raw: Json) -> bool:
    return bytes(memoryview(raw)[:1]) == b"["


def is_null(raw: Json | None) -> bool:
    return raw is None or bytes(memoryview(raw)[:4]) == b"null"


def whole(found: Mapping[str, Json]) -> bytes:
    """An object out of its members."""
    return _encode({name: msgspec.Raw(raw) for name, raw in found.items()})


def listed(found: Sequence[Json]) -> bytes:
    """A list out of its items."""
    return b"[" + b",".join(map(bytes, found)) + b"]"


def encoded(plain: Any, *, order: Literal["sorted"] | None = None) -> bytes:
    return _encode(plain) if order is None else _encode_sorted(plain)


def with_member(raw: Json, name: str, member: bytes) -> bytes:
    """An object with one more member, at its end; everything else is as it was."""
    head = bytes(raw).rstrip()
    if head[:1] != b"{" or head[-1:] != b"}":
        raise NotUnderstood
    inside = head[1:-1].strip()
    return head[:-1] + (b"," if inside else b"") + _encode(name) + b":" + member + b"}"


def _is_whole(raw: Json, found: Mapping[str, Json]) -> bool:
    """Do the members fill the object, so that no name can stand there twice?

    True for what SDKs and `json.dumps` write; whatever else has to be looked at.
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
