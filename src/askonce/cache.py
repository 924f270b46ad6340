"""The cache, as a library: `Cache` for threads, `AsyncCache` for event loops.

Both classes are thin; what they share is one `Works`, which holds the layers and builds a desk for
each flavor on first use. So a `Cache` also serves an `async` client, and the other way round.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, cast

from askonce import arguments
from askonce.accounting import Stats
from askonce.documents import expand
from askonce.errors import ConfigError
from askonce.events import Happened, Says, merged
from askonce.invalidation import Invalidation, read
from askonce.layers import Layer, tiers_of
from askonce.policy import Limits
from askonce.protocols import Prices, Store, Upstream
from askonce.records import Call, Damage, Key
from askonce.remembering import Remembered
from askonce.reply import Reply
from askonce.rules import Rules
from askonce.runtimes import finish
from askonce.sources import Source, sources_of
from askonce.sweeping import Swept
from askonce.texts import Answer
from askonce.works import Sharing, Works

P = ParamSpec("P")
R = TypeVar("R")
OnEvent = TypeVar("OnEvent", bound=Says)

_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,128}")

LOCAL = "local"
"""The namespace of texts and functions, where the developer names no other."""


class _Settings:
    """What both caches are made of, read once, with a clear error for each wrong value."""

    def __init__(
        self,
        url: str = "memory:",
        *,
        ttl: timedelta | str = "24h",
        stale_while_revalidate: timedelta | str = "0s",
        stale_if_error: timedelta | str = "0s",
        refresh_ahead: float = 0.0,
        jitter: float | str = 0.0,
        negative_ttl: timedelta | str = "0s",
        expire_on: Literal["model", "fingerprint", "never"] = "model",
        sampling: str = "bypass",
        layers: Sequence[Layer | str | Store] | None = None,
        memory: int | str = "256 MiB",
        eviction: Literal["s3-fifo", "gdsf"] = "s3-fifo",
        consistency: Literal["eventual", "strong"] = "eventual",
        lease: timedelta | str = "5s",
        lease_wait: timedelta | str = "20s",
        namespace: str | None = None,
        limits: Limits | None = None,
        rules: Rules | None = None,
        sources: Sequence[Source | str] = (),
        audit: str | None = None,
        tenants: Mapping[str, str] | None = None,
        clock: Callable[[], float] | None = None,
        prices: Prices | None = None,
    ) -> None:
        """See the class. Raises ConfigError."""
        if limits is None:
            limits = arguments.limits(
                ttl=ttl,
                stale_while_revalidate=stale_while_revalidate,
                stale_if_error=stale_if_error,
                refresh_ahead=refresh_ahead,
                jitter=jitter,
                negative_ttl=negative_ttl,
                expire_on=expire_on,
                sampling=sampling,
            )
        if namespace is not None and not _NAMESPACE.fullmatch(namespace):
            raise ConfigError(f"namespace is {namespace!r}; write letters, digits, '.', '_', '-'")
        if layers is not None and url != "memory:":
            raise ConfigError("layers and an address were given; put the address into layers")
        named, tiers = tiers_of([url] if layers is None else layers)
        self._works = Works(
            arguments.own_tier(memory, named),
            tiers,
            limits=limits,
            rules=rules,
            sharing=_sharing(consistency, lease, lease_wait),
            eviction=eviction,
            namespace=namespace,
            tenants=tenants,
            clock=clock,
            prices=prices,
            sources=sources_of(sources),
            audit=audit,
        )

    @property
    def works(self) -> Works:
        """The cache's inside, for the other doors of this package."""
        return self._works

    def _invalidation(
        self,
        tags: Iterable[str],
        keys: Iterable[Key | str],
        namespace: str | None,
        tenant: str | None,
        model: str | None,
        route: str | None,
        older_than: timedelta | str | None,
        match: str | None,
    ) -> Invalidation:
        age = None if older_than is None else f"{arguments.seconds('older_than', older_than)}s"
        fields = {
            "tags": sorted({tags} if isinstance(tags, str) else set(tags)),
            "keys": [str(key) for key in ([keys] if isinstance(keys, (str, Key)) else keys)],
            "namespace": namespace,
            "tenant": tenant,
            "model": model,
            "route": route,
            "older_than": age,
            "match": match,
        }
        return read(fields, self._works.blocking_runtime.now())

    def stats(self) -> Stats:
        """What this cache did since it was opened, in this process."""
        return self._works.stats()

    def on_event(self, event: str) -> Callable[[OnEvent], OnEvent]:
        """Ask a function what an event of this name invalidates; see docs/events.md.

        It gets the event's data, a dict, and returns a tag, an `Invalidation`, several of them, or
        None. It is an ordinary function, is called in any thread, and may be called again for the
        same event.
        """

        def decorate(function: OnEvent) -> OnEvent:
            self._works.events.on(event, function)
            return function

        return decorate

    def remember(
        self,
        *,
        ttl: timedelta | str | None = None,
        tags: Iterable[str] = (),
        namespace: str | None = None,
        version: str = "",
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Remember what a function returns, sync or async; concurrent equal calls run it once.

        `version` is part of the key: change it with the function's meaning. Arguments and result
        must be plain data (what JSON and the annotations can carry); anything else is passed
        through to the function every time. Errors of the function are never remembered.
        """
        seconds = None if ttl is None else arguments.seconds("ttl", ttl)
        wanted = expand(arguments.tags(tags))

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            remembered = Remembered.of(
                function,
                namespace=namespace or self._works.namespace or LOCAL,
                ttl=seconds,
                tags=wanted,
                version=version,
            )
            return _remembered(self._works, function, remembered)

        return decorate


class Cache(_Settings):
    """A cache for ordinary threads; close it, or use it in a `with` statement.

    `url` is where answers are kept below the process's memory: `sqlite:FILE`, `redis://HOST`,
    `postgresql://HOST/DATABASE`; `layers` names several, the nearest first. `ttl` and its kin are
    `timedelta` or a text as `24h`;
    `memory` is bytes or a text as `256 MiB`. `sampling` says what happens to questions with an
    explicit temperature above 0: `bypass`, `reuse` or `pool:K`. `rules` say more by what is asked.
    Without a `namespace`, SDK calls
    are kept apart by credential, and texts and functions live in the namespace `local`.
    `refresh_ahead` and the three after it are described in docs/freshness.md.
    """

    def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer a call of a wire format, from the cache or from the provider."""
        return finish(self._works.blocking.answering.answer(call, upstream))

    def get(
        self,
        question: str,
        *,
        scope: str = "",
        namespace: str | None = None,
        max_age: timedelta | str | None = None,
        tags: Iterable[str] = (),
        documents: Iterable[Any] = (),
    ) -> Answer | None:
        """The stored answer to exactly this question in exactly this scope, if it is fresh and
        carries all of these tags and those of the documents (`document_tags`)."""
        works = self._works
        oldest = None if max_age is None else arguments.seconds("max_age", max_age)
        place = namespace or works.namespace or LOCAL
        wanted = arguments.tags(tags, documents)
        return finish(
            works.blocking.texts.get(
                question, scope=scope, namespace=place, max_age=oldest, tags=wanted
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
    ) -> bool:
        """Store an answer. False if the store could not keep it; the ledger says why."""
        works = self._works
        return finish(
            works.blocking.texts.put(
                question,
                answer,
                scope=scope,
                namespace=namespace or works.namespace or LOCAL,
                ttl=None if ttl is None else arguments.seconds("ttl", ttl),
                tags=arguments.tags(tags, documents),
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
    ) -> Swept:
        """Forget the answers that all given fields name, and refuse those now being asked.

        One of several tags, or keys, is enough. By tags alone it costs the same for any number of
        answers; otherwise every answer is looked at. `model` and `route` are shell patterns,
        `match` is an RE2 pattern over the question. With `dry_run` it only counts, and shows some.
        Raises ConfigError for what cannot be meant, StoreError if the store cannot be told.
        """
        wanted = self._invalidation(tags, keys, namespace, tenant, model, route, older_than, match)
        return finish(self._works.invalidate(wanted, who="library", dry_run=dry_run))

    def emit(
        self,
        event: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        event_id: str | None = None,
        **members: Any,
    ) -> Happened:
        """Carry out what an event invalidates, by the rules and by functions (`on_event`).

        Its data are the members, or `data`. An event of an `event_id` that was handled before does
        nothing. Raises ConfigError (nobody knows the event, or something is missing in it) and
        StoreError (then emit it again).
        """
        told = merged(data, members)
        return finish(self._works.take_event(event, told, event_id=event_id, who="library"))

    def check(self, *, fix: bool = False) -> list[Damage]:
        """Read every stored entry; report, and with `fix` remove, what is damaged."""
        store = self._works.shared or self._works.memory
        return finish(store.check(fix=fix))

    def close(self) -> None:
        """Finish what is under way and close the store; closing twice is fine."""
        if not self._works.closed:
            finish(self._works.close(self._works.blocking))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncCache(_Settings):
    """The same cache for asyncio: the same words, awaited."""

    async def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer a call of a wire format, from the cache or from the provider."""
        return await self._works.suspending.answering.answer(call, upstream)

    async def get(
        self,
        question: str,
        *,
        scope: str = "",
        namespace: str | None = None,
        max_age: timedelta | str | None = None,
        tags: Iterable[str] = (),
        documents: Iterable[Any] = (),
    ) -> Answer | None:
        """The stored answer to exactly this question in exactly this scope, if it is fresh and
        carries all of these tags and those of the documents (`document_tags`)."""
        works = self._works
        oldest = None if max_age is None else arguments.seconds("max_age", max_age)
        place = namespace or works.namespace or LOCAL
        wanted = arguments.tags(tags, documents)
        return await works.suspending.texts.get(
            question, scope=scope, namespace=place, max_age=oldest, tags=wanted
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
    ) -> bool:
        """Store an answer. False if the store could not keep it; the ledger says why."""
        works = self._works
        return await works.suspending.texts.put(
            question,
            answer,
            scope=scope,
            namespace=namespace or works.namespace or LOCAL,
            ttl=None if ttl is None else arguments.seconds("ttl", ttl),
            tags=arguments.tags(tags, documents),
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
    ) -> Swept:
        """Forget the answers that all given fields name, and refuse those now being asked.

        As in `Cache`; what takes long is done in a thread.
        """
        wanted = self._invalidation(tags, keys, namespace, tenant, model, route, older_than, match)
        return await self._works.invalidate_in_thread(wanted, who="library", dry_run=dry_run)

    async def emit(
        self,
        event: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        event_id: str | None = None,
        **members: Any,
    ) -> Happened:
        """Carry out what an event invalidates; see `Cache.emit`."""
        told = merged(data, members)
        return await self._works.take_event_in_thread(event, told, event_id=event_id, who="library")

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read every stored entry; report, and with `fix` remove, what is damaged."""
        desk = self._works.suspending.desk
        store = desk.memory if desk.authority is None else desk.authority.store
        return await store.check(fix=fix)

    async def aclose(self) -> None:
        """Finish what is under way and close the store; closing twice is fine."""
        if not self._works.closed:
            await self._works.close(self._works.suspending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _sharing(
    consistency: Literal["eventual", "strong"], lease: timedelta | str, wait: timedelta | str
) -> Sharing:
    if consistency not in ("eventual", "strong"):
        raise ConfigError(f"consistency is {consistency!r}; write 'eventual' or 'strong'")
    seconds = arguments.seconds
    return Sharing(
        consistency=consistency, lease=seconds("lease", lease), wait=seconds("lease_wait", wait)
    )


def _remembered(works: Works, function: Callable[P, R], remembered: Remembered) -> Callable[P, R]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def suspending(*args: P.args, **kwargs: P.kwargs) -> Any:
            key = remembered.key(args, kwargs)
            compute = functools.partial(function, *args, **kwargs)
            return await works.suspending.remembering.call(
                remembered, key, cast("Callable[[], Awaitable[Any]]", compute)
            )

        return cast("Callable[P, R]", suspending)

    @functools.wraps(function)
    def blocking(*args: P.args, **kwargs: P.kwargs) -> R:
        async def compute() -> R:
            return function(*args, **kwargs)

        key = remembered.key(args, kwargs)
        return cast("R", finish(works.blocking.remembering.call(remembered, key, compute)))

    return blocking
