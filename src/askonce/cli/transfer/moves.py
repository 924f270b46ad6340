"""Moving entries: from a store into an archive, from an archive into a store, between two stores.

A composition root of its own. All of it streams, in memory that does not grow with the store, and
all of it can be stopped at any moment, also by `kill -9`: a file beside the archive says how far it
came, and the same command goes on from there.

Two stores count epochs apart. So an entry that arrives takes the target's present epochs of its
tags, and an invalidation at the source while it was under way applies on arrival too.
"""

import contextlib
import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

from askonce import __version__
from askonce.cli.transfer.checkpoints import Checkpoint, KeyFile, Keys, Stage, open_private, writing
from askonce.cli.transfer.source import OWN_NAMESPACE, all_news, chunks, scan
from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Entry, Selection
from askonce.core.protocols import Store
from askonce.core.runtime.private_files import unpredictable
from askonce.stores.archive import ArchiveFooter, ArchiveHeader, ArchiveReader, ArchiveWriter

Progress = Callable[[int], None]

_OF_CREDENTIALS = "key:"
_PARTIAL = r"\.[0-9a-f]{16}\.partial"


class Moved(msgspec.Struct):
    """What came of a move, in entries.

    `resumed` were moved by an earlier run, `expired` were of no more use, `invalid` were
    invalidated while they were under way, `refused` the target did not take. `older` were left out
    because the target has a newer answer, `reserved` because they pretend to be AskOnce's own,
    `outdated` because their keys are of an older version, so no question finds them.
    `orphaned` were moved, but the target has a pepper of its own, so their callers will not find
    them.
    """

    moved: int = 0
    resumed: int = 0
    expired: int = 0
    invalid: int = 0
    refused: int = 0
    older: int = 0
    reserved: int = 0
    outdated: int = 0
    orphaned: int = 0

    @property
    def total(self) -> int:
        return self.moved + self.resumed


# Out of a store


class Export:
    """One store's entries on their way into an archive.

    They are collected in `PATH.<random>.partial`, which becomes `PATH` when it is whole.
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
        self._partial = ""
        self._checkpoint = Checkpoint(f"{path}.progress")
        self._of = f"export of {namespace or 'everything'} from {source}"
        self._namespace = namespace
        self._clock = clock

    async def run(self, report: Progress, *, restart: bool = False) -> None:
        stage = self._left(restart=restart)
        with writing(self._path), open_private(self._partial, keep=stage is not None) as file:
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

    def _left(self, *, restart: bool) -> Stage | None:
        """Return what an earlier run left to go on with; choose the partial file's name."""
        stage = self._checkpoint.load(self._of)
        name = stage.partial if stage is not None else ""
        folder = os.path.dirname(self._path)
        # The name comes out of a file: it never leads out of the folder, or to another's file.
        is_ours = re.fullmatch(re.escape(os.path.basename(self._path)) + _PARTIAL, name) is not None
        left = os.path.join(folder, name)
        if stage is not None and is_ours and not restart:
            self._partial = left
            return stage
        if is_ours:
            with contextlib.suppress(OSError):
                os.unlink(left)
        self._partial = unpredictable(self._path, "partial")
        return None

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
        partial = os.path.basename(self._partial)
        stage = Stage(of=self._of, offset=writer.offset, mark=mark, partial=partial)
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
            if not entry.is_findable:
                self.moved.outdated += 1
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

    def __init__(self, store: Store, clock: Callable[[], float], *, overwrite: bool = True) -> None:
        self.moved = Moved()
        self._store = store
        self._clock = clock
        self._known_callers = True
        self._overwrite = overwrite

    async def adopt(self, pepper: bytes) -> None:
        self._known_callers = await self._store.adopt(pepper)

    async def put(self, entries: Iterable[Entry]) -> None:
        now = self._clock()
        given = [entry for entry in entries if entry.key.namespace != OWN_NAMESPACE]
        living = [entry for entry in given if entry.is_usable(now)]
        self.moved.expired += len(given) - len(living)
        usable = [entry for entry in living if entry.is_findable]
        self.moved.outdated += len(living) - len(usable)
        if not self._overwrite:
            usable = await self._newer_here(usable)
        tags = sorted({tag for entry in usable for tag, _ in entry.tags})
        epochs = await self._store.epochs(tags) if tags else {}
        arriving = [_under(epochs, entry) for entry in usable]
        stored = await self._store.write_all(arriving)
        self.moved.moved += stored
        self.moved.refused += len(usable) - stored
        if not self._known_callers:
            of_credentials = (entry.key.namespace.startswith(_OF_CREDENTIALS) for entry in usable)
            self.moved.orphaned += sum(of_credentials)

    async def _newer_here(self, arriving: list[Entry]) -> list[Entry]:
        """Leave out the entries that the target has a newer answer of."""
        now = self._clock()
        kept = []
        for entry in arriving:
            here = await self._store.read(entry.key)
            if here is None or not here.is_usable(now) or here.created <= entry.created:
                kept.append(entry)
        self.moved.older += len(arriving) - len(kept)
        return kept


class Import(ImportedEntry):
    """An archive on its way into a store. Nothing of it arrives before all of it was checked.

    `foreign` takes an archive of another secret too; `overwrite` replaces newer answers too.
    """

    def __init__(
        self,
        store: Store,
        file: BinaryIO,
        path: str,
        *,
        target: str,
        clock: Callable[[], float],
        foreign: bool = False,
        overwrite: bool = False,
    ) -> None:
        super().__init__(store, clock, overwrite=overwrite)
        self._foreign = foreign
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
        if not self._known_callers and not self._foreign:
            raise StoreError(
                f"{self._path}: is from a store with another secret; --foreign imports it all the"
                " same, but callers known by their credentials only will not find their answers"
            )
        rest = itertools.islice(self._opened().entries(), stage.entries, None)
        async for chunk in chunks(_each(rest)):
            own = [entry for entry in chunk if entry.key.namespace == OWN_NAMESPACE]
            valid = [entry for entry in chunk if _is_valid(entry, self._footer)]
            self.moved.invalid += len(chunk) - len(valid)
            self.moved.reserved += len(own)
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
