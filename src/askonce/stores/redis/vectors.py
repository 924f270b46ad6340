"""The shared vector index in Redis: the vector sets of Redis 8, one for each scope.

    PREFIX:{~v/EMBEDDER/SCOPE}:v   the vector set; an element is a printed key, and has its expiry
    PREFIX:{~v/EMBEDDER/SCOPE}:x   a sorted set of the same elements by expiry
    PREFIX:{~v/EMBEDDER/SCOPE}:a   a sorted set of the same elements, the oldest first
    PREFIX:{~v/EMBEDDER/SCOPE}:n   how many were ever added

EMBEDDER is a digest of the embedder's name and dimensions, SCOPE one of the scope. So embedders
are kept apart, and in a cluster a scope lives in one slot. A set expires with the last of its
elements.

Each vector has its expiry as an attribute, so that a search filters by it in one round trip. Each
addition removes a few expired elements.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

from redis.exceptions import ResponseError

from askonce.core.errors import ConfigError
from askonce.core.models import Key, NearestKey
from askonce.stores.context import StoreContext
from askonce.stores.redis.address import RedisAddress, ServerAddress, parse_address
from askonce.stores.redis.calls import (
    NAMES_AT_ONCE,
    RedisCall,
    RedisCaller,
    command,
    script,
)
from askonce.stores.redis.connections import Node, pack
from askonce.stores.redis.routes import Command, route_to, sure
from askonce.stores.redis.scripts import FORGET_VECTORS, REGISTER_VECTOR
from askonce.stores.vector_elements import (
    bounded_expiry,
    element_of,
    embedder_digest,
    floats_of,
    key_of,
)

Precision = Literal["Q8", "NOQUANT", "BIN"]

_PING = pack("PING")
_BREADTH_OF_ADD = 200
_BREADTH_OF_SEARCH = 250


def open_redis_vectors(
    url: str,
    context: StoreContext,
    *,
    embedder: str,
    dimensions: int,
    max_entries: int | None = None,
    precision: Precision = "Q8",
) -> "RedisVectors":
    """Open the index of one embedder's vectors at a Redis address, without connecting yet.

    Parameters:
        url: a Redis address.
        context: the clocks and deadline of the calling process.
        embedder: the name of the embedder; each has an index of its own.
        dimensions: of each vector.
        max_entries: the bound of each scope; the oldest leave. Default: no bound.
        precision: how Redis stores vectors. Default: 8 bits a dimension.

    Raises `ConfigError` for a malformed address.
    """
    return RedisVectors(
        parse_address(url),
        context,
        embedder=embedder,
        dimensions=dimensions,
        max_entries=max_entries,
        precision=precision,
    )


class RedisVectors:
    """A `VectorIndex` in Redis 8: on one server, a sentinel's or a cluster's."""

    def __init__(
        self,
        address: RedisAddress,
        context: StoreContext,
        *,
        embedder: str,
        dimensions: int,
        max_entries: int | None,
        precision: Precision,
    ) -> None:
        self.embedder = embedder
        self.dimensions = dimensions
        self._clock = context.clock
        self._most = max_entries or 0
        self._precision = precision
        which = embedder_digest(embedder, dimensions, 16)
        self._start = f"{address.prefix}:{{~v/{which}/"

        def make(server: ServerAddress, address: RedisAddress) -> Node:
            return Node(server, address, context, lambda: _PING)

        self._route = route_to(address, make, self._start.encode())
        self._caller = RedisCaller(self._route)

    async def add(self, scope: bytes, key: Key, vector: bytes, expires: float) -> None:
        floats_of(vector, self.dimensions)
        names = self._names(scope)
        element, until = element_of(key), bounded_expiry(expires)
        options = ("CAS", self._precision, "EF", _BREADTH_OF_ADD, "SETATTR", f'{{"x":{until!r}}}')
        added = command(b"VADD", names[0], b"FP32", vector, element, *options)
        registered = script(
            REGISTER_VECTOR, names, element, repr(until), repr(self._clock()), self._most
        )
        await self._all([added, registered])

    async def nearest(self, scope: bytes, vector: bytes, limit: int) -> list[NearestKey]:
        floats_of(vector, self.dimensions)
        if limit < 1:
            return []
        lives = f".x > {self._clock()!r}"
        words = (b"WITHSCORES", b"COUNT", limit, b"EF", max(_BREADTH_OF_SEARCH, limit))
        name = self._names(scope)[0]
        search = pack(b"VSIM", name, b"FP32", vector, *words, b"FILTER", lives)
        reply = _supported(await self._route.one(Command(name, search), repeatable=True))
        found = []
        for element, score in _pairs(reply):
            key = key_of(element)
            if key is not None:
                # Redis returns (1 + cosine) / 2.
                found.append(NearestKey(key, max(-1.0, min(1.0, 2 * float(score) - 1))))
        return sorted(found, key=lambda near: -near.similarity)

    async def remove(self, scope: bytes, keys: Iterable[Key]) -> None:
        elements = [element_of(key) for key in keys]
        names = self._names(scope)
        parts = range(0, len(elements), NAMES_AT_ONCE)
        calls = [script(FORGET_VECTORS, names, *elements[at : at + NAMES_AT_ONCE]) for at in parts]
        await self._all(calls)

    async def size(self, scope: bytes | None = None) -> int:
        now = repr(self._clock())
        if scope is not None:
            counted = command(b"ZCOUNT", self._names(scope)[1], f"({now}", b"+inf")
            return int(await self._caller.one(counted))
        total = 0
        async for names in self._caller.names(self._pattern("x")):
            calls = [command(b"ZCOUNT", name, f"({now}", b"+inf") for name in names]
            total += sum(await self._caller.many(calls))
        return total

    async def clear(self) -> None:
        """Forget everything of this embedder."""
        for letter in "vxan":
            async for names in self._caller.names(self._pattern(letter)):
                await self._caller.many([command(b"UNLINK", name) for name in names])

    async def close(self) -> None:
        await self._route.close()

    def _names(self, scope: bytes) -> list[bytes]:
        start = f"{self._start}{_digest(scope)}}}:"
        return [f"{start}{letter}".encode() for letter in "vxan"]

    async def _all(self, calls: list[RedisCall]) -> None:
        commands = [Command(call.name, call.packed) for call in calls]
        replies = await self._route.many(commands) if commands else []
        for call, reply in zip(calls, replies, strict=True):
            if call.with_text is not None and str(reply).startswith("No matching script"):
                await self._caller.one(call)
            else:
                _supported(reply)

    def _pattern(self, letter: str) -> bytes:
        """Return the SCAN pattern of this embedder's keys of one kind."""
        return f"{self._start}*}}:{letter}".encode()


def _supported(reply: Any) -> Any:
    """Return a reply that is no refusal. Raises `ConfigError` if the server has no vector sets."""
    if isinstance(reply, ResponseError) and "unknown command" in str(reply).lower():
        raise ConfigError("this Redis has no vector sets; an index in Redis needs Redis 8 or later")
    return sure(reply)


def _pairs(reply: Any) -> Iterable[tuple[bytes, Any]]:
    if isinstance(reply, dict):
        return reply.items()
    return zip(reply[::2], reply[1::2], strict=True)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
