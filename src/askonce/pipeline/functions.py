"""Memoized functions: the same tiers and flights, for the results of any function.

A call's key is the function's full name, its version and its arguments. A result is kept as JSON
and comes back in the type of the function's return annotation, on a miss as on a hit, so that
nothing changes the second time. Arguments or results that JSON cannot carry are not remembered;
the function is then called as if it were not decorated.
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
from askonce.pipeline.single_flight import Recording, RecordingReader

FORMAT = "function"


class MemoizedFunction(msgspec.Struct, frozen=True):
    """A decorated function: the parts of its keys, and how its results are kept.

    `name` includes the version; `ttl` is in seconds, None for the cache's default.
    """

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
        """Read a function's signature and annotations."""
        name = f"{function.__module__}.{function.__qualname__}@{version}"
        hints = typing.get_type_hints(function)
        return cls(
            name, inspect.signature(function), hints.get("return", Any), namespace, ttl, tags
        )

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key | None:
        """Return the key of one call; None if an argument is not plain data."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        try:
            plain = msgspec.to_builtins(bound.arguments, str_keys=True)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None
        tree = {"function": self.name, "arguments": keys.Opaque(plain)}
        return keys.key_of(self.namespace, FORMAT, tree)

    def value(self, body: bytes) -> Any:
        """Read a kept result."""
        return msgspec.json.decode(body, type=self.returns)


class MemoizedFunctions:
    """Answers calls of decorated functions, in one mode."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def call(
        self, function: MemoizedFunction, key: Key | None, compute: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Return the function's result: remembered, joined or computed.

        Args:
            function: The decorated function.
            key: The call's key; None if an argument is not plain data.
            compute: Calls the function itself.

        Raises:
            Exception: What the function raises.
        """
        context = self._context
        if key is None:
            context.ledger.answered(Outcome.BYPASS, Reason.MALFORMED)
            return await compute()
        held = context.tiers.find(key)
        now = context.runtime.now()
        if held is not None and held.entry.is_fresh(now):
            with context.boundary.around("value"):
                value = function.value(held.entry.body)
                context.ledger.answered(Outcome.HIT_MEMORY, Reason.OK, held.entry, now)
                return value
            return await self._compute_again(compute)
        while True:
            done, value = await self._fly(function, key, compute)
            if done:
                return value

    async def _fly(
        self, function: MemoizedFunction, key: Key, compute: Callable[[], Awaitable[Any]]
    ) -> tuple[bool, Any]:
        """Join or lead one flight; False if it was abandoned and the caller must try again."""
        context = self._context
        epochs = await context.tiers.epochs(function.tags) if function.tags else {}
        flight: Hashable = (context.runtime.loop_or_process(), key, tuple(epochs.values()))
        computation = Computation(context, function, key, flight, compute)
        recording, leads = context.flights.join(
            flight, lambda: Recording(context.runtime, computation)
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
            value = computation.value if body is None else function.value(body)
        if attempt.failed:
            return True, await self._compute_again(compute)
        context.ledger.answered(outcome, reason, recording.entry, context.runtime.now())
        if leads and recording.layer:
            context.ledger.layer(recording.layer, "hits")
        # JSON cannot carry it: the leader has the object, a joined caller makes its own.
        return True, value if leads or body is not None else await compute()

    async def _compute_again(self, compute: Callable[[], Awaitable[Any]]) -> Any:
        """Call the function: the kept result does not fit its annotation any more."""
        self._context.ledger.answered(Outcome.BYPASS, Reason.GARBAGE)
        return await compute()


class Computation:
    """The source of a recording whose provider is a function."""

    is_short = False

    def __init__(
        self,
        context: Context,
        function: MemoizedFunction,
        key: Key,
        flight: Hashable,
        compute: Callable[[], Awaitable[Any]],
    ) -> None:
        self._context = context
        self._function = function
        self._key = key
        self._flight = flight
        self._compute = compute
        self._ttl = policy.lifetime(function.ttl, context.limits, key.digest)
        self.value: Any = None
        self._lease: Lease | None = None
        self._swept = 0

    async def step(self, recording: Recording) -> None:
        """Find the result in a tier, or compute it."""
        context = self._context

        async def look() -> bool:
            return await self._answer_from_tiers(recording)

        if not await look() and not await self._answer_from_another_process(look):
            epochs = await context.tiers.capture(self._function.tags)
            self._swept = await context.tiers.last_sweep(epochs)
            self.value = await self._compute()
            recording.begin(200, [], streamed=False)
            await self._store(recording, epochs)
            recording.end()
        context.flights.land(self._flight, recording)

    async def drop(self, recording: Recording) -> None:
        """Release the flight and the lease."""
        self._context.flights.land(self._flight, recording)
        lease, self._lease = self._lease, None
        if lease is not None:
            self._context.tiers.release_lease(lease)

    async def _answer_from_tiers(self, recording: Recording) -> bool:
        found = await self._context.tiers.find_fresh(self._key)
        if found is None:
            return False
        recording.replay(found.entry, found.outcome, found.layer)
        return True

    async def _answer_from_another_process(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Get the lease, or another process's result; True if its result is there."""
        if self._lease is not None or self._ttl <= 0:
            return False
        result = await self._context.tiers.acquire_lease(self._key, look)
        self._lease = result.lease
        return result.answered

    async def _store(self, recording: Recording, epochs: dict[str, int] | None) -> None:
        context, ttl = self._context, self._ttl
        body = None
        try:
            body = msgspec.json.encode(self.value)
            self._function.value(body)
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


def _no_events(event: SseEvent) -> bytes | None:
    raise AnswerCut("a function's result is not a stream")
