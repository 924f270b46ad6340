"""The key: the specification of what makes two questions the same question.

Version 2. A key is a namespace, a format and a SHA-256, never truncated, over length-prefixed
parts: the version, the namespace, the format, the origin, the path, the headers that are part of
the question (see `request_headers.py`), the canonical question and the sample's number. Length
prefixes keep one part from running into the next.

The canonical question is JSON with sorted object keys, arrays in order, no white space and
literal characters (an escape and its character are the same; NFC and NFD are not). `1`, `1.0` and
`1e0` are one number; `true` and `"1"` are others. Numbers that differ differ, beyond the precision
of a float too (see `ExactNumber`). Inside the protocol an absent member and a null one are the
same, and the providers' cache markers are not part of the question. Inside a caller's own JSON (a
schema, a tool's arguments) every null and every name counts, and so does the order of members,
because a model writes in the order of a schema: see `Opaque`.
"""

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from askonce.core.errors import CallMalformed
from askonce.core.models import KEY_VERSION, Key

VERSION = b"askonce-key-%d" % KEY_VERSION

CACHE_MARKERS = frozenset({"cache_control", "prompt_cache_breakpoint", "cachePoint"})
"""Members that steer a provider's own prompt cache; they never change an answer.

The one list of them: in a request they may occur at any depth outside a caller's own JSON."""

_EXACT_DIGITS = 15
"""Any number of so many significant digits has a float64 of its own (IEEE 754)."""
_EXACT_INTEGERS = 1 << 53


class ExactNumber(float):
    """A number of JSON that has more digits than a float; it is a float to everything else.

    Parameters:
        digits: the number in canonical form, as text.
    """

    digits: str

    def __new__(cls, value: float, digits: str) -> "ExactNumber":
        number = super().__new__(cls, value)
        number.digits = digits
        return number


def exact_number(text: str) -> float | int:
    """Read a number of JSON that has a fraction or an exponent, without losing digits.

    Parameters:
        text: the number as JSON writes it; the hook for floats of a JSON decoder.
    """
    value = float(text)
    number = Decimal(text)
    if not math.isfinite(value) or (value == 0 and number):
        return ExactNumber(value, _plain_digits(number))  # too large or too small for a float
    if abs(value) >= _EXACT_INTEGERS and number == int(number):
        return int(number)
    digits = _plain_digits(number)
    significant = len(digits.lstrip("-").partition("E")[0])
    return ExactNumber(value, digits) if significant > _EXACT_DIGITS else value


def _plain_digits(number: Decimal) -> str:
    """Write a number in one way: its significant digits and an exponent."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    assert isinstance(exponent, int)
    return f"{'-' if sign else ''}{kept.lstrip('0')}E{exponent + len(text) - len(kept)}"


class Opaque:
    """A caller's own JSON inside a question: nulls, marker names and member order are content."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Media:
    """A long payload (base64 image, audio, file) that enters the question as its SHA-256."""

    __slots__ = ("data",)

    def __init__(self, data: str) -> None:
        self.data = data


_encoder = msgspec.json.Encoder(order="sorted")
_encode_in_order = msgspec.json.Encoder().encode


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
    """Renames the n-th different ID to `#n`, so that random IDs do not change the key.

    An ID that a text of the conversation names is content, and keeps its name: see `named_in`.

    Parameters:
        kept: IDs that keep their names. Default: none.
    """

    __slots__ = ("_kept", "_names")

    def __init__(self, kept: Collection[str] = ()) -> None:
        self._names: dict[str, str] = {}
        self._kept = kept

    def __call__(self, identifier: Any) -> Any:
        if type(identifier) is not str:
            return identifier
        names = self._names
        if identifier in self._kept:
            # A list: no caller's own ID, a text, can look like it.
            return [identifier]
        return names.setdefault(identifier, f"#{len(names)}")

    def named_in(self, tree: Any) -> frozenset[str]:
        """Return the renamed IDs that occur in a text of the tree, which has new names for them."""
        if not self._names:
            return frozenset()
        new = frozenset(self._names.values())
        words = "\0".join([text for text in _texts_of(tree) if text not in new])
        return frozenset(
            name
            for name in self._names
            if name in words and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words)
        )


def _texts_of(tree: Any) -> Iterator[str]:
    """Yield every text in a question's tree, names of members too."""
    kind = type(tree)
    if kind is str:
        yield tree
    elif kind is dict:
        for name, member in tree.items():
            yield name
            yield from _texts_of(member)
    elif kind is list:
        for item in tree:
            yield from _texts_of(item)
    elif kind is Opaque:
        yield from _texts_of(tree.value)


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
        return msgspec.Raw(_encode_in_order(_opaque(value.value)))
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
    if kind is ExactNumber:
        return msgspec.Raw(value.digits.encode())
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
