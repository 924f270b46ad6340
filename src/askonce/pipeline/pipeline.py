"""The one request path.

Every call, through whichever door it came, is answered here, and this file reads like the list in
the design:

    1 recognize    which wire format is this?             unknown -> pass through
    2 directives   what did the caller ask of the cache?
    3 key          canonical question -> key
    4 may ask?     no -> BYPASS
    5 memory       fresh -> HIT_MEMORY; usable stale -> STALE, refreshed behind
    6 join         someone is asking this already -> their recording -> JOINED
      then, once for everybody who joined (`asking.py`):
    7 shelves      fresh -> backfill nearer layers -> HIT_SHARED; or another process's lease ends
    8 semantic     nearest in scope, guards -> HIT_SEMANTIC (`lookup.py`)
    9 upstream     relay bytes as they arrive; append to the recording
   10 whole?       fold the stream; may it be stored?
   11 store        unless a tag was invalidated since step 3
   12 land         followers finish, or one of them pulls on if the leader went away
   13 account      one outcome and one reason for each call (`presenting.py`)

The order of 5, 6 and 7 is the point. A flight is joined right after memory, so a thousand
identical simultaneous questions cost one read of the shared store and one upstream call. Memory
is written before the flight lands, and the flight's leader looks at memory once more, so there is
no moment in which a caller finds neither. The flight's key includes every directive that
restricts what may be read or changes what is stored.

The story is `async def`, once. In the blocking flavor its edges block instead of suspending and
`runtimes.run_sync` steps it to its end. Steps 1 to 5 never wait, so `at_once` is an ordinary
function that a face can call without any coroutine: a hit in memory costs microseconds.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

import msgspec

from askonce.core import policy
from askonce.core.directives import parse as parse_directives
from askonce.core.models import SUBDIVIDES, Call, Entry, Key, Outcome, Reason
from askonce.core.policy import Life
from askonce.core.protocols import Upstream
from askonce.core.request import CacheRequest
from askonce.pipeline.context import Context
from askonce.pipeline.fetch import Fetch
from askonce.pipeline.model_aliases import ModelAliases
from askonce.pipeline.present import Presenter, Reply, cache_status, relayed_headers
from askonce.pipeline.recognition import Recognition, sampled_key
from askonce.pipeline.recording import Recording

if TYPE_CHECKING:
    from askonce.semantic.lookup import SemanticLookup

_SAMPLED_QUESTIONS = 65_536

# What is not understood goes out as it came, in every respect.
_UNTOUCHED = (Reason.UNKNOWN_ROUTE, Reason.MALFORMED, Reason.TOO_LARGE, Reason.NO_IDENTITY)


class Pipeline:
    """Answers calls, in one flavor, over one context."""

    def __init__(
        self, context: Context, recognition: Recognition, lookup: "SemanticLookup | None" = None
    ) -> None:
        self._context = context
        self._lookup = lookup
        self._recognition = recognition
        self._presenting = Presenter(context)
        self._aliases = ModelAliases(context)
        self._looks_ahead = context.limits.refresh_ahead > 0
        self._ahead: dict[Key, float] = {}
        self._samples: dict[bytes, int] = {}

    async def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer a call from the cache or from the provider.

        Raises what the provider's client raises, unchanged, and nothing of the cache's own.
        """
        found = self.at_once(call)
        if isinstance(found, Reply):
            return found
        return await self.go_on(call, found, upstream)

    def at_once(self, call: Call) -> Reply | CacheRequest | Reason:
        """Steps 1 to 5, without waiting: a reply out of memory, or what is to be gone on with."""
        asked: CacheRequest | Reason = Reason.MALFORMED
        with self._context.boundary.around("recognize") as attempt:
            asked = self._read(call)
            if (
                not isinstance(asked, CacheRequest)
                or not asked.verdict.yes
                or asked.directives.no_cache
            ):
                return asked
            attempt.what = "memory"
            held = self._context.tiers.find(asked.key)
            if held is not None and self._context.life(held.entry, asked) is Life.FRESH:
                if self._looks_ahead and self._is_due(held.entry, asked):
                    return msgspec.structs.replace(asked, beyond=held.entry.expires)
                return _noted(asked, self._presenting.hit(asked, held, Outcome.HIT_MEMORY))
        return asked

    async def go_on(self, call: Call, asked: CacheRequest | Reason, upstream: Upstream) -> Reply:
        """What `at_once` could not answer."""
        if not isinstance(asked, CacheRequest):
            return await self._pass(call, asked, upstream)
        if not asked.verdict.yes and not asked.directives.only_if_cached:
            return _noted(asked, await self._pass(call, asked.verdict.reason, upstream))
        if (reply := self._refreshed_behind(asked, upstream)) is not None:
            return _noted(asked, reply)
        while True:
            recording, leads = await self._join(asked, upstream)
            found = await self._presenting.present(asked, recording, leads=leads)
            if leads and recording.due and recording.entry is not None:
                self._refresh(asked, recording.entry, upstream)
            if isinstance(found, Reason):
                return _noted(asked, await self._pass(call, found, upstream))
            if found is not None:
                return _noted(asked, found)

    # Steps 1 to 4.

    def _read(self, call: Call) -> CacheRequest | Reason:
        if call.namespace is None or SUBDIVIDES in call.namespace:
            return Reason.NO_IDENTITY
        directives = parse_directives(call.headers)
        namespace = call.namespace
        if directives.subdivision:
            namespace = f"{namespace}{SUBDIVIDES}{directives.subdivision}"
        found = self._recognition.recognize(call, namespace)
        if isinstance(found, Reason):
            return found
        directives = found.under_rules(directives)
        limits = self._context.limits
        verdict = policy.may_ask(found.question, directives, limits)
        key = found.key
        if verdict.yes and found.question.sampled and limits.pool > 1:
            key = sampled_key(key, self._next_sample(key.digest) % limits.pool)
        return CacheRequest(call, found.format, found.question, key, directives, verdict)

    def _next_sample(self, question: bytes) -> int:
        """The n-th identical sampled call gets the n-th sample."""
        if len(self._samples) >= _SAMPLED_QUESTIONS:
            self._samples.clear()
        sample = self._samples.get(question, -1) + 1
        self._samples[question] = sample
        return sample

    # Step 5.

    def _is_due(self, entry: Entry, asked: CacheRequest) -> bool:
        """Should a fresh entry be refreshed, and does nobody here do so already?"""
        return self._context.is_due(entry, asked) and self._ahead.get(entry.key) != entry.expires

    def _refreshed_behind(self, asked: CacheRequest, upstream: Upstream) -> Reply | None:
        """Answer with an entry of memory that is stale and may still serve, or that is fresh and
        due, and refresh it behind."""
        context = self._context
        if asked.directives.no_cache or not asked.verdict.yes:
            return None
        held = context.tiers.find(asked.key)
        if held is None:
            return None
        life = context.life(held.entry, asked)
        if life is not Life.STALE and not (life is Life.FRESH and asked.beyond):
            return None
        if life is Life.STALE or held.entry.expires <= asked.beyond:
            self._refresh(asked, held.entry, upstream)
        with context.boundary.around("memory"):
            stale = life is Life.STALE
            return self._presenting.hit(asked, held, Outcome.STALE if stale else Outcome.HIT_MEMORY)
        return None

    def _refresh(self, asked: CacheRequest, entry: Entry, upstream: Upstream) -> None:
        """Ask again behind the caller; if it fails, the entry stays as it is."""
        if asked.directives.only_if_cached:
            return
        again = msgspec.structs.replace(asked, refreshing=True, beyond=entry.expires)
        self._ahead[entry.key] = entry.expires

        async def ask_again() -> None:
            try:
                with self._context.boundary.around("refresh"):
                    recording, leads = await self._join(again, upstream)
                    reader = self._presenting.reader(again, recording)
                    try:
                        if leads:
                            await reader.whole()
                    finally:
                        await reader.close()
            finally:
                self._ahead.pop(entry.key, None)

        self._context.runtime.run_in_background(ask_again)

    # Step 6.

    async def _join(self, asked: CacheRequest, upstream: Upstream) -> tuple[Recording, bool]:
        context = self._context
        # Who asks after an invalidation must not join a question from before it.
        epochs = await context.tiers.epochs(asked.directives.tags) if asked.directives.tags else {}
        flight: Hashable = (
            context.runtime.loop_or_process(),
            asked.key,
            asked.directives.restrict,
            asked.verdict.yes,
            tuple(epochs.values()),
            context.last_sweep_of(asked),
            asked.refreshing,
        )

        def take_off() -> Recording:
            asking = Fetch(context, asked, upstream, flight, self._aliases, self._lookup)
            return Recording(context.runtime, asking)

        return context.flights.join(flight, take_off)

    async def _pass(self, call: Call, reason: Reason, upstream: Upstream) -> Reply:
        """Step 4 said no: the provider's own bytes, nothing read and nothing stored."""
        self._context.ledger.answered(Outcome.BYPASS, reason)
        self._context.ledger.asked_upstream()
        self._context.ledger.unread(self._context.runtime.now())
        if reason not in _UNTOUCHED:
            upstream = self._context.prompted(upstream)
        response = await upstream.ask(call, call.body, raw=True)
        self._context.apply_cache_groups(call.origin, call.method, response.headers)
        headers = relayed_headers(response.headers, cache_status(Outcome.BYPASS, reason), raw=True)
        return Reply(response.status, headers, Outcome.BYPASS, reason, source=response)


def _noted(asked: CacheRequest, reply: Reply) -> Reply:
    """The reply, which says what of the caller's directives was not understood."""
    if asked.directives.ignored:
        reply.headers.append(("askonce-ignored", ", ".join(asked.directives.ignored)))
    return reply
