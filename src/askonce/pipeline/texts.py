"""Questions and answers as plain text: the door for callers without a wire format."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import msgspec

from askonce.core import document_tags, keys, policy
from askonce.core.directives import MAX_TAGS, Directives, Mode
from askonce.core.models import Because, Entry, Key, Outcome, Verdict
from askonce.core.rules.rules import Ruleset
from askonce.pipeline.context import Context
from askonce.stores.tiered.tiers import Found

if TYPE_CHECKING:
    from askonce.semantic.lookup import Neighbor, Neighbors

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
        neighbors: "Neighbors | None" = None,
    ) -> None:
        self._context = context
        self._rules = rules
        self._neighbors = neighbors

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
        wishes = wishes_for(self._rules, question, None, tags)
        if wishes.never is not None:
            context.ledger.answered(Outcome.BYPASS, wishes.never)
            return None
        wishes = msgspec.structs.replace(
            wishes, max_age=max_age, semantic=semantic, similarity=similarity
        )
        key = self.key(question, scope, namespace)
        found = await context.tiers.find_fresh(key, wishes)
        if found is not None:
            return self._answer(found, found.outcome, wishes)
        neighbor = await self._neighbor(question, key, scope, wishes)
        if neighbor is not None:
            near = neighbor.found
            answer = self._answer(near, Outcome.HIT_SEMANTIC, wishes)
            return msgspec.structs.replace(
                answer,
                reason="semantic",
                similarity=min(1.0, neighbor.similarity),
                matched=near.entry.question,
            )
        context.ledger.answered(Outcome.MISS, await self._why_not(key, wishes))
        return None

    async def _neighbor(
        self, question: str, key: Key, scope: str, wishes: Directives
    ) -> "Neighbor | None":
        """The answer to a question that asks the same, if such answers are served."""
        neighbors = self._neighbors
        if neighbors is None or neighbors.mode(wishes) != "serve":
            return None
        with self._context.boundary.around("semantic"):
            asked = neighbors.scoped_text(wishes, key, scope, question)
            return None if asked is None else await neighbors.find(asked, key, wishes)
        return None

    async def _why_not(self, key: Key, wishes: Directives) -> Because:
        """Why what memory has under a key, if anything, was not served."""
        held = await self._context.tiers.recall(key)
        if held is None:
            return Because.NOT_FOUND
        if not policy.carries(held.entry, wishes.tags):
            return Because.OTHER_TAGS
        now = self._context.runtime.now()
        if wishes.max_age is not None and held.entry.age(now) > wishes.max_age:
            return Because.TOO_OLD
        return Because.NOT_FOUND

    def _answer(self, found: Found, outcome: Outcome, wishes: Directives) -> Answer:
        context = self._context
        entry = policy.bounded(found.entry, wishes)
        now = context.runtime.now()
        context.ledger.answered(outcome, Because.OK, entry, now)
        if found.shelf is not None:
            context.ledger.layer(found.shelf.name, "hits")
        return Answer(
            text=entry.body.decode(),
            layer="memory" if found.shelf is None else found.shelf.name,
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
        context, neighbors = self._context, self._neighbors
        wishes = wishes_for(self._rules, question, ttl, tags)
        wishes = msgspec.structs.replace(wishes, semantic=semantic)
        verdict = policy.may_put(wishes, context.limits)
        epochs = await context.tiers.capture(wishes.tags) if verdict.yes else None
        swept = await context.tiers.last_sweep(epochs)
        if epochs is None:
            verdict = Verdict(False, Because.STORE_FAILED) if verdict.yes else verdict
            context.ledger.landed(verdict)
            return False
        key = self.key(question, scope, namespace)
        asked = None
        if neighbors is not None:
            asked = neighbors.scoped_text(wishes, key, scope, question)
        ttl = policy.lifetime(wishes.ttl, context.limits, key.digest, wishes.lives)
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
        if verdict.yes and neighbors is not None and asked is not None:
            with context.boundary.around("semantic"):
                await neighbors.put(entry, asked, wishes)
        return verdict.yes


def wishes_for(
    rules: Ruleset | None, question: str, ttl: float | None, tags: Iterable[str]
) -> Directives:
    """What is wished for a text's answer, under the rules."""
    wanted = document_tags.expand(tags)
    wishes = Directives(ttl=ttl, tags=wanted[:MAX_TAGS], tags_in_doubt=len(wanted) > MAX_TAGS)
    if rules is None:
        return wishes
    return policy.ruled(wishes, rules.ruling(question, route=FORMAT, format=FORMAT))
