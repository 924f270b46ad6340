"""Turn an entry or a recording into one caller's reply: its status, headers and body.

Steps 12 and 13 of the request path, as one caller sees them. An entry or a recording is the same
for every reader; here it takes the shape that this caller asked for. The headers explain the
answer: `Cache-Status` (RFC 9211) and `Age`.
"""

import msgspec

from askonce.core import policy
from askonce.core.models import Entry, Outcome, Reason, Shape
from askonce.core.protocols import MemoryHit, Response
from askonce.core.request import CacheRequest
from askonce.core.sse import SseEvent
from askonce.pipeline.context import Context
from askonce.pipeline.recording import Recording, RecordingReader, RecordingState

HITS = frozenset(
    {Outcome.HIT_MEMORY, Outcome.HIT_SHARED, Outcome.HIT_SEMANTIC, Outcome.JOINED, Outcome.STALE}
)


def cache_status(
    outcome: Outcome,
    reason: Reason = Reason.OK,
    *,
    ttl: float | None = None,
    stored: bool = False,
    layer: str = "",
    similarity: float | None = None,
) -> str:
    """The header's value; `ttl` in seconds, negative once an answer is stale.

    `layer` names the layer below memory that had the answer, `similarity` is the cosine to the
    question that it answered, where that was another one.
    """
    if outcome in HITS:
        life = "" if ttl is None else f"; ttl={int(ttl)}"
        where = f"; layer={layer}" if layer else ""
        near = "" if similarity is None else f"; similarity={min(similarity, 1.0):.3f}"
        return f"askonce; hit{life}; detail={outcome}{where}{near}"
    forward = "bypass" if outcome is Outcome.BYPASS else "miss"
    return f"askonce; fwd={forward}{'; stored' if stored else ''}; detail={reason.value}"


_STREAM_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
)
_JSON_HEADERS = (("content-type", "application/json"),)

# What belongs to one connection or one message of the provider, not to its answer.
_DROPPED = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade", "content-length", "age", "cache-status",
    }
)  # fmt: skip


