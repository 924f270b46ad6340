"""The cache, as a library: `Cache` for threads, `AsyncCache` for event loops.

Both classes are thin; what they share is one `Works`, which holds the layers and builds a tiers for
each flavor on first use. So a `Cache` also serves an `async` client, and the other way round.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from askonce.core import units
from askonce.core.directives import Mode
from askonce.core.models import Call, Damage, Key
from askonce.core.protocols import Upstream
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.events import EventResult, merged
from askonce.invalidation.sweep import InvalidationResult
from askonce.ledger.savings import Savings
from askonce.library import arguments
from askonce.library.cache_settings import LOCAL, CacheSettings
from askonce.pipeline.present import Reply
from askonce.pipeline.texts import Answer


class Cache(CacheSettings):
    """A cache for ordinary threads; close it, or use it in a `with` statement.

    `url` is where answers are kept below the process's memory: `sqlite:FILE`, `redis://HOST`,
    `postgresql://HOST/DATABASE`; `layers` names several, the nearest first. `ttl` and its kin are
    `timedelta` or a text as `24h`;
    `memory` is bytes or a text as `256 MiB`. `sampling` says what happens to questions with an
    explicit temperature above 0: `bypass`, `reuse` or `pool:K`. `rules` say more by what is asked.
    Without a `namespace`, SDK calls
    are kept apart by credential, and texts and functions live in the namespace `local`.
    `refresh_ahead` and the three after it are described in docs/guides/freshness.md.
    """

    def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer a call of a wire format, from the cache or from the provider."""
        return run_sync(self._assembly.blocking.answering.answer(call, upstream))

    def get(
        self,
        question: str,
        *,
        scope: str = "",
        namespace: str | None = None,
        max_age: timedelta | str | None = None,
        tags: Iterable[str] = (),
        documents: Iterable[Any] = (),
        semantic: Mode | None = None,
        similarity: float = 0.0,
    ) -> Answer | None:
        """The stored answer to this question in exactly this scope, if it is fresh and carries all
        of these tags and those of the documents (`document_tags`).

        To exactly this question, unless the cache serves what was asked in other words: then
        `semantic="off"` asks for exactly this one, and `similarity` for a higher threshold.
        """
        assembly = self._assembly
        oldest = None if max_age is None else units.seconds("max_age", max_age)
        place = namespace or assembly.namespace or LOCAL
        wanted = arguments.tags(tags, documents)
        return run_sync(
            assembly.blocking.texts.get(
                question,
                scope=scope,
                namespace=place,
                max_age=oldest,
                tags=wanted,
                semantic=arguments.mode(semantic),
                similarity=arguments.similarity(similarity),
            )
        )

    def put(
        self,
        question: str,
        answer: str,
        *,
        scope: str = "",
        namespace: str | None = None,
        ttl: timedelta | str | None = None,
        tags: Iterable[str] = (),
        documents: Iterable[Any] = (),
        semantic: Mode | None = None,
    ) -> bool:
        """Store an answer. False if the store could not keep it; the ledger says why.

        With `semantic="off"` it is only ever found by exactly this question.
        """
        assembly = self._assembly
        return run_sync(
            assembly.blocking.texts.put(
                question,
                answer,
                scope=scope,
                namespace=namespace or assembly.namespace or LOCAL,
                ttl=None if ttl is None else units.seconds("ttl", ttl),
                tags=arguments.tags(tags, documents),
                semantic=arguments.mode(semantic),
            )
        )

    def invalidate(
        self,
        *,
        tags: Iterable[str] = (),
        keys: Iterable[Key | str] = (),
        namespace: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        route: str | None = None,
        older_than: timedelta | str | None = None,
        match: str | None = None,
        dry_run: bool = False,
    ) -> InvalidationResult:
        """Forget the answers that all given fields name, and refuse those now being asked.

        One of several tags, or keys, is enough. By tags alone it costs the same for any number of
        answers; otherwise every answer is looked at. `model` and `route` are shell patterns,
        `match` is an RE2 pattern over the question. With `dry_run` it only counts, and shows some.
        Raises ConfigError for what cannot be meant, StoreError if the store cannot be told.
        """
        wanted = self._invalidation(tags, keys, namespace, tenant, model, route, older_than, match)
        return run_sync(self._assembly.invalidate(wanted, who="library", dry_run=dry_run))

    def emit(
        self,
        event: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        event_id: str | None = None,
        **members: Any,
    ) -> EventResult:
        """Carry out what an event invalidates, by the rules and by functions (`on_event`).

        Its data are the members, or `data`. An event of an `event_id` that was handled before does
        nothing. Raises ConfigError (nobody knows the event, or something is missing in it) and
        StoreError (then emit it again).
        """
        told = merged(data, members)
        return run_sync(self._assembly.take_event(event, told, event_id=event_id, who="library"))

    def savings(self, *, days: int = 30) -> Savings:
        """What was saved on the last `days` days (UTC, today among them) by all processes that
        share the store, and what that cost; see docs/guides/savings.md.

        Raises StoreError where the store cannot say, ConfigError for a number that is none.
        """
        return run_sync(self._assembly.savings(arguments.days(days)))

    def check(self, *, fix: bool = False) -> list[Damage]:
        """Read every stored entry; report, and with `fix` remove, what is damaged."""
        store = self._assembly.shared or self._assembly.memory
        return run_sync(store.check(fix=fix))

    def close(self) -> None:
        """Finish what is under way and close the store; closing twice is fine."""
        if not self._assembly.closed:
            run_sync(self._assembly.close(self._assembly.blocking))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncCache(CacheSettings):
    """The same cache for asyncio: the same words, awaited."""

    async def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer a call of a wire format, from the cache or from the provider."""
        return await self._assembly.suspending.answering.answer(call, upstream)

    async def get(
        self,
        question: str,
        *,
        scope: str = "",
        namespace: str | None = None,
        max_age: timedelta | str | None = None,
        tags: Iterable[str] = (),
        documents: Iterable[Any] = (),
        semantic: Mode | None = None,
        similarity: float = 0.0,
    ) -> Answer | None:
        """The stored answer to this question in exactly this scope, if it is fresh and carries all
        of these tags and those of the documents (`document_tags`).

        To exactly this question, unless the cache serves what was asked in other words: then
        `semantic="off"` asks for exactly this one, and `similarity` for a higher threshold.
        """
        assembly = self._assembly
        oldest = None if max_age is None else units.seconds("max_age", max_age)
        place = namespace or assembly.namespace or LOCAL
        wanted = arguments.tags(tags, documents)
        return await assembly.suspending.texts.get(
            question,
            scope=scope,
            namespace=place,
            max_age=oldest,
            tags=wanted,
            semantic=arguments.mode(semantic),
            similarity=arguments.similarity(similarity),
        )

    async def put(
        self,
        question: str,
        answer: str,
        *,
        scope: str = "",
        namespace: str | None = None,
        ttl: timedelta | str | None = None,
        tags: Iterable[str] = (),
        documents: Iterable[Any] = (),
        semantic: Mode | None = None,
    ) -> bool:
        """Store an answer. False if the store could not keep it; the ledger says why.

        With `semantic="off"` it is only ever found by exactly this question.
        """
        assembly = self._assembly
        return await assembly.suspending.texts.put(
            question,
            answer,
            scope=scope,
            namespace=namespace or assembly.namespace or LOCAL,
            ttl=None if ttl is None else units.seconds("ttl", ttl),
            tags=arguments.tags(tags, documents),
            semantic=arguments.mode(semantic),
        )

    async def invalidate(
        self,
        *,
        tags: Iterable[str] = (),
        keys: Iterable[Key | str] = (),
        namespace: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        route: str | None = None,
        older_than: timedelta | str | None = None,
        match: str | None = None,
        dry_run: bool = False,
    ) -> InvalidationResult:
        """Forget the answers that all given fields name, and refuse those now being asked.

        As in `Cache`; what takes long is done in a thread.
        """
        wanted = self._invalidation(tags, keys, namespace, tenant, model, route, older_than, match)
        return await self._assembly.invalidate_in_thread(wanted, who="library", dry_run=dry_run)

    async def emit(
        self,
        event: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        event_id: str | None = None,
        **members: Any,
    ) -> EventResult:
        """Carry out what an event invalidates; see `Cache.emit`."""
        told = merged(data, members)
        return await self._assembly.take_event_in_thread(
            event, told, event_id=event_id, who="library"
        )

    async def savings(self, *, days: int = 30) -> Savings:
        """What was saved on the last days, by all processes; see `Cache.savings`."""
        return await self._assembly.savings_in_thread(arguments.days(days))

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read every stored entry; report, and with `fix` remove, what is damaged."""
        tiers = self._assembly.suspending.tiers
        store = tiers.memory if tiers.authority is None else tiers.authority.store
        return await store.check(fix=fix)

    async def aclose(self) -> None:
        """Finish what is under way and close the store; closing twice is fine."""
        if not self._assembly.closed:
            await self._assembly.close(self._assembly.suspending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
