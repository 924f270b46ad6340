"""The composition root of the semantic layer: the embedder, the index and its reconciler.

A missing library or model, or an address that names nothing, is a `ConfigError` when the cache is
made; a later failure is only counted.
"""

import importlib.util
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from askonce.core.engine_names import engine_of
from askonce.core.errors import ConfigError, missing_library
from askonce.core.fail_open import FailOpen
from askonce.core.guarded import CircuitBreaker, GuardedBackend
from askonce.core.models import Entry, Key
from askonce.core.protocols import PaidEmbedder, Store, VectorIndex
from askonce.core.rules.packs import PACKS
from askonce.core.rules.re2 import compiled
from askonce.core.rules.ruleset import Ruleset
from askonce.core.runtime.event_loop import AsyncRuntime, run_in_thread
from askonce.core.runtime.threads import SyncRuntime, fork_safe_lock
from askonce.core.scopes import compared_by
from askonce.ledger.ledger import Ledger
from askonce.semantic.embedders.open_embedder import is_local, open_embedder
from askonce.semantic.embedding import EmbeddingQueue
from askonce.semantic.index.open_index import open_process_index
from askonce.semantic.index.process import ProcessIndex
from askonce.semantic.lookup import (
    IndexAccess,
    OpenIndex,
    QuestionPolicy,
    ScopeOf,
    SemanticLookup,
)
from askonce.semantic.reindex import PROBE_TEXT, IndexReconciler
from askonce.semantic.settings import Semantic
from askonce.semantic.shadow import compare
from askonce.stores.context import StoreContext, require_extra
from askonce.stores.open_store import sqlite_path
from askonce.stores.tiered.tiers import Tiers

STARTING = "starting"
"""The state of an index until it has been compared with the entries."""

_EMPTY_SCOPE = bytes(32)  # a scope that no question has
_REMOTE_BATCH, _LOCAL_BATCH = 64, 8  # texts of one call of the embedder
_REMOTE_WORKERS = 4
_REMOVAL_TIMEOUT = 10.0  # seconds that a removal waits for the embedder
_NEVER_SLOW = 1e9  # seconds: in this process, slow means that the machine is slow


