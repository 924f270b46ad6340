"""Presenting: one caller's reply, out of an entry or out of a recording.

Steps 12 and 13 of the request path, as one caller sees them. An entry or a recording knows
nothing of who reads it; here it takes the shape that this caller asked for.
"""

import msgspec

from askonce import policy
from askonce.cache_status import cache_status
from askonce.context import Context
from askonce.protocols import Held
from askonce.recording import Reader, Recording, State
from askonce.records import Because, Entry, Outcome
from askonce.reply import Reply, from_entry, relayed_headers, without_private
from askonce.request import CacheRequest
from askonce.sse import Event

_decode = msgspec.json.Decoder().decode


class Presenting:
    """Makes replies, over one context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def hit(self, asked: CacheRequest, held: Held, outcome: Outcome) -> Reply:
        """A reply out of memory; what was rendered before is not rendered again."""
        context, shape, entry = self._context, asked.question.shape, held.entry
        shown = held.shown.get(shape) if shape.stream else entry.body
        if shown is None:
            if entry.is_refusal:
                shown = entry.body
            else:
                shown = _unfolded(asked, entry.body)
                context.tiers.memory.show(held, shape, shown)
        now = context.runtime.now()
        context.ledger.answered(outcome, Because.OK, entry, now)
        entry = policy.bounded(entry, asked.wishes)
        return from_entry(entry, shape, shown, outcome, now)

    def reader(self, asked: CacheRequest, recording: Recording) -> Reader:
        """This caller's place in a recording that it has entered."""
        shape, show, boundary = asked.question.shape, asked.format.show, self._context.boundary

        def shown(event: Event) -> bytes | None:
            with boundary.around("show"):
                return show(event, shape)
            return event.raw

        return Reader(recording, shown, asked.call.patience)

    async def present(
        self, asked: CacheRequest, recording: Recording, *, leads: bool
    ) -> Reply | Because | None:
        """This caller's reply out of a recording.

        None if the question must be asked again (whoever asked it was stopped), and a reason if
        this answer cannot be shown to this caller, who must then ask the provider itself. Raises
        what the provider's client raised.
        """
        reader = self.reader(asked, recording)
        reply: Reply | Because | None = None
        try:
            if await reader.head():
                reply = await self._of(asked, recording, reader, leads=leads)
            return reply
        finally:
            if reply is None and recording.state is State.FAILED:
                outcome = Outcome.MISS if leads else Outcome.JOINED
                self._context.ledger.answered(outcome, Because.UPSTREAM_FAILED)
            if not isinstance(reply, Reply) or reply.body is not None:
                await reader.close()

    async def _of(
        self, asked: CacheRequest, recording: Recording, reader: Reader, *, leads: bool
    ) -> Reply | Because:
        if recording.outcome is not Outcome.MISS:
            assert recording.entry is not None
            return self._replayed(asked, recording, recording.entry, leads=leads)
        succeeded = 200 <= recording.status < 300
        if succeeded and not leads and recording.streamed != asked.question.shape.stream:
            return await self._reshaped(asked, recording, reader)
        return self._live(asked, recording, reader, leads=leads)

    def _replayed(
        self, asked: CacheRequest, recording: Recording, entry: Entry, *, leads: bool
    ) -> Reply | Because:
        """The answer was there already."""
        outcome = recording.outcome if leads else Outcome.JOINED
        shown = entry.body if entry.is_refusal else self._in_shape(asked, entry.body)
        if shown is None:
            return Because.GARBAGE
        now = self._context.runtime.now()
        self._context.ledger.answered(outcome, Because.OK, entry, now)
        layer = recording.layer
        if layer and leads:
            self._context.ledger.layer(layer, "hits")
        entry = policy.bounded(entry, asked.wishes)
        shape = asked.question.shape
        return from_entry(entry, shape, shown, outcome, now, layer, recording.similarity)

    async def _reshaped(
        self, asked: CacheRequest, recording: Recording, reader: Reader
    ) -> Reply | Because:
        """Its leader asked for a stream and this caller did not, or the other way round."""
        body = await reader.whole()
        if body is None:
            because = Because.CUT_SHORT if recording.stored is None else recording.stored.because
            if because is Because.OVER_SIZE:
                return because
            self._context.ledger.answered(Outcome.JOINED, because)
            return _half(asked, because)
        shown = self._in_shape(asked, body)
        if shown is None:
            return Because.GARBAGE
        self._context.ledger.answered(Outcome.JOINED)
        streamed = asked.question.shape.stream
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        headers = [("content-type", kind), ("cache-status", cache_status(Outcome.JOINED))]
        return Reply(recording.status, headers, Outcome.JOINED, Because.OK, body=shown)

    def _live(
        self, asked: CacheRequest, recording: Recording, reader: Reader, *, leads: bool
    ) -> Reply:
        """What the provider sends, as it arrives."""
        outcome, because = Outcome.JOINED, recording.because
        if leads:
            outcome = Outcome.MISS
            if asked.wishes.no_cache:
                outcome, because = Outcome.BYPASS, Because.NO_CACHE
        self._context.ledger.answered(outcome, because if leads else Because.OK)
        stored = recording.stored is not None and recording.stored.yes
        headers = relayed_headers(
            recording.headers, cache_status(outcome, because, stored=stored), raw=False
        )
        if not leads:
            headers = without_private(headers)
        body = None
        if recording.decided and not recording.streamed and not recording.first_kept():
            body = b"".join([piece for piece in recording.pieces if isinstance(piece, bytes)])
        return Reply(
            recording.status,
            headers,
            outcome,
            because,
            body=body,
            source=reader if body is None else None,
            stored=stored,
        )

    def _in_shape(self, asked: CacheRequest, body: bytes) -> bytes | None:
        """A whole answer as this caller wants it shown; None if it cannot be."""
        if not asked.question.shape.stream:
            return body
        with self._context.boundary.around("unfold"):
            return _unfolded(asked, body)
        return None


def _unfolded(asked: CacheRequest, body: bytes) -> bytes:
    return b"".join(asked.format.unfold(_decode(body), asked.question.shape))


def _half(asked: CacheRequest, because: Because) -> Reply:
    """The one upstream call failed half-way; its followers hear of it, and may retry."""
    body = asked.format.error("the provider's answer ended before it was whole", because.value)
    status = cache_status(Outcome.MISS, because)
    headers = [("content-type", "application/json"), ("cache-status", status)]
    return Reply(502, headers, Outcome.JOINED, because, body=body)
