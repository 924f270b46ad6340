"""The facade of a cache: the part of `Cache` and `AsyncCache` that is the same in both modes.

Here the user's arguments become precise values, with a clear error for each wrong one.
"""

import functools
import inspect
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar, cast

from askonce.core import units
from askonce.core.directives import Mode
from askonce.core.document_tags import expand
from askonce.core.models import Key, Reason
from askonce.core.policy import Limits
from askonce.core.protocols import Prices, Store
from askonce.core.rules.rules import Rules
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.events import Says
from askonce.invalidation.sources import EventSource, sources_of
from askonce.invalidation.target import Invalidation, read
from askonce.ledger.ledger import Stats
from askonce.ledger.settings import DEFAULT_LEDGER, LedgerSettings
from askonce.library import arguments
from askonce.library.assembly import Assembly
from askonce.library.misuse import ClearMisuse
from askonce.library.settings import CacheSettings
from askonce.pipeline.functions import MemoizedFunction
from askonce.pipeline.response_cache_control import CacheControlMode
from askonce.pipeline.texts import TextQuestion
from askonce.prompts.settings import Level, Prompts, read_prompts
from askonce.semantic.settings import Semantic, semantic_of
from askonce.stores.tiered.layers import Layer

P = ParamSpec("P")
R = TypeVar("R")
OnEvent = TypeVar("OnEvent", bound=Says)

LOCAL = "local"
"""The namespace of texts and functions without another one."""


class GetOptions(TypedDict):
    """The options of `Texts.get` in precise values."""

    max_age: float | None
    tags: list[str]
    semantic: Mode | None
    similarity: float


class PutOptions(TypedDict):
    """The options of `Texts.put` in precise values."""

    ttl: float | None
    tags: list[str]
    semantic: Mode | None


