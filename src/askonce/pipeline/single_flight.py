"""Single-flight: simultaneous identical questions become one fetch, whose answer all callers share.

A flight is a question that is being asked right now. The first caller leads it; a later caller
joins it and becomes one more reader of the same recording.

A recording is an answer in time: growing, finished or failed. Hits, joined calls and misses are
all readers of a recording, so replay, tee and join are the same code. No caller owns a growing
recording. A reader that wants more than there is pulls the next piece from the source itself,
unless another reader is pulling; then it waits for that one. So back-pressure is the readers' own.
A leader that goes away hands over by not pulling any more, and when the last reader leaves, the
source is dropped.

A pull runs as a `Task`. In async mode that is an asyncio task of its own, so that cancelling one
reader never closes a connection that others read from.
"""

import enum
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

from askonce.core.errors import AnswerCut, PatienceOver
from askonce.core.models import Entry, Outcome, Reason, Verdict
from askonce.core.runtime.interface import Event, Runtime, Task
from askonce.core.sse import SseEvent

Piece = bytes | SseEvent


class SingleFlight:
    """Joins simultaneous callers of one question to one recording."""

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._recordings: dict[Hashable, Recording] = {}

    def __len__(self) -> int:
        return len(self._recordings)

    def join(self, flight: Hashable, start: "Callable[[], Recording]") -> "tuple[Recording, bool]":
        """Enter the recording of a flight, or start one; return whether the caller leads it."""
        with self._lock:
            recording = self._recordings.get(flight)
            if recording is not None and recording.enter():
                recording.joined += 1
                return recording, False
            recording = self._recordings[flight] = start()
            recording.enter()
            return recording, True

    def land(self, flight: Hashable, recording: "Recording") -> None:
        """End a flight: a new caller finds its answer in memory, or asks again."""
        with self._lock:
            if self._recordings.get(flight) is recording:
                del self._recordings[flight]


class RecordingState(enum.Enum):
    """How far a recording is."""

    GROWING = enum.auto()
    FINISHED = enum.auto()
    FAILED = enum.auto()  # the provider, or the way to it, raised `error`
    ABANDONED = enum.auto()  # the reader that was pulling was stopped in the middle


class RecordingSource(Protocol):
    """What a recording is made from.

    `is_short` says that the next step reads tiers only. The reader then takes the step itself,
    without a task. If that reader is stopped in the middle, the recording is abandoned.
    """

    is_short: bool

    async def step(self, recording: "Recording") -> None:
        """Make the recording longer by its head, a piece or its end."""

    async def drop(self, recording: "Recording") -> None:
        """Release everything: no reader is left."""


