"""From an entry or a recording to one caller's reply: its status, headers and body.

Steps 12 and 13 of the request pipeline, as one caller sees them. An entry or a recording is the
same for every caller; here it takes the shape that this caller asked for. The headers explain the
answer: `Cache-Status` (RFC 9211) and `Age`.
"""

import msgspec

from askonce.core import policy
from askonce.core.models import Entry, Outcome, Reason, Shape
from askonce.core.protocols import MemoryHit, Response
from askonce.core.request import CacheRequest
from askonce.core.sse import SseEvent
from askonce.formats import recognize
from askonce.formats.openai_chat import OPENAI_CHAT
from askonce.ledger.ledger import Ledger
from askonce.pipeline.context import Context
from askonce.pipeline.single_flight import Recording, RecordingReader, RecordingState

HITS = frozenset(
    {Outcome.HIT_MEMORY, Outcome.HIT_SHARED, Outcome.HIT_SEMANTIC, Outcome.JOINED, Outcome.STALE}
)

_STREAM_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
)
_JSON_HEADERS = (("content-type", "application/json"),)

_DROPPED = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade", "content-length", "age", "cache-status",
    }
)  # fmt: skip
"""Headers of one connection or one message of the provider, not of its answer."""

_PRIVATE = (
    "set-cookie", "x-ratelimit", "anthropic-ratelimit", "ratelimit", "x-request-id", "request-id",
    "cf-",
)  # fmt: skip
"""Beginnings of headers that are meant for the leader's connection alone."""

NOT_CACHED = "not in the cache, and the call said only-if-cached"
"""The message of the 504 for such a call."""

_decode = msgspec.json.Decoder().decode


class Reply:
    """A caller's answer: status and headers at once, the body whole or in pieces.

    Args:
        status: The HTTP status.
        headers: The HTTP headers, in order.
        outcome: How the call was answered.
        reason: Why.
        body: The body if it is whole; without one, `next` returns its pieces.
        source: Where the pieces come from.
        entry: The entry that was served, if one was.
        stored: Whether the answer was stored, as far as that is decided.
    """

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
        """Return the next piece of the body, or None at its end.

        Raises:
            AnswerCut: The call that was read along was stopped in the middle.
            PatienceOver: That call brought nothing for longer than the caller waits.
            Exception: What the provider's client raises.
        """
        if self._source is None:
            body, self.body = self.body, None
            return body
        return await self._source.next()

    async def close(self) -> None:
        """Stop reading; needed after every reply without a whole body."""
        if self._source is not None:
            await self._source.close()