class SemanticAssembly:
    """The parts of the semantic layer that sync and async callers share.

    Parameters:
        semantic: the settings.
        runtime: the sync runtime.
        suspending: the async runtime.
        ledger: counts what the layer does, and faults.
        entries: all entries of the most shared store; None with memory only.
        store: the most shared store. The index in this process is saved beside a SQLite file.
        clock: seconds since the Unix epoch, for tests. Default: the system clock.
        embedding_cost: the price of so many tokens of a model at an origin; None if it is unknown.
            Default: nothing has a price.

    Raises `ConfigError`.
    """

    def __init__(
        self,
        semantic: Semantic,
        *,
        runtime: SyncRuntime,
        suspending: AsyncRuntime,
        ledger: Ledger,
        entries: Callable[[], AsyncIterator[Entry]] | None,
        store: str | Store | None,
        clock: Callable[[], float] | None,
        embedding_cost: Callable[[str, str, int], Decimal | None] | None = None,
    ) -> None:
        self.semantic = semantic
        times = {} if clock is None else {"clock": clock}
        self._runtime = runtime
        self._suspending = suspending
        self._ledger = ledger
        self._cost = embedding_cost
        self._lock = fork_safe_lock()
        self._process_lock = fork_safe_lock()
        self._deadline = semantic.patience
        kind, _, file = semantic.index.partition(":")
        self._in_process = kind == "process"
        self._file = Path(file) if self._in_process and file else _beside(store)
        self._opened: dict[tuple[bool, int], OpenIndex] = {}
        self._process: ProcessIndex | None = None
        slow, stall = self._deadline * 0.9, self._deadline / 2
        if self._in_process:
            slow = stall = _NEVER_SLOW
        self._breaker = CircuitBreaker(slow=slow, stall=stall)
        self._breaker_lock = fork_safe_lock()
        self.missed_removal = False
        """Did a removed entry stay in the index because of a failure?"""
        self._check_libraries()
        self._actions = [compiled(pattern) for pattern, _ in PACKS["side-effects"]]
        self.embedding = self._new_embedding(SyncRuntime(**times))
        self._check_index()
        self.reconciler = IndexReconciler(
            self.embedding,
            lambda dimensions: self.index(dimensions, suspends=False),
            runtime=SyncRuntime(**times),
            ledger=ledger,
            entries=entries,
            own=self._own_index if self._in_process else None,
        )

    def _new_embedding(self, runtime: SyncRuntime) -> EmbeddingQueue:
        semantic = self.semantic
        local = is_local(semantic.embedder)
        context = StoreContext.of(runtime, self._deadline)
        embedder = open_embedder(semantic.embedder, context, key=semantic.embedder_key)

        async def probe() -> None:
            await embedder.embed([PROBE_TEXT])

        engine = GuardedBackend(
            "embedder",
            probe,
            runtime=runtime,
            ledger=self._ledger,
            breaker=CircuitBreaker(slow=_NEVER_SLOW if local else self._deadline * 0.9),
            lock=runtime.lock(),
            deadline=self._deadline,
            count=lambda: self._ledger.semantic("embedder-failed"),
        )
        return EmbeddingQueue(
            embedder,
            engine,
            runtime=runtime,
            ledger=self._ledger,
            together=_LOCAL_BATCH if local else _REMOTE_BATCH,
            workers=1 if local else _REMOTE_WORKERS,
            account=self._account(embedder) if isinstance(embedder, PaidEmbedder) else None,
        )

    def _account(self, embedder: PaidEmbedder) -> Callable[[int, int], None]:
        """Return the function that enters paid embeddings into the ledger."""
        ledger, boundary = self._ledger, FailOpen(self._ledger)

        def account(characters: int, audited: int) -> None:
            requests, tokens = embedder.take_usage()
            if not requests:
                return
            cost = None
            if self._cost is not None:
                with boundary.around("price"):
                    cost = self._cost(embedder.model, embedder.origin, tokens)
            share = tokens * audited // max(1, characters)
            ledger.embedded(embedder.model, tokens, share, cost, self._runtime.now())

        return account

    def lookup(
        self, tiers: Tiers, scope_of: ScopeOf, rules: Ruleset | None, *, suspends: bool
    ) -> SemanticLookup:
        """Return the lookup for sync or async callers."""
        return SemanticLookup(
            tiers,
            self.semantic,
            self.embedding,
            IndexAccess(
                open=lambda dimensions: self.index(dimensions, suspends=suspends),
                in_process=self._in_process,
                holds=self._holds,
                start_reconciler=self.reconciler.start,
            ),
            QuestionPolicy(scope_of, self.requests_action, rules),
            compare=compare,
        )

    def requests_action(self, question: str) -> bool:
        """Does a question request an action, by the patterns of the pack `side-effects`?"""
        return any(pattern.search(question) is not None for pattern in self._actions)

    def index(self, dimensions: int, *, suspends: bool) -> OpenIndex:
        """Return the index for vectors of so many dimensions, for sync or async callers."""
        found = self._opened.get((suspends, dimensions))
        if found is None:
            made = self._open(dimensions, suspends)
            with self._lock:
                found = self._opened.setdefault((suspends, dimensions), made)
        return found

    def load(self, dimensions: int) -> None:
        """Read the file of the index in this process, if there is one."""
        if self._in_process:
            self._own_index(dimensions).load()

    async def unindex(self, removed: list[tuple[bytes, Key]]) -> None:
        """Remove entries that were swept from the store, given by scope and key; sync."""
        dimensions = self.embedding.dimensions
        if not dimensions:
            # The first answer of an endpoint shows the dimensions.
            vector = await self.embedding.vector(PROBE_TEXT, self._runtime, _REMOVAL_TIMEOUT)
            dimensions = len(vector or b"") // 4
        if not dimensions:
            self.missed_removal = True
            return
        self.load(dimensions)
        index, engine = self.index(dimensions, suspends=False)
        by_scope: dict[bytes, list[Key]] = {}
        for scope, key in removed:
            by_scope.setdefault(compared_by(scope, self.embedding.name), []).append(key)
        for scope, keys in by_scope.items():

            async def remove(scope: bytes = scope, keys: list[Key] = keys) -> bool:
                await index.remove(scope, keys)
                return True

            if not await engine.ask("index", remove):
                self.missed_removal = True

    async def holds(self, entry: Entry, dimensions: int) -> bool:
        """Is an entry in the index? For a shared index: does it hold anything?"""
        if self._in_process:
            return self._holds(entry)
        return await self.index(dimensions, suspends=False).vectors.size() > 0

    def _holds(self, entry: Entry) -> bool:
        if self._process is None:
            return False
        scope = compared_by(entry.scope, self.embedding.name)
        return self._process.has(scope, entry.key, entry.expires)

    @property
    def states(self) -> dict[str, str]:
        """The states of the circuit breakers; the one of the index may be `starting` too."""
        index = self._breaker.state.value
        if self.reconciler.starting and index == "closed":
            index = STARTING
        return {"embedder": self.embedding.state, "index": index}

    async def close(self, *, in_loop: bool) -> None:
        """Save the index in this process and close everything."""
        if not in_loop:
            await self._close_sync()
            return
        await run_in_thread("askonce-semantic", self._close_sync)
        for (suspends, _), indexed in self._opened.items():
            if suspends and not self._in_process:
                await indexed.vectors.close()

    async def _close_sync(self) -> None:
        await self.reconciler.close()
        for (suspends, _), indexed in self._opened.items():
            if not suspends or self._in_process:
                await indexed.vectors.close()
        await self.embedding.close()

    def _check_libraries(self) -> None:
        """Raise `ConfigError`, naming the extra, if a library is missing."""
        for library in ("numpy", "re2", "usearch") if self._in_process else ("re2",):
            if importlib.util.find_spec(library) is None:
                raise missing_library("matching by meaning", library, "semantic")

    def _check_index(self) -> None:
        """Raise `ConfigError` now for an index that would only be a counted fault later."""
        if not self._in_process:
            self._shared_index(self.embedding.dimensions or 1, suspends=False)
            return
        if self._file is not None and not self._file.absolute().parent.is_dir():
            raise ConfigError(f"semantic: index {self._file}: there is no such folder; make it")

    def _open(self, dimensions: int, suspends: bool) -> OpenIndex:
        runtime = self._suspending if suspends else self._runtime
        vectors: VectorIndex = (
            self._own_index(dimensions)
            if self._in_process
            else self._shared_index(dimensions, suspends)
        )

        async def probe() -> None:
            await vectors.size(_EMPTY_SCOPE)

        engine = GuardedBackend(
            "index",
            probe,
            runtime=runtime,
            ledger=self._ledger,
            breaker=self._breaker,
            lock=self._breaker_lock,
            deadline=self._deadline,
            count=lambda: self._ledger.semantic("index-failed"),
        )
        return OpenIndex(vectors, engine)

    def _own_index(self, dimensions: int) -> ProcessIndex:
        with self._process_lock:  # the reconciler and callers may open it at the same moment
            if self._process is None:
                self._process = open_process_index(
                    self.embedding.name,
                    dimensions,
                    lock=fork_safe_lock(),
                    clock=self._runtime.now,
                    max_entries=self.semantic.max_entries,
                    max_bytes=self.semantic.size,
                    path=self._file,
                    load=False,
                )
            return self._process

    def _shared_index(self, dimensions: int, suspends: bool) -> VectorIndex:
        semantic = self.semantic
        runtime = self._suspending if suspends else self._runtime
        context = StoreContext.of(runtime, self._deadline, suspending=suspends)
        options: dict[str, Any] = {
            "embedder": self.embedding.name,
            "dimensions": dimensions,
            "max_entries": semantic.max_entries,
        }
        if engine_of(semantic.index) == "postgres":
            with require_extra("postgres"):
                from askonce.stores.postgres.vectors import open_postgres_vectors

            return open_postgres_vectors(semantic.index, context, **options)
        with require_extra("redis"):
            from askonce.stores.redis.vectors import open_redis_vectors

        return open_redis_vectors(semantic.index, context, **options)


def _beside(store: str | Store | None) -> Path | None:
    """Return the file of the index beside the file of a SQLite store."""
    path = sqlite_path(store) if isinstance(store, str) else None
    return None if path is None or path == ":memory:" else Path(f"{path}-vectors")
