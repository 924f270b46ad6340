"""The semantic lookup, step 8 of the request path: the same question in other words.

The index names the nearest questions within one scope, and never beyond it; similarity only
proposes. An entry is served if it is fresh for this caller, was stored in this very scope, is near
enough, and no guard vetoes it. The index is derived data and never the authority: a key that it
names and no layer has is removed from it.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from askonce.core import policy, scopes
from askonce.core.bounded import BoundedMap
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

_PREPARED_TEXTS: Final = 1_024  # about 8 KB each
_MOST_IN_BACKGROUND: Final = 256
_SHADOWS_PER_SECOND, _SHADOWS_AT_ONCE = 5.0, 100.0
"""The rate at which shadow mode compares answers; a sample is as good as all of them."""

LONGEST_QUESTION: Final = 20_000
"""Characters; a longer question is not compared. No embedder here reads as much."""

_PROGRAM_TIMEOUT: Final = 10.0  # seconds: the first call loads the model


class SemanticHit(NamedTuple):
    """An entry that may answer, and the cosine between its question and the one asked."""

    found: TierHit
    similarity: float


class OpenIndex(NamedTuple):
    """The index in one mode, sync or async, behind its deadline and circuit breaker."""

    vectors: VectorIndex
    engine: GuardedBackend


class IndexAccess(NamedTuple):
    """How a lookup reaches the index.

    open             the index for vectors of so many dimensions
    in_process       the index is in this process, so its calls take microseconds
    holds            is an entry in the index of this process?
    start_reconciler start the thread that keeps the index equal to the entries
    """

    open: Callable[[int], OpenIndex]
    in_process: bool
    holds: Callable[[Entry], bool]
    start_reconciler: Callable[[], object]


ScopeOf = Callable[[Call, WireFormat, str, Scoping], Scoped | Incomparable]
"""Compute the scope of a recognized call; it reads the body once more."""


class QuestionPolicy(NamedTuple):
    """What decides whether a question is compared at all.

    scope_of         the scope of a call
    requests_action  does a question request an action? Such a question is matched exactly only
    rules            the rules of today, None without rules
    """

    scope_of: ScopeOf
    requests_action: Callable[[str], bool]
    rules: Ruleset | None


Compare = Callable[
    ["SemanticLookup", Scoped, Entry, Directives, WireFormat | None], Awaitable[object]
]
"""Compare a new answer with the one that would have been served; shadow mode only."""


class SemanticLookup:
    """The semantic layer as one mode of the request path uses it, sync or async."""

    def __init__(
        self,
        tiers: Tiers,
        semantic: Semantic,
        embedding: EmbeddingQueue,
        index: IndexAccess,
        questions: QuestionPolicy,
        *,
        compare: Compare,
    ) -> None:
        self.tiers = tiers
        self.semantic = semantic
        self.embedding = embedding
        self._index = index
        self._questions = questions
        self._compare = compare
        self._timeout = semantic.patience
        self._texts = PreparedTexts()
        self._lock = fork_safe_lock()
        self._in_background = 0
        self._shadow_rate = RateLimit(_SHADOWS_PER_SECOND, _SHADOWS_AT_ONCE)

    def mode(self, directives: Directives) -> Mode:
        """Return the mode of this call: the one that the caller asks for, or the setting."""
        return self.semantic.mode if directives.semantic is None else directives.semantic

    def threshold(self, directives: Directives) -> float:
        """Return the lowest similarity that may be served; a caller can only raise it."""
        return max(self.semantic.threshold, directives.similarity)

    def scope_request(self, request: CacheRequest) -> Scoped | None:
        """Return the scope and question of a call; None if it must not be compared."""
        if self.mode(request.directives) == "off":
            return None
        if len(request.question.text) > LONGEST_QUESTION:
            self.tiers.ledger.semantic("too-long")
            return None
        if request.question.sampled and self.tiers.limits.pool > 1:
            return None  # a caller who wants one of several answers does not want the same again
        found = self._questions.scope_of(
            request.call, request.format, request.key.namespace, self.semantic.scoping
        )
        if isinstance(found, Incomparable):
            self.tiers.ledger.semantic(found.value)
            return None
        return self._unless_action(found)

    def scope_text(
        self, directives: Directives, key: Key, scope: str, question: str
    ) -> Scoped | None:
        """Return the scope of a plain text with this key; None if it must not be compared."""
        if self.mode(directives) == "off" or len(question) > LONGEST_QUESTION:
            return None
        return self._unless_action(Scoped(scopes.scope_of_text(key.namespace, scope), question))

    def _unless_action(self, asked: Scoped) -> Scoped | None:
        """Drop a request for an action: it is matched by its exact words only."""
        if self.semantic.tools or not self._questions.requests_action(asked.text):
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
        timeout: float | None = None,
        quiet: bool = False,
    ) -> SemanticHit | None:
        """Return the nearest entry of the scope that may answer; None if there is none.

        Parameters:
            asked: the question and its scope.
            key: the caller's own key, which is never a semantic hit.
            directives: what the caller asked of the cache.
            threshold: a cosine. Default: the one of the caller and the setting.
            timeout: seconds for the embedder, and again for reading entries. Default: the setting.
            quiet: do not count why nothing was found.
        """
        timeout = self._timeout if timeout is None else timeout
        near = await self.nearest(asked, timeout)
        if near is None:
            return None
        least = self.threshold(directives) if threshold is None else threshold
        until = self.tiers.runtime.monotonic() + timeout
        question = self._texts.read(asked.text)
        reason = "far"
        for neighbor, similarity in near:
            if similarity < least:
                break
            if neighbor == key:
                continue
            if self.tiers.runtime.monotonic() > until:
                reason = "late"
                break
            found = await self._fresh(asked, key, neighbor, directives)
            if found is None:
                continue
            verdict = judge(question, self._texts.read(found.entry.question), similarity, least)
            if verdict.yes:
                return SemanticHit(found, similarity)
            reason = verdict.reason.value
        if not quiet:
            self.tiers.ledger.semantic(reason)
        return None

    async def nearest(self, asked: Scoped, timeout: float | None) -> list[NearestKey] | None:
        """Return the nearest keys; None if the embedder or the index failed or was late."""
        self._index.start_reconciler()
        vector = await self.embedding.vector(asked.text, self.tiers.runtime, timeout)
        if vector is None:
            return None
        index, engine = self._index.open(_dimensions(vector))
        scope = scopes.compared_by(asked.scope, self.embedding.name)
        return await engine.ask("search", lambda: index.nearest(scope, vector, CANDIDATES))

    async def index_entry(self, entry: Entry, *, timeout: float | None = None) -> bool:
        """Add an entry to the index; True if it is there now. By default there is no timeout."""
        if not entry.scope or entry.is_refusal:
            return False
        self._index.start_reconciler()
        vector = await self.embedding.vector(entry.question, self.tiers.runtime, timeout)
        if vector is None:
            return False
        index, engine = self._index.open(_dimensions(vector))
        scope = scopes.compared_by(entry.scope, self.embedding.name)

        async def add() -> bool:
            await index.add(scope, entry.key, vector, entry.expires)
            return True

        return bool(await engine.ask("index", add))

    async def index_answer(
        self,
        entry: Entry,
        asked: Scoped,
        directives: Directives,
        format_: WireFormat | None,
        *,
        looked_up: bool = True,
    ) -> None:
        """Add a stored answer to the index, in the background unless that takes microseconds.

        In shadow mode the answer is first compared with the one that would have been served.

        Parameters:
            entry: the stored answer.
            asked: its question and scope.
            directives: what the caller asked of the cache.
            format_: the wire format of the answer; None for plain text.
            looked_up: would serve mode have looked for a semantic hit? Shadow mode skips others.
        """
        shadow = self.mode(directives) == "shadow" and looked_up
        if shadow and not self._shadow_rate.allows(self.tiers.runtime.monotonic()):
            shadow = False
            self.tiers.ledger.semantic("skipped")
        if self._index.in_process and not shadow and self.embedding.known(asked.text) is not None:
            await self.index_entry(entry)
            return

        async def compare_and_index() -> None:
            if shadow:
                await self._compare(self, asked, entry, directives, format_)
            await self.index_entry(entry)

        self._run_in_background(compare_and_index)

    async def index_put(self, entry: Entry, asked: Scoped, directives: Directives) -> None:
        """Add an answer that a program put into the cache, so that the next question finds it."""
        if self.mode(directives) == "shadow":
            await self.index_answer(entry, asked, directives, None)
        else:
            await self.index_entry(entry, timeout=_PROGRAM_TIMEOUT)

    def index_remote_entry(self, entry: Entry) -> None:
        """Add an entry of another process to the index of this process, in the background."""
        if not (self._index.in_process and entry.scope) or entry.is_refusal:
            return
        if self._index.holds(entry):
            return

        async def add() -> None:
            await self.index_entry(entry)

        self._run_in_background(add)

    def _run_in_background(self, work: Work) -> None:
        """Run the work in the background; skip it if too much waits, for the index is derived."""
        with self._lock:
            crowded = self._in_background >= _MOST_IN_BACKGROUND
            self._in_background += not crowded
        if crowded:
            self.tiers.ledger.semantic("skipped")
            return

        async def attempt() -> None:
            try:
                with self.tiers.boundary.around("semantic"):
                    await work()
            finally:
                with self._lock:
                    self._in_background -= 1

        self.tiers.runtime.run_in_background(attempt)

    async def _fresh(
        self, asked: Scoped, key: Key, named: Key, directives: Directives
    ) -> TierHit | None:
        """Return an entry that the index names, if it is fresh and of this very scope."""
        if named[:2] != key[:2]:
            return None
        found = await self.tiers.find_fresh(named, directives)
        if found is not None:
            entry = found.entry
            # Only the scope that the entry itself has counts, not the one under which it was found.
            if entry.scope != asked.scope or entry.is_refusal:
                return None
            return self._under_rules(found, directives)
        self._drop_if_gone(asked, named)
        return None

    def _under_rules(self, found: TierHit, directives: Directives) -> TierHit | None:
        """Return the entry if the rules of today allow an answer to its own question.

        The caller's words were checked before. A rule about prices must also apply to an entry
        about a price that was asked for in other words.
        """
        rules = self._questions.rules
        if rules is None:
            return found
        entry = found.entry
        ruling = rules.ruling(
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
        index, engine = self._index.open(_dimensions(vector))
        scope = scopes.compared_by(asked.scope, self.embedding.name)

        async def drop() -> None:
            if await self.tiers.is_gone(gone):
                self.tiers.ledger.semantic("gone")
                await engine.ask("index", lambda: index.remove(scope, [gone]))

        self._run_in_background(drop)


class RateLimit:
    """A token bucket: so many a second, after a burst; the caller passes the time in seconds."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = self._tokens = burst
        self._last = 0.0

    def allows(self, now: float) -> bool:
        """Take a token if there is one. Two threads that ask at once may take the same one."""
        gained = max(0.0, now - self._last) * self._per_second
        self._tokens, self._last = min(self._burst, self._tokens + gained), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class PreparedTexts:
    """The questions that the guards have read lately."""

    def __init__(self) -> None:
        self._texts: BoundedMap[bytes, Text] = BoundedMap(_PREPARED_TEXTS)

    def read(self, text: str) -> Text:
        """Return the text as the guards compare it, prepared at most once while it is kept."""
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        known = self._texts.get(digest)
        if known is None:
            known = self._texts[digest] = prepare(text)
        return known


def _dimensions(vector: bytes) -> int:
    return len(vector) // 4
