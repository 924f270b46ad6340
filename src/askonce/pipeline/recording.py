"""A recording: an answer in time, growing, finished or failed.

Hits, joined calls and misses are all readers of a recording, so replay, tee and join are one
piece of code. Nobody owns a growing recording. A reader who wants more than there is pulls the
next bit out of the source itself, unless somebody is pulling already; then it waits for the news.
So back-pressure is the readers' own, and a leader that goes away hands over by not pulling any
more. When the last reader leaves, the source is dropped.

A pull is `Task`: in the suspending flavor it is a task of its own, so that cancelling one reader
never tears down a connection that others read from.
"""

import enum
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from askonce.core.errors import AnswerCut, PatienceOver
from askonce.core.models import Entry, Outcome, Reason, Verdict
from askonce.core.runtime.interface import Event, Runtime, Task
from askonce.core.sse import SseEvent

Piece = bytes | SseEvent


class RecordingState(enum.Enum):
    GROWING = enum.auto()
    FINISHED = enum.auto()
    FAILED = enum.auto()  # the provider, or the way to it, raised `error`
    ABANDONED = enum.auto()  # whoever was pulling was killed in the middle


class RecordingSource(Protocol):
    """Where a recording comes from.

    `short` says that the next step reads layers alone: whoever pulls takes it itself, which is a
    task less. Where that one is stopped in the middle, the recording is abandoned.
    """

    short: bool

    async def step(self, recording: "Recording") -> None:
        """Make the recording longer: give it its head, a piece or its end."""

    async def drop(self, recording: "Recording") -> None:
        """Nobody reads any more: give everything back."""


class Recording:
    """One answer, shared by everyone who asked the question at the same time."""

    def __init__(self, runtime: Runtime, source: RecordingSource) -> None:
        self._runtime = runtime
        self._source = source
        self._lock = runtime.lock()
        self._waiting: list[Event] = []
        self._labor: Task | None = None
        self._pulling = False
        self._dropped = 0  # pieces already forgotten, see `Reader.next`
        self.readers = 0
        self.joined = 0
        self.state = RecordingState.GROWING
        self.error: BaseException | None = None
        self.pieces: list[Piece] = []
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.headed = False
        self.streamed = False
        self.outcome = Outcome.MISS
        self.reason = Reason.NOT_FOUND
        self.entry: Entry | None = None
        self.layer = ""
        """The layer below memory that had the answer."""
        self.similarity: float | None = None
        """How near the question lies that was answered, where that was another one."""
        self.answer: bytes | None = None
        """The whole answer in its normal form, stored or not; None until it is whole."""
        self.stored: Verdict | None = None
        """Was it stored; None until that is decided."""
        self.due = False
        """A stale entry was replayed, and somebody should refresh it."""

    # What a source says, from inside a pull.

    def begin(self, status: int, headers: list[tuple[str, str]], *, streamed: bool) -> None:
        self.status, self.headers, self.streamed = status, headers, streamed
        self.headed = True

    def add(self, pieces: list[Piece]) -> None:
        self.pieces.extend(pieces)

    def end(self) -> None:
        if self.state is RecordingState.GROWING:
            self.state = RecordingState.FINISHED

    def replay(
        self, entry: Entry, outcome: Outcome, layer: str = "", similarity: float | None = None
    ) -> None:
        """The answer was there already."""
        self.layer, self.similarity = layer, similarity
        self.entry, self.outcome, self.answer = entry, outcome, entry.body
        self.begin(entry.status, [], streamed=False)
        self.end()

    # What readers do.

    @property
    def decided(self) -> bool:
        """Everything that can be known about this answer is known."""
        return self.state is not RecordingState.GROWING or self.stored is not None

    def enter(self) -> bool:
        """Become a reader; False if it is too late to see the answer from its beginning."""
        with self._lock:
            if self._dropped or self.state is not RecordingState.GROWING:
                return False
            self.readers += 1
            return True

    async def leave(self) -> None:
        with self._lock:
            self.readers -= 1
            last = self.readers == 0
            if last and self.state is RecordingState.GROWING:
                # Whole before its connection ended (SDKs stop reading at the terminal event).
                self.state = (
                    RecordingState.FINISHED if self.stored is not None else RecordingState.ABANDONED
                )
            task = self._labor
        if last:
            try:
                if task is not None:
                    await task.cancel()
            finally:
                # Also where whoever leaves is cancelled again: nobody else gives it back.
                await self._source.drop(self)

    async def until(
        self, enough: Callable[["Recording"], bool], patience: float | None = None
    ) -> None:
        """Pull, or wait for whoever pulls, until `enough` or the recording has ended.

        Raises PatienceOver when whoever pulls brought no news for `patience` seconds.
        """
        while not enough(self) and self.state is RecordingState.GROWING:
            with self._lock:
                if enough(self) or self.state is not RecordingState.GROWING:
                    return
                if self._pulling:
                    task = None
                    event = self._runtime.event()
                    self._waiting.append(event)
                else:
                    self._pulling = True
                    event = None
                    task = None if self._source.short else self._runtime.start(self._pull)
                    self._labor = task
            if task is not None:
                await task.wait()
            elif event is None:
                await self._pull()
            elif not await event.wait(patience):
                raise PatienceOver(f"the call that was joined brought no news for {patience} s")

    def forget(self, count: int) -> None:
        """Drop pieces that the only reader has seen; nobody can join any more."""
        with self._lock:
            if self.readers == 1:
                del self.pieces[:count]
                self._dropped += count

    def first_kept(self) -> int:
        return self._dropped

    async def _pull(self) -> None:
        with _Pull(self):
            await self._source.step(self)

    def _pulled(self, error: BaseException | None) -> bool:
        """Note how a pull ended, wake everybody; True if the error was taken in."""
        taken = isinstance(error, Exception)
        with self._lock:
            self._pulling = False
            self._labor = None
            if error is not None and self.state is RecordingState.GROWING:
                self.state = RecordingState.FAILED if taken else RecordingState.ABANDONED
                self.error = error
            waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()
        return taken


