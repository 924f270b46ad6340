"""Neighbors: step 8 of the request path, an answer to a question that asks the same in other words.

Within one scope, and never beyond it, the nearest questions are looked for; similarity only
proposes. An entry is served if it is fresh for this caller, was stored in this very scope, lies
near enough, and no guard speaks against it. What the index names and no layer has any more is
removed from it on sight: the index is derived data, and never the authority.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from askonce.core import policy, scopes
from askonce.core.directives import Directives, Mode
from askonce.core.guarded import GuardedBackend
from askonce.core.models import Call, Entry, Key, NearestKey, Reason
from askonce.core.policy import Life
from askonce.core.protocols import VectorIndex
from askonce.core.request import CacheRequest
from askonce.core.rules.ruleset import Ruleset
from askonce.core.runtime.interface import Work
from askonce.core.runtime.threads import fork_safe_lock
from askonce.core.scopes import Incomparable, Scoped, Scoping
from askonce.core.wire_format import WireFormat
from askonce.semantic.embedding import EmbeddingQueue
from askonce.semantic.guards import Text, judge, prepare
from askonce.semantic.operating_point import CANDIDATES
from askonce.semantic.settings import Semantic
from askonce.stores.tiered.tiers import TierHit, Tiers

_READ_BEFORE: Final = 1_024  # of some 8 KB each
_MOST_BEHIND: Final = 256
_SHADOWS_A_SECOND, _SHADOWS_AT_ONCE = 5.0, 100.0
"""Answers are compared at this pace; a sample says as much as all of them."""

LONGEST_QUESTION: Final = 20_000
"""Characters; a longer question is not looked at. No embedder here reads as much."""

_PATIENCE_OF_PROGRAMS: Final = 10.0  # seconds; on the first call the model is read


class SemanticHit(NamedTuple):
    """An entry that may answer, and the cosine of its question to the one that is asked."""

    found: TierHit
    similarity: float


class OpenIndex(NamedTuple):
    """The index as one flavor asks it."""

    vectors: VectorIndex
    engine: GuardedBackend


ScopeOf = Callable[[Call, WireFormat, str, Scoping], Scoped | Incomparable]
"""How a recognized call's question is scoped: what reads the body once more."""

Compare = Callable[
    ["SemanticLookup", Scoped, Entry, Directives, WireFormat | None], Awaitable[object]
]


