"""Questions and answers as plain text: the door for callers without a wire format."""

from collections.abc import Iterable

import msgspec

from askonce import keys
from askonce.desk import Desk
from askonce.records import Because, Entry, Key, Outcome, Verdict

FORMAT = "text"


class Answer(msgspec.Struct, frozen=True):
    """An answer that was found: its text, the layer that had it, its age and rest of life (s)."""

    text: str
    layer: str
    age: float
    ttl: float
    key: Key


class Texts:
    """Gets and puts plain texts, over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def key(self, question: str, scope: str, namespace: str) -> Key:
        return keys.key_of(namespace, FORMAT, {"question": question, "scope": scope})

    async def get(
        self, question: str, *, scope: str, namespace: str, max_age: float | None
    ) -> Answer | None:
        desk = self._desk
        key = self.key(question, scope, namespace)
        found = await desk.find_fresh(key)
        entry = None if found is None else found.entry
        now = desk.runtime.now()
        because = Because.NOT_FOUND
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
        ttl: float,
        tags: Iterable[str],
    ) -> bool:
        """Store the answer; False if it could not be (see the ledger), never an error."""
        desk = self._desk
        epochs = await desk.capture(tuple(tags))
        if epochs is None or ttl <= 0:
            because = Because.TTL_ZERO if ttl <= 0 else Because.STORE_FAILED
            desk.ledger.landed(Verdict(False, because), None, 0)
            return False
        now = desk.runtime.now()
        entry = Entry(
            key=self.key(question, scope, namespace),
            body=answer.encode(),
            status=200,
            headers=(),
            created=now,
            expires=now + ttl,
            stale_until=now + ttl,
            question=question,
            tags=tuple(epochs.items()),
        )
        verdict = await desk.store(entry)
        desk.ledger.landed(verdict, None, 0)
        return verdict.yes
