"""Calls: commands and scripts that go along a route; a refusal becomes a `StoreError`."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from askonce.stores.redis.connections import pack
from askonce.stores.redis.routes import Command, RedisRoute, sure
from askonce.stores.redis.scripts import Script

Word = bytes | str | int

NAMES_AT_ONCE = 64
"""How many names one pipeline takes."""

_SCANNED = 256


class RedisCall(NamedTuple):
    """One command; `with_text` packs its script's text, for a server that lacks the script."""

    name: bytes
    packed: bytes
    with_text: Callable[[], bytes] | None = None


def command(verb: bytes, name: bytes, *words: Word) -> RedisCall:
    """Return a call of a plain command; its first key decides the server."""
    return RedisCall(name, pack(verb, name, *words))


def script(lua: Script, keys: Sequence[bytes], *args: Word) -> RedisCall:
    """Return a call of a script; its first key decides the server."""
    return RedisCall(keys[0], lua.by_digest(keys, *args), lambda: lua.by_text(keys, *args))


class RedisCaller:
    """Makes calls along a route. Every refusal is a `StoreError`."""

    def __init__(self, route: RedisRoute) -> None:
        self._route = route

    async def one(self, call: RedisCall, *, repeatable: bool = False, lasting: bool = False) -> Any:
        """Return the reply of one call; see `Node.exchange` for the options."""
        first = Command(call.name, call.packed)
        reply = await self._route.one(first, repeatable=repeatable, lasting=lasting)
        if isinstance(reply, NoScriptError) and call.with_text:
            again = Command(call.name, call.with_text())
            reply = await self._route.one(again, lasting=lasting)
        return sure(reply)

    async def many(
        self, calls: Sequence[RedisCall], *, patience: float = 0.0, lasting: bool = False
    ) -> list[Any]:
        """Return the replies of a pipeline of calls, in order."""
        if not calls:
            return []
        commands = [Command(call.name, call.packed) for call in calls]
        replies = await self._route.many(commands, patience=patience, lasting=lasting)
        for index, call in enumerate(calls):
            if isinstance(replies[index], NoScriptError):
                replies[index] = await self.one(call, lasting=lasting)
        return [sure(reply) for reply in replies]

    async def values(self, names: Sequence[bytes]) -> list[Any]:
        """Return the value of each name: None if missing, an error reply if it is no string."""
        # Not MGET: in a cluster the names are in different slots.
        commands = [Command(name, pack(b"GET", name)) for name in names]
        replies = await self._route.many(commands) if commands else []
        # Any other refusal is no statement about the value.
        return [reply if is_wrong_type(reply) else sure(reply) for reply in replies]

    async def names(self, pattern: bytes) -> AsyncIterator[list[bytes]]:
        """Yield the names that match a pattern, a few at a time; some perhaps twice."""
        for node in await self._route.masters():
            cursor = b"0"
            while True:
                scan = pack(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _SCANNED)
                (reply,) = await node.exchange((scan,), repeatable=True)
                cursor, names = sure(reply)
                for start in range(0, len(names), NAMES_AT_ONCE):
                    yield names[start : start + NAMES_AT_ONCE]
                if cursor == b"0":
                    break


def is_wrong_type(reply: Any) -> bool:
    """Does a refusal mean that the value is of another type?"""
    return isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")
