"""The key: the specification of what makes two questions the same question.

Version 1. A key is a namespace, a format and a SHA-256, never truncated, over length-prefixed
parts: the version, the namespace, the format, the origin, the path, the headers that matter, the
canonical question and the sample's number. Length prefixes keep one part from running into the
next.

The canonical question is JSON with sorted object keys, arrays in order, no white space and
literal characters (an escape and its character are the same; NFC and NFD are not). `1`, `1.0` and
`1e0` are one number; `true` and `"1"` are others. Inside the protocol an absent member and a null
one are the same, and the providers' cache markers are not part of the question. Inside a caller's
own JSON (a tool's schema, a tool's arguments) every null and every name counts: see `Opaque`.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from askonce.core.errors import CallMalformed
from askonce.core.models import Key

VERSION = b"askonce-key-1"

CACHE_MARKERS = frozenset({"cache_control", "prompt_cache_breakpoint", "cachePoint"})
"""Members that steer a provider's own prompt cache; they never change an answer.

The one list of them: in a request they may occur at any depth outside a caller's own JSON."""

HEADERS_THAT_MATTER = (
    "anthropic-beta",
    "anthropic-version",
    "openai-beta",
    "openai-organization",
    "openai-project",
)


class Opaque:
    """A caller's own JSON inside a question: nulls and marker names in it are content."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Media:
    """A long payload (base64 image, audio, file) that enters the question as its SHA-256."""

    __slots__ = ("data",)

    def __init__(self, data: str) -> None:
        self.data = data


_encoder = msgspec.json.Encoder(order="sorted")


def canonical(tree: Any) -> bytes:
    """Return the canonical bytes of a question's tree.

    Raises `CallMalformed` for a value that JSON cannot represent: it would be written like another
    (an infinity like null), and two questions would share a key.
    """
    try:
        return _encoder.encode(_plain(tree))
    except RecursionError:
        raise CallMalformed("the body is nested too deeply") from None
    except ValueError as error:  # half a surrogate pair, an integer of thousands of digits
        raise CallMalformed(f"the body cannot be written as JSON: {error}") from error


class KeyContext:
    """Everything in a key but the question, hashed once.

    Parameters:
        namespace: whose entries these are.
        format_name: the name of the wire format.
        origin: the upstream's address. Default: none.
        path: the path without its query. Default: none.
        headers: the headers that matter, as pairs of lower-case name and value. Default: none.
    """

    __slots__ = ("_begun", "_format_name", "_namespace")

    def __init__(
        self,
        namespace: str,
        format_name: str,
        *,
        origin: str = "",
        path: str = "",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        parts = [VERSION, namespace.encode(), format_name.encode(), origin.encode(), path.encode()]
        for name, value in headers:
            parts.append(name.encode())
            parts.append(value.encode())
        self._begun = hashlib.sha256(b"".join([b"%d:%b" % (len(p), p) for p in parts]))
        self._namespace = namespace
        self._format_name = format_name

    def key(self, asked: Any, sample: int = 0) -> Key:
        """Return the key of a question, given as a tree; `sample` is its number in a pool."""
        question = canonical(asked)
        number = b"%d" % sample
        whole = self._begun.copy()
        whole.update(b"%d:%b%d:%b" % (len(question), question, len(number), number))
        return Key(self._namespace, self._format_name, whole.digest())


def key_of(
    namespace: str,
    format_name: str,
    asked: Any,
    *,
    origin: str = "",
    path: str = "",
    headers: Iterable[tuple[str, str]] = (),
    sample: int = 0,
) -> Key:
    """Return the key of a question in one call; see `KeyContext`."""
    context = KeyContext(namespace, format_name, origin=origin, path=path, headers=headers)
    return context.key(asked, sample)


class IdRenames:
    """Renames the n-th different ID to `#n`, so that random IDs do not change the key."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, identifier: Any) -> Any:
        if type(identifier) is not str:
            return identifier
        names = self._names
        return names.setdefault(identifier, f"#{len(names)}")


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return value
    if kind is dict:
        return {
            # Most members are texts; this check saves a call for each of them.
            name: member if type(member) is str else _plain(member)
            for name, member in value.items()
            if member is not None and name not in CACHE_MARKERS
        }
    if kind is list:
        return [_plain(item) for item in value]
    if kind is Opaque:
        return _opaque(value.value)
    if kind is Media:
        # Invalid JSON on purpose: no caller can send a text that looks like it.
        return msgspec.Raw(b"sha256(%b)" % hashlib.sha256(value.data.encode()).hexdigest().encode())
    return _scalar(value)


def _opaque(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: _opaque(member) for name, member in value.items()}
    if kind is list:
        return [_opaque(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            raise CallMalformed(f"{value} is not a number of JSON")
        if value.is_integer():
            value = int(value)
            kind = int
    if kind is int and not -(1 << 63) <= value < (1 << 63):
        # The encoder stops at 64 bits; the digits themselves are canonical.
        return msgspec.Raw(b"%d" % value)
    return value
