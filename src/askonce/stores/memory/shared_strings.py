"""Shared strings: one copy of each text that many entries have, such as models and tags."""

from askonce.core.models import Entry, Key
from askonce.stores.memory.weight import DICT_SLOT_BYTES, text_bytes

_LONGEST = 256


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
            if len(text) > _LONGEST or self.bytes + cost > self._limit:
                return text
            self._copies[text] = known = text
            self.bytes += cost
        return known
