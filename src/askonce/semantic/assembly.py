"""The third layer, for both flavors: the embedder, the index, and what keeps the index true.

A composition root, as `pair.py` is for the layers below memory. Whatever is missing (a library, a
model, an address that names nothing) is a `ConfigError` when the cache is made; what fails later
is only counted.
"""

import importlib.util
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from askonce.core.breaker import CircuitBreaker
from askonce.core.engine_names import engine_of
from askonce.core.errors import ConfigError, missing_library
from askonce.core.fail_open import FailOpen
from askonce.core.guarded import GuardedBackend
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
from askonce.semantic.lookup import OpenIndex, ScopeOf, SemanticLookup
from askonce.semantic.reindex import FIRST_WORDS, IndexReconciler
from askonce.semantic.settings import Semantic
from askonce.semantic.shadow import compare
from askonce.stores.context import StoreContext, require_extra
from askonce.stores.open_store import sqlite_path
from askonce.stores.tiered.tiers import Tiers

STARTING = "starting"
"""The state of an index while it is compared with the entries for the first time."""

_NOWHERE = bytes(32)  # a scope that no question has
_FAR_TOGETHER, _NEAR_TOGETHER = 64, 8
_FAR_WORKERS = 4
_PATIENCE = 10.0  # seconds, of who removes


