"""The request pipeline: the one path on which every call is answered.

    1 recognize    which wire format is this? unknown -> pass through   (`recognition.py`)
    2 directives   what does the caller ask of the cache?
    3 key          canonical question -> key
    4 may read?    no -> BYPASS
    5 memory       fresh -> HIT_MEMORY; usable stale -> STALE, refreshed in the background
    6 join         another caller is asking this -> its recording -> JOINED  (`single_flight.py`)
      then once for all joined callers (`fetch.py`):
    7 tiers        fresh -> backfill nearer tiers -> HIT_SHARED; or another process's lease ends
    8 semantic     nearest in scope, guards -> HIT_SEMANTIC             (`semantic/lookup.py`)
    9 upstream     relay bytes as they arrive; append to the recording
   10 whole?       fold the stream; may the answer be stored?
   11 store        unless a tag was invalidated since step 3
   12 land         joined callers get the rest, or one of them pulls on if the leader is gone
   13 account      one outcome and one reason for each call             (`present.py`)

The order of steps 5, 6 and 7 matters. A caller joins a flight right after memory, so a thousand
identical simultaneous questions cost one read of the shared store and one call of the provider.
Memory is written before the flight lands, and the flight's leader looks at memory once more, so at
no moment does a caller find neither. The key of a flight includes every directive that restricts
reading or changes the stored answer.

The path is written once, as `async def`. In sync mode its backends block instead of suspending,
and `run_sync` steps it to its end without an event loop. Steps 1 to 5 never wait, so `at_once` is
an ordinary function that a front end calls without a coroutine: a memory hit costs microseconds.

A fault of the cache never fails a call: whatever only the cache needs runs inside the fail-open
boundary (`core/fail_open.py`). Errors of the provider's client reach the caller unchanged.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

import msgspec

from askonce.core import policy
from askonce.core.bounded import BoundedMap
from askonce.core.content_encoding import codings_of
from askonce.core.directives import parse as parse_directives
from askonce.core.models import SUBDIVIDES, Call, Entry, Key, Outcome, Reason
from askonce.core.policy import Life
from askonce.core.protocols import Upstream
from askonce.core.request import CacheRequest
from askonce.core.request_signature import signer
from askonce.pipeline.context import Context
from askonce.pipeline.entry import apply_cache_groups, is_due
from askonce.pipeline.fetch import Fetch
from askonce.pipeline.model_aliases import ModelAliases
from askonce.pipeline.present import (
    Presenter,
    Reply,
    cache_status,
    not_cached,
    relayed_headers,
)
from askonce.pipeline.recognition import Recognition, sampled_key
from askonce.pipeline.single_flight import Recording

if TYPE_CHECKING:
    from askonce.semantic.lookup import SemanticLookup

_SAMPLED_QUESTIONS = 65_536

_SENT_UNPREPARED = (
    Reason.UNKNOWN_ROUTE, Reason.MALFORMED, Reason.TOO_LARGE, Reason.UNKNOWN_ENCODING,
    Reason.NO_IDENTITY, Reason.SIGNED,
)  # fmt: skip
"""Calls that the cache does not understand go to the provider byte for byte."""


class Pipeline:
    """Answers calls in one mode.

    Args:
        context: What all requests of the mode share.
        recognition: Recognizes the calls; both modes may share it.
        lookup: Finds answers by meaning; None if the cache does not.
    """

    def __init__(
        self, context: Context, recognition: Recognition, lookup: "SemanticLookup | None" = None
    ) -> None:
        self._context = context
        self._lookup = lookup
        self._recognition = recognition
        self._presenter = Presenter(context)
        self._aliases = ModelAliases(context)
        self._refreshes_ahead = context.limits.refresh_ahead > 0
        self._refreshing: dict[Key, float] = {}
        self._samples: BoundedMap[bytes, int] = BoundedMap(_SAMPLED_QUESTIONS)

    async def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer a call from the cache or from the provider.

        Args:
            call: The call as it was received.
            upstream: The way to the provider.

        Raises:
            Exception: What the provider's client raises, unchanged; the cache raises nothing.
        """
        found = self.at_once(call)
        if isinstance(found, Reply):
            return found
        return await self.go_on(call, found, upstream)

    def at_once(self, call: Call) -> Reply | CacheRequest | Reason:
        """Take steps 1 to 5, without waiting.

        Returns:
            A memory hit, or the parsed request for `go_on`, or the reason why it has no key.
        """
        request: CacheRequest | Reason = Reason.MALFORMED
        context = self._context
        with context.boundary.around("recognize") as attempt:
            request = self._parse(call)
            if (
                not isinstance(request, CacheRequest)
                or not request.verdict.yes
                or request.directives.no_cache
            ):
                return request
            attempt.what = "memory"
            held = context.tiers.find(request.key)
            if held is not None and self._life(held.entry, request) is Life.FRESH:
                if self._refreshes_ahead and self._is_due(held.entry, request):
                    return msgspec.structs.replace(request, beyond=held.entry.expires)
                return _noted(request, self._presenter.hit(request, held, Outcome.HIT_MEMORY))
        return request

    async def go_on(self, call: Call, request: CacheRequest | Reason, upstream: Upstream) -> Reply:
        """Answer what `at_once` could not; `request` is its result."""
        if not isinstance(request, CacheRequest):
            if parse_directives(call.headers).only_if_cached:
                return not_cached(self._context.ledger, call.path)
            return await self._bypass(call, request, upstream)
        if not request.verdict.yes and not request.directives.only_if_cached:
            return _noted(request, await self._bypass(call, request.verdict.reason, upstream))
        if (reply := self._served_while_refreshing(request, upstream)) is not None:
            return _noted(request, reply)
        while True:
            recording, leads = await self._join(request, upstream)
            found = await self._presenter.present(request, recording, leads=leads)
            if leads and recording.due and recording.entry is not None:
                self._refresh(request, recording.entry, upstream)
            if isinstance(found, Reason):
                if request.directives.only_if_cached:
                    return _noted(request, not_cached(self._context.ledger, call.path))
                return _noted(request, await self._bypass(call, found, upstream))
            if found is not None:
                return _noted(request, found)

    # Steps 1 to 4.

    def _parse(self, call: Call) -> CacheRequest | Reason:
        if call.namespace is None or SUBDIVIDES in call.namespace:
            is_signed = call.namespace is None and signer(call.headers) is not None
            return Reason.SIGNED if is_signed else Reason.NO_IDENTITY
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
        """Return 0, 1, 2 ... for the identical sampled calls of one question."""
        sample = self._samples.get(question, -1) + 1
        self._samples[question] = sample
        return sample

    # Step 5.

    def _life(self, entry: Entry, request: CacheRequest) -> Life:
        now = self._context.runtime.now()
        return policy.life_of(entry, request.directives, self._context.limits, now)

    def _is_due(self, entry: Entry, request: CacheRequest) -> bool:
        """Decide whether to refresh a fresh entry, unless this process does so already."""
        is_refreshing = self._refreshing.get(entry.key) == entry.expires
        return not is_refreshing and is_due(self._context, entry, request)

    def _served_while_refreshing(self, request: CacheRequest, upstream: Upstream) -> Reply | None:
        """Serve a usable stale entry of memory, or a fresh one that is due, and refresh it."""
        context = self._context
        if request.directives.no_cache or not request.verdict.yes:
            return None
        held = context.tiers.find(request.key)
        if held is None:
            return None
        life = self._life(held.entry, request)
        if life is not Life.STALE and not (life is Life.FRESH and request.beyond):
            return None
        if life is Life.STALE or held.entry.expires <= request.beyond:
            self._refresh(request, held.entry, upstream)
        with context.boundary.around("memory"):
            outcome = Outcome.STALE if life is Life.STALE else Outcome.HIT_MEMORY
            return self._presenter.hit(request, held, outcome)
        return None

    def _refresh(self, request: CacheRequest, entry: Entry, upstream: Upstream) -> None:
        """Ask again in the background; if that fails, the entry stays as it is."""
        if request.directives.only_if_cached:
            return
        again = msgspec.structs.replace(request, refreshing=True, beyond=entry.expires)
        self._refreshing[entry.key] = entry.expires

        async def ask_again() -> None:
            try:
                with self._context.boundary.around("refresh"):
                    recording, leads = await self._join(again, upstream)
                    reader = self._presenter.reader(again, recording)
                    try:
                        if leads:
                            await reader.whole()
                    finally:
                        await reader.close()
            finally:
                self._refreshing.pop(entry.key, None)

        self._context.runtime.run_in_background(ask_again)

    # Step 6.

    async def _join(self, request: CacheRequest, upstream: Upstream) -> tuple[Recording, bool]:
        context, call, tags = self._context, request.call, request.directives.tags
        # A caller who asks after an invalidation must not join a question from before it.
        epochs = await context.tiers.epochs(tags) if tags else {}
        flight: Hashable = (
            context.runtime.loop_or_process(),
            request.key,
            request.directives.restrict,
            request.verdict.yes,
            codings_of(call.headers),  # a provider may refuse an encoding
            tuple(epochs.values()),
            self._last_sweep_of(request),
            request.refreshing,
        )

        def start() -> Recording:
            fetch = Fetch(context, request, upstream, flight, self._aliases, self._lookup)
            return Recording(context.runtime, fetch)

        return context.flights.join(flight, start)

    def _last_sweep_of(self, request: CacheRequest) -> int:
        """Return the number of the last recent sweep that names this question; 0 if none.

        A caller who asks after it must not share an answer with one who asked before.
        """
        sweeps = self._context.tiers.sweeps
        if not sweeps.number or not sweeps.recent:
            return 0
        question, path = request.question, request.call.path.partition("?")[0]
        now = self._context.runtime.now()
        tags = tuple((tag, 0) for tag in request.directives.tags)
        return sweeps.latest(
            Entry(
                request.key, b"", 0, (), now, now, now, question.model, request.call.origin,
                question.text, None, None, 0.0, tags, path, question.model,
            )
        )  # fmt: skip

    # Calls that the cache leaves alone.

    async def _bypass(self, call: Call, reason: Reason, upstream: Upstream) -> Reply:
        """Relay the provider's own bytes: nothing is read and nothing is stored."""
        context = self._context
        context.ledger.answered(Outcome.BYPASS, reason)
        context.ledger.asked_upstream()
        context.ledger.unread(context.runtime.now())
        if reason not in _SENT_UNPREPARED:
            upstream = context.prompts.wrap(upstream)
        response = await upstream.ask(call, call.body, raw=True)
        apply_cache_groups(context, call.origin, call.method, response.headers)
        headers = relayed_headers(response.headers, cache_status(Outcome.BYPASS, reason), raw=True)
        return Reply(response.status, headers, Outcome.BYPASS, reason, source=response)


def _noted(request: CacheRequest, reply: Reply) -> Reply:
    """Add the directives that were ignored to a reply's headers."""
    if request.directives.ignored:
        reply.headers.append(("askonce-ignored", ", ".join(request.directives.ignored)))
    return reply
