"""A provider's event stream: cut into events, and folded into one answer on the way."""

from typing import Any

from askonce.core.models import Reason
from askonce.core.sse import Splitter, SseEvent, parse
from askonce.core.wire_format import AnswerFold

_STREAM_FACTOR = 4  # an event stream is several times as long as the answer that it folds into


class EventStream:
    """The events of one answer as they arrive.

    Args:
        folding: Builds the answer.
        max_entry: The largest answer that is stored, in bytes.
    """

    def __init__(self, folding: AnswerFold, max_entry: int) -> None:
        self._folding = folding
        self._largest = max_entry * _STREAM_FACTOR
        self._splitter = Splitter()
        self._size = 0
        self._at_end = False

    @property
    def is_over_size(self) -> bool:
        """Whether the stream so far, or one event of it, is too long."""
        return self._splitter.overfull or self._size > self._largest

    @property
    def failed(self) -> Reason | None:
        """Why the answer is not whole; None while it may become whole."""
        if self._at_end and not self._folding.ended:
            return self._folding.failed or Reason.CUT_SHORT
        return self._folding.failed

    def take(self, piece: bytes | None) -> list[SseEvent]:
        """Return the events that a piece of the body completes.

        None is the end of the body: it ends an event too, as clients read it.
        """
        if piece is not None:
            self._size += len(piece)
            return self._splitter.feed(piece)
        self._at_end = True
        rest = self._splitter.rest
        return [parse(rest)] if rest else []

    def fold(self, events: list[SseEvent]) -> dict[str, Any] | None:
        """Fold events; return the answer once it is whole."""
        folding = self._folding
        for event in events:
            if event.data and not folding.ended:
                folding.feed(event)
        if self._at_end:
            folding.finish()
        return folding.answer() if folding.ended and folding.failed is None else None
