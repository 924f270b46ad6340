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
    7 shared       fresh -> backfill memory -> HIT_SHARED
    8 semantic     (its seam is here: between the shared store and the provider)
    9 upstream     relay bytes as they arrive; append to the recording
   10 whole?       fold the stream; may it be stored?
   11 store        unless a tag was invalidated since step 3
   12 land         followers finish, or one of them pulls on if the leader went away
   13 account      one outcome and one reason for each call

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

import msgspec

from askonce import directives, policy
from askonce.asking import Asking
from askonce.cache_status import cache_status
from askonce.desk import Asked, Desk
from askonce.policy import Life
from askonce.protocols import Held, Upstream
from askonce.recognizing import Recognition, sampled_key
from askonce.recording import Reader, Recording
from askonce.records import Because, Call, Entry, Outcome
from askonce.reply import Reply, from_entry, relayed_headers, without_private

_decode = msgspec.json.Decoder().decode
_SAMPLED_QUESTIONS = 65_536


class Answering:
    """Answers calls, in one flavor, over one desk."""

    def __init__(self, desk: Desk, recognition: Recognition) -> None:
        self._desk = desk
        self._recognition = recognition
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
        with self._desk.boundary.around("recognize"):
            asked = self._read(call)
        if not isinstance(asked, Asked) or not asked.verdict.yes or asked.wishes.no_cache:
            return asked
        with self._desk.boundary.around("memory"):
            held = self._desk.memory.find(asked.key)
            if held is not None and self._desk.life(held.entry, asked) is Life.FRESH:
                return _noted(asked, self._hit(asked, held))
        return asked

    async def go_on(self, call: Call, asked: Asked | Because, upstream: Upstream) -> Reply:
        """What `at_once` could not answer."""
        if not isinstance(asked, Asked):
            return await self._pass(call, asked, upstream)
        if not asked.verdict.yes and not asked.wishes.only_if_cached:
            return _noted(asked, await self._pass(call, asked.verdict.because, upstream))
        if (reply := self._stale(asked, upstream)) is not None:
            return _noted(asked, reply)
        while True:
            recording, leads = await self._join(asked, upstream)
            reply = await self._present(asked, recording, leads=leads)
            if leads and recording.due:
                self._refresh(asked, upstream)
            if reply is not None:
                return _noted(asked, reply)
            if not leads and recording.stored is not None:
                # Too large to be kept, so it cannot be shown in this caller's other shape.
                because = recording.stored.because
                return _noted(asked, await self._pass(call, because, upstream))

    # Steps 1 to 4.

    def _read(self, call: Call) -> Asked | Because:
        if call.namespace is None:
            return Because.NO_IDENTITY
        wishes = directives.parse(call.headers)
        namespace = call.namespace
        if wishes.subdivision:
            namespace = f"{namespace}~{wishes.subdivision}"
        found = self._recognition.recognize(call, namespace)
        if isinstance(found, Because):
            return found
        rules = self._desk.rules
        verdict = policy.may_ask(found.question, wishes, rules)
        key = found.key
        if verdict.yes and found.question.sampled and rules.pool > 1:
            key = sampled_key(key, self._next_sample(key.digest) % rules.pool)
        return Asked(call, found.format, found.question, key, wishes, verdict)

    def _next_sample(self, question: bytes) -> int:
        """The n-th identical sampled call gets the n-th sample."""
        if len(self._samples) >= _SAMPLED_QUESTIONS:
            self._samples.clear()
        sample = self._samples.get(question, -1) + 1
        self._samples[question] = sample
        return sample

    # Step 5.

    def _hit(self, asked: Asked, held: Held, outcome: Outcome = Outcome.HIT_MEMORY) -> Reply:
        desk = self._desk
        entry = held.entry
        shape = asked.question.shape
        if shape.stream:
            shown = held.shown.get(shape)
            if shown is None:
                shown = self._unfolded(asked, entry.body)
                desk.memory.show(held, shape, shown)
        else:
            shown = entry.body
        desk.ledger.answered(outcome, Because.OK, entry)
        return from_entry(entry, shape, shown, outcome, desk.runtime.now())

    def _unfolded(self, asked: Asked, body: bytes) -> bytes:
        return b"".join(asked.format.unfold(_decode(body), asked.question.shape))

    def _stale(self, asked: Asked, upstream: Upstream) -> Reply | None:
        """Answer with a stale entry of memory that may still serve, and refresh it behind."""
        desk = self._desk
        if asked.wishes.no_cache:
            return None
        held = desk.memory.find(asked.key)
        if held is None or desk.life(held.entry, asked) is not Life.STALE:
            return None
        self._refresh(asked, upstream)
        return self._hit(asked, held, Outcome.STALE)

    def _refresh(self, asked: Asked, upstream: Upstream) -> None:
        again = msgspec.structs.replace(asked, refreshing=True)

        async def ask_again() -> None:
            with self._desk.boundary.around("refresh"):
                recording, leads = await self._join(again, upstream)
                reader = self._reader(again, recording)
                try:
                    if leads:
                        await reader.whole()
                finally:
                    await reader.close()

        if not asked.wishes.only_if_cached:
            self._desk.runtime.behind(ask_again)

    # Step 6.

    async def _join(self, asked: Asked, upstream: Upstream) -> tuple[Recording, bool]:
        desk = self._desk
        # Who asks after an invalidation must not join a question from before it.
        epochs = await desk.memory.epochs(asked.wishes.tags) if asked.wishes.tags else {}
        flight: Hashable = (
            desk.runtime.place(),
            asked.key,
            asked.wishes.restrict,
            tuple(epochs.values()),
            asked.refreshing,
        )

        def take_off() -> Recording:
            return Recording(desk.runtime, Asking(desk, asked, upstream, flight))

        return desk.flights.join(flight, take_off)

    def _reader(self, asked: Asked, recording: Recording) -> Reader:
        shape, show = asked.question.shape, asked.format.show
        return Reader(recording, lambda event: show(event, shape))

    # Steps 12 and 13, as one caller sees them.

    async def _present(self, asked: Asked, recording: Recording, *, leads: bool) -> Reply | None:
        """This caller's reply out of a recording; None if the question must be asked again."""
        reader = self._reader(asked, recording)
        reply = None
        try:
            if await reader.head():
                reply = await self._presented(asked, recording, reader, leads=leads)
            return reply
        finally:
            if reply is None or reply.body is not None:
                await reader.close()

    async def _presented(
        self, asked: Asked, recording: Recording, reader: Reader, *, leads: bool
    ) -> Reply | None:
        ledger = self._desk.ledger
        shape = asked.question.shape
        if recording.outcome is not Outcome.MISS:
            assert recording.entry is not None
            return self._replayed(asked, recording, recording.entry, leads=leads)
        outcome = Outcome.MISS if leads else Outcome.JOINED
        if leads and asked.wishes.no_cache:
            outcome, recording.because = Outcome.BYPASS, Because.NO_CACHE
        whole = 200 <= recording.status < 300
        if whole and not leads and recording.streamed != shape.stream:
            body = await reader.whole()
            if body is None:
                assert recording.stored is not None
                if recording.stored.because is Because.OVER_SIZE:
                    return None
                ledger.answered(outcome, recording.stored.because)
                return self._failed(asked, recording.stored.because)
            shown = self._unfolded(asked, body) if shape.stream else body
            ledger.answered(outcome)
            return self._joined(asked, recording, shown)
        ledger.answered(outcome, recording.because if leads else Because.OK)
        stored = recording.stored is not None and recording.stored.yes
        status = cache_status(outcome, recording.because, stored=stored)
        headers = relayed_headers(recording.headers, status, raw=False)
        if not leads:
            headers = without_private(headers)
        if recording.decided and not recording.streamed and not recording.first_kept():
            body = b"".join([p for p in recording.pieces if isinstance(p, bytes)])
            return Reply(
                recording.status, headers, outcome, recording.because, body=body, stored=stored
            )
        return Reply(
            recording.status, headers, outcome, recording.because, source=reader, stored=stored
        )

    def _replayed(self, asked: Asked, recording: Recording, entry: Entry, *, leads: bool) -> Reply:
        outcome = recording.outcome if leads else Outcome.JOINED
        shape = asked.question.shape
        shown = self._unfolded(asked, entry.body) if shape.stream else entry.body
        self._desk.ledger.answered(outcome, Because.OK, entry)
        return from_entry(entry, shape, shown, outcome, self._desk.runtime.now())

    def _joined(self, asked: Asked, recording: Recording, shown: bytes) -> Reply:
        kind = "text/event-stream; charset=utf-8" if asked.question.shape.stream else (
            "application/json"
        )  # fmt: skip
        status = cache_status(Outcome.JOINED)
        headers = [("content-type", kind), ("cache-status", status)]
        return Reply(recording.status, headers, Outcome.JOINED, Because.OK, body=shown)

    def _failed(self, asked: Asked, because: Because) -> Reply:
        """The one upstream call failed half-way; its followers hear of it, and may retry."""
        body = asked.format.error("the provider's answer ended before it was whole", because.value)
        status = cache_status(Outcome.MISS, because)
        headers = [("content-type", "application/json"), ("cache-status", status)]
        return Reply(502, headers, Outcome.JOINED, because, body=body)

    async def _pass(self, call: Call, because: Because, upstream: Upstream) -> Reply:
        """Step 4 said no: the provider's own bytes, nothing read and nothing stored."""
        self._desk.ledger.answered(Outcome.BYPASS, because)
        self._desk.ledger.asked_upstream()
        response = await upstream.ask(call, call.body, raw=True)
        headers = relayed_headers(response.headers, cache_status(Outcome.BYPASS, because), raw=True)
        return Reply(response.status, headers, Outcome.BYPASS, because, source=response)


def _noted(asked: Asked, reply: Reply) -> Reply:
    """The reply, which says what of the caller's directives was not understood."""
    if asked.wishes.ignored:
        reply.headers.append(("askonce-ignored", ", ".join(asked.wishes.ignored)))
    return reply
