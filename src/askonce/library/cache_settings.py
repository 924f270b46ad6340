"""What both caches are made of: their arguments, read once, and what needs no flavor."""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypeVar, cast

from askonce.core import units
from askonce.core.directives import Mode
from askonce.core.document_tags import expand
from askonce.core.errors import ConfigError
from askonce.core.models import Key
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
from askonce.pipeline.functions import MemoizedFunction
from askonce.prompts.settings import Level, Prompts, prompts_of
from askonce.semantic.settings import Semantic, semantic_of
from askonce.stores.tiered.layers import Layer, TierSpec, tiers_of
from askonce.stores.tiered.sharing import SharingSettings

P = ParamSpec("P")
R = TypeVar("R")
OnEvent = TypeVar("OnEvent", bound=Says)

_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,128}")

LOCAL = "local"
"""The namespace of texts and functions, where the developer names no other."""


class CacheSettings:
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
        semantic: Semantic | Mode = "off",
        prompts: Prompts | Level = "observe",
        sources: Sequence[EventSource | str] = (),
        audit: str | None = None,
        tenants: Mapping[str, str] | None = None,
        clock: Callable[[], float] | None = None,
        prices: Prices | None = None,
        bookkeeping: LedgerSettings = DEFAULT_LEDGER,
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
        named, tiers = _tiers(namespace, url, layers)
        self._assembly = Assembly(
            arguments.own_tier(memory, named),
            tiers,
            limits=limits,
            rules=rules,
            semantic=semantic_of(semantic),
            prompts=prompts_of(prompts),
            sharing=_sharing(consistency, lease, lease_wait),
            eviction=eviction,
            namespace=namespace,
            tenants=tenants,
            clock=clock,
            prices=prices,
            sources=sources_of(sources),
            audit=audit,
            bookkeeping=bookkeeping,
        )

    @property
    def assembly(self) -> Assembly:
        """The cache's inside, for the other doors of this package."""
        return self._assembly

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
        return read(fields, self._assembly.blocking_runtime.now())

    def stats(self) -> Stats:
        """What this cache did since it was opened, in this process."""
        return self._assembly.stats()

    def on_event(self, event: str) -> Callable[[OnEvent], OnEvent]:
        """Ask a function what an event of this name invalidates; see docs/guides/events.md.

        It gets the event's data, a dict, and returns a tag, an `Invalidation`, several of them, or
        None. It is an ordinary function, is called in any thread, and may be called again for the
        same event.
        """

        def decorate(function: OnEvent) -> OnEvent:
            self._assembly.events.on(event, function)
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
        seconds = None if ttl is None else units.seconds("ttl", ttl)
        wanted = expand(arguments.tags(tags))

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            remembered = MemoizedFunction.of(
                function,
                namespace=namespace or self._assembly.namespace or LOCAL,
                ttl=seconds,
                tags=wanted,
                version=version,
            )
            return _remembered(self._assembly, function, remembered)

        return decorate


def _tiers(
    namespace: str | None, url: str, layers: Sequence[Layer | str | Store] | None
) -> tuple[TierSpec | None, tuple[TierSpec, ...]]:
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(f"namespace is {namespace!r}; write letters, digits, '.', '_', '-'")
    if layers is not None and url != "memory:":
        raise ConfigError("layers and an address were given; put the address into layers")
    return tiers_of([url] if layers is None else layers)


def _sharing(
    consistency: Literal["eventual", "strong"], lease: timedelta | str, wait: timedelta | str
) -> SharingSettings:
    if consistency not in ("eventual", "strong"):
        raise ConfigError(f"consistency is {consistency!r}; write 'eventual' or 'strong'")
    seconds = units.seconds
    return SharingSettings(
        consistency=consistency, lease=seconds("lease", lease), wait=seconds("lease_wait", wait)
    )


def _remembered(
    assembly: Assembly, function: Callable[P, R], remembered: MemoizedFunction
) -> Callable[P, R]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def suspending(*args: P.args, **kwargs: P.kwargs) -> Any:
            key = remembered.key(args, kwargs)
            compute = functools.partial(function, *args, **kwargs)
            return await assembly.suspending.remembering.call(
                remembered, key, cast("Callable[[], Awaitable[Any]]", compute)
            )

        return cast("Callable[P, R]", suspending)

    @functools.wraps(function)
    def blocking(*args: P.args, **kwargs: P.kwargs) -> R:
        async def compute() -> R:
            return function(*args, **kwargs)

        key = remembered.key(args, kwargs)
        return cast("R", run_sync(assembly.blocking.remembering.call(remembered, key, compute)))

    return blocking
