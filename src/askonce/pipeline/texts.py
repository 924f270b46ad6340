"""Questions and answers as plain text, for callers without a wire format."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import msgspec

from askonce.core import document_tags, keys, policy
from askonce.core.directives import MAX_TAGS, Directives, Mode
from askonce.core.errors import ConfigError
from askonce.core.models import Entry, Key, Outcome, Reason, Verdict
from askonce.core.rules.ruleset import Ruleset
from askonce.pipeline.context import Context
from askonce.stores.tiered.tiers import TierHit

if TYPE_CHECKING:
    from askonce.core.scopes import Scoped
    from askonce.semantic.lookup import SemanticHit, SemanticLookup

FORMAT = "text"


class TextQuestion(msgspec.Struct, frozen=True):
    """A question in plain text, and where it belongs.

    Args:
        text: The question.
        scope: Only questions of equal scope share answers: a model, a system prompt, a user.
        namespace: The caller's namespace.
    """

    text: str
    scope: str
    namespace: str

    @property
    def key(self) -> Key:
        tree = {"question": self.text, "scope": self.scope}
        return keys.key_of(self.namespace, FORMAT, tree)


class Answer(msgspec.Struct, frozen=True):
    """A stored answer to a question in plain text.

    Args:
        text: The answer.
        layer: The name of the layer that had it, such as `memory` or `sqlite`.
        age: Seconds since it was stored.
        ttl: Seconds until it expires.
        key: The key of its entry.
        reason: `exact` for an answer to this very question, `semantic` for one to a question that
            asks the same in other words.
        similarity: The cosine of both questions; 1.0 for `exact`.
        matched: The question that was answered, for `semantic`; else empty.
    """

    text: str
    layer: str
    age: float
    ttl: float
    key: Key
    reason: Literal["exact", "semantic"] = "exact"
    similarity: float = 1.0
    matched: str = ""


class Texts:
    """Finds and stores answers in plain text, in one mode. For rules their route is `text`.

    Args:
        context: What all requests of the mode share.
        rules: The user's rules; None if there are none.
        lookup: Finds answers by meaning; None if the cache does not.
    """

    def __init__(
        self,
        context: Context,
        rules: Ruleset | None = None,
        lookup: "SemanticLookup | None" = None,
    ) -> None:
        self._context = context
        self._rules = rules
        self._lookup = lookup

    async def get(
        self,
        question: TextQuestion,
        *,
        max_age: float | None,
        tags: Iterable[str] = (),
        semantic: Mode | None = None,
        similarity: float = 0.0,
    ) -> Answer | None:
        """Return the fresh answer to a question, or None.

        Args:
            question: The question.
            max_age: The greatest age in seconds; None for any.
            tags: The tags that the answer must carry.
            semantic: Overrides the mode in which the cache matches by meaning.
            similarity: The least cosine for a match by meaning.
        """
        context = self._context
        directives = directives_for(self._rules, question.text, None, tags)
        if directives.never is not None:
            context.ledger.answered(Outcome.BYPASS, directives.never)
            return None
        directives = msgspec.structs.replace(
            directives, max_age=max_age, semantic=semantic, similarity=similarity
        )
        key = question.key
        found = await context.tiers.find_fresh(key, directives)
        if found is not None:
            return self._answer(found, found.outcome, directives)
        hit = await self._similar(question, key, directives)
        if hit is not None:
            answer = self._answer(hit.found, Outcome.HIT_SEMANTIC, directives)
            return msgspec.structs.replace(
                answer,
                reason="semantic",
                similarity=min(1.0, hit.similarity),
                matched=hit.found.entry.question,
            )
        context.ledger.answered(Outcome.MISS, await self._why_not(key, directives))
        return None

    async def put(
        self,
        question: TextQuestion,
        answer: str,
        *,
        ttl: float | None,
        tags: Iterable[str],
        semantic: Mode | None = None,
    ) -> bool:
        """Store an answer; False, never an error, if it could not be (the ledger has the reason).

        Raises ConfigError for an answer that is no text.

        Args:
            question: The question.
            answer: Its answer.
            ttl: The answer's life in seconds; None for the default.
            tags: The answer's tags.
            semantic: `off` for an answer that is only found by exactly this question.
        """
        if not isinstance(answer, str):
            raise ConfigError(
                f"an answer is a text, and this is a {type(answer).__name__}; write"
                " json.dumps(answer), or use @cache.remember"
            )
        context, lookup = self._context, self._lookup
        directives = directives_for(self._rules, question.text, ttl, tags)
        directives = msgspec.structs.replace(directives, semantic=semantic)
        verdict = policy.may_put(directives, context.limits)
        epochs = await context.tiers.capture(directives.tags) if verdict.yes else None
        swept = await context.tiers.last_sweep(epochs)
        if epochs is None:
            verdict = Verdict(False, Reason.STORE_FAILED) if verdict.yes else verdict
            context.ledger.landed(verdict)
            return False
        key = question.key
        scoped = None
        if lookup is not None:
            scoped = lookup.scope_text(directives, key, question.scope, question.text)
        entry = self._entry(question, answer, directives, epochs, swept, scoped)
        verdict = await context.tiers.store(entry)
        context.ledger.landed(verdict)
        if verdict.yes:
            context.ledger.kept(entry, entry.created)
        if verdict.yes and lookup is not None and scoped is not None:
            with context.boundary.around("semantic"):
                await lookup.index_put(entry, scoped, directives)
        return verdict.yes

    def _entry(
        self,
        question: TextQuestion,
        answer: str,
        directives: Directives,
        epochs: dict[str, int],
        swept: int,
        scoped: "Scoped | None",
    ) -> Entry:
        context, key = self._context, question.key
        ttl = policy.lifetime(directives.ttl, context.limits, key.digest, directives.lives)
        now = context.runtime.now()
        return Entry(
            key=key,
            body=answer.encode(),
            status=200,
            headers=(),
            created=now,
            expires=now + ttl,
            stale_until=now + ttl,
            question=question.text,
            tags=tuple(epochs.items()),
            swept=swept,
            scope=b"" if scoped is None else scoped.scope,
        )

    async def _similar(
        self, question: TextQuestion, key: Key, directives: Directives
    ) -> "SemanticHit | None":
        """Find the answer to a question that asks the same, if such answers are served."""
        lookup = self._lookup
        if lookup is None or lookup.mode(directives) != "serve":
            return None
        with self._context.boundary.around("semantic"):
            scoped = lookup.scope_text(directives, key, question.scope, question.text)
            return None if scoped is None else await lookup.find(scoped, key, directives)
        return None

    async def _why_not(self, key: Key, directives: Directives) -> Reason:
        """Return why memory's entry under a key, if any, was not served."""
        held = await self._context.tiers.recall(key)
        if held is None:
            return Reason.NOT_FOUND
        if not policy.carries(held.entry, directives.tags):
            return Reason.OTHER_TAGS
        now = self._context.runtime.now()
        if directives.max_age is not None and held.entry.age(now) > directives.max_age:
            return Reason.TOO_OLD
        return Reason.NOT_FOUND

    def _answer(self, found: TierHit, outcome: Outcome, directives: Directives) -> Answer:
        context = self._context
        entry = policy.bounded(found.entry, directives)
        now = context.runtime.now()
        context.ledger.answered(outcome, Reason.OK, entry, now)
        if found.layer:
            context.ledger.layer(found.layer, "hits")
        return Answer(
            text=entry.body.decode(),
            layer=found.layer or "memory",
            age=entry.age(now),
            ttl=entry.expires - now,
            key=entry.key,
        )


def directives_for(
    rules: Ruleset | None, question: str, ttl: float | None, tags: Iterable[str]
) -> Directives:
    """Make the directives for a text's answer, under the rules; `ttl` in seconds."""
    wanted = document_tags.expand(tags)
    directives = Directives(ttl=ttl, tags=wanted[:MAX_TAGS], tags_in_doubt=len(wanted) > MAX_TAGS)
    if rules is None:
        return directives
    return policy.ruled(directives, rules.ruling(question, route=FORMAT, format=FORMAT))