class Reply:
    """Status and headers now; a `body` if it is whole, else pieces from `next` until None."""

    __slots__ = (
        "_source", "body", "entry", "headers", "outcome", "reason", "status", "stored",
    )  # fmt: skip

    def __init__(
        self,
        status: int,
        headers: list[tuple[str, str]],
        outcome: Outcome,
        reason: Reason,
        *,
        body: bytes | None = None,
        source: RecordingReader | Response | None = None,
        entry: Entry | None = None,
        stored: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.outcome = outcome
        self.reason = reason
        self.body = body
        self.entry = entry
        self.stored = stored
        self._source = source

    async def next(self) -> bytes | None:
        if self._source is None:
            body, self.body = self.body, None
            return body
        return await self._source.next()

    async def close(self) -> None:
        if self._source is not None:
            await self._source.close()


def from_entry(
    entry: Entry,
    shape: Shape,
    body: bytes,
    outcome: Outcome,
    now: float,
    layer: str = "",
    similarity: float | None = None,
) -> Reply:
    """A whole reply out of an entry of a layer; `body` is the entry as this shape shows it.

    A refusal of the provider is JSON for whoever asked for a stream too.
    """
    age = now - entry.created
    status = cache_status(outcome, ttl=entry.expires - now, layer=layer, similarity=similarity)
    headers = [
        *(_STREAM_HEADERS if shape.stream and not entry.is_refusal else _JSON_HEADERS),
        *entry.headers,
        ("cache-status", status),
        ("age", str(int(age)) if age > 0 else "0"),
    ]
    return Reply(entry.status, headers, outcome, Reason.OK, body=body, entry=entry)


def relayed_headers(
    headers: list[tuple[str, str]], status: str, *, raw: bool
) -> list[tuple[str, str]]:
    """The provider's headers as they go on to the caller, with ours.

    Without `raw` the pieces are free of any content encoding, so the header that names it goes.
    """
    dropped = _DROPPED if raw else _DROPPED | {"content-encoding"}
    for name, value in headers:
        if name.lower() == "connection":
            dropped = dropped | {part.strip().lower() for part in value.split(",")}
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    kept.append(("cache-status", status))
    return kept


_PRIVATE = (
    "set-cookie",
    "x-ratelimit",
    "anthropic-ratelimit",
    "ratelimit",
    "x-request-id",
    "request-id",
    "cf-",
)


def without_private(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a joined reply: what was meant for the leader's connection alone goes."""
    return [(name, value) for name, value in headers if not name.lower().startswith(_PRIVATE)]


_decode = msgspec.json.Decoder().decode


class Presenter:
    """Makes replies, over one context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def hit(self, asked: CacheRequest, held: MemoryHit, outcome: Outcome) -> Reply:
        """A reply out of memory; what was rendered before is not rendered again."""
        context, shape, entry = self._context, asked.question.shape, held.entry
        shown = held.rendered.get(shape) if shape.stream else entry.body
        if shown is None:
            if entry.is_refusal:
                shown = entry.body
            else:
                shown = _unfolded(asked, entry.body)
                context.tiers.memory.show(held, shape, shown)
        now = context.runtime.now()
        context.ledger.answered(outcome, Reason.OK, entry, now)
        entry = policy.bounded(entry, asked.directives)
        return from_entry(entry, shape, shown, outcome, now)

    def reader(self, asked: CacheRequest, recording: Recording) -> RecordingReader:
        """This caller's place in a recording that it has entered."""
        shape, show, boundary = asked.question.shape, asked.format.show, self._context.boundary

        def shown(event: SseEvent) -> bytes | None:
            with boundary.around("show"):
                return show(event, shape)
            return event.raw

        return RecordingReader(recording, shown, asked.call.patience)

    async def present(
        self, asked: CacheRequest, recording: Recording, *, leads: bool
    ) -> Reply | Reason | None:
        """This caller's reply out of a recording.

        None if the question must be asked again (whoever asked it was stopped), and a reason if
        this answer cannot be shown to this caller, who must then ask the provider itself. Raises
        what the provider's client raised.
        """
        reader = self.reader(asked, recording)
        reply: Reply | Reason | None = None
        try:
            if await reader.head():
                reply = await self._of(asked, recording, reader, leads=leads)
            return reply
        finally:
            if reply is None and recording.state is RecordingState.FAILED:
                outcome = Outcome.MISS if leads else Outcome.JOINED
                self._context.ledger.answered(outcome, Reason.UPSTREAM_FAILED)
            if not isinstance(reply, Reply) or reply.body is not None:
                await reader.close()

    async def _of(
        self, asked: CacheRequest, recording: Recording, reader: RecordingReader, *, leads: bool
    ) -> Reply | Reason:
        if recording.outcome is not Outcome.MISS:
            assert recording.entry is not None
            return self._replayed(asked, recording, recording.entry, leads=leads)
        succeeded = 200 <= recording.status < 300
        if succeeded and not leads and recording.streamed != asked.question.shape.stream:
            return await self._reshaped(asked, recording, reader)
        return self._live(asked, recording, reader, leads=leads)

    def _replayed(
        self, asked: CacheRequest, recording: Recording, entry: Entry, *, leads: bool
    ) -> Reply | Reason:
        """The answer was there already."""
        outcome = recording.outcome if leads else Outcome.JOINED
        shown = entry.body if entry.is_refusal else self._in_shape(asked, entry.body)
        if shown is None:
            return Reason.GARBAGE
        now = self._context.runtime.now()
        self._context.ledger.answered(outcome, Reason.OK, entry, now)
        layer = recording.layer
        if layer and leads:
            self._context.ledger.layer(layer, "hits")
        entry = policy.bounded(entry, asked.directives)
        shape = asked.question.shape
        return from_entry(entry, shape, shown, outcome, now, layer, recording.similarity)

    async def _reshaped(
        self, asked: CacheRequest, recording: Recording, reader: RecordingReader
    ) -> Reply | Reason:
        """Its leader asked for a stream and this caller did not, or the other way round."""
        body = await reader.whole()
        if body is None:
            reason = Reason.CUT_SHORT if recording.stored is None else recording.stored.reason
            if reason is Reason.OVER_SIZE:
                return reason
            self._context.ledger.answered(Outcome.JOINED, reason)
            return _half(asked, reason)
        shown = self._in_shape(asked, body)
        if shown is None:
            return Reason.GARBAGE
        self._context.ledger.answered(Outcome.JOINED)
        streamed = asked.question.shape.stream
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        headers = [("content-type", kind), ("cache-status", cache_status(Outcome.JOINED))]
        return Reply(recording.status, headers, Outcome.JOINED, Reason.OK, body=shown)

    def _live(
        self, asked: CacheRequest, recording: Recording, reader: RecordingReader, *, leads: bool
    ) -> Reply:
        """What the provider sends, as it arrives."""
        outcome, reason = Outcome.JOINED, recording.reason
        if leads:
            outcome = Outcome.MISS
            if asked.directives.no_cache:
                outcome, reason = Outcome.BYPASS, Reason.NO_CACHE
        self._context.ledger.answered(outcome, reason if leads else Reason.OK)
        stored = recording.stored is not None and recording.stored.yes
        headers = relayed_headers(
            recording.headers, cache_status(outcome, reason, stored=stored), raw=False
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
            reason,
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


def _half(asked: CacheRequest, reason: Reason) -> Reply:
    """The one upstream call failed half-way; its followers hear of it, and may retry."""
    body = asked.format.error("the provider's answer ended before it was whole", reason.value)
    status = cache_status(Outcome.MISS, reason)
    headers = [("content-type", "application/json"), ("cache-status", status)]
    return Reply(502, headers, Outcome.JOINED, reason, body=body)
