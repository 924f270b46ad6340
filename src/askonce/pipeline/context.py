"""The context of a request: the tiers, and everything else that the request pipeline needs."""

from collections.abc import Callable
from typing import NamedTuple

from askonce.core.protocols import Prices
from askonce.invalidation.target import Invalidation
from askonce.pipeline.form_check import FormCheck
from askonce.pipeline.response_cache_control import ResponseCacheControl
from askonce.pipeline.single_flight import SingleFlight
from askonce.prompts.upstream import PromptOptimization
from askonce.stores.tiered.tiers import Tiers


class BackgroundWork(NamedTuple):
    """Work that a request starts and does not wait for.

    `sweep` carries out an invalidation on behalf of the named origin. `flush_ledger` adds the
    ledger's counts to the store; call it when `is_flush_due` returns True.
    """

    sweep: Callable[[Invalidation, str], None]
    is_flush_due: Callable[[], bool]
    flush_ledger: Callable[[], None]


class Context:
    """What every request of one mode (sync or async) shares.

    Args:
        tiers: The mode's tiers.
        prices: Prices of the providers' answers; None if they are not known.
        prompts: Prepares requests for the provider's own prompt cache.
        background: Work that a request does not wait for.
        response_cache_control: Decides whether a provider's headers forbid storing.
    """

    def __init__(
        self,
        tiers: Tiers,
        *,
        prices: Prices | None,
        prompts: PromptOptimization,
        background: BackgroundWork,
        response_cache_control: ResponseCacheControl,
    ) -> None:
        self.tiers = tiers
        self.runtime = tiers.runtime
        self.ledger = tiers.ledger
        self.limits = tiers.limits
        self.boundary = tiers.boundary
        self.form_check = FormCheck(tiers.runtime, tiers.boundary, tiers.limits)
        self.flights = SingleFlight(tiers.runtime.lock())
        self.prices = prices
        self.prompts = prompts
        self.background = background
        self.response_cache_control = response_cache_control
