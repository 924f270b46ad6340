"""Questions and answers as plain text: the door for callers without a wire format."""

from collections.abc import Iterable

import msgspec

from askonce import documents, keys, policy
from askonce.desk import Desk
from askonce.directives import MAX_TAGS, Directives
from askonce.records import Because, Entry, Key, Outcome, Verdict
from askonce.rules import Ruleset

FORMAT = "text"


class Answer(msgspec.Struct, frozen=True):
    """An answer that was found: its text, the layer that had it, its age and rest of life (s)."""

    text: str
    layer: str
    age: float
    ttl: float
    key: Key


class Texts:
    """Gets and puts plain texts, over one desk. For rules their route is `text`."""

    def __init__(self, desk: Desk, rules: Ruleset | None = None) -> None:
        self._desk = desk
        self._rules = rules

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
    ) -> Answer | None:
        desk = self._desk
        wishes = wishes_for(self._rules, question, None, tags)
        if wishes.never is not None:
            desk.ledger.answered(Outcome.BYPASS, wishes.never)
            return None
        key = self.key(question, scope, namespace)
        found = await desk.find_fresh(key, wishes)
        entry = None if found is None else policy.bounded(found.entry, wishes)
        now = desk.runtime.now()
        because = Because.NOT_FOUND
        if entry is None and wishes.tags:
            held = await desk.recall(key)
            if held is not None and not policy.carries(held.entry, wishes.tags):
                because = Because.OTHER_TAGS
        if entry is not None and max_age is not None and entry.age(now) > max_age:
            entry, because = None, Because.TOO_OLD
        if entry is None or found is None:
            desk.ledger.answered(Outcome.MISS, because)
            return None
        desk.ledger.answered(found.outcome, Because.OK, entry)
        if found.shelf is not None:
            desk.ledger.layer(found.shelf.name, "hits")
        return Answer(
            text=entry.body.decode(),
            layer="memory" if found.shelf is None else found.shelf.name,
            age=entry.age(now),
            ttl=entry.expires - now,
            key=key,
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
    ) -> bool:
        """Store the answer; False if it could not be (see the ledger), never an error."""
        desk = self._desk
        wishes = wishes_for(self._rules, question, ttl, tags)
        verdict = policy.may_put(wishes, desk.limits)
        epochs = await desk.capture(wishes.tags) if verdict.yes else None
        swept = await desk.last_sweep(epochs)
        if epochs is None:
            verdict = Verdict(False, Because.STORE_FAILED) if verdict.yes else verdict
            desk.ledger.landed(verdict, None, 0)
            return False
        key = self.key(question, scope, namespace)
        ttl = policy.lifetime(wishes.ttl, desk.limits, key.digest, wishes.lives)
        now = desk.runtime.now()
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
        )
        verdict = await desk.store(entry)
        desk.ledger.landed(verdict, None, 0)
        return verdict.yes


def wishes_for(
    rules: Ruleset | None, question: str, ttl: float | None, tags: Iterable[str]
) -> Directives:
    """What is wished for a text's answer, under the rules."""
    wanted = documents.expand(tags)
    wishes = Directives(ttl=ttl, tags=wanted[:MAX_TAGS], tags_in_doubt=len(wanted) > MAX_TAGS)
    if rules is None:
        return wishes
    return policy.ruled(wishes, rules.ruling(question, route=FORMAT, format=FORMAT))
