"""A fetch: the leader's half of a flight, steps 7 to 12 of the request pipeline.

One `Fetch` is the source of one recording. It looks at memory once more, reads the lower tiers,
asks the provider, relays what arrives and folds it on the way. At the moment when the answer is
whole it decides whether the answer may be stored. What only the cache needs runs inside the
fail-open boundary; an error of the provider's client goes to every reader unchanged.
"""

import functools
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import msgspec

from askonce.core import policy
from askonce.core.fail_open import HeldError
from askonce.core.models import Entry, Lease, Outcome, Reason, Verdict
from askonce.core.policy import Life
from askonce.core.protocols import Response, Upstream
from askonce.core.request import CacheRequest
from askonce.core.scopes import Scoped
from askonce.core.sse import SseEvent
from askonce.pipeline.context import Context
from askonce.pipeline.entry import (
    Provenance,
    account_for,
    apply_cache_groups,
    build_entry,
    find_best,
    is_due,
    judge,
    life_of,
    may_store,
    parsed,
)
from askonce.pipeline.event_stream import EventStream
from askonce.pipeline.form_check import FormVerdict, LongCheck
from askonce.pipeline.model_aliases import ModelAliases
from askonce.pipeline.present import NOT_CACHED
from askonce.pipeline.single_flight import Recording
from askonce.stores.tiered.tiers import TierHit

if TYPE_CHECKING:
    from askonce.semantic.lookup import SemanticLookup

_SHAPELESS = frozenset({Reason.GARBAGE, Reason.EMPTY, Reason.STREAM_ERROR, Reason.CUT_SHORT})
"""Answers that cannot be shown in another shape."""

_encode = msgspec.json.Encoder().encode


