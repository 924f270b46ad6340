"""Asking: the leader's half of a flight, steps 7 and 9 to 12 of the request path.

One `Fetch` is the source of one recording. It looks once more at memory, reads the shared store,
asks the provider, relays what arrives, folds it on the way, and decides the moment the answer is
whole whether it may be stored. Everything that only the cache needs runs inside the fail-open
boundary; what the provider's client raises goes to every reader unchanged.
"""

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
from askonce.core.sse import Splitter
from askonce.core.wire_format import Folding
from askonce.invalidation import cache_groups
from askonce.pipeline.context import Context
from askonce.pipeline.entry import account_for, build_entry
from askonce.pipeline.model_aliases import ModelAliases
from askonce.pipeline.recording import Piece, Recording
from askonce.stores.tiered.tiers import TierHit

if TYPE_CHECKING:
    from askonce.semantic.lookup import SemanticLookup

# Answers of which nothing can be made in another shape.
_SHAPELESS = frozenset({Reason.GARBAGE, Reason.EMPTY, Reason.STREAM_ERROR, Reason.CUT_SHORT})
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Fetch:
    """One question on its way to the provider."""

    def __init__(
        self,
        context: Context,
        asked: CacheRequest,
        upstream: Upstream,
        flight: Hashable,
        aliases: ModelAliases,
        lookup: "SemanticLookup | None",
    ) -> None:
        self._context = context
        self._asked = asked
        self._upstream = context.prompted(upstream)
        self._aliases = aliases
        self._flight = flight
        self._lookup = lookup
        self._scoped: Scoped | None = None
        self._fallback: TierHit | None = None
        self._lacking: Entry | None = None
        self._lease: Lease | None = None
        self._epochs: dict[str, int] | None = {}
        self._swept = 0
        self._response: Response | None = None
        self._splitter: Splitter
        self._folding: Folding
        self._body: list[bytes] = []
        self._size = 0
        self._started = 0.0
        self.short = self._readable = asked.verdict.yes and not asked.directives.no_cache

    async def step(self, recording: Recording) -> None:
        if self.short:
            self.short = False
            await self._answer_from_layers(recording)
        elif self._response is None:
            await self._begin(recording)
        elif recording.streamed:
            await self._more_events(recording, await self._response.next())
        else:
            await self._more_body(recording, await self._response.next())

    async def drop(self, recording: Recording) -> None:
        self._context.flights.land(self._flight, recording)
        self._let_go()
        if self._response is not None:
            await self._response.close()

    # Step 7 is `_answer_from_layers`; then step 9.

    async def _begin(self, recording: Recording) -> None:
        context, asked = self._context, self._asked
        if self._lookup is not None and await self._answer_by_meaning(recording):
            return
        if asked.directives.only_if_cached:
            self._refuse(recording)
            return
        takes_turns = self._readable and self._lease is None and not asked.directives.no_store
        if takes_turns and await self._wait_for_turn(recording):
            return
        before = self._lacking
        if asked.refreshing and self._fallback is not None:
            # Whoever refreshes an answer need not be the one who tagged it.
            before = self._fallback.entry
        self._epochs = await context.tiers.capture(policy.united(asked.directives, before))
        self._swept = await context.tiers.last_sweep(self._epochs)
        self._started = context.runtime.monotonic()
        response = await self._ask(recording)
        if response is None:
            return
        self._response = response
        context.apply_cache_groups(asked.call.origin, asked.call.method, response.headers)
        content = next((v for n, v in response.headers if n.lower() == "content-type"), "")
        streamed = 200 <= response.status < 300 and content.startswith("text/event-stream")
        if streamed:
            # Not before: most flights end in a layer and need neither.
            self._splitter = Splitter()
            self._folding = asked.format.fold()
        else:
            await self._read_ahead(recording)
        recording.begin(response.status, response.headers, streamed=streamed)

    async def _answer_from_layers(self, recording: Recording) -> bool:
        """Memory once more, then the shelves; True if one of them had the answer."""
        context, asked = self._context, self._asked
        beyond = asked.beyond if asked.refreshing else 0.0
        found = await context.tiers.recall(asked.key)
        if (
            found is None
            or found.entry.expires <= beyond
            or context.life(found.entry, asked) is not Life.FRESH
        ):
            below = await context.tiers.read(asked.key, beyond, asked.directives.tags)
            if below is not None and (found is None or self._is_better(below, found)):
                found = below
        if found is None:
            return False
        entry = found.entry
        life = context.life(entry, asked)
        stale = life is Life.STALE
        if (life is Life.FRESH and entry.expires > beyond) or (stale and not asked.refreshing):
            context.tiers.backfill(found)
            if self._lookup is not None and found.tier is not None:
                self._lookup.learn(entry)
            recording.due = stale or (not asked.refreshing and context.is_due(entry, asked))
            self._replay(recording, found, Outcome.STALE if stale else found.outcome)
            return True
        if life is Life.OTHER_TAGS:
            self._lacking = entry
            recording.reason = Reason.OTHER_TAGS
            return False
        if not policy.bounded(entry, asked.directives).is_fresh(context.runtime.now()):
            recording.reason = Reason.EXPIRED
        elif life is Life.OVER:
            recording.reason = Reason.TOO_OLD
        if life is not Life.OVER:
            self._fallback = found
        return False

    def _is_better(self, below: TierHit, found: TierHit) -> bool:
        tags = self._asked.directives.tags
        lacks = bool(tags) and not policy.carries(found.entry, tags)
        if lacks and policy.carries(below.entry, tags):
            return True
        return below.entry.expires > found.entry.expires

    async def _answer_by_meaning(self, recording: Recording) -> bool:
        """Step 8; True if the answer to a question that asks the same was there."""
        lookup, asked = self._lookup, self._asked
        if lookup is None or not asked.verdict.yes:
            return False
        with self._context.boundary.around("semantic"):
            self._scoped = lookup.scoped(asked)
            may_serve = self._readable and not asked.refreshing
            if self._scoped is None or not may_serve or lookup.mode(asked.directives) != "serve":
                return False
            hit = await lookup.find(self._scoped, asked.key, asked.directives)
            if hit is not None:
                self._replay(recording, hit.found, Outcome.HIT_SEMANTIC, hit.similarity)
                return True
        return False

    async def _wait_for_turn(self, recording: Recording) -> bool:
        """One process of many asks; True if another one's answer is there to be replayed."""
        context, asked = self._context, self._asked

        async def look() -> bool:
            return await self._answer_from_layers(recording)

        turn = await context.tiers.turn(asked.key, look, wait=not asked.refreshing)
        self._lease = turn.lease
        if turn.answered:
            return True
        if asked.refreshing and turn.taken and self._fallback is not None:
            # Somebody else refreshes it already.
            self._replay(recording, self._fallback, Outcome.STALE)
            return True
        return False

    def _replay(
        self,
        recording: Recording,
        found: TierHit,
        outcome: Outcome,
        similarity: float | None = None,
    ) -> None:
        layer = "" if found.tier is None else found.tier.name
        recording.replay(found.entry, outcome, layer, similarity)
        self._context.flights.land(self._flight, recording)

    def _refuse(self, recording: Recording) -> None:
        body = self._asked.format.error(
            "not in the cache, and the call said only-if-cached", Reason.ONLY_IF_CACHED.value
        )
        recording.reason = Reason.ONLY_IF_CACHED
        recording.stored = Verdict(False, Reason.ONLY_IF_CACHED)
        recording.add([body])
        recording.begin(
            504, [("content-type", "application/json"), ("x-should-retry", "false")], streamed=False
        )
        recording.end()
        self._context.flights.land(self._flight, recording)

    async def _ask(self, recording: Recording) -> Response | None:
        """Ask the provider; None if a stale answer had to stand in for it."""
        context, asked = self._context, self._asked
        body = asked.call.body
        with context.boundary.around("body"):
            body = asked.format.to_upstream(body, asked.question)
        context.ledger.asked_upstream()
        if self._fallback is None:
            return await self._upstream.ask(asked.call, body)
        response: Response | None = None
        held = HeldError()
        with held:
            response = await self._upstream.ask(asked.call, body)
        life = context.life(self._fallback.entry, asked)
        if life not in (Life.STALE, Life.IF_ERROR) or asked.refreshing:
            if held.error is not None:
                raise held.error
            return response
        if response is None or policy.is_passing_failure(response.status):
            if response is not None:
                await response.close()
            self._replay(recording, self._fallback, Outcome.STALE)
            return None
        return response

    # Step 10, answers that are not streamed.

    async def _read_ahead(self, recording: Recording) -> None:
        """Read on while the end is near, so that the head can say whether it was stored."""
        assert self._response is not None
        while True:
            piece = await self._response.next()
            await self._more_body(recording, piece)
            if piece is None or not piece.rstrip().endswith(b"}"):
                return

    async def _more_body(self, recording: Recording, piece: bytes | None) -> None:
        if piece is not None:
            recording.add([piece])
            self._keep(recording, piece)
            return
        body = b"".join(self._body)
        answer: Any = None
        if recording.stored is None:
            with self._context.boundary.around("fold"):
                answer = self._decoded(body)
            await self._land(recording, body, answer)
        recording.end()

    def _decoded(self, body: bytes) -> Any:
        try:
            return _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _keep(self, recording: Recording, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._context.limits.max_entry:
            self._give_up(recording, Reason.OVER_SIZE)
        elif recording.stored is None:
            self._body.append(piece)

    def _give_up(self, recording: Recording, reason: Reason) -> None:
        """This answer will not be stored whatever follows; go on relaying it."""
        if recording.stored is None:
            recording.stored = Verdict(False, reason)
            self._context.ledger.landed(recording.stored)
            self._context.ledger.unread(self._context.runtime.now())
            self._context.flights.land(self._flight, recording)
            self._let_go()
        self._body.clear()

    def _let_go(self) -> None:
        """Whoever waits for this question in another process may ask now."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._context.tiers.give_back(lease)

    # Step 10, streams.

    async def _more_events(self, recording: Recording, piece: bytes | None) -> None:
        if piece is None:
            if recording.stored is None:
                reason = self._folding.failed or Reason.CUT_SHORT
                await self._land(recording, None, None, reason)
            if self._splitter.rest:
                recording.add([self._splitter.rest])
            recording.end()
            return
        if self._splitter.overfull or self._size > self._context.limits.max_entry * 4:
            # An event stream is several times as long as the answer that it folds into.
            self._give_up(recording, Reason.OVER_SIZE)
        self._size += len(piece)
        events = self._splitter.feed(piece)
        if recording.stored is None:
            await self._fold(recording, events)
        pieces: list[Piece] = [*events]
        recording.add(pieces)

    async def _fold(self, recording: Recording, events: list[Any]) -> None:
        folding = self._folding
        answer: dict[str, Any] | None = None
        attempt = self._context.boundary.around("fold")
        with attempt:
            for event in events:
                if event.data and not folding.ended:
                    folding.feed(event)
            if folding.ended and not folding.failed:
                answer = folding.answer()
        if attempt.failed:
            self._give_up(recording, Reason.GARBAGE)
        elif folding.ended or folding.failed is not None:
            body = None if answer is None else _encode(answer)
            await self._land(recording, body, answer, folding.failed)

    # Steps 11 and 12.

    async def _land(
        self,
        recording: Recording,
        body: bytes | None,
        answer: Any,
        failed: Reason | None = None,
    ) -> None:
        """The answer has ended: decide, store, and let the flight land."""
        context, asked = self._context, self._asked
        assert self._response is not None
        status = self._response.status
        judged = failed
        if judged is None:
            judged = Reason.GARBAGE
            with context.boundary.around("judge"):
                if isinstance(answer, dict):
                    judged = asked.format.judge(answer, wants_json=asked.question.wants_json)
        size = len(body) if body is not None else 0
        verdict = policy.may_store(status, judged, size, asked.directives, context.limits)
        if verdict.reason is Reason.STATUS:
            verdict = await self._may_keep_refusal(status, answer, size)
        if verdict.yes:
            verdict = await self._join_groups(verdict)
        entry: Entry | None = None
        makes_sense = judged not in _SHAPELESS or verdict.yes
        if body is not None and isinstance(answer, dict) and makes_sense:
            recording.answer = body
            with context.boundary.around("entry"):
                entry = self._entry(body, answer)
        if verdict.yes:
            verdict = Verdict(False, Reason.STORE_FAILED)
            if entry is not None:
                lease, self._lease = self._lease, None
                verdict = await context.tiers.store(entry, lease)
                if verdict.yes and self._scoped is not None and self._lookup is not None:
                    with context.boundary.around("semantic"):
                        looked_up = self._readable and not asked.refreshing
                        await self._lookup.stored(
                            entry, self._scoped, asked.directives, asked.format, looked_up=looked_up
                        )
        if entry is not None:
            self._upstream.heard(entry.usage)
        recording.entry = entry
        recording.stored = verdict
        if not verdict.yes and recording.reason is Reason.NOT_FOUND:
            recording.reason = verdict.reason
        context.flights.land(self._flight, recording)
        self._let_go()
        context.ledger.landed(verdict)
        account_for(context, asked, entry, verdict, status=status, joined=recording.joined)
        if verdict.yes and entry is not None and not entry.is_refusal:
            self._aliases.note(entry, answer)

    async def _may_keep_refusal(self, status: int, answer: Any, size: int) -> Verdict:
        """May the provider's "no" be kept? Never in place of an answer that is still of use."""
        context, asked = self._context, self._asked
        verdict = policy.may_store_refusal(status, answer, size, asked.directives, context.limits)
        if verdict.yes and await context.tiers.has_answer(asked.key):
            return Verdict(False, Reason.STATUS)
        return verdict

    async def _join_groups(self, verdict: Verdict) -> Verdict:
        """The provider's own groups are tags too, known only now.

        That their epochs are of now is safe: a group's invalidation is announced as a sweep, and
        a sweep counts from before the question was asked.
        """
        assert self._response is not None
        names = cache_groups.named(self._response.headers, cache_groups.GROUPS)
        if not names or self._epochs is None:
            return verdict
        tags = cache_groups.tags(self._asked.call.origin, names)
        if tags is None:
            return Verdict(False, Reason.BAD_TAGS)
        epochs = await self._context.tiers.capture(tags)
        self._epochs = None if epochs is None else {**epochs, **self._epochs}
        return verdict

    def _entry(self, body: bytes, answer: dict[str, Any]) -> Entry | None:
        epochs = self._epochs
        if epochs is None:
            return None  # the epochs are not known, so neither is what an invalidation would mean
        assert self._response is not None
        return build_entry(
            self._context,
            self._asked,
            self._response,
            body,
            answer,
            epochs=epochs,
            swept=self._swept,
            started=self._started,
            scope=b"" if self._scoped is None else self._scoped.scope,
        )
