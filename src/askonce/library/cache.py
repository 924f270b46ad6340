"""The cache as a library: `Cache` for threads, `AsyncCache` for event loops.

Both classes are thin: `CacheFacade` reads their arguments, and one `Assembly` holds the parts and
opens the services of each mode at first use. So a `Cache` also serves async clients, and the other
way round.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from askonce.core.directives import Mode
from askonce.core.models import Call, Damage, Key
from askonce.core.protocols import Upstream
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.events import EventResult, merged
from askonce.invalidation.sweep import InvalidationResult
from askonce.ledger.savings import Savings
from askonce.library import arguments
from askonce.library.facade import CacheFacade
from askonce.pipeline.present import Reply
from askonce.pipeline.texts import Answer


class Cache(CacheFacade):
    """A cache for ordinary threads; close it, or use it in a `with` statement.

    A duration is a `timedelta` or a text such as `90s`, `24h` or `7d`. A size is a number of bytes
    or a text such as `256 MiB`. Nothing connects before the first use. docs/guides/freshness.md
    explains the arguments from `ttl` to `expire_on`.

    Args:
        url: Where answers are kept below the process's memory: `sqlite:FILE`, `redis://HOST`,
            `postgresql://HOST/DATABASE`, or `memory:` for memory alone.
        ttl: How long an answer lives. `0s` stores nothing.
        stale_while_revalidate: How long after its end an answer is still served while the cache
            asks again in the background.
        stale_if_error: How long after its end an answer is served if the provider fails.
        refresh_ahead: How eagerly a popular answer is refreshed before its end; the beta of XFetch.
            0 never refreshes ahead, 1 is usual.
        jitter: The most by which each `ttl` is shortened at random: a fraction such as 0.1, or a
            text such as `10%`.
        negative_ttl: How long a provider's refusal of a request (such as 400) is kept. `0s` keeps
            none.
        expire_on: What ends the answers of a model's older version: a new `model` behind its name,
            a new `fingerprint` as well, or `never`.
        validate: `schema` keeps out JSON and tool calls of a wrong form; `json`, malformed JSON.
        sampling: How to treat questions with an explicit temperature above 0: `bypass` the cache,
            `reuse` one answer, or rotate among K answers with `pool:K`.
        also_store: Reasons that keep no answer out: `length`, `refusal`, `hosted-tool`.
        layers: Several stores instead of `url`, the nearest first: a `Layer`, an address or a store
            object each. The last one is shared, and its invalidations are binding.
        memory: The most bytes of answers in this process's memory.
        eviction: Which answers leave when memory is full: `s3-fifo` keeps those that are asked
            again, `gdsf` those that save most money per byte.
        consistency: When other processes' invalidations hold here: `eventual` within one second,
            `strong` at once, at the cost of one question to the store for each tagged answer.
        lease: How long one process has the right to ask a question while others wait.
        lease_wait: How long other processes wait for its answer before they ask themselves.
        namespace: One namespace for every caller: 1 to 128 letters, digits, `.`, `_`, `-`. Default:
            SDK calls are kept apart by credential; texts and functions live in `local`.
        limits: All limits in precise values; replaces the arguments from `ttl` to `sampling`.
        rules: Rules by question, model and route: lifetimes, tags, exceptions and events.
        semantic: Whether answers to questions in other words are served: `off`, `shadow` (measured
            only), `serve`, or a `Semantic` with all its settings.
        prompts: How requests are prepared for the provider's own prompt cache: `observe` (count
            only), another level, or `Prompts` with all its settings.
        sources: Where events are read from: addresses or `EventSource` objects.
        audit: A file to which each invalidation is appended. Default: none.
        tenants: Names of namespaces by credential.
        clock: Returns seconds since the Unix epoch. Default: the system's clock.
        prices: What answers cost. Default: the tables of `genai-prices`, if it is installed.
        bookkeeping: What the ledger keeps, and for how long.
        stateless: Addresses where the end user changes no answer, as at the providers' own; a
            mapping to False says the opposite. docs/how-it-works/keys.md explains it.
        response_cache_control: How a provider's `no-store` is taken: `heed` it, `ignore` it, or
            `auto`, which ignores it where all of the first 20 answers said so; or this by address.
        ignore_members: Members of a body that change no answer, so that they are not in the key.
        ignore_headers: Names of request headers that change no answer, perhaps with one `*`.
        credentials: Names of request headers that say who calls, in the same form.

    Raises:
        ConfigError: A value is wrong, or an extra is not installed; the message has the remedy.
    """

    def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer a call of a wire format, from the cache or from the provider.

        Args:
            call: The call as it was received.
            upstream: The way to the provider.

        Raises:
            CacheClosed: The cache is closed.
            Exception: What the provider's client raises.
        """
        pipeline = self._assembly.services.sync.pipeline
        found = pipeline.at_once(call)
        if isinstance(found, Reply):
            return found
        return run_sync(pipeline.go_on(call, found, upstream))

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
        """Return the fresh answer to a question, or None.

        Args:
            question: The question.
            scope: Only questions of equal scope share answers: a model, a system prompt, a user.
            namespace: Default: the cache's namespace, else `local`.
            max_age: The greatest age of the answer, a duration. Default: any.
            tags: Tags that the answer must carry.
            documents: Documents whose tags the answer must carry; see `document_tags`.
            semantic: `off` for the answer to exactly this question. Default: the cache's mode.
            similarity: The least cosine for a match by meaning, from 0 to 1, if it is higher than
                the cache's own.

        Raises:
            ConfigError: A value is wrong.
            CacheClosed: The cache is closed.
        """
        return run_sync(
            self._assembly.services.sync.texts.get(
                self._question(question, scope, namespace),
                **self._get_options(max_age, tags, documents, semantic, similarity),
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
        """Store an answer; False if the store could not keep it (the statistics say why).

        Args:
            question: The question.
            answer: Its answer.
            scope: Only questions of equal scope share answers: a model, a system prompt, a user.
            namespace: Default: the cache's namespace, else `local`.
            ttl: How long the answer lives, a duration. Default: the cache's `ttl`.
            tags: Tags by which the answer is invalidated.
            documents: Documents that the answer is made from; see `document_tags`.
            semantic: `off` for an answer that is only found by exactly this question.

        Raises:
            ConfigError: A value is wrong.
            CacheClosed: The cache is closed.
        """
        return run_sync(
            self._assembly.services.sync.texts.put(
                self._question(question, scope, namespace),
                answer,
                **self._put_options(ttl, tags, documents, semantic),
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

        By tags alone, the cost does not depend on the number of answers; otherwise every answer is
        looked at.

        Args:
            tags: The answer carries one of these tags.
            keys: The answer has one of these keys.
            namespace: The answer belongs to this namespace.
            tenant: The answer belongs to this tenant.
            model: A shell pattern of the model.
            route: A shell pattern of the request's path.
            older_than: The answer is older, a duration.
            match: An RE2 pattern in the question.
            dry_run: Count the answers, and show some, but keep them.

        Raises:
            ConfigError: A value is wrong, or no field is given.
            StoreError: The store failed; invalidate again.
            CacheClosed: The cache is closed.
        """
        target = self._target(tags, keys, namespace, tenant, model, route, older_than, match)
        invalidation = self._assembly.invalidation
        return run_sync(invalidation.invalidate(target, who="library", dry_run=dry_run))

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

        Args:
            event: The event's name.
            data: The event's data. Default: the `members`.
            event_id: An event of an id that was handled before does nothing. Default: no id.
            members: The event's data, as keywords.

        Raises:
            ConfigError: No rule knows the event, or a member is missing in its data.
            StoreError: The store failed; emit the event again.
            CacheClosed: The cache is closed.
        """
        invalidation, data = self._assembly.invalidation, merged(data, members)
        return run_sync(invalidation.take_event(event, data, event_id=event_id, who="library"))

    def savings(self, *, days: int = 30) -> Savings:
        """Return what all processes that share the store saved, and what that cost.

        Args:
            days: The number of days (UTC), today included; from 1 to 36500. See
                docs/guides/savings.md.

        Raises:
            ConfigError: The number is wrong.
            StoreError: The store failed.
            CacheClosed: The cache is closed.
        """
        return run_sync(self._assembly.ledger_service.savings(arguments.days(days)))

    def check(self, *, fix: bool = False) -> list[Damage]:
        """Read every stored entry and report the damaged ones.

        Args:
            fix: Remove the damaged entries.

        Raises:
            StoreError: The store failed.
        """
        store = self._assembly.stack.shared_store or self._assembly.memory
        return run_sync(store.check(fix=fix))

    def close(self) -> None:
        """Finish what is under way and close the store; closing twice is fine."""
        if not self._assembly.services.closed:
            run_sync(self._assembly.close(self._assembly.services.sync))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncCache(CacheFacade):
    """The same cache for asyncio: the same arguments as `Cache`, and the same methods, awaited."""

    async def answer(self, call: Call, upstream: Upstream) -> Reply:
        """Answer `call` from the cache or through `upstream`, the provider; see `Cache.answer`."""
        return await self._assembly.services.async_.pipeline.answer(call, upstream)

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
        """Return the fresh answer to `question`, or None; see `Cache.get`.

        Only questions of equal `scope` and `namespace` share answers. The answer must be no older
        than `max_age` and carry the `tags` and those of the `documents`. `semantic` (`off`: exactly
        this question) and `similarity` (the least cosine) limit matching by meaning.
        """
        return await self._assembly.services.async_.texts.get(
            self._question(question, scope, namespace),
            **self._get_options(max_age, tags, documents, semantic, similarity),
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
        """Store the `answer` to `question`; False if the store could not; see `Cache.put`.

        Only questions of equal `scope` and `namespace` share it. It lives for `ttl`; the `tags` and
        those of the `documents` invalidate it. `semantic`: `off` hides it from similar questions.
        """
        return await self._assembly.services.async_.texts.put(
            self._question(question, scope, namespace),
            answer,
            **self._put_options(ttl, tags, documents, semantic),
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
        """Forget the answers that all given fields name; see `Cache.invalidate`.

        They carry one of the `tags`, have one of the `keys`, belong to the `namespace` or `tenant`,
        fit the shell patterns `model` and `route`, are `older_than` a duration, and have the RE2
        pattern `match` in the question. `dry_run` only counts them. A sweep runs in a thread.
        """
        target = self._target(tags, keys, namespace, tenant, model, route, older_than, match)
        invalidation = self._assembly.invalidation
        return await invalidation.invalidate_in_thread(target, who="library", dry_run=dry_run)

    async def emit(
        self,
        event: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        event_id: str | None = None,
        **members: Any,
    ) -> EventResult:
        """Carry out what the event named `event` invalidates; see `Cache.emit`.

        `data` or the `members` are its data; an `event_id` that was handled before does nothing.
        """
        invalidation, data = self._assembly.invalidation, merged(data, members)
        return await invalidation.take_event_in_thread(
            event, data, event_id=event_id, who="library"
        )

    async def savings(self, *, days: int = 30) -> Savings:
        """Return what all processes saved on the last `days` (UTC); see `Cache.savings`."""
        return await self._assembly.ledger_service.savings_in_thread(arguments.days(days))

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Report the damaged entries, and remove them with `fix`; see `Cache.check`."""
        tiers = self._assembly.services.async_.tiers
        store = tiers.memory if tiers.authority is None else tiers.authority.store
        return await store.check(fix=fix)

    async def aclose(self) -> None:
        """Finish what is under way and close the store; closing twice is fine."""
        if not self._assembly.services.closed:
            await self._assembly.close(self._assembly.services.async_)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
