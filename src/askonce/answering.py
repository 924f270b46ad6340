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
    8 semantic     nearest in scope, guards -> HIT_SEMANTIC (`neighbors.py`)
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
`runtimes.finish` steps it to its end. Steps 1 to 5 never wait, so `at_once` is an ordinary
function that a face can call without any coroutine: a hit in memory costs microseconds.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

import msgspec

from askonce import directives, policy
from askonce.aliases import Aliases
from askonce.asking import Asking
from askonce.cache_status import cache_status
from askonce.desk import Asked, Desk
from askonce.invalidation import SUBDIVIDES
from askonce.policy import Life
from askonce.presenting import Presenting
from askonce.protocols import Upstream
from askonce.recognizing import Recognition, sampled_key
from askonce.recording import Recording
from askonce.records import Because, Call, Entry, Key, Outcome
from askonce.reply import Reply, relayed_headers

if TYPE_CHECKING:
    from askonce.neighbors import Neighbors

_SAMPLED_QUESTIONS = 65_536

# What is not understood goes out as it came, in every respect.
_UNTOUCHED = (Because.UNKNOWN_ROUTE, Because.MALFORMED, Because.TOO_LARGE, Because.NO_IDENTITY)


class Answering:
    """Answers calls, in one flavor, over one desk."""

    def __init__(
        self, desk: Desk, recognition: Recognition, neighbors: "Neighbors | None" = None
    ) -> None:
        self._desk = desk
        self._neighbors = neighbors
        self._recognition = recognition
        self._presenting = Presenting(desk)
        self._aliases = Aliases(desk)
        self._looks_ahead = desk.limits.refresh_ahead > 0
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

    def at_once(self, call: Call) -> Reply | Asked | Because:
        """Steps 1 to 5, without waiting: a reply out of memory, or what is to be gone on with."""
        asked: Asked | Because = Because.MALFORMED
        with self._desk.boundary.around("recognize") as attempt:
            asked = self._read(call)
            if not isinstance(asked, Asked) or not asked.verdict.yes or asked.wishes.no_cache:
                return asked
            attempt.what = "memory"
            held = self._desk.find(asked.key)
            if held is not None and self._desk.life(held.entry, asked) is Life.FRESH:
                if self._looks_ahead and self._is_due(held.entry, asked):
                    return msgspec.structs.replace(asked, beyond=held.entry.expires)
                return _noted(asked, self._presenting.hit(asked, held, Outcome.HIT_MEMORY))
        return asked

    async def go_on(self, call: Call, asked: Asked | Because, upstream: Upstream) -> Reply:
        """What `at_once` could not answer."""
        if not isinstance(asked, Asked):
            return await self._pass(call, asked, upstream)
        if not asked.verdict.yes and not asked.wishes.only_if_cached:
            return _noted(asked, await self._pass(call, asked.verdict.because, upstream))
        if (reply := self._refreshed_behind(asked, upstream)) is not None:
            return _noted(asked, reply)
        while True:
            recording, leads = await self._join(asked, upstream)
            found = await self._presenting.present(asked, recording, leads=leads)
            if leads and recording.due and recording.entry is not None:
                self._refresh(asked, recording.entry, upstream)
            if isinstance(found, Because):
                return _noted(asked, await self._pass(call, found, upstream))
            if found is not None:
                return _noted(asked, found)

    # Steps 1 to 4.

    def _read(self, call: Call) -> Asked | Because:
        if call.namespace is None or SUBDIVIDES in call.namespace:
            return Because.NO_IDENTITY
        wishes = directives.parse(call.headers)
        namespace = call.namespace
        if wishes.subdivision:
            namespace = f"{namespace}{SUBDIVIDES}{wishes.subdivision}"
        found = self._recognition.recognize(call, namespace)
        if isinstance(found, Because):
            return found
        wishes = found.under_rules(wishes)
        limits = self._desk.limits
        verdict = policy.may_ask(found.question, wishes, limits)
        key = found.key
        if verdict.yes and found.question.sampled and limits.pool > 1:
            key = sampled_key(key, self._next_sample(key.digest) % limits.pool)
        return Asked(call, found.format, found.question, key, wishes, verdict)

    def _next_sample(self, question: bytes) -> int:
        """The n-th identical sampled call gets the n-th sample."""
        if len(self._samples) >= _SAMPLED_QUESTIONS:
            self._samples.clear()
        sample = self._samples.get(question, -1) + 1
        self._samples[question] = sample
        return sample

    # Step 5.

    def _is_due(self, entry: Entry, asked: Asked) -> bool:
        """Should a fresh entry be refreshed, and does nobody here do so already?"""
        return self._desk.is_due(entry, asked) and self._ahead.get(entry.key) != entry.expires

    def _refreshed_behind(self, asked: Asked, upstream: Upstream) -> Reply | None:
        """Answer with an entry of memory that is stale and may still serve, or that is fresh and
        due, and refresh it behind."""
        desk = self._desk
        if asked.wishes.no_cache or not asked.verdict.yes:
            return None
        held = desk.find(asked.key)
        if held is None:
            return None
        life = desk.life(held.entry, asked)
        if life is not Life.STALE and not (life is Life.FRESH and asked.beyond):
            return None
        if life is Life.STALE or held.entry.expires <= asked.beyond:
            self._refresh(asked, held.entry, upstream)
        with desk.boundary.around("memory"):
            stale = life is Life.STALE
            return self._presenting.hit(asked, held, Outcome.STALE if stale else Outcome.HIT_MEMORY)
        return None

    def _refresh(self, asked: Asked, entry: Entry, upstream: Upstream) -> None:
        """Ask again behind the caller; if it fails, the entry stays as it is."""
        if asked.wishes.only_if_cached:
            return
        again = msgspec.structs.replace(asked, refreshing=True, beyond=entry.expires)
        self._ahead[entry.key] = entry.expires

        async def ask_again() -> None:
            try:
                with self._desk.boundary.around("refresh"):
                    recording, leads = await self._join(again, upstream)
                    reader = self._presenting.reader(again, recording)
                    try:
                        if leads:
                            await reader.whole()
                    finally:
                        await reader.close()
            finally:
                self._ahead.pop(entry.key, None)

        self._desk.runtime.behind(ask_again)

    # Step 6.

    async def _join(self, asked: Asked, upstream: Upstream) -> tuple[Recording, bool]:
        desk = self._desk
        # Who asks after an invalidation must not join a question from before it.
        epochs = await desk.epochs(asked.wishes.tags) if asked.wishes.tags else {}
        flight: Hashable = (
            desk.runtime.place(),
            asked.key,
            asked.wishes.restrict,
            asked.verdict.yes,
            tuple(epochs.values()),
            desk.last_sweep_of(asked),
            asked.refreshing,
        )

        def take_off() -> Recording:
            asking = Asking(desk, asked, upstream, flight, self._aliases, self._neighbors)
            return Recording(desk.runtime, asking)

        return desk.flights.join(flight, take_off)

    async def _pass(self, call: Call, because: Because, upstream: Upstream) -> Reply:
        """Step 4 said no: the provider's own bytes, nothing read and nothing stored."""
        self._desk.ledger.answered(Outcome.BYPASS, because)
        self._desk.ledger.asked_upstream()
        self._desk.ledger.unread(self._desk.runtime.now())
        if because not in _UNTOUCHED:
            upstream = self._desk.prompted(upstream)
        response = await upstream.ask(call, call.body, raw=True)
        self._desk.heed_groups(call.origin, call.method, response.headers)
        headers = relayed_headers(response.headers, cache_status(Outcome.BYPASS, because), raw=True)
        return Reply(response.status, headers, Outcome.BYPASS, because, source=response)


def _noted(asked: Asked, reply: Reply) -> Reply:
    """The reply, which says what of the caller's directives was not understood."""
    if asked.wishes.ignored:
        reply.headers.append(("askonce-ignored", ", ".join(asked.wishes.ignored)))
    return reply