class _Pull:
    """Whatever ends a pull reaches every reader: an error is kept for all, not raised to one."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return self._recording._pulled(error)


class RecordingReader:
    """One caller's place in a recording; entered already, and must be closed."""

    def __init__(
        self,
        recording: Recording,
        show: Callable[[SseEvent], bytes | None],
        patience: float | None = None,
    ) -> None:
        self.recording = recording
        self._patience = patience
        self._show = show
        self._position = 0
        self._open = True

    async def head(self) -> bool:
        """Wait for status and headers. False if the recording was abandoned before it had any.

        Raises what the provider's client raised.
        """
        recording = self.recording
        await recording.until(lambda it: it.headed, self._patience)
        if recording.headed:
            return True
        if recording.state is RecordingState.FAILED and recording.error is not None:
            raise recording.error
        return False

    async def next(self) -> bytes | None:
        """The bytes this caller has not seen yet, or None at the end."""
        recording = self.recording
        while True:
            start = self._position
            await recording.until(self._is_behind, self._patience)
            fresh = recording.pieces[start - recording.first_kept() :]
            if not fresh:
                break
            self._position = start + len(fresh)
            if recording.stored is not None and recording.stored.reason is Reason.OVER_SIZE:
                recording.forget(self._position - recording.first_kept())
            if shown := b"".join(map(self._bytes, fresh)):
                return shown
        if recording.state is RecordingState.FAILED and recording.error is not None:
            raise recording.error
        if recording.state is RecordingState.ABANDONED:
            raise AnswerCut("the call that was reading this answer was stopped in the middle")
        return None

    async def whole(self) -> bytes | None:
        """The whole answer in its normal form; None where it never became whole."""
        recording = self.recording
        await recording.until(lambda it: it.decided, self._patience)
        if recording.answer is None and recording.state is RecordingState.FAILED:
            assert recording.error is not None
            raise recording.error
        return recording.answer

    async def close(self) -> None:
        if self._open:
            self._open = False
            await self.recording.leave()

    def _is_behind(self, recording: Recording) -> bool:
        return recording.first_kept() + len(recording.pieces) > self._position

    def _bytes(self, piece: Piece) -> bytes:
        if isinstance(piece, SseEvent):
            return self._show(piece) or b""
        return piece
