"""The epoch index of a Redis store: the epochs of tags, and the change feed.

This process caches epochs, labelled with the number of the latest change that it has seen. While
the number in Redis is the same, the cached epochs hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Entry, Selection
from askonce.stores.redis.calls import RedisCall, RedisCaller, command, script
from askonce.stores.redis.change_feed import BUMPED, PAGE, REMOVED, StreamDecoder, encode_change
from askonce.stores.redis.connections import pack
from askonce.stores.redis.names import RedisNames
from askonce.stores.redis.scripts import CHANGE, EPOCHS, LEARN, VERIFY

_CACHED_TAGS = 1024
_RENEWED_TAGS = 64


class RedisEpochCache(NamedTuple):
    """Epochs of some tags, as they were at the change of this number."""

    label: bytes
    epochs: dict[str, int]


class EpochIndex:
    """Epochs and changes, as one process sees them."""

    def __init__(self, names: RedisNames, caller: RedisCaller) -> None:
        self._names = names
        self._caller = caller
        self._cache = RedisEpochCache(b"", {})
        self._latest = 0  # the highest number that this process has seen

    def verification(self) -> bytes:
        """Return the first command of every new connection to the index's server."""
        return VERIFY.by_text(self._names.index, self._latest)

    # Epochs

    async def are_current(self, tags: tuple[tuple[str, int], ...], label: bytes | None) -> bool:
        """Do the tags have these epochs? `label` is the number of the latest change, if known.

        Epochs only grow: one that is equal after the entry was read was equal then.
        """
        cache = self._cache
        if cache.label != label or not all(tag in cache.epochs for tag, _ in tags):
            cache = await self._renewed([tag for tag, _ in tags])
        return all(cache.epochs[tag] == epoch for tag, epoch in tags)

    async def valid(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries whose tags were not bumped since."""
        epochs = await self.epochs({tag for entry in entries for tag, _ in entry.tags})
        return [
            entry for entry in entries if all(epochs[tag] == epoch for tag, epoch in entry.tags)
        ]

    async def epochs(self, tags: Iterable[str]) -> dict[str, int]:
        """Return the epoch of each tag."""
        wanted = list(dict.fromkeys(tags))
        known = (await self._renewed(wanted)).epochs if wanted else {}
        return {tag: known[tag] for tag in wanted}

    async def bump(self, tags: Iterable[str]) -> dict[str, int]:
        """Raise the tags to the number of a new change, and return it for each."""
        wanted = {tag: encoded(tag) for tag in tags}
        if not wanted:
            return {}
        number = await self._change(*encode_change(BUMPED, list(wanted)), *wanted.values())
        return dict.fromkeys(wanted, number)

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        pairs = [word for tag, epoch in epochs.items() for word in (encoded(tag), epoch)]
        if pairs:
            call = script(LEARN, self._names.index, self._latest, *pairs)
            self._latest = max(self._latest, int(await self._caller.one(call)))

    async def _renewed(self, tags: Sequence[str]) -> RedisEpochCache:
        """Read the epochs of these tags, and renew some others that were in use before."""
        known = self._cache
        wanted = list(dict.fromkeys([*tags, *list(known.epochs)[-_RENEWED_TAGS:]]))
        call = script(EPOCHS, self._names.index, self._latest, *map(encoded, wanted))
        label, *epochs = await self._caller.one(call, repeatable=True)
        found = dict(zip(wanted, map(int, epochs), strict=True))
        if label == known.label and len(known.epochs) < _CACHED_TAGS:
            found = known.epochs | found
        self._latest = max(self._latest, int(label))
        # One assignment: other threads see the old cache or the new one, each right for its label.
        self._cache = cache = RedisEpochCache(label, found)
        return cache

    async def _change(self, kind: str, what: bytes, *tags: bytes) -> int:
        call = script(CHANGE, self._names.index, self._latest, kind, what, *tags)
        number = int(await self._caller.one(call, lasting=True))
        self._latest = max(self._latest, number)
        return number

    # The change feed

    async def log_removal(self, selection: Selection) -> None:
        """Announce that a selection was removed."""
        await self._change(*encode_change(REMOVED, selection))

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        """Return the changes after a cursor; wait up to `timeout` seconds for the first one."""
        if cursor is None or not (cursor.isascii() and cursor.isdecimal()):
            newest = (await self._renewed(())).label.decode()
            return ChangeBatch(newest, lost=cursor is not None)
        decoder = StreamDecoder(cursor)
        lines, latest = await self._lines(cursor, timeout)
        if not lines and latest != cursor.encode():
            # A change came between the two commands, or the index or the stream is lost.
            latest = (await self._renewed(())).label
            lines, _ = await self._lines(cursor, 0.0)
            if not lines and latest != cursor.encode():
                decoder.lose(latest.decode())
        decoder.take(lines)
        while len(lines) == PAGE:
            lines, _ = await self._lines(decoder.cursor, 0.0)
            decoder.take(lines)
        return decoder.changes()

    async def _lines(self, cursor: str, timeout: float) -> tuple[list[Any], bytes | None]:
        """Return lines of the stream after a cursor, and the number of the latest change."""
        stream = self._names.changes
        wait = (b"BLOCK", max(1, round(timeout * 1000))) if timeout > 0 else ()
        read = pack(b"XREAD", *wait, b"COUNT", PAGE, b"STREAMS", stream, f"{cursor}-0")
        calls = [RedisCall(stream, read), command(b"GET", self._names.seq)]
        found, latest = await self._caller.many(calls, patience=timeout)
        return (found[stream] if found else []), latest


def encoded(text: str) -> bytes:
    """Return a tag or a counter's name in UTF-8. Raises `StoreError` for text without a UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        # From None: the codec's message quotes the text.
        raise StoreError("the name holds text that is not valid Unicode") from None