class SemanticAssembly:
    """What both flavors of matching by meaning share.

    `store` is the most shared one: beside its file, if it is one, the index in this process is kept
    while no process runs. `entries` gives all that it holds.
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
        self._opening = fork_safe_lock()
        self._deadline = semantic.patience
        self._near = semantic.index.partition(":")[0] == "process"
        named = semantic.index.partition(":")[2]
        self._file = Path(named) if self._near and named else _beside(store)
        self._opened: dict[tuple[bool, int], OpenIndex] = {}
        self._process: ProcessIndex | None = None
        # An index in this process is as slow as the machine, and no less well for it.
        slow, stall = (1e9, 1e9) if self._near else (self._deadline * 0.9, self._deadline / 2)
        self._breaker = CircuitBreaker(slow=slow, stall=stall)
        self._breaker_guard = fork_safe_lock()
        self.missed = False
        """Was there anything removed that could not be taken out of the index?"""
        self._check_libraries()
        self._actions = [compiled(pattern) for pattern, _ in PACKS["side-effects"]]
        self.embedding = self._new_embedding(SyncRuntime(**times))
        self._check()
        self.indexing = IndexReconciler(
            self.embedding,
            lambda dimensions: self.index(dimensions, suspends=False),
            runtime=SyncRuntime(**times),
            ledger=ledger,
            entries=entries,
            own=self._own if self._near else None,
        )

    def _new_embedding(self, runtime: SyncRuntime) -> EmbeddingQueue:
        semantic = self.semantic
        near = is_local(semantic.embedder)
        context = StoreContext(
            runtime.lock,
            runtime.now,
            runtime.loop_or_process,
            False,
            self._deadline,
            runtime.monotonic,
        )
        embedder = open_embedder(semantic.embedder, context, key=semantic.embedder_key)

        async def probe() -> None:
            await embedder.embed(["Is anybody there?"])

        engine = GuardedBackend(
            "embedder",
            probe,
            runtime=runtime,
            ledger=self._ledger,
            # What runs in this process is as slow as the machine, and no less well for it.
            breaker=CircuitBreaker(slow=1e9 if near else self._deadline * 0.9),
            lock=runtime.lock(),
            deadline=self._deadline,
            count=lambda: self._ledger.semantic("embedder-failed"),
        )
        return EmbeddingQueue(
            embedder,
            engine,
            runtime=runtime,
            ledger=self._ledger,
            together=_NEAR_TOGETHER if near else _FAR_TOGETHER,
            workers=1 if near else _FAR_WORKERS,
            account=self._account(embedder) if isinstance(embedder, PaidEmbedder) else None,
        )

    def _account(self, embedder: PaidEmbedder) -> Callable[[int, int], None]:
        """How the ledger hears of what was embedded for money."""
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
        """What lies near, for one flavor."""
        return SemanticLookup(
            tiers,
            self.semantic,
            scope_of,
            rules,
            self.embedding,
            lambda dimensions: self.index(dimensions, suspends=suspends),
            here=self._near,
            holds=self._holds,
            acts=self.acts,
            compare=compare,
            wake=self.indexing.start,
        )

    def acts(self, question: str) -> bool:
        """Does a question ask for something to be done? The rules' own pack of patterns says so."""
        return any(pattern.search(question) is not None for pattern in self._actions)

    def index(self, dimensions: int, *, suspends: bool) -> OpenIndex:
        """The index for vectors of so many dimensions, as one flavor asks it."""
        found = self._opened.get((suspends, dimensions))
        if found is None:
            made = self._open(dimensions, suspends)
            with self._lock:
                found = self._opened.setdefault((suspends, dimensions), made)
        return found

    def load(self, dimensions: int) -> None:
        """Read the file of the index in this process, if there is one."""
        if self._near:
            self._own(dimensions).load()

    async def unindex(self, removed: list[tuple[bytes, Key]]) -> None:
        """Forget entries that were swept from the store; blocking."""
        dimensions = self.embedding.dimensions
        if not dimensions:
            # An endpoint that nobody has asked yet: it says in its first answer.
            vector = await self.embedding.vector(FIRST_WORDS, self._runtime, _PATIENCE)
            dimensions = len(vector or b"") // 4
        if not dimensions:
            self.missed = True
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
                self.missed = True

    async def holds(self, entry: Entry, dimensions: int) -> bool:
        """Is an entry in the index? One that is shared is asked whether it holds anything."""
        if self._near:
            return self._holds(entry)
        return await self.index(dimensions, suspends=False).vectors.size() > 0

    def _holds(self, entry: Entry) -> bool:
        if self._process is None:
            return False
        scope = compared_by(entry.scope, self.embedding.name)
        return self._process.has(scope, entry.key, entry.expires)

    @property
    def states(self) -> dict[str, str]:
        """The circuit breakers of the embedder and of the index, which may be `starting` too."""
        index = self._breaker.state.value
        if self.indexing.starting and index == "closed":
            index = STARTING
        return {"embedder": self.embedding.state, "index": index}

    async def close(self, *, in_loop: bool) -> None:
        """Save what can be saved, and let go of the rest."""
        if not in_loop:
            await self._end()
            return
        await run_in_thread("askonce-semantic", self._end)
        for (suspends, _), indexed in self._opened.items():
            if suspends and not self._near:
                await indexed.vectors.close()

    async def _end(self) -> None:
        await self.indexing.end()
        for (suspends, _), indexed in self._opened.items():
            if not suspends or self._near:
                await indexed.vectors.close()
        await self.embedding.close()

    def _check_libraries(self) -> None:
        """Name the one extra that brings all of them. Raises `ConfigError`."""
        for library in ("numpy", "re2", "usearch") if self._near else ("re2",):
            if importlib.util.find_spec(library) is None:
                raise missing_library("matching by meaning", library, "semantic")

    def _check(self) -> None:
        """Say now what would only be a counted fault later. Raises `ConfigError`."""
        if not self._near:
            self._far(self.embedding.dimensions or 1, suspends=False)
            return
        if self._file is not None and not self._file.absolute().parent.is_dir():
            raise ConfigError(f"semantic: index {self._file}: there is no such folder; make it")

    def _open(self, dimensions: int, suspends: bool) -> OpenIndex:
        runtime = self._suspending if suspends else self._runtime
        vectors: VectorIndex = (
            self._own(dimensions) if self._near else self._far(dimensions, suspends)
        )

        async def probe() -> None:
            await vectors.size(_NOWHERE)

        engine = GuardedBackend(
            "index",
            probe,
            runtime=runtime,
            ledger=self._ledger,
            breaker=self._breaker,
            lock=self._breaker_guard,
            deadline=self._deadline,
            count=lambda: self._ledger.semantic("index-failed"),
        )
        return OpenIndex(vectors, engine)

    def _own(self, dimensions: int) -> ProcessIndex:
        with self._opening:  # the index thread and callers come at the same moment
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

    def _far(self, dimensions: int, suspends: bool) -> VectorIndex:
        semantic = self.semantic
        runtime = self._suspending if suspends else self._runtime
        context = StoreContext(
            runtime.lock,
            runtime.now,
            runtime.loop_or_process,
            suspends,
            self._deadline,
            runtime.monotonic,
        )
        named: dict[str, Any] = {
            "embedder": self.embedding.name,
            "dimensions": dimensions,
            "max_entries": semantic.max_entries,
        }
        if engine_of(semantic.index) == "postgres":
            with require_extra("postgres"):
                from askonce.stores.postgres.vectors import open_postgres_vectors

            return open_postgres_vectors(semantic.index, context, **named)
        with require_extra("redis"):
            from askonce.stores.redis.vectors import open_redis_vectors

        return open_redis_vectors(semantic.index, context, **named)


def _beside(store: str | Store | None) -> Path | None:
    path = sqlite_path(store) if isinstance(store, str) else None
    return None if path is None or path == ":memory:" else Path(f"{path}-vectors")
