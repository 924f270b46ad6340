"""Calls are commands and scripts on their way along a route; a refusal ends in a `StoreError`."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from askonce.stores.redis.connections import pack
from askonce.stores.redis.routes import Command, RedisRoute, sure
from askonce.stores.redis.scripts import Script

Word = bytes | str | int


class RedisCall(NamedTuple):
    """One command; `spelled` packs the script that it calls, should the server not know it."""

    name: bytes
    packed: bytes
    spelled: Callable[[], bytes] | None = None


def command(verb: bytes, name: bytes, *words: Word) -> RedisCall:
    """A call of a plain command whose first word is the key that says where it goes."""
    return RedisCall(name, pack(verb, name, *words))


def script(what: Script, keys: Sequence[bytes], *args: Word) -> RedisCall:
    """A call of a script; its first key says where it goes."""
    return RedisCall(keys[0], what.short(keys, *args), lambda: what.whole(keys, *args))


class RedisCaller:
    """Makes calls along a route."""

    def __init__(self, route: RedisRoute) -> None:
        self._route = route

    async def one(self, call: RedisCall, *, repeatable: bool = False, lasting: bool = False) -> Any:
        first = Command(call.name, call.packed)
        reply = await self._route.one(first, repeatable=repeatable, lasting=lasting)
        if isinstance(reply, NoScriptError) and call.spelled:
            again = Command(call.name, call.spelled())
            reply = await self._route.one(again, lasting=lasting)
        return sure(reply)

    async def many(
        self, calls: Sequence[RedisCall], *, patience: float = 0.0, lasting: bool = False
    ) -> list[Any]:
        """The replies of a pipeline of calls, in order."""
        if not calls:
            return []
        commands = [Command(call.name, call.packed) for call in calls]
        replies = await self._route.many(commands, patience=patience, lasting=lasting)
        for index, call in enumerate(calls):
            if isinstance(replies[index], NoScriptError):
                replies[index] = await self.one(call, lasting=lasting)
        return [sure(reply) for reply in replies]

    async def values(self, names: Sequence[bytes]) -> list[Any]:
        """What is kept under each name, None for nothing; a value that is no string is an error."""
        # Not MGET: in a cluster the names are in different slots.
        commands = [Command(name, pack(b"GET", name)) for name in names]
        replies = await self._route.many(commands) if commands else []
        # Any other refusal says nothing about the value.
        return [reply if is_wrong_type(reply) else sure(reply) for reply in replies]


def is_wrong_type(reply: Any) -> bool:
    """Does a refusal say that what is kept under the name is of another type?"""
    return isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")
