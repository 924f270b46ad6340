"""`askonce explain --near`: what lies near a question, what each guard says, and what follows."""

import argparse
import heapq
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from askonce.cli.access.configured import open_existing, read_settings
from askonce.cli.output.columns import plain, show_json
from askonce.cli.output.meter import Meter
from askonce.config.load import Settings
from askonce.core.errors import ConfigError
from askonce.core.models import Entry, Key, Reason, Selection
from askonce.core.rules.re2 import compiled_rules
from askonce.core.runtime.event_loop import AsyncRuntime
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.core.scopes import compared_by
from askonce.ledger.ledger import Ledger
from askonce.semantic.assembly import SemanticAssembly
from askonce.semantic.embedding import cosine
from askonce.semantic.guards import Veto, judge, prepare, verdicts
from askonce.semantic.settings import Semantic

_LOOKED_AT = 20_000
"""Of so many of the newest entries at most the scopes are searched."""
_EMBEDDED = 500
"""So many entries that the index does not have are embedded here."""


class _Lying(NamedTuple):
    """An entry and how near its question lies."""

    similarity: float
    entry: Entry


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    told = run_sync(_told(settings, options.near, options.namespace, options.limit))
    if options.json:
        print(show_json(told))
    else:
        _print(told)
    return 0 if any(one["decision"] == "serve" for one in told["nearest"]) else 1


async def _told(
    settings: Settings, question: str, namespace: str | None, limit: int
) -> dict[str, Any]:
    semantic = settings.semantic
    store = open_existing(settings)
    try:
        chosen = store.scan(Selection(namespace=namespace))
        entries, others = await _newest(chosen)
    finally:
        await store.close()
    ledger = Ledger(SyncRuntime().lock())
    pair = _rack(settings, ledger)
    refused = _Refusing(settings, pair)
    try:
        vector = await pair.embedding.vector(question, SyncRuntime())
        if vector is None:
            raise ConfigError(_no_vector(ledger))
        found = await _nearest(pair, vector, entries, limit)
    finally:
        await pair.close(in_loop=False)
    return {
        "question": question,
        "mode": semantic.mode,
        "threshold": semantic.threshold,
        "embedder": pair.embedding.name,
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


def _rack(settings: Settings, ledger: Ledger) -> SemanticAssembly:
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
    pair: SemanticAssembly, vector: bytes, entries: list[Entry], limit: int
) -> list[_Lying]:
    dimensions = len(vector) // 4
    index = pair.index(dimensions, suspends=False).vectors
    pair.load(dimensions)
    name = pair.embedding.name
    by_key = {entry.key: entry for entry in entries}
    found: dict[Key, _Lying] = {}
    for scope in dict.fromkeys(entry.scope for entry in entries):
        for near in await index.nearest(compared_by(scope, name), vector, limit):
            entry = by_key.get(near.key)
            if entry is not None and entry.scope == scope:
                found[near.key] = _Lying(near.similarity, entry)
    with Meter("comparing") as meter:
        fresh = 0
        for entry in entries:
            if fresh >= _EMBEDDED or await pair.holds(entry, dimensions):
                continue
            fresh += 1
            meter.tell(fresh)
            other = await pair.embedding.vector(entry.question, SyncRuntime())
            if other is not None:
                found.setdefault(entry.key, _Lying(cosine(vector, other), entry))
    return heapq.nlargest(limit, found.values(), key=lambda one: one.similarity)


class _Refusing:
    """What is not compared whatever it says: what asks for an action, and what rules refuse."""

    def __init__(self, settings: Settings, pair: SemanticAssembly) -> None:
        self._acts = (lambda _: False) if settings.semantic.tools else pair.acts
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


def _judged(question: str, lying: _Lying, semantic: Semantic, refused: _Refusing) -> dict[str, Any]:
    entry = lying.entry
    verdict = judge(
        prepare(question), prepare(entry.question), lying.similarity, semantic.threshold
    )
    vetoes = [one.reason.value for one in verdicts(question, entry.question) if not one.yes]
    return {
        "question": entry.question,
        "similarity": round(lying.similarity, 4),
        "vetoes": vetoes,
        "decision": refused(question, entry) or ("serve" if verdict.yes else verdict.reason.value),
        "namespace": entry.key.namespace,
        "model": entry.asked_model or entry.model,
        "scope": entry.scope.hex()[:12],
        "key": str(entry.key),
    }


def _print(told: dict[str, Any]) -> None:
    print(f"{plain(told['question'])}")
    print(
        f"threshold {told['threshold']:.2f}, mode {told['mode']}, "
        f"{told['compared']:,} entries compared by {told['embedder']}"
    )
    if not told["nearest"]:
        print("\nnothing that may be compared is stored")
    for one in told["nearest"]:
        print(f"\n  {one['similarity']:.3f}  {plain(one['question'])}")
        where = f"{one['namespace']}, {one['model'] or 'a plain text'}, scope {one['scope']}"
        print(f"         {where}")
        said = ", ".join(one["vetoes"]) or "none speaks against it"
        print(f"         guards: {said}")
        print(f"         {_decision(one['decision'])}")
    if told["not_compared"]:
        print(f"\nonly ever matched exactly: {told['not_compared']:,} more")


def _decision(word: str) -> str:
    if word == "serve":
        return "its answer may be served, to who asks in that scope"
    if word == Veto.FAR.value:
        return "not served: it lies too far"
    return f"not served: {word}"