class Presenter:
    """Makes the replies of one mode."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def hit(self, request: CacheRequest, held: MemoryHit, outcome: Outcome) -> Reply:
        """Make a reply from memory; a stream that was rendered before is not rendered again."""
        context, shape, entry = self._context, request.question.shape, held.entry
        shown = held.rendered.get(shape) if shape.stream else entry.body
        if shown is None:
            if entry.is_refusal:
                shown = entry.body
            else:
                shown = _unfolded(request, entry.body)
                context.tiers.memory.show(held, shape, shown)
        now = context.runtime.now()
        context.ledger.answered(outcome, Reason.OK, entry, now)
        entry = policy.bounded(entry, request.directives)
        return _from_entry(entry, shape, shown, outcome, now)

    def reader(self, request: CacheRequest, recording: Recording) -> RecordingReader:
        """Make this caller's reader of a recording that it has entered."""
        shape, show, boundary = request.question.shape, request.format.show, self._context.boundary

        def shown(event: SseEvent) -> bytes | None:
            with boundary.around("show"):
                return show(event, shape)
            return event.raw

        return RecordingReader(recording, shown, request.call.patience)

    async def present(
        self, request: CacheRequest, recording: Recording, *, leads: bool
    ) -> Reply | Reason | None:
        """Make this caller's reply from a recording.

        Returns:
            None if the question must be asked again, because the caller who asked it was stopped.
            A reason if this answer cannot be shown to this caller, who then asks the provider.

        Raises:
            Exception: What the provider's client raised.
        """
        reader = self.reader(request, recording)
        reply: Reply | Reason | None = None
        try:
            if await reader.head():
                reply = await self._reply(request, recording, reader, leads=leads)
            return reply
        finally:
            if reply is None and recording.state is RecordingState.FAILED:
                outcome = Outcome.MISS if leads else Outcome.JOINED
                self._context.ledger.answered(outcome, Reason.UPSTREAM_FAILED)
            if not isinstance(reply, Reply) or reply.body is not None:
                await reader.close()

    async def _reply(
        self, request: CacheRequest, recording: Recording, reader: RecordingReader, *, leads: bool
    ) -> Reply | Reason:
        if recording.outcome is not Outcome.MISS:
            assert recording.entry is not None
            return self._replayed(request, recording, recording.entry, leads=leads)
        succeeded = 200 <= recording.status < 300
        if succeeded and not leads and recording.streamed != request.question.shape.stream:
            return await self._reshaped(request, recording, reader)
        return self._live(request, recording, reader, leads=leads)

    def _replayed(
        self, request: CacheRequest, recording: Recording, entry: Entry, *, leads: bool
    ) -> Reply | Reason:
        """Show the entry that the recording found in a tier."""
        outcome = recording.outcome if leads else Outcome.JOINED
        shown = entry.body if entry.is_refusal else self._in_shape(request, entry.body)
        if shown is None:
            return Reason.GARBAGE
        now, ledger = self._context.runtime.now(), self._context.ledger
        ledger.answered(outcome, Reason.OK, entry, now)
        if recording.layer and leads:
            ledger.layer(recording.layer, "hits")
        entry = policy.bounded(entry, request.directives)
        shape, layer = request.question.shape, recording.layer
        return _from_entry(entry, shape, shown, outcome, now, layer, recording.similarity)

    async def _reshaped(
        self, request: CacheRequest, recording: Recording, reader: RecordingReader
    ) -> Reply | Reason:
        """Show the whole answer to a caller who wants the other shape than the leader does."""
        body = await reader.whole()
        if body is None:
            reason = Reason.CUT_SHORT if recording.stored is None else recording.stored.reason
            if reason is Reason.OVER_SIZE:
                return reason
            self._context.ledger.answered(Outcome.JOINED, reason)
            return _cut_short(request, reason)
        shown = self._in_shape(request, body)
        if shown is None:
            return Reason.GARBAGE
        self._context.ledger.answered(Outcome.JOINED)
        kind = (_STREAM_HEADERS if request.question.shape.stream else _JSON_HEADERS)[0]
        headers = [kind, ("cache-status", cache_status(Outcome.JOINED))]
        return Reply(recording.status, headers, Outcome.JOINED, Reason.OK, body=shown)

    def _live(
        self, request: CacheRequest, recording: Recording, reader: RecordingReader, *, leads: bool
    ) -> Reply:
        """Relay the provider's answer as it arrives."""
        outcome, reason = Outcome.JOINED, recording.reason
        if leads:
            outcome = Outcome.MISS
            if request.directives.no_cache:
                outcome, reason = Outcome.BYPASS, Reason.NO_CACHE
        self._context.ledger.answered(outcome, reason if leads else Reason.OK)
        stored = recording.stored is not None and recording.stored.yes
        status = cache_status(outcome, reason, stored=stored)
        headers = relayed_headers(recording.headers, status, raw=False)
        if not leads:
            headers = [one for one in headers if not one[0].lower().startswith(_PRIVATE)]
        body = None
        if recording.is_decided and not recording.streamed and not recording.first_kept:
            body = b"".join([piece for piece in recording.pieces if isinstance(piece, bytes)])
        source = reader if body is None else None
        return Reply(
            recording.status, headers, outcome, reason, body=body, source=source, stored=stored
        )

    def _in_shape(self, request: CacheRequest, body: bytes) -> bytes | None:
        """Render a whole answer in the caller's shape; None if that fails."""
        if not request.question.shape.stream:
            return body
        with self._context.boundary.around("unfold"):
            return _unfolded(request, body)
        return None


