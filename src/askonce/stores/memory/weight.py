"""The weight of an entry: the bytes of process memory that its objects take.

The formula charges bodies and texts, but also the Python objects around them, the slots of hash
tables and what the allocator adds. Tests compare it with `tracemalloc`, the benchmark with the
resident size of the process. One copy of each text that many entries have, such as models and
tags, is shared, and no entry is charged for it.
"""

import sys
from collections.abc import Callable, Mapping

from askonce.core.models import Entry, Key, Shape, Usage

# Hash tables grow in steps; this is the size of one slot right after a table has grown.
DICT_SLOT_BYTES = 120
NUMBER_BYTES = 32
"""Any float or int that is an object of its own."""

# An unpriced answer still has to compete where the cheapest leave first. It gets the price of
# tokens at the low end of the market, and four bytes count as a token.
_FLOOR_USD_PER_TOKEN = 1e-7
_BYTES_PER_TOKEN = 4

_LONGEST_SHARED = 256  # characters


def entry_bytes(entry: Entry, charge: Callable[[str], int]) -> int:
    """Return the bytes of an entry's own objects.

    `charge` gives the bytes of a text that entries may share: 0 for the shared copy.
    """
    key = entry.key
    size = _FIXED_BYTES + allocated_bytes(entry.body) + text_bytes(entry.question)
    size += charge(key.namespace) + charge(key.format)
    size += charge(entry.model) + charge(entry.origin)
    size += charge(entry.route) + charge(entry.asked_model)
    if entry.headers:
        size += allocated_bytes(entry.headers)
        for pair in entry.headers:
            size += allocated_bytes(pair) + charge(pair[0]) + text_bytes(pair[1])
    if entry.tags:
        size += allocated_bytes(entry.tags)
        for tag in entry.tags:
            size += allocated_bytes(tag) + charge(tag[0]) + NUMBER_BYTES
    if entry.usage is not None:
        size += _USAGE_BYTES
    if entry.cost_usd is not None:
        size += allocated_bytes(entry.cost_usd)
    if entry.scope:
        size += allocated_bytes(entry.scope)
    return size


def rendered_bytes(entry: Entry, rendered: Mapping[Shape, bytes]) -> int:
    """Return the bytes of an entry's rendered presentations; the body itself counts once."""
    if not rendered:
        return 0
    size = allocated_bytes(rendered)
    for shape, frames in rendered.items():
        size += allocated_bytes(shape) + (0 if frames is entry.body else allocated_bytes(frames))
    return size


def text_bytes(text: str) -> int:
    """Return the bytes of a string, and of the UTF-8 form that it keeps once it was encoded."""
    extra = 0 if text.isascii() else len(text.encode(errors="replace")) + 16
    return allocated_bytes(text) + extra


def allocated_bytes(thing: object) -> int:
    """Return the bytes that an object takes from the allocator, which hands out steps of 16.

    Above 512 bytes that is the system's `malloc`, with a header, and with holes between objects
    of different sizes that come and go: a measured 16th on top covers them.
    """
    size = sys.getsizeof(thing)
    if size > 512:
        size += 16 + (size >> 4)
    return size + 15 & ~15


def saving_usd(entry: Entry) -> float:
    """Return what one hit on this entry saves in US dollars; above 0 also without a price."""
    usage = entry.usage
    tokens = usage.total_tokens if usage is not None else 0
    floor = (tokens or len(entry.body) / _BYTES_PER_TOKEN + 1) * _FLOOR_USD_PER_TOKEN
    return max(float(entry.cost_usd or 0), floor)


_SAMPLE = Entry(Key("", "", bytes(32)), b"", 200, (), 0.0, 0.0, 0.0)
# The record, its key and digest; created, expires, stale_until, latency, swept, and the status
# unless it is a shared small int.
_FIXED_BYTES = (
    allocated_bytes(_SAMPLE)
    + allocated_bytes(_SAMPLE.key)
    + allocated_bytes(_SAMPLE.key.digest)
    + 6 * NUMBER_BYTES
)
# Seldom are more than five of its seven numbers other than 0, which is a shared object.
_USAGE_BYTES = allocated_bytes(Usage()) + 5 * NUMBER_BYTES


class SharedStrings:
    """Keeps one copy of each text, in at most `limit_bytes`.

    Once that is used up, further texts stay with their entries and are charged there. Nothing is
    evicted, because entries may still refer to a copy and would then no longer pay for it.
    """

    __slots__ = ("_copies", "_limit", "bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = 0
        self._limit = limit_bytes
        self._copies: dict[str, str] = {}

    def intern(self, entry: Entry) -> Entry:
        """Return the same entry, made of shared copies where there are any."""
        copy = self._copy
        key = entry.key
        return Entry(
            Key(copy(key.namespace), copy(key.format), key.digest),
            entry.body,
            entry.status,
            tuple([(copy(name), value) for name, value in entry.headers]),
            entry.created,
            entry.expires,
            entry.stale_until,
            copy(entry.model),
            copy(entry.origin),
            entry.question,
            entry.usage,
            entry.cost_usd,
            entry.latency_ms,
            tuple([(copy(tag), epoch) for tag, epoch in entry.tags]),
            copy(entry.route),
            copy(entry.asked_model),
            entry.swept,
            entry.scope,
        )

    def charge(self, text: str) -> int:
        """Return the bytes that one entry pays for this text: 0 if it is the shared copy."""
        return 0 if self._copies.get(text) is text else text_bytes(text)

    def _copy(self, text: str) -> str:
        known = self._copies.get(text)
        if known is None:
            cost = DICT_SLOT_BYTES + text_bytes(text)
            if len(text) > _LONGEST_SHARED or self.bytes + cost > self._limit:
                return text
            self._copies[text] = known = text
            self.bytes += cost
        return known
