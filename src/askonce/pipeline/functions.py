"""Remembering what functions return: the same layers and flights, for any function.

A call's key is the function's full name, its version and its arguments. A result is kept as JSON
and comes back as the function's return annotation says, on a miss as on a hit, so that nothing
changes the second time. Arguments or results that JSON cannot carry are not remembered; the
function is called as if it were not decorated.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import msgspec

from askonce.core import keys, policy
from askonce.core.errors import AnswerCut
from askonce.core.models import Entry, Key, Lease, Outcome, Reason, Verdict
from askonce.core.sse import SseEvent
from askonce.pipeline.context import Context
from askonce.pipeline.recording import Recording, RecordingReader

FORMAT = "function"


class MemoizedFunction(msgspec.Struct, frozen=True):
    """A decorated function: what its keys and its results are made of."""

    name: str
    signature: inspect.Signature
    returns: Any
    namespace: str
    ttl: float | None
    tags: tuple[str, ...]

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        namespace: str,
        ttl: float | None,
        tags: tuple[str, ...],
        version: str,
    ) -> "MemoizedFunction":
        name = f"{function.__module__}.{function.__qualname__}@{version}"
        hints = typing.get_type_hints(function)
        return cls(
            name, inspect.signature(function), hints.get("return", Any), namespace, ttl, tags
        )

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key | None:
        """The key of one call, or None where an argument is not plain data."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        try:
            plain = msgspec.to_builtins(bound.arguments, str_keys=True)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None
        tree = {"function": self.name, "arguments": keys.Opaque(plain)}
        return keys.key_of(self.namespace, FORMAT, tree)


class Computation:
    """The source of a recording whose provider is a function."""

    short = False

    def __init__(
        self,
        context: Context,
        remembered: MemoizedFunction,
        key: Key,
        flight: Hashable,
        compute: Callable[[], Awaitable[Any]],
    ) -> None:
        self._context = context
        self._remembered = remembered
        self._key = key
        self._flight = flight
        self._compute = compute
        self._ttl = policy.lifetime(remembered.ttl, context.limits, key.digest)
        self.value: Any = None
        self.computed = False
        self._lease: Lease | None = None
        self._swept = 0

    async def step(self, recording: Recording) -> None:
        context = self._context

        async def look() -> bool:
            return await self._answer_from_layers(recording)

        if not await look() and not await self._wait_for_turn(look):
            epochs = await context.tiers.capture(self._remembered.tags)
            self._swept = await context.tiers.last_sweep(epochs)
            self.value = await self._compute()
            self.computed = True
            recording.begin(200, [], streamed=False)
            await self._land(recording, epochs)
            recording.end()
        context.flights.land(self._flight, recording)

    async def drop(self, recording: Recording) -> None:
        self._context.flights.land(self._flight, recording)
        self._let_go()

    async def _answer_from_layers(self, recording: Recording) -> bool:
        found = await self._context.tiers.find_fresh(self._key)
        if found is None:
            return False
        layer = "" if found.tier is None else found.tier.name
        recording.replay(found.entry, found.outcome, layer)
        return True

    async def _wait_for_turn(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """One process of many computes it; True if another one's result is there."""
        if self._lease is not None or self._ttl <= 0:
            return False
        turn = await self._context.tiers.turn(self._key, look)
        self._lease = turn.lease
        return turn.answered

    def _let_go(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            self._context.tiers.give_back(lease)

    async def _land(self, recording: Recording, epochs: dict[str, int] | None) -> None:
        context, ttl = self._context, self._ttl
        body = None
        try:
            body = msgspec.json.encode(self.value)
            msgspec.json.decode(body, type=self._remembered.returns)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
            recording.stored = Verdict(False, Reason.NOT_JSON)
            context.ledger.landed(recording.stored)
            return
        recording.answer = body
        verdict = Verdict(False, Reason.TTL_ZERO if ttl <= 0 else Reason.STORE_FAILED)
        if ttl > 0 and epochs is not None:
            now = context.runtime.now()
            lease, self._lease = self._lease, None
            entry = Entry(
                key=self._key,
                body=body,
                status=200,
                headers=(),
                created=now,
                expires=now + ttl,
                stale_until=now + ttl,
                tags=tuple(epochs.items()),
                swept=self._swept,
            )
            verdict = await context.tiers.store(entry, lease)
            if verdict.yes:
                context.ledger.kept(entry, now)
        recording.stored = verdict
        context.ledger.landed(verdict)


class MemoizedFunctions:
    """Answers calls of decorated functions, over one context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def call(
        self, remembered: MemoizedFunction, key: Key | None, compute: Callable[[], Awaitable[Any]]
    ) -> Any:
        """The function's result: remembered, joined or computed. Raises what the function does."""
        context = self._context
        if key is None:
            context.ledger.answered(Outcome.BYPASS, Reason.MALFORMED)
            return await compute()
        held = context.tiers.find(key)
        now = context.runtime.now()
        if held is not None and held.entry.is_fresh(now):
            with context.boundary.around("value"):
                value = self._value(remembered, held.entry.body)
                context.ledger.answered(Outcome.HIT_MEMORY, Reason.OK, held.entry, now)
                return value
            return await self._anew(compute)
        while True:
            done, value = await self._fly(remembered, key, compute)
            if done:
                return value

    async def _fly(
        self, remembered: MemoizedFunction, key: Key, compute: Callable[[], Awaitable[Any]]
    ) -> tuple[bool, Any]:
        """Join or lead one flight; False if it was abandoned and another must be taken."""
        context = self._context
        tags = remembered.tags
        epochs = await context.tiers.epochs(tags) if tags else {}
        flight: Hashable = (context.runtime.loop_or_process(), key, tuple(epochs.values()))
        computing = Computation(context, remembered, key, flight, compute)
        recording, leads = context.flights.join(
            flight, lambda: Recording(context.runtime, computing)
        )
        reader = RecordingReader(recording, _no_events)
        try:
            if not await reader.head():
                return False, None
            body = await reader.whole()
        finally:
            await reader.close()
        outcome = recording.outcome if leads else Outcome.JOINED
        reason = recording.reason if outcome is Outcome.MISS else Reason.OK
        value: Any = None
        attempt = context.boundary.around("value")
        with attempt:
            value = computing.value if body is None else self._value(remembered, body)
        if attempt.failed:
            return True, await self._anew(compute)
        context.ledger.answered(outcome, reason, recording.entry, context.runtime.now())
        if leads and recording.layer:
            context.ledger.layer(recording.layer, "hits")
        # JSON cannot carry it: the leader has the object, a follower makes its own.
        return True, value if leads or body is not None else await compute()

    async def _anew(self, compute: Callable[[], Awaitable[Any]]) -> Any:
        """What is remembered does not fit the function's annotation any more."""
        self._context.ledger.answered(Outcome.BYPASS, Reason.GARBAGE)
        return await compute()

    def _value(self, remembered: MemoizedFunction, body: bytes) -> Any:
        return msgspec.json.decode(body, type=remembered.returns)


def _no_events(event: SseEvent) -> bytes | None:
    raise AnswerCut("a function's result is not a stream")
