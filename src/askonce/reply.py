"""A reply: what a face sends back, whole or still arriving."""

from askonce.cache_status import cache_status
from askonce.protocols import Response
from askonce.recording import Reader
from askonce.records import Because, Entry, Outcome, Shape

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
        "_source", "because", "body", "entry", "headers", "outcome", "status", "stored",
    )  # fmt: skip

    def __init__(
        self,
        status: int,
        headers: list[tuple[str, str]],
        outcome: Outcome,
        because: Because,
        *,
        body: bytes | None = None,
        source: Reader | Response | None = None,
        entry: Entry | None = None,
        stored: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.outcome = outcome
        self.because = because
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
    return Reply(entry.status, headers, outcome, Because.OK, body=body, entry=entry)


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
