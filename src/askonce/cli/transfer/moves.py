"""Moving entries: from a store into an archive, from an archive into a store, between two stores.

A composition root of its own. All of it streams, in memory that does not grow with the store, and
all of it can be stopped at any moment, also by `kill -9`: a file beside the archive says how far it
came, and the same command goes on from there.

Two stores count epochs apart. So an entry that arrives takes the target's present epochs of its
tags, and an invalidation at the source while it was under way applies on arrival too.
"""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

from askonce import __version__
from askonce.cli.transfer.checkpoints import Checkpoint, KeyFile, Keys, Stage, open_private, writing
from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Entry, Selection
from askonce.core.protocols import Store
from askonce.stores.archive import ArchiveFooter, ArchiveHeader, ArchiveReader, ArchiveWriter

Progress = Callable[[int], None]

_CHUNK = 4_096
_CHUNK_BYTES = 16 << 20
_OWN_NAMESPACE = "~askonce"  # what a store keeps of its own among the entries
_OF_CREDENTIALS = "key:"


class Moved(msgspec.Struct):
    """What came of a move, in entries.

    `resumed` were moved by an earlier run, `expired` were of no more use, `invalid` were
    invalidated while they were under way, `refused` the target did not take. `orphaned` were
    moved, but the target has a pepper of its own, so their callers will not find them.
    """

    moved: int = 0
    resumed: int = 0
    expired: int = 0
    invalid: int = 0
    refused: int = 0
    orphaned: int = 0

    @property
    def total(self) -> int:
        return self.moved + self.resumed


# Out of a store


class Export:
    """One store's entries on their way into an archive.

    They are collected in `PATH.partial`, which becomes `PATH` when it is whole.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        *,
        source: str,
        namespace: str | None,
        clock: Callable[[], float],
    ) -> None:
        self.moved = Moved()
        self._store = store
        self._path = path
        self._partial = f"{path}.partial"
        self._checkpoint = Checkpoint(f"{path}.progress")
        self._of = f"export of {namespace or 'everything'} from {source}"
        self._namespace = namespace
        self._clock = clock

    async def run(self, report: Progress, *, restart: bool = False) -> None:
        stage = None if restart else self._checkpoint.load(self._of)
        with writing(self._partial), open_private(self._partial, keep=stage is not None) as file:
            writer = ArchiveWriter(file, self._path)
            if stage is None:
                stage = await self._begin(writer)
                seen = Keys()
            else:
                seen = self._go_on(writer, file, stage)
                self.moved.resumed = stage.entries
            report(writer.entries)
            await self._collect(writer, seen, stage, report)
            os.fsync(file.fileno())
        with writing(self._path):
            os.replace(self._partial, self._path)
        self._checkpoint.discard()

    async def to_stream(self, stream: BinaryIO, report: Progress) -> None:
        """The same into a pipe, which cannot be gone on with."""
        with writing("the archive"):
            writer = ArchiveWriter(stream, "")
            stage = await self._begin(writer, lasting=False)
            await self._collect(writer, Keys(), stage, report, lasting=False)

    async def _begin(self, writer: ArchiveWriter, *, lasting: bool = True) -> Stage:
        # Read the mark first: the footer lists every invalidation after it.
        mark = (await self._store.changes(None, 0)).cursor
        header = ArchiveHeader(
            made_by=f"askonce {__version__}",
            created=self._clock(),
            pepper=await self._store.pepper(),
            namespace=self._namespace,
        )
        writer.begin(header)
        stage = Stage(of=self._of, offset=writer.offset, mark=mark)
        if lasting:
            self._checkpoint.save(stage)
        return stage

    def _go_on(self, writer: ArchiveWriter, file: BinaryIO, stage: Stage) -> Keys:
        try:
            reader = ArchiveReader(file, self._path)
            found = itertools.islice(reader.entries(), stage.entries)
            seen = Keys(entry.key for entry in found)
        except StoreError:
            raise StoreError(
                f"{self._partial}: is not what was left there; start over with --restart"
            ) from None
        file.seek(stage.offset)
        file.truncate()
        writer.go_on(stage.entries, stage.offset, reader.check)
        return seen

    async def _collect(
        self,
        writer: ArchiveWriter,
        seen: Keys,
        stage: Stage,
        report: Progress,
        *,
        lasting: bool = True,
    ) -> None:
        async for entry in scan(self._store, self._namespace):
            if entry.key in seen:
                continue
            if not entry.is_usable(self._clock()):
                self.moved.expired += 1
                continue
            block_done = writer.add(entry)
            self.moved.moved += 1
            if block_done:
                report(writer.entries)
                if lasting:
                    stage = replace(stage, entries=writer.entries, offset=writer.offset)
                    self._checkpoint.save(stage)
        news = await all_news(self._store, stage.mark)
        writer.end(ArchiveFooter(entries=writer.entries, epochs=news.epochs, removed=news.removed))
        report(writer.entries)


# Into a store


class ImportedEntry:
    """Entries that arrive in a store."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.moved = Moved()
        self._store = store
        self._clock = clock
        self._known_callers = True

    async def adopt(self, pepper: bytes) -> None:
        self._known_callers = await self._store.adopt(pepper)

    async def put(self, entries: Iterable[Entry]) -> None:
        now = self._clock()
        given = list(entries)
        usable = [entry for entry in given if entry.is_usable(now)]
        tags = sorted({tag for entry in usable for tag, _ in entry.tags})
        epochs = await self._store.epochs(tags) if tags else {}
        arriving = [_under(epochs, entry) for entry in usable]
        stored = await self._store.write_all(arriving)
        self.moved.moved += stored
        self.moved.refused += len(usable) - stored
        self.moved.expired += len(given) - len(usable)
        if not self._known_callers:
            of_credentials = (entry.key.namespace.startswith(_OF_CREDENTIALS) for entry in usable)
            self.moved.orphaned += sum(of_credentials)