def cache_status(
    outcome: Outcome,
    reason: Reason = Reason.OK,
    *,
    ttl: float | None = None,
    stored: bool = False,
    layer: str = "",
    similarity: float | None = None,
) -> str:
    """Write the value of the `Cache-Status` header.

    Args:
        outcome: How the call was answered.
        reason: Why it was no hit.
        ttl: The remaining life in seconds; negative for a stale answer.
        stored: Whether the provider's answer was stored.
        layer: The layer below memory that had the answer.
        similarity: The cosine to the question that was answered, if that was another one.
    """
    if outcome is Outcome.JOINED and ttl is None:
        return f"askonce; fwd=miss; collapsed; detail={outcome}"
    if outcome in HITS:
        life = "" if ttl is None else f"; ttl={int(ttl)}"
        where = f"; layer={layer}" if layer else ""
        near = "" if similarity is None else f"; similarity={min(similarity, 1.0):.3f}"
        return f"askonce; hit{life}; detail={outcome}{where}{near}"
    if reason is Reason.ONLY_IF_CACHED:
        return f"askonce; detail={reason.value}"  # nothing was forwarded
    forward = _FORWARDED.get(reason) or ("bypass" if outcome is Outcome.BYPASS else "miss")
    return f"askonce; fwd={forward}{'; stored' if stored else ''}; detail={reason.value}"


_FORWARDED = {
    # The caller's own directives made us ask; without them an answer would have been served.
    Reason.NO_CACHE: "request",
    Reason.TOO_OLD: "request",
    Reason.EXPIRED: "stale",
}
"""Why a request went to the provider, in the words of RFC 9211, where they say more than a miss."""


def relayed_headers(
    headers: list[tuple[str, str]], status: str, *, raw: bool
) -> list[tuple[str, str]]:
    """Select the provider's headers for the caller, and add `Cache-Status`.

    Args:
        headers: The provider's headers.
        status: The value of `Cache-Status`.
        raw: Whether the body keeps its content encoding; else the header that names it is dropped.
    """
    dropped = _DROPPED if raw else _DROPPED | {"content-encoding"}
    for name, value in headers:
        if name.lower() == "connection":
            dropped = dropped | {part.strip().lower() for part in value.split(",")}
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    kept.append(("cache-status", status))
    return kept


def _from_entry(
    entry: Entry,
    shape: Shape,
    body: bytes,
    outcome: Outcome,
    now: float,
    layer: str = "",
    similarity: float | None = None,
) -> Reply:
    """Make a whole reply from an entry; `body` is the entry's answer in this shape.

    A provider's refusal stays JSON, also for a caller who asked for a stream.
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


def _unfolded(request: CacheRequest, body: bytes) -> bytes:
    return b"".join(request.format.unfold(_decode(body), request.question.shape))


def not_cached(ledger: Ledger, path: str) -> Reply:
    """Answer 504 to a call that said `only-if-cached`, on whatever path, and count it."""
    ledger.answered(Outcome.MISS, Reason.ONLY_IF_CACHED)
    format_ = recognize(path.partition("?")[0]) or OPENAI_CHAT
    body = format_.error(NOT_CACHED, Reason.ONLY_IF_CACHED.value)
    status = cache_status(Outcome.MISS, Reason.ONLY_IF_CACHED)
    headers = [*_JSON_HEADERS, ("cache-status", status)]
    return Reply(504, headers, Outcome.MISS, Reason.ONLY_IF_CACHED, body=body)


def _cut_short(request: CacheRequest, reason: Reason) -> Reply:
    """Answer 502 to a joined caller, who may retry: the shared call failed in the middle."""
    body = request.format.error("the provider's answer ended before it was whole", reason.value)
    status = cache_status(Outcome.MISS, reason)
    headers = [*_JSON_HEADERS, ("cache-status", status)]
    return Reply(502, headers, Outcome.JOINED, reason, body=body)