class Recording:
    """One answer, shared by all callers that ask its question at the same time.

    The caller who starts it and those who join it call `enter` first and `leave` last.
    """

    def __init__(self, runtime: Runtime, source: RecordingSource) -> None:
        self._runtime = runtime
        self._source = source
        self._lock = runtime.lock()
        self._waiting: list[Event] = []
        self._task: Task | None = None
        self._pulling = False
        self._dropped = 0  # pieces that were forgotten, see `RecordingReader.next`
        self.readers = 0
        self.joined = 0
        self.state = RecordingState.GROWING
        self.error: BaseException | None = None
        self.pieces: list[Piece] = []
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.has_head = False
        self.streamed = False
        self.outcome = Outcome.MISS
        self.reason = Reason.NOT_FOUND
        self.entry: Entry | None = None
        self.layer = ""
        """The layer below memory that had the answer."""
        self.similarity: float | None = None
        """The similarity of the question that was answered, if that was another one."""
        self.answer: bytes | None = None
        """The whole answer in its normal form, stored or not; None until it is whole."""
        self.stored: Verdict | None = None
        """Whether the answer was stored; None until that is decided."""
        self.due = False
        """A stale entry was replayed, and its leader should refresh it."""

    # For the source, during a pull.

    def begin(self, status: int, headers: list[tuple[str, str]], *, streamed: bool) -> None:
        """Set the head of the answer."""
        self.status, self.headers, self.streamed = status, headers, streamed
        self.has_head = True

    def add(self, pieces: list[Piece]) -> None:
        """Append pieces of the body."""
        self.pieces.extend(pieces)

    def end(self) -> None:
        """Finish the recording, unless it has ended."""
        if self.state is RecordingState.GROWING:
            self.state = RecordingState.FINISHED

    def replay(
        self, entry: Entry, outcome: Outcome, layer: str = "", similarity: float | None = None
    ) -> None:
        """Take the whole answer from an entry."""
        self.layer, self.similarity = layer, similarity
        self.entry, self.outcome, self.answer = entry, outcome, entry.body
        self.begin(entry.status, [], streamed=False)
        self.end()

    def refuse(self, status: int, body: bytes, reason: Reason) -> None:
        """Answer with an error of the cache's own, in JSON; clients need not retry it."""
        self.reason, self.stored = reason, Verdict(False, reason)
        self.add([body])
        headers = [("content-type", "application/json"), ("x-should-retry", "false")]
        self.begin(status, headers, streamed=False)
        self.end()

    # For readers.

    @property
    def is_decided(self) -> bool:
        """Whether everything that can be known about this answer is known."""
        return self.state is not RecordingState.GROWING or self.stored is not None

    @property
    def first_kept(self) -> int:
        """The number of the first piece that was not forgotten."""
        return self._dropped

    def enter(self) -> bool:
        """Become a reader; False if it is too late to see the answer from its beginning."""
        with self._lock:
            if self._dropped or self.state is not RecordingState.GROWING:
                return False
            self.readers += 1
            return True

    async def leave(self) -> None:
        """Stop reading; the last reader drops the source."""
        with self._lock:
            self.readers -= 1
            last = self.readers == 0
            if last and self.state is RecordingState.GROWING:
                # An answer may be whole before its connection ends: SDKs stop at the last event.
                self.state = (
                    RecordingState.FINISHED if self.stored is not None else RecordingState.ABANDONED
                )
            task = self._task
        if last:
            try:
                if task is not None:
                    await task.cancel()
            finally:
                # Even if this reader is cancelled again: no other one releases the source.
                await self._source.drop(self)

    async def until(
        self, enough: Callable[["Recording"], bool], patience: float | None = None
    ) -> None:
        """Pull, or wait for the reader that pulls, until `enough` or the end.

        Args:
            enough: Says whether the recording is long enough.
            patience: The longest wait for another reader's pull, in seconds; None for no limit.

        Raises:
            PatienceOver: The other reader's pull brought nothing for `patience` seconds.
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
                    task = None if self._source.is_short else self._runtime.start(self._pull)
                    self._task = task
            if task is not None:
                await task.wait()
            elif event is None:
                await self._pull()
            elif not await event.wait(patience):
                raise PatienceOver(f"the call that was joined brought no news for {patience} s")

    def forget(self, count: int) -> None:
        """Drop pieces that the only reader has seen; no caller can join any more."""
        with self._lock:
            if self.readers == 1:
                del self.pieces[:count]
                self._dropped += count

    async def _pull(self) -> None:
        with _Pull(self):
            await self._source.step(self)

    def _end_pull(self, error: BaseException | None) -> bool:
        """Note how a pull ended and wake the readers; True if the error is kept for them."""
        kept = isinstance(error, Exception)
        with self._lock:
            self._pulling = False
            self._task = None
            if error is not None and self.state is RecordingState.GROWING:
                self.state = RecordingState.FAILED if kept else RecordingState.ABANDONED
                self.error = error
            waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()
        return kept


class _Pull:
    """Ends a pull for every reader: an error is kept for all of them, not raised to one."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return self._recording._end_pull(error)


class RecordingReader:
    """One caller's position in a recording that it has entered; close it after use.

    Args:
        recording: The recording.
        show: Turns an event into the caller's bytes; None to leave the event out.
        patience: The longest wait for another reader's pull, in seconds; None for no limit.
    """

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
        """Wait for status and headers; False if the recording was abandoned before.

        Raises:
            Exception: What the provider's client raised.
        """
        recording = self.recording
        await recording.until(lambda it: it.has_head, self._patience)
        if recording.has_head:
            return True
        if recording.state is RecordingState.FAILED and recording.error is not None:
            raise recording.error
        return False

    async def next(self) -> bytes | None:
        """Return the bytes that this caller has not seen yet, or None at the end.

        Raises:
            AnswerCut: The reader that was pulling was stopped in the middle.
            Exception: What the provider's client raised.
        """
        recording = self.recording
        while True:
            start = self._position
            await recording.until(self._is_behind, self._patience)
            fresh = recording.pieces[start - recording.first_kept :]
            if not fresh:
                break
            self._position = start + len(fresh)
            if recording.stored is not None and recording.stored.reason is Reason.OVER_SIZE:
                recording.forget(self._position - recording.first_kept)
            if shown := b"".join(map(self._bytes, fresh)):
                return shown
        if recording.state is RecordingState.FAILED and recording.error is not None:
            raise recording.error
        if recording.state is RecordingState.ABANDONED:
            raise AnswerCut("the call that was reading this answer was stopped in the middle")
        return None

    async def whole(self) -> bytes | None:
        """Return the whole answer in its normal form; None if it never became whole.

        Raises:
            Exception: What the provider's client raised.
        """
        recording = self.recording
        await recording.until(lambda it: it.is_decided, self._patience)
        if recording.answer is None and recording.state is RecordingState.FAILED:
            assert recording.error is not None
            raise recording.error
        return recording.answer

    async def close(self) -> None:
        """Leave the recording; closing twice is fine."""
        if self._open:
            self._open = False
            await self.recording.leave()

    def _is_behind(self, recording: Recording) -> bool:
        return recording.first_kept + len(recording.pieces) > self._position

    def _bytes(self, piece: Piece) -> bytes:
        if isinstance(piece, SseEvent):
            return self._show(piece) or b""
        return piece