class CacheFacade(ClearMisuse):
    """What both caches share: their arguments, and the methods that do not wait."""

    def __init__(
        self,
        url: str | os.PathLike[str] = "memory:",
        *,
        ttl: timedelta | str = "24h",
        stale_while_revalidate: timedelta | str = "0s",
        stale_if_error: timedelta | str = "0s",
        refresh_ahead: float = 0.0,
        jitter: float | str = 0.0,
        negative_ttl: timedelta | str = "0s",
        expire_on: Literal["model", "fingerprint", "never"] = "model",
        validate: Literal["schema", "json"] = "schema",
        sampling: str = "bypass",
        also_store: Iterable[Reason | str] = (),
        layers: Sequence[Layer | str | Store] | None = None,
        memory: int | str = "256 MiB",
        eviction: Literal["s3-fifo", "gdsf"] = "s3-fifo",
        consistency: Literal["eventual", "strong"] = "eventual",
        lease: timedelta | str = "5s",
        lease_wait: timedelta | str = "20s",
        namespace: str | None = None,
        limits: Limits | None = None,
        rules: Rules | None = None,
        semantic: Semantic | Mode = "off",
        prompts: Prompts | Level = "observe",
        sources: Sequence[EventSource | str] = (),
        audit: str | None = None,
        tenants: Mapping[str, str] | None = None,
        clock: Callable[[], float] | None = None,
        prices: Prices | None = None,
        bookkeeping: LedgerSettings = DEFAULT_LEDGER,
        stateless: Iterable[str] | Mapping[str, bool] = (),
        response_cache_control: CacheControlMode | Mapping[str, CacheControlMode] = "auto",
        ignore_members: Iterable[str] = (),
        ignore_headers: Iterable[str] = (),
        credentials: Iterable[str] = (),
    ) -> None:
        if limits is None:
            limits = arguments.limits(
                ttl=ttl,
                stale_while_revalidate=stale_while_revalidate,
                stale_if_error=stale_if_error,
                refresh_ahead=refresh_ahead,
                jitter=jitter,
                negative_ttl=negative_ttl,
                expire_on=expire_on,
                validate=validate,
                sampling=sampling,
                also_store=[also_store] if isinstance(also_store, str) else list(also_store),
            )
        named, tiers = arguments.tiers(url, layers)
        settings = CacheSettings(
            memory=arguments.memory_tier(memory, named),
            tiers=tiers,
            limits=limits,
            eviction=eviction,
            sharing=arguments.sharing(consistency, lease, lease_wait),
            namespace=arguments.namespace(namespace),
            tenants=tenants,
            rules=rules,
            semantic=semantic_of(semantic),
            prompts=read_prompts(prompts),
            sources=sources_of(sources),
            audit=audit,
            clock=clock,
            prices=prices,
            ledger=bookkeeping,
            stateless=arguments.stateless(stateless),
            response_cache_control=arguments.response_cache_control(response_cache_control),
            ignore_members=arguments.members(ignore_members),
            kinds=arguments.header_kinds(ignore_headers, credentials),
        )
        self._assembly = Assembly(settings)

    @property
    def assembly(self) -> Assembly:
        """The cache's parts, for the front ends of this package."""
        return self._assembly

    def stats(self) -> Stats:
        """Return what this cache did since it was opened, in this process."""
        return self._assembly.stats()

    def on_event(self, event: str) -> Callable[[OnEvent], OnEvent]:
        """Decorate a function that names what an event of this name invalidates.

        See docs/guides/events.md.

        The function gets the event's data, a dict, and returns a tag, an `Invalidation`, several of
        them, or None. It is an ordinary function, is called in any thread, and may be called again
        for the same event.

        Args:
            event: The event's name.

        Raises:
            ConfigError: The name cannot be used.
        """

        def decorate(function: OnEvent) -> OnEvent:
            self._assembly.invalidation.events.on(event, function)
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
        """Decorate a function, sync or async, to remember its results.

        Concurrent equal calls run it once. Arguments and result must be plain data (what JSON and
        the annotations can carry); any other call runs the function every time. Errors of the
        function are never remembered.

        Args:
            ttl: How long a result lives; a `timedelta` or a text such as `24h`. Default: the
                cache's `ttl`.
            tags: Tags by which results are invalidated.
            namespace: Default: the cache's namespace, else `local`.
            version: Part of the key: change it with the function's meaning.

        Raises:
            ConfigError: A value is wrong.
        """
        seconds = None if ttl is None else units.seconds("ttl", ttl)
        wanted = expand(arguments.tags(tags))

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            memoized = MemoizedFunction.of(
                function,
                namespace=namespace or self._local_namespace,
                ttl=seconds,
                tags=wanted,
                version=version,
            )
            return _remembering(self._assembly, function, memoized)

        return decorate

    @property
    def _local_namespace(self) -> str:
        return self._assembly.settings.namespace or LOCAL

    def _question(self, text: str, scope: str, namespace: str | None) -> TextQuestion:
        return TextQuestion(text, scope, namespace or self._local_namespace)

    def _get_options(
        self,
        max_age: timedelta | str | None,
        tags: Iterable[str],
        documents: Iterable[Any],
        semantic: Mode | None,
        similarity: float,
    ) -> GetOptions:
        return {
            "max_age": None if max_age is None else units.seconds("max_age", max_age),
            "tags": arguments.tags(tags, documents),
            "semantic": arguments.mode(semantic),
            "similarity": arguments.similarity(similarity),
        }

    def _put_options(
        self,
        ttl: timedelta | str | None,
        tags: Iterable[str],
        documents: Iterable[Any],
        semantic: Mode | None,
    ) -> PutOptions:
        return {
            "ttl": None if ttl is None else units.seconds("ttl", ttl),
            "tags": arguments.tags(tags, documents),
            "semantic": arguments.mode(semantic),
        }

    def _target(
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
        """Read the arguments of `invalidate`."""
        age = None if older_than is None else f"{units.seconds('older_than', older_than)}s"
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
        return read(fields, self._assembly.runtimes.sync.now())


def _remembering(
    assembly: Assembly, function: Callable[P, R], memoized: MemoizedFunction
) -> Callable[P, R]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def async_call(*args: P.args, **kwargs: P.kwargs) -> Any:
            key = memoized.key(args, kwargs)
            compute = functools.partial(function, *args, **kwargs)
            return await assembly.services.async_.functions.call(
                memoized, key, cast("Callable[[], Awaitable[Any]]", compute)
            )

        return cast("Callable[P, R]", async_call)

    @functools.wraps(function)
    def sync_call(*args: P.args, **kwargs: P.kwargs) -> R:
        async def compute() -> R:
            return function(*args, **kwargs)

        key = memoized.key(args, kwargs)
        return cast("R", run_sync(assembly.services.sync.functions.call(memoized, key, compute)))

    return sync_call