class SemanticLookup:
    """What lies near, for one flavor.

    `open_index` gives the index for vectors of so many dimensions; `here` says that it is in this
    process, and `holds` whether an entry is in it. `acts` says whether a question asks for
    something to be done, `compare` is what shadow mode does with an answer that just came, and
    `wake` starts what keeps the index true.
    """

    def __init__(
        self,
        tiers: Tiers,
        semantic: Semantic,
        scope_of: ScopeOf,
        rules: Ruleset | None,
        embedding: EmbeddingQueue,
        open_index: Callable[[int], OpenIndex],
        *,
        here: bool,
        holds: Callable[[Entry], bool],
        acts: Callable[[str], bool],
        compare: Compare,
        wake: Callable[[], object],
    ) -> None:
        self.tiers = tiers
        self.semantic = semantic
        self._scope_of = scope_of
        self._rules = rules
        self.embedding = embedding
        self._open = open_index
        self._here = here
        self._holds = holds
        self._acts = acts
        self._compare = compare
        self._wake = wake
        self._patience = semantic.patience
        self._texts = PreparedTexts(fork_safe_lock())
        self._lock = fork_safe_lock()
        self._waiting = 0
        self._pace = Pace(_SHADOWS_A_SECOND, _SHADOWS_AT_ONCE)

    def mode(self, directives: Directives) -> Mode:
        """How this call is matched. A caller decides for itself, unless all of it is off."""
        return self.semantic.mode if directives.semantic is None else directives.semantic

    def threshold(self, directives: Directives) -> float:
        """From which similarity on; a caller may only ask for more."""
        return max(self.semantic.threshold, directives.similarity)

    def scoped(self, asked: CacheRequest) -> Scoped | None:
        """Within what a call's question may be compared; None if it is not compared at all."""
        if self.mode(asked.directives) == "off":
            return None
        if len(asked.question.text) > LONGEST_QUESTION:
            self.tiers.ledger.semantic("too-long")
            return None
        if asked.question.sampled and self.tiers.limits.pool > 1:
            return None  # whoever wants one of several answers does not want the same one again
        found = self._scope_of(asked.call, asked.format, asked.key.namespace, self.semantic.scoping)
        if isinstance(found, Incomparable):
            self.tiers.ledger.semantic(found.value)
            return None
        return self._unless_it_acts(found)

    def scoped_text(
        self, directives: Directives, key: Key, scope: str, question: str
    ) -> Scoped | None:
        """The same for a plain text, of which this is the key."""
        if self.mode(directives) == "off" or len(question) > LONGEST_QUESTION:
            return None
        return self._unless_it_acts(Scoped(scopes.scope_of_text(key.namespace, scope), question))

    def _unless_it_acts(self, asked: Scoped) -> Scoped | None:
        """What asks for something to be done is done for exactly these words, or not at all."""
        if self.semantic.tools or not self._acts(asked.text):
            return asked
        self.tiers.ledger.semantic(Reason.SIDE_EFFECT.value)
        return None

    async def find(
        self,
        asked: Scoped,
        key: Key,
        directives: Directives,
        *,
        threshold: float | None = None,
        patience: float | None = None,
        quiet: bool = False,
    ) -> SemanticHit | None:
        """The nearest entry of the scope that may answer, by another key than this one."""
        near = await self.nearest(asked, self._patience if patience is None else patience)
        if near is None:
            return None
        least = self.threshold(directives) if threshold is None else threshold
        # Reading them may take no longer than finding them might have.
        until = self.tiers.runtime.monotonic() + (self._patience if patience is None else patience)
        question = self._texts.read(asked.text)
        reason = "far"
        for key_, similarity in near:
            if similarity < least:
                break
            if key_ == key:
                continue
            if self.tiers.runtime.monotonic() > until:
                reason = "late"
                break
            found = await self._fresh(asked, key, key_, directives)
            if found is None:
                continue
            verdict = judge(question, self._texts.read(found.entry.question), similarity, least)
            if verdict.yes:
                return SemanticHit(found, similarity)
            reason = verdict.reason.value
        if not quiet:
            self.tiers.ledger.semantic(reason)
        return None

    async def nearest(self, asked: Scoped, patience: float | None) -> list[NearestKey] | None:
        """What the index names; None where the embedder or the index cannot say."""
        self._wake()
        vector = await self.embedding.vector(asked.text, self.tiers.runtime, patience)
        if vector is None:
            return None
        index, engine = self._open(_dimensions(vector))
        scope = scopes.compared_by(asked.scope, self.embedding.name)
        return await engine.ask("search", lambda: index.nearest(scope, vector, CANDIDATES))

    async def keep(self, entry: Entry, *, patience: float | None = None) -> bool:
        """Let an entry be found by meaning. True if it can be, from now on."""
        if not entry.scope or entry.is_refusal:
            return False
        self._wake()
        vector = await self.embedding.vector(entry.question, self.tiers.runtime, patience)
        if vector is None:
            return False
        index, engine = self._open(_dimensions(vector))
        scope = scopes.compared_by(entry.scope, self.embedding.name)

        async def add() -> bool:
            await index.add(scope, entry.key, vector, entry.expires)
            return True

        return bool(await engine.ask("index", add))

    async def stored(
        self,
        entry: Entry,
        asked: Scoped,
        directives: Directives,
        format_: WireFormat | None,
        *,
        looked_up: bool = True,
    ) -> None:
        """An answer was stored: from now on it is found, and in shadow mode it is compared first,
        if serving would have `looked_up` anything for it.

        Behind the caller, unless all that is left to do takes some microseconds.
        """
        shadow = self.mode(directives) == "shadow" and looked_up
        if shadow and not self._pace.allows(self.tiers.runtime.monotonic()):
            shadow = False
            self.tiers.ledger.semantic("skipped")
        if self._here and not shadow and self.embedding.known(asked.text) is not None:
            await self.keep(entry)
            return

        async def go_on() -> None:
            if shadow:
                await self._compare(self, asked, entry, directives, format_)
            await self.keep(entry)

        self._behind(go_on)

    async def put(self, entry: Entry, asked: Scoped, directives: Directives) -> None:
        """A program brought an answer itself: whoever asks for it next finds it by meaning."""
        if self.mode(directives) == "shadow":
            await self.stored(entry, asked, directives, None)
        else:
            await self.keep(entry, patience=_PATIENCE_OF_PROGRAMS)

    def learn(self, entry: Entry) -> None:
        """Another process stored this: find it here too, where each process has its own index."""
        if not (self._here and entry.scope) or entry.is_refusal or self._holds(entry):
            return

        async def learn() -> None:
            await self.keep(entry)

        self._behind(learn)

    def _behind(self, work: Work) -> None:
        """Do it behind the caller, or not at all: callers go before, and an index is made anew."""
        with self._lock:
            crowded = self._waiting >= _MOST_BEHIND
            self._waiting += not crowded
        if crowded:
            self.tiers.ledger.semantic("skipped")
            return

        async def attempt() -> None:
            try:
                with self.tiers.boundary.around("semantic"):
                    await work()
            finally:
                with self._lock:
                    self._waiting -= 1

        self.tiers.runtime.run_in_background(attempt)

    async def _fresh(
        self, asked: Scoped, key: Key, named: Key, directives: Directives
    ) -> TierHit | None:
        """An entry that the index names, if it is there, fresh, and of this very scope."""
        if named[:2] != key[:2]:
            return None
        found = await self.tiers.find_fresh(named, directives)
        if found is not None:
            entry = found.entry
            # The index only names; what the entry itself says about its scope is what counts.
            if entry.scope != asked.scope or entry.is_refusal:
                return None
            return self._under_rules(found, directives)
        self._drop_if_gone(asked, named)
        return None

    def _under_rules(self, found: TierHit, directives: Directives) -> TierHit | None:
        """The entry, if the rules of today allow an answer to the question that it answers.

        The asker's own words are under the rules anyway. But a rule about prices also means an
        answer about a price that somebody else's words asked for.
        """
        if self._rules is None:
            return found
        entry = found.entry
        ruling = self._rules.ruling(
            entry.question,
            model=entry.asked_model,
            route=entry.route or entry.key.format,
            format=entry.key.format,
        )
        ruled = policy.ruled(directives, ruling)
        now = self.tiers.runtime.now()
        life = policy.life_of(entry, ruled, self.tiers.limits, now)
        if ruled.never is not None or life is not Life.FRESH:
            return None
        return found._replace(entry=policy.bounded(entry, ruled))

    def _drop_if_gone(self, asked: Scoped, gone: Key) -> None:
        vector = self.embedding.known(asked.text)
        if vector is None:
            return
        index, engine = self._open(_dimensions(vector))
        scope = scopes.compared_by(asked.scope, self.embedding.name)

        async def drop() -> None:
            if await self.tiers.is_gone(gone):
                self.tiers.ledger.semantic("gone")
                await engine.ask("index", lambda: index.remove(scope, [gone]))

        self._behind(drop)


class Pace:
    """So much a second and no more, after a few at once; time is a parameter, in seconds."""

    def __init__(self, a_second: float, at_once: float) -> None:
        self._a_second = a_second
        self._at_once = self._left = at_once
        self._last = 0.0

    def allows(self, now: float) -> bool:
        """May one more go ahead? Two threads that ask at once may both be let through."""
        gained = max(0.0, now - self._last) * self._a_second
        self._left, self._last = min(self._at_once, self._left + gained), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class PreparedTexts:
    """Questions as the guards read them, the last few thousand."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._texts: OrderedDict[bytes, Text] = OrderedDict()

    def read(self, text: str) -> Text:
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            known = self._texts.get(digest)
            if known is not None:
                self._texts.move_to_end(digest)
                return known
        made = prepare(text)
        with self._lock:
            self._texts[digest] = made
            if len(self._texts) > _READ_BEFORE:
                self._texts.popitem(last=False)
        return made


def _dimensions(vector: bytes) -> int:
    return len(vector) // 4
