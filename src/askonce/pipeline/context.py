"""The context of a request: the tiers, and everything else that the request path needs."""

from collections.abc import Callable
from typing import NamedTuple

from askonce.core import policy
from askonce.core.models import Entry
from askonce.core.policy import Life
from askonce.core.protocols import Prices, Upstream
from askonce.core.request import CacheRequest
from askonce.invalidation import cache_groups
from askonce.invalidation.target import Invalidation
from askonce.pipeline.single_flight import Flights
from askonce.prompts.upstream import PreparedUpstream, PromptService
from askonce.stores.tiered.tiers import Tiers


class BackgroundWork(NamedTuple):
    """Work that a request starts and does not wait for.

    `sweep` carries out an invalidation on behalf of the named origin; `flush_ledger` adds the
    ledger's counts to the store if that is due.
    """

    sweep: Callable[[Invalidation, str], None]
    flush_ledger: Callable[[], None]


class Context:
    """What every request of one mode (sync or async) shares."""

    def __init__(
        self,
        tiers: Tiers,
        *,
        prices: Prices | None,
        prompting: PromptService,
        background: BackgroundWork,
    ) -> None:
        self.tiers = tiers
        self.runtime = tiers.runtime
        self.ledger = tiers.ledger
        self.limits = tiers.limits
        self.boundary = tiers.boundary
        self.flights = Flights(tiers.runtime.lock())
        self.prices = prices
        self.background = background
        self._prompting = prompting

    def prompted(self, upstream: Upstream) -> PreparedUpstream:
        """Wrap the upstream for one call, so that it gets what its own prompt cache needs."""
        return self._prompting.through(upstream)

    def life(self, entry: Entry, request: CacheRequest) -> Life:
        """Classify an entry's age for this request: fresh, stale, over and so on."""
        return policy.life_of(entry, request.directives, self.limits, self.runtime.now())

    def is_due(self, entry: Entry, request: CacheRequest) -> bool:
        """Decide whether to refresh this fresh entry ahead of its expiry."""
        beta = self.limits.refresh_ahead
        if beta <= 0:
            return False
        entry = policy.bounded(entry, request.directives)
        return policy.is_due(entry, beta, self.runtime.now(), self.runtime.random)

    def apply_cache_groups(self, origin: str, method: str, headers: list[tuple[str, str]]) -> None:
        """Invalidate, in the background, the groups that a provider's response invalidates."""
        with self.boundary.around("groups"):
            named = cache_groups.invalidated(origin, method, headers)
            if named is not None:
                self.background.sweep(named, f"provider:{cache_groups.host_of(origin)}")

    def last_sweep_of(self, request: CacheRequest) -> int:
        """Return the number of the last recent sweep that names this question; 0 if none."""
        if not self.tiers.sweeps.recent:
            return 0
        question, path = request.question, request.call.path.partition("?")[0]
        now = self.runtime.now()
        tags = tuple((tag, 0) for tag in request.directives.tags)
        return self.tiers.sweeps.latest(
            Entry(
                request.key, b"", 0, (), now, now, now, question.model, request.call.origin,
                question.text, None, None, 0.0, tags, path, question.model,
            )
        )  # fmt: skip
