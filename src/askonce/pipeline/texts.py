"""Questions and answers as plain text: the door for callers without a wire format."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import msgspec

from askonce.core import document_tags, keys, policy
from askonce.core.directives import MAX_TAGS, Directives, Mode
from askonce.core.models import Entry, Key, Outcome, Reason, Verdict
from askonce.core.rules.ruleset import Ruleset
from askonce.pipeline.context import Context
from askonce.stores.tiered.tiers import TierHit

if TYPE_CHECKING:
    from askonce.semantic.lookup import SemanticHit, SemanticLookup

FORMAT = "text"


class Answer(msgspec.Struct, frozen=True):
    """An answer that was found: its text, the layer that had it, its age and rest of life (s).

    `reason` is `exact` where this very question was asked before. Where it is `semantic`, `matched`
    is the question that was asked in other words, and `similarity` the cosine of the two.
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
    """Gets and puts plain texts, over one context. For rules their route is `text`."""

    def __init__(
        self,
        context: Context,
        rules: Ruleset | None = None,
        lookup: "SemanticLookup | None" = None,
    ) -> None:
        self._context = context
        self._rules = rules
        self._lookup = lookup

    def key(self, question: str, scope: str, namespace: str) -> Key:
        return keys.key_of(namespace, FORMAT, {"question": question, "scope": scope})

    async def get(
        self,
        question: str,
        *,
        scope: str,
        namespace: str,
        max_age: float | None,
        tags: Iterable[str] = (),
        semantic: Mode | None = None,
        similarity: float = 0.0,
    ) -> Answer | None:
        context = self._context
        directives = wishes_for(self._rules, question, None, tags)
        if directives.never is not None:
            context.ledger.answered(Outcome.BYPASS, directives.never)
            return None
        directives = msgspec.structs.replace(
            directives, max_age=max_age, semantic=semantic, similarity=similarity
        )
        key = self.key(question, scope, namespace)
        found = await context.tiers.find_fresh(key, directives)
        if found is not None:
            return self._answer(found, found.outcome, directives)
        hit = await self._neighbor(question, key, scope, directives)
        if hit is not None:
            near = hit.found
            answer = self._answer(near, Outcome.HIT_SEMANTIC, directives)
            return msgspec.structs.replace(
                answer,
                reason="semantic",
                similarity=min(1.0, hit.similarity),
                matched=near.entry.question,
            )
        context.ledger.answered(Outcome.MISS, await self._why_not(key, directives))
        return None

    async def _neighbor(
        self, question: str, key: Key, scope: str, directives: Directives
    ) -> "SemanticHit | None":
        """The answer to a question that asks the same, if such answers are served."""
        lookup = self._lookup
        if lookup is None or lookup.mode(directives) != "serve":
            return None
        with self._context.boundary.around("semantic"):
            asked = lookup.scoped_text(directives, key, scope, question)
            return None if asked is None else await lookup.find(asked, key, directives)
        return None

    async def _why_not(self, key: Key, directives: Directives) -> Reason:
        """Why what memory has under a key, if anything, was not served."""
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
        if found.tier is not None:
            context.ledger.layer(found.tier.name, "hits")
        return Answer(
            text=entry.body.decode(),
            layer="memory" if found.tier is None else found.tier.name,
            age=entry.age(now),
            ttl=entry.expires - now,
            key=entry.key,
        )

    async def put(
        self,
        question: str,
        answer: str,
        *,
        scope: str,
        namespace: str,
        ttl: float | None,
        tags: Iterable[str],
        semantic: Mode | None = None,
    ) -> bool:
        """Store the answer; False if it could not be (see the ledger), never an error."""
        context, lookup = self._context, self._lookup
        directives = wishes_for(self._rules, question, ttl, tags)
        directives = msgspec.structs.replace(directives, semantic=semantic)
        verdict = policy.may_put(directives, context.limits)
        epochs = await context.tiers.capture(directives.tags) if verdict.yes else None
        swept = await context.tiers.last_sweep(epochs)
        if epochs is None:
            verdict = Verdict(False, Reason.STORE_FAILED) if verdict.yes else verdict
            context.ledger.landed(verdict)
            return False
        key = self.key(question, scope, namespace)
        asked = None
        if lookup is not None:
            asked = lookup.scoped_text(directives, key, scope, question)
        ttl = policy.lifetime(directives.ttl, context.limits, key.digest, directives.lives)
        now = context.runtime.now()
        entry = Entry(
            key=key,
            body=answer.encode(),
            status=200,
            headers=(),
            created=now,
            expires=now + ttl,
            stale_until=now + ttl,
            question=question,
            tags=tuple(epochs.items()),
            swept=swept,
            scope=b"" if asked is None else asked.scope,
        )
        verdict = await context.tiers.store(entry)
        context.ledger.landed(verdict)
        if verdict.yes:
            context.ledger.kept(entry, now)
        if verdict.yes and lookup is not None and asked is not None:
            with context.boundary.around("semantic"):
                await lookup.put(entry, asked, directives)
        return verdict.yes


def wishes_for(
    rules: Ruleset | None, question: str, ttl: float | None, tags: Iterable[str]
) -> Directives:
    """What is wished for a text's answer, under the rules."""
    wanted = document_tags.expand(tags)
    directives = Directives(ttl=ttl, tags=wanted[:MAX_TAGS], tags_in_doubt=len(wanted) > MAX_TAGS)
    if rules is None:
        return directives
    return policy.ruled(directives, rules.ruling(question, route=FORMAT, format=FORMAT))