class Fetch:
    """One question on its way through the tiers to the provider.

    Args:
        context: What all requests of the mode share.
        request: The question.
        upstream: The way to the provider.
        flight: The key of the flight.
        aliases: Notes which model answers for which name.
        lookup: Finds answers by meaning; None if the cache does not.
    """

    def __init__(
        self,
        context: Context,
        request: CacheRequest,
        upstream: Upstream,
        flight: Hashable,
        aliases: ModelAliases,
        lookup: "SemanticLookup | None",
    ) -> None:
        self._context = context
        self._request = request
        self._upstream = context.prompts.wrap(upstream)
        self._aliases = aliases
        self._flight = flight
        self._lookup = lookup
        self._scoped: Scoped | None = None
        self._fallback: TierHit | None = None
        """A stale answer that may stand in for the provider's."""
        self._without_tags: Entry | None = None
        """An entry that lacks the caller's tags; the new one gets the tags of both."""
        self._lease: Lease | None = None
        self._provenance = Provenance({})
        self._response: Response | None = None
        self._events: EventStream
        self._body: list[bytes] = []
        self._in_check = False
        """The answer is whole, and a long check decides in the background."""
        self._size = 0
        self._may_read = request.verdict.yes and not request.directives.no_cache
        self.is_short = self._may_read

    async def step(self, recording: Recording) -> None:
        """Make the recording longer; see `RecordingSource`."""
        if self.is_short:
            self.is_short = False
            await self._answer_from_tiers(recording)
        elif self._response is None:
            await self._begin(recording)
        elif recording.streamed:
            await self._add_events(recording, await self._response.next())
        else:
            await self._add_body(recording, await self._response.next())

    async def drop(self, recording: Recording) -> None:
        """Release the flight, the lease and the connection."""
        if not self._in_check:
            self._land(recording)
        if self._response is not None:
            await self._response.close()

    async def _begin(self, recording: Recording) -> None:
        """Steps 8 and 9: by meaning, else from another process, else from the provider."""
        context, request = self._context, self._request
        if self._lookup is not None and await self._answer_by_meaning(recording):
            return
        if request.directives.only_if_cached:
            self._refuse(recording)
            return
        waits = self._may_read and self._lease is None and not request.directives.no_store
        if waits and await self._answer_from_another_process(recording):
            return
        before = self._without_tags
        if request.refreshing and self._fallback is not None:
            # The caller who refreshes an answer may be another one than the one who tagged it.
            before = self._fallback.entry
        epochs = await context.tiers.capture(policy.united(request.directives, before))
        swept = await context.tiers.last_sweep(epochs)
        scope = b"" if self._scoped is None else self._scoped.scope
        self._provenance = Provenance(epochs, swept, context.runtime.monotonic(), scope)
        response = self._response = await self._ask(recording)
        if response is None:
            return
        call = request.call
        apply_cache_groups(context, call.origin, call.method, response.headers)
        content = next((v for n, v in response.headers if n.lower() == "content-type"), "")
        is_stream = content.lower().startswith("text/event-stream")
        streamed = 200 <= response.status < 300 and is_stream
        if streamed:
            # Not earlier: most flights end in a tier.
            limit = context.limits.max_entry
            self._events = EventStream(request.format.fold(request.question), limit)
        else:
            await self._read_ahead(recording, response)
        recording.begin(response.status, response.headers, streamed=streamed)

    # Step 7.

    async def _answer_from_tiers(self, recording: Recording) -> bool:
        """Look at memory once more, then at the lower tiers; True if one had the answer."""
        context, request = self._context, self._request
        beyond = request.beyond if request.refreshing else 0.0
        found = await find_best(context, request, beyond)
        if found is None:
            return False
        entry = found.entry
        life = life_of(context, entry, request)
        stale = life is Life.STALE
        if (life is Life.FRESH and entry.expires > beyond) or (stale and not request.refreshing):
            context.tiers.backfill(found)
            if self._lookup is not None and found.tier is not None:
                self._lookup.index_remote_entry(entry)
            recording.due = stale or (not request.refreshing and is_due(context, entry, request))
            self._replay(recording, found, Outcome.STALE if stale else found.outcome)
            return True
        if life is Life.OTHER_TAGS:
            self._without_tags = entry
            recording.reason = Reason.OTHER_TAGS
            return False
        if not policy.bounded(entry, request.directives).is_fresh(context.runtime.now()):
            recording.reason = Reason.EXPIRED
        elif life is Life.OVER:
            recording.reason = Reason.TOO_OLD  # for the caller, who asked for a younger one
        if life is not Life.OVER:
            self._fallback = found
        return False

    async def _answer_from_another_process(self, recording: Recording) -> bool:
        """Get the lease, or another process's answer; True if its answer is replayed."""
        context, request = self._context, self._request

        async def look() -> bool:
            return await self._answer_from_tiers(recording)

        result = await context.tiers.acquire_lease(request.key, look, wait=not request.refreshing)
        self._lease = result.lease
        if result.answered:
            return True
        if request.refreshing and result.taken and self._fallback is not None:
            # Another process refreshes it already.
            self._replay(recording, self._fallback, Outcome.STALE)
            return True
        return False

    # Step 8.

    async def _answer_by_meaning(self, recording: Recording) -> bool:
        """Replay the answer to a question that asks the same; True if there was one."""
        lookup, request = self._lookup, self._request
        if lookup is None or not request.verdict.yes:
            return False
        with self._context.boundary.around("semantic"):
            self._scoped = lookup.scope_request(request)
            may_serve = self._may_read and not request.refreshing
            if self._scoped is None or not may_serve or lookup.mode(request.directives) != "serve":
                return False
            hit = await lookup.find(self._scoped, request.key, request.directives)
            if hit is not None:
                self._replay(recording, hit.found, Outcome.HIT_SEMANTIC, hit.similarity)
                return True
        return False

    def _replay(
        self, recording: Recording, found: TierHit, outcome: Outcome, near: float | None = None
    ) -> None:
        recording.replay(found.entry, outcome, found.layer, near)
        self._context.flights.land(self._flight, recording)

    def _refuse(self, recording: Recording) -> None:
        """Answer 504: the call said `only-if-cached`, and no tier has the answer."""
        body = self._request.format.error(NOT_CACHED, Reason.ONLY_IF_CACHED.value)
        recording.refuse(504, body, Reason.ONLY_IF_CACHED)
        self._context.flights.land(self._flight, recording)

    # Step 9.

    async def _ask(self, recording: Recording) -> Response | None:
        """Ask the provider; None if a stale answer had to stand in for it."""
        context, request = self._context, self._request
        body = request.call.body
        with context.boundary.around("body"):
            body = request.outgoing_body()
        context.ledger.asked_upstream()
        if self._fallback is None:
            return await self._upstream.ask(request.call, body)
        response: Response | None = None
        held = HeldError()
        with held:
            response = await self._upstream.ask(request.call, body)
        life = life_of(context, self._fallback.entry, request)
        if life not in (Life.STALE, Life.IF_ERROR) or request.refreshing:
            if held.error is not None:
                raise held.error
            return response
        if response is None or policy.is_passing_failure(response.status):
            if response is not None:
                await response.close()
            self._replay(recording, self._fallback, Outcome.STALE)
            return None
        return response

    # Step 10.

    async def _read_ahead(self, recording: Recording, response: Response) -> None:
        """Read on while the end is near, so that the head can say whether it was stored."""
        while True:
            piece = await response.next()
            await self._add_body(recording, piece)
            if piece is None or not piece.rstrip().endswith(b"}"):
                return

    async def _add_body(self, recording: Recording, piece: bytes | None) -> None:
        if piece is not None:
            recording.add([piece])
            self._size += len(piece)
            if self._size > self._context.limits.max_entry:
                self._give_up(recording, Reason.OVER_SIZE)
            elif self._is_open(recording):
                self._body.append(piece)
            return
        if self._is_open(recording):
            body = b"".join(self._body)
            await self._decide(recording, body, parsed(body))
        recording.end()

    async def _add_events(self, recording: Recording, piece: bytes | None) -> None:
        if self._events.is_over_size:
            self._give_up(recording, Reason.OVER_SIZE)
        events = self._events.take(piece)
        if self._is_open(recording):
            await self._fold(recording, events)
        recording.add([*events])
        if piece is None:
            recording.end()

    async def _fold(self, recording: Recording, events: list[SseEvent]) -> None:
        answer: dict[str, Any] | None = None
        attempt = self._context.boundary.around("fold")
        with attempt:
            answer = self._events.fold(events)
        if attempt.failed:
            self._give_up(recording, Reason.GARBAGE)
        elif answer is not None:
            await self._decide(recording, _encode(answer), answer)
        elif self._events.failed is not None:
            await self._decide(recording, None, None, self._events.failed)

    def _give_up(self, recording: Recording, reason: Reason) -> None:
        """Relay the rest of an answer that will not be stored, whatever follows."""
        if self._is_open(recording):
            recording.stored = Verdict(False, reason)
            self._context.ledger.landed(recording.stored)
            self._context.ledger.unread(self._context.runtime.now())
            self._land(recording)
        self._body.clear()

    def _is_open(self, recording: Recording) -> bool:
        return recording.stored is None and not self._in_check

    # Steps 11 and 12.

    async def _decide(
        self, recording: Recording, body: bytes | None, answer: Any, failed: Reason | None = None
    ) -> None:
        """Judge an answer that has ended and conclude it, in the background if that takes long."""
        context, request = self._context, self._request
        reason = failed or judge(context, request, answer)
        judged: FormVerdict = reason
        looked_up = reason is Reason.HOSTED_TOOL
        if reason is None or (
            looked_up and policy.is_overruled(reason, request.directives, context.limits)
        ):
            # A setting that keeps lookups keeps no wrong form; one that keeps cut answers does.
            judged = await context.form_check.check(request, answer) or reason
        conclude = functools.partial(self._conclude, recording, body, answer, judged)
        if isinstance(judged, LongCheck):
            self._in_check = True
            recording.answer = body  # for readers who want another shape
            context.runtime.run_in_background(conclude)
        else:
            await conclude()

    async def _conclude(
        self, recording: Recording, body: bytes | None, answer: Any, judged: FormVerdict
    ) -> None:
        """Store an answer, if it may be, and land the flight."""
        if isinstance(judged, LongCheck):
            judged = await judged.run()
        context, request = self._context, self._request
        assert self._response is not None
        response, size = self._response, len(body or b"")
        verdict, self._provenance = await may_store(
            context, request, response, judged, answer, size, self._provenance
        )
        entry: Entry | None = None
        has_shape = judged not in _SHAPELESS or verdict.yes
        if body is not None and isinstance(answer, dict) and has_shape:
            recording.answer = body
            with context.boundary.around("entry"):
                entry = build_entry(context, request, response, body, answer, self._provenance)
        if verdict.yes:
            verdict = await self._store(entry)
        if entry is not None:
            self._upstream.record_usage(entry.usage)
        recording.entry = entry
        recording.stored = verdict
        if not verdict.yes and recording.reason is Reason.NOT_FOUND:
            recording.reason = verdict.reason
        self._land(recording)
        context.ledger.landed(verdict)
        account_for(
            context, request, entry, verdict, status=response.status, joined=recording.joined
        )
        if verdict.yes and entry is not None and not entry.is_refusal:
            self._aliases.note(entry, answer)

    async def _store(self, entry: Entry | None) -> Verdict:
        """Step 11: store the entry in every tier, and its question in the semantic index."""
        context, request = self._context, self._request
        if entry is None:
            return Verdict(False, Reason.STORE_FAILED)
        lease, self._lease = self._lease, None
        verdict = await context.tiers.store(entry, lease)
        if verdict.yes and self._scoped is not None and self._lookup is not None:
            with context.boundary.around("semantic"):
                looked_up = self._may_read and not request.refreshing
                await self._lookup.index_answer(
                    entry, self._scoped, request.directives, request.format, looked_up=looked_up
                )
        return verdict

    def _land(self, recording: Recording) -> None:
        """Step 12: end the flight, and release the lease for other processes."""
        self._context.flights.land(self._flight, recording)
        lease, self._lease = self._lease, None
        if lease is not None:
            self._context.tiers.release_lease(lease)