class Import(ImportedEntry):
    """An archive on its way into a store. Nothing of it arrives before all of it was checked."""

    def __init__(
        self, store: Store, file: BinaryIO, path: str, *, target: str, clock: Callable[[], float]
    ) -> None:
        super().__init__(store, clock)
        self._file = file
        self._path = path
        self._checkpoint = None if path == "-" else Checkpoint(f"{path}.progress")
        self._target = target
        self._reader = self._opened()
        for _ in self._reader.frames():
            pass
        assert self._reader.footer is not None
        self._footer = self._reader.footer

    @property
    def total(self) -> int:
        """How many entries the archive holds."""
        return self._footer.entries

    async def run(self, report: Progress, *, restart: bool = False) -> None:
        of = f"import of {self._reader.check.hexdigest()} to {self._target}"
        stage = Stage(of=of)
        if self._checkpoint and not restart:
            stage = self._checkpoint.load(of) or stage
        self.moved.resumed = stage.entries
        await self.adopt(self._reader.header.pepper)
        rest = itertools.islice(self._opened().entries(), stage.entries, None)
        async for chunk in chunks(_each(rest)):
            valid = [entry for entry in chunk if _is_valid(entry, self._footer)]
            self.moved.invalid += len(chunk) - len(valid)
            await self.put(valid)
            stage = replace(stage, entries=stage.entries + len(chunk))
            if self._checkpoint:
                self._checkpoint.save(stage)
            report(stage.entries)
        if self._checkpoint:
            self._checkpoint.discard()

    def _opened(self) -> ArchiveReader:
        self._file.seek(0)
        return ArchiveReader(self._file, "standard input" if self._path == "-" else self._path)


class Copy(ImportedEntry):
    """One store's entries on their way into another.

    `progress` is the file that says how far it came; `of` names the two stores.
    """

    def __init__(
        self,
        source: Store,
        target: Store,
        progress: str,
        *,
        of: str,
        namespace: str | None,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(target, clock)
        self._source = source
        self._checkpoint = Checkpoint(progress)
        self._keys_path = f"{progress}.keys"
        self._of = of
        self._namespace = namespace

    async def run(self, report: Progress, *, restart: bool = False) -> None:
        stage = None if restart else self._checkpoint.load(self._of)
        seen = KeyFile(self._keys_path, keep=stage is not None)
        if stage is None:
            stage = Stage(of=self._of, mark=(await self._source.changes(None, 0)).cursor)
            self._checkpoint.save(stage)
        try:
            await self._move(seen, report)
        finally:
            seen.close()
        await self._invalidate(await all_news(self._source, stage.mark))
        seen.discard()
        self._checkpoint.discard()

    async def _move(self, seen: KeyFile, report: Progress) -> None:
        self.moved.resumed = len(seen)
        await self.adopt(await self._source.pepper())
        async for chunk in chunks(scan(self._source, self._namespace)):
            fresh = [entry for entry in chunk if entry.key not in seen]
            await self.put(fresh)
            seen.add(entry.key for entry in fresh)
            report(self.moved.total)

    async def _invalidate(self, news: ChangeBatch) -> None:
        """Do to the target what was done to the source meanwhile."""
        if news.epochs:
            await self._store.epochs(sorted(news.epochs), bump=True)
        for selection in news.removed:
            await self._store.remove(selection)


# What they share


async def scan(store: Store, namespace: str | None) -> AsyncIterator[Entry]:
    """The callers' entries, without what a store keeps of its own among them."""
    async for entry in store.scan(Selection(namespace=namespace)):
        if entry.key.namespace != _OWN_NAMESPACE:
            yield entry


async def all_news(store: Store, mark: str) -> ChangeBatch:
    """Collect the changes since the mark. Raises StoreError if the store dropped some of them."""
    epochs: dict[str, int] = {}
    removed: tuple[Selection, ...] = ()
    while not (news := await store.changes(mark, 0)).empty:
        if news.lost:
            raise StoreError(
                "the store's change log no longer reaches back to the start of this copy; "
                "start over with --restart"
            )
        epochs |= news.epochs
        removed += news.removed
        mark = news.cursor
    return ChangeBatch(mark, epochs, removed)


async def chunks(entries: AsyncIterator[Entry]) -> AsyncIterator[list[Entry]]:
    """As many entries at a time as are written together, of a bounded size."""
    chunk: list[Entry] = []
    size = 0
    async for entry in entries:
        chunk.append(entry)
        size += len(entry.body)
        if len(chunk) == _CHUNK or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


async def _each(entries: Iterable[Entry]) -> AsyncIterator[Entry]:
    for entry in entries:
        yield entry


def _under(epochs: Mapping[str, int], entry: Entry) -> Entry:
    """The entry as the target would have stored it today."""
    if not entry.tags:
        return entry
    return replace(entry, tags=tuple((tag, epochs[tag]) for tag, _ in entry.tags))


def _is_valid(entry: Entry, footer: ArchiveFooter) -> bool:
    if any(epoch < footer.epochs.get(tag, 0) for tag, epoch in entry.tags):
        return False
    return not any(_names(selection, entry) for selection in footer.removed)


def _names(selection: Selection, entry: Entry) -> bool:
    return (
        (selection.keys is None or entry.key in selection.keys)
        and (selection.namespace is None or entry.key.namespace == selection.namespace)
        and (selection.expired_before is None or entry.expires < selection.expired_before)
    )
