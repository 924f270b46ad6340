"""The books of a Redis store: the epochs of tags, and the news of what changed.

What this process knows of epochs is a mirror, labelled with the number of the latest change that
it has seen. The same number in Redis says that the mirror is still right.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Entry, Selection
from askonce.stores.redis.calls import RedisCall, RedisCaller, command, script
from askonce.stores.redis.change_feed import BUMPED, PAGE, REMOVED, ChangeReading, change
from askonce.stores.redis.connections import pack
from askonce.stores.redis.names import RedisNames
from askonce.stores.redis.scripts import CHANGE, EPOCHS, GREET, LEARN

_KNOWN_TAGS = 1024
_RENEWED_TAGS = 64


class EpochMirror(NamedTuple):
    """Epochs of some tags, right at the change of this number."""

    label: bytes
    epochs: dict[str, int]


class EpochIndex:
    """Epochs and news, as one process sees them."""

    def __init__(self, names: RedisNames, caller: RedisCaller) -> None:
        self._names = names
        self._caller = caller
        self._mirror = EpochMirror(b"", {})
        self._latest = 0  # the highest number that this process has seen

    def greeting(self) -> bytes:
        """The first thing on every new connection to the books' server."""
        return GREET.whole(self._names.ledger_store, self._latest)

    # Epochs

    async def holds(self, tags: tuple[tuple[str, int], ...], label: bytes | None) -> bool:
        """Do the tags have these epochs? `label` is the number of the latest change, if known.

        Epochs only grow: one that is found equal after the entry was read was equal then.
        """
        mirror = self._mirror
        if mirror.label != label or not all(tag in mirror.epochs for tag, _ in tags):
            mirror = await self._renewed([tag for tag, _ in tags])
        return all(mirror.epochs[tag] == epoch for tag, epoch in tags)

    async def valid(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of the entries whose tags were not bumped since."""
        epochs = await self.epochs({tag for entry in entries for tag, _ in entry.tags})
        return [
            entry for entry in entries if all(epochs[tag] == epoch for tag, epoch in entry.tags)
        ]

    async def epochs(self, tags: Iterable[str]) -> dict[str, int]:
        wanted = list(dict.fromkeys(tags))
        known = (await self._renewed(wanted)).epochs if wanted else {}
        return {tag: known[tag] for tag in wanted}

    async def bump(self, tags: Iterable[str]) -> dict[str, int]:
        wanted = {tag: encoded(tag) for tag in tags}
        if not wanted:
            return {}
        number = await self._change(*change(BUMPED, list(wanted)), *wanted.values())
        return dict.fromkeys(wanted, number)

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        pairs = [word for tag, epoch in epochs.items() for word in (encoded(tag), epoch)]
        if pairs:
            call = script(LEARN, self._names.ledger_store, self._latest, *pairs)
            self._latest = max(self._latest, int(await self._caller.one(call)))

    async def _renewed(self, tags: Sequence[str]) -> EpochMirror:
        """Read the epochs of these tags, and of some others that were of use before."""
        known = self._mirror
        wanted = list(dict.fromkeys([*tags, *list(known.epochs)[-_RENEWED_TAGS:]]))
        call = script(EPOCHS, self._names.ledger_store, self._latest, *map(encoded, wanted))
        label, *epochs = await self._caller.one(call, repeatable=True)
        found = dict(zip(wanted, map(int, epochs), strict=True))
        if label == known.label and len(known.epochs) < _KNOWN_TAGS:
            found = known.epochs | found
        self._latest = max(self._latest, int(label))
        # One assignment: other threads see this mirror or that one, each right for its label.
        self._mirror = mirror = EpochMirror(label, found)
        return mirror

    async def _change(self, kind: str, what: bytes, *tags: bytes) -> int:
        call = script(CHANGE, self._names.ledger_store, self._latest, kind, what, *tags)
        number = int(await self._caller.one(call, lasting=True))
        self._latest = max(self._latest, number)
        return number

    # News

    async def tell_removed(self, selection: Selection) -> None:
        await self._change(*change(REMOVED, selection))

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        """What changed after a mark; waits up to `patience` seconds for the first change."""
        if cursor is None or not (cursor.isascii() and cursor.isdecimal()):
            mark = (await self._renewed(())).label.decode()
            return ChangeBatch(mark, lost=cursor is not None)
        reading = ChangeReading(cursor)
        lines, latest = await self._lines(cursor, timeout)
        if not lines and latest != cursor.encode():
            # A change came between the two commands, or books or stream are lost.
            latest = (await self._renewed(())).label
            lines, _ = await self._lines(cursor, 0.0)
            if not lines and latest != cursor.encode():
                reading.lose(latest.decode())
        reading.take(lines)
        while len(lines) == PAGE:
            lines, _ = await self._lines(reading.mark, 0.0)
            reading.take(lines)
        return reading.changes()

    async def _lines(self, since: str, patience: float) -> tuple[list[Any], bytes | None]:
        """Lines of the stream after a mark, and the number of the latest change."""
        news = self._names.news
        wait = (b"BLOCK", max(1, round(patience * 1000))) if patience > 0 else ()
        read = pack(b"XREAD", *wait, b"COUNT", PAGE, b"STREAMS", news, f"{since}-0")
        calls = [RedisCall(news, read), command(b"GET", self._names.seq)]
        found, latest = await self._caller.many(calls, patience=patience)
        return (found[news] if found else []), latest


def encoded(text: str) -> bytes:
    """A tag or a counter's name in UTF-8. Raises `StoreError` where it cannot be said in that."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        # From None: the codec's message quotes the text.
        raise StoreError("the name holds text that is not valid Unicode") from None
