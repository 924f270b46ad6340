"""The settings of one cache in precise values, as the assembly takes them."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from askonce.core.policy import Limits
from askonce.core.protocols import Prices
from askonce.core.request_headers import STANDARD, HeaderKinds
from askonce.core.rules.rules import Rules
from askonce.invalidation.sources import EventSource
from askonce.ledger.settings import DEFAULT_LEDGER, LedgerSettings
from askonce.pipeline.response_cache_control import CacheControlMode
from askonce.prompts.settings import OBSERVE, Prompts
from askonce.semantic.settings import OFF, Semantic
from askonce.stores.tiered.layers import SharingSettings, TierSpec


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache is made from; `Cache` documents each setting.

    `memory` is the first tier, `tiers` are those below it. `clock` returns seconds since the Unix
    epoch; None for the system's. `prices` is None for the tables of `genai-prices`.
    """

    memory: TierSpec
    tiers: tuple[TierSpec, ...] = ()
    limits: Limits
    eviction: Literal["s3-fifo", "gdsf"] = "s3-fifo"
    sharing: SharingSettings = SharingSettings()
    namespace: str | None = None
    tenants: Mapping[str, str] | None = None
    rules: Rules | None = None
    semantic: Semantic = OFF
    prompts: Prompts = OBSERVE
    sources: tuple[EventSource, ...] = ()
    audit: str | None = None
    clock: Callable[[], float] | None = None
    prices: Prices | None = None
    ledger: LedgerSettings = DEFAULT_LEDGER
    stateless: Mapping[str, bool] = {}
    response_cache_control: Mapping[str, CacheControlMode] = {}
    ignore_members: tuple[str, ...] = ()
    kinds: HeaderKinds = STANDARD
