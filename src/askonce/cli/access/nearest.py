"""The stored questions nearest to one, with the guards' verdicts, for `askonce explain --near`."""

import heapq
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from askonce.cli.access.stores import open_existing
from askonce.cli.output.meter import Meter
from askonce.config.settings import Settings
from askonce.core.errors import ConfigError
from askonce.core.models import Entry, Key, Reason, Selection
from askonce.core.rules.re2 import compiled_rules
from askonce.core.runtime.event_loop import AsyncRuntime
from askonce.core.runtime.threads import SyncRuntime
from askonce.core.scopes import compared_by
from askonce.ledger.ledger import Ledger
from askonce.semantic.assembly import SemanticAssembly
from askonce.semantic.embedding import cosine
from askonce.semantic.guards import judge, prepare, verdicts
from askonce.semantic.settings import Semantic

_LOOKED_AT = 20_000
"""The most entries whose scopes are searched; the newest count."""
_EMBEDDED = 500
"""The most entries missing in the index that this process embeds itself."""


class NearEntry(NamedTuple):
    """An entry and the similarity of its question."""

    similarity: float
    entry: Entry


async def nearest_entries(
    settings: Settings, question: str, namespace: str | None, limit: int
) -> dict[str, Any]:
    """Find the stored questions nearest to one, with the guards' verdicts, as plain values.

    Only the newest entries of the namespace (of all, if None) are compared; at most `limit` are
    returned, the nearest first. Raises `ConfigError` if the question has no vector.
    """
    semantic = settings.semantic
    store = open_existing(settings)
    try:
        chosen = store.scan(Selection(namespace=namespace))
        entries, others = await _newest(chosen)
    finally:
        await store.close()
    ledger = Ledger(SyncRuntime().lock())
    assembly = _assembly(settings, ledger)
    refused = RefusalCheck(settings, assembly)
    try:
        vector = await assembly.embedding.vector(question, SyncRuntime())
        if vector is None:
            raise ConfigError(_no_vector(ledger))
        found = await _nearest(assembly, vector, entries, limit)
    finally:
        await assembly.close(in_loop=False)
    return {
        "question": question,
        "mode": semantic.mode,
        "threshold": semantic.threshold,
        "embedder": assembly.embedding.name,
        "compared": len(entries),
        "not_compared": others,
        "nearest": [_judged(question, one, semantic, refused) for one in found],
    }


async def _newest(entries: AsyncIterator[Entry]) -> tuple[list[Entry], int]:
    """The newest entries that may be compared, without their answers, and how many may not."""
    now = SyncRuntime().now()
    kept: list[tuple[float, Key, Entry]] = []
    others = 0
    async for entry in entries:
        if not entry.scope or entry.is_refusal or not entry.is_fresh(now):
            others += 1
            continue
        light = _without_answer(entry)
        if len(kept) < _LOOKED_AT:
            heapq.heappush(kept, (entry.created, entry.key, light))
        else:
            heapq.heappushpop(kept, (entry.created, entry.key, light))
    return [entry for _, _, entry in sorted(kept, reverse=True)], others


def _without_answer(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, body=b"")


def _assembly(settings: Settings, ledger: Ledger) -> SemanticAssembly:
    return SemanticAssembly(
        settings.semantic,
        runtime=SyncRuntime(),
        suspending=AsyncRuntime(),
        ledger=ledger,
        entries=None,
        store=settings.shared_url,
        clock=None,
    )


def _no_vector(ledger: Ledger) -> str:
    if ledger.counters().get("semantic:embedder-failed"):
        return "the embedder does not answer; see [semantic] embedder"
    return (
        "the embedder cannot read all of this question (it is empty, too long, or has signs that"
        " the model does not know), so it is only ever matched exactly"
    )


async def _nearest(
    assembly: SemanticAssembly, vector: bytes, entries: list[Entry], limit: int
) -> list[NearEntry]:
    dimensions = len(vector) // 4
    index = assembly.index(dimensions, suspends=False).vectors
    assembly.load(dimensions)
    name = assembly.embedding.name
    by_key = {entry.key: entry for entry in entries}
    found: dict[Key, NearEntry] = {}
    for scope in dict.fromkeys(entry.scope for entry in entries):
        for near in await index.nearest(compared_by(scope, name), vector, limit):
            entry = by_key.get(near.key)
            if entry is not None and entry.scope == scope:
                found[near.key] = NearEntry(near.similarity, entry)
    with Meter("comparing") as meter:
        fresh = 0
        for entry in entries:
            if fresh >= _EMBEDDED or await assembly.holds(entry, dimensions):
                continue
            fresh += 1
            meter.report(fresh)
            other = await assembly.embedding.vector(entry.question, SyncRuntime())
            if other is not None:
                found.setdefault(entry.key, NearEntry(cosine(vector, other), entry))
    return heapq.nlargest(limit, found.values(), key=lambda one: one.similarity)


class RefusalCheck:
    """Entries that are never compared: those that ask for an action or that a rule refuses."""

    def __init__(self, settings: Settings, assembly: SemanticAssembly) -> None:
        self._acts = (lambda _: False) if settings.semantic.tools else assembly.requests_action
        self._rules = compiled_rules(settings.rules) if settings.rules else None

    def __call__(self, question: str, entry: Entry) -> str | None:
        if self._acts(question) or self._acts(entry.question):
            return Reason.SIDE_EFFECT.value
        if self._rules is None:
            return None
        for text in (question, entry.question):
            ruling = self._rules.ruling(
                text,
                model=entry.asked_model,
                route=entry.route or entry.key.format,
                format=entry.key.format,
            )
            if ruling.reason is not None:
                return ruling.reason.value
        return None


def _judged(
    question: str, near: NearEntry, semantic: Semantic, refused: RefusalCheck
) -> dict[str, Any]:
    entry = near.entry
    verdict = judge(prepare(question), prepare(entry.question), near.similarity, semantic.threshold)
    vetoes = [one.reason.value for one in verdicts(question, entry.question) if not one.yes]
    return {
        "question": entry.question,
        "similarity": round(near.similarity, 4),
        "vetoes": vetoes,
        "decision": refused(question, entry) or ("serve" if verdict.yes else verdict.reason.value),
        "namespace": entry.key.namespace,
        "model": entry.asked_model or entry.model,
        "scope": entry.scope.hex()[:12],
        "key": str(entry.key),
    }
