"""The weight of an entry: the bytes of process memory that its objects take.

The formula charges bodies and texts, but also the Python objects around them, the slots of hash
tables and what the allocator adds. Tests compare it with `tracemalloc`, the benchmark with the
resident size of the process.
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
