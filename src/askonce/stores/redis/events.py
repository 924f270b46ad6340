"""Read events from a Redis stream: entries with `event`, `data` (JSON) and perhaps `id`.

    XADD askonce:events * event product_updated data '{"product_id": "123"}'

A cursor is the id of a stream's entry. If the newest entry is older than the cursor, the stream was
lost or restored from a snapshot, and the reader starts at its beginning.
"""

from typing import Any

from askonce.core.models import EventMessage
from askonce.stores.context import StoreContext
from askonce.stores.event_message import parse_message
from askonce.stores.redis.address import RedisAddress, ServerAddress, parse_address
from askonce.stores.redis.connections import Node, pack
from askonce.stores.redis.routes import Command, RedisRoute, route_to, sure

_PAGE = 100
_BEGINNING = "0-0"
_PING = pack("PING")


def open_stream(url: str, context: StoreContext, *, name: str, stream: str) -> "RedisStreamReader":
    """Open the stream under a key of this Redis. Raises `ConfigError` for a malformed address."""
    return RedisStreamReader(parse_address(url), context, name=name, stream=stream)


class RedisStreamReader:
    """An `EventReader` of one stream, on one server, a sentinel's or a cluster's."""

    def __init__(
        self, address: RedisAddress, context: StoreContext, *, name: str, stream: str
    ) -> None:
        self._name = name
        self._stream = stream.encode()

        def make(server: ServerAddress, address: RedisAddress) -> Node:
            return Node(server, address, context, lambda: _PING)

        self._route: RedisRoute = route_to(address, make, self._stream)
        self._at: str | None = None

    async def read(self, since: str | None, patience: float) -> list[EventMessage]:
        if self._at is None:
            self._at = since if since is not None and _place(since) is not None else _BEGINNING
        lines = await self._lines(self._at, patience)
        if not lines:
            newest = await self._newest()
            if newest is not None and newest < (_place(self._at) or (0, 0)):
                self._at = _BEGINNING
                lines = await self._lines(self._at, 0.0)
        messages = [self._message(id_.decode(), fields) for id_, fields in lines]
        if lines:
            self._at = lines[-1][0].decode()
        return messages

    async def migrate(self) -> list[str]:
        return []

    async def close(self) -> None:
        await self._route.close()

    def _message(self, place: str, fields: list[bytes] | None) -> EventMessage:
        words = fields or []
        line = dict(zip(words[::2], words[1::2], strict=False))
        own = line.get(b"id")
        # An id may be any bytes; different bytes are a different id.
        id_ = own.decode(errors="surrogateescape") if own else f"{self._name}:{place}"
        return parse_message(place, id_, line.get(b"event"), line.get(b"data"))

    async def _lines(self, after: str, patience: float) -> list[Any]:
        wait = (b"BLOCK", max(1, round(patience * 1000))) if patience > 0 else ()
        words = (b"XREAD", *wait, b"COUNT", _PAGE, b"STREAMS", self._stream, after)
        command = Command(self._stream, pack(*words))
        (found,) = await self._route.many([command], patience=patience)
        found = sure(found)
        return found[self._stream] if found else []

    async def _newest(self) -> tuple[int, int] | None:
        """Return the id of the newest entry; None for an empty stream."""
        words = (b"XREVRANGE", self._stream, b"+", b"-", b"COUNT", 1)
        found = sure(await self._route.one(Command(self._stream, pack(*words)), repeatable=True))
        return _place(found[0][0].decode()) if found else None


def _place(id_: str) -> tuple[int, int] | None:
    """Return an entry's id as numbers, which sort like the stream; None for another text."""
    ms, _, number = id_.partition("-")
    if not (ms.isascii() and ms.isdecimal() and (number or "0").isdecimal()):
        return None
    return int(ms), int(number or 0)
