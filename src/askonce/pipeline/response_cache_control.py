"""The provider's `Cache-Control: no-store`: whether it is meant, or said about every answer.

Some providers and proxies say `no-store` about everything, which would leave nothing to store.
So it is heeded until the first answers of a route and media type have all carried it, and ignored
from then on. The counts are lasting counters of the most shared store: a restart changes nothing,
and all processes decide alike.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Literal

from askonce.core.bounded import BoundedMap
from askonce.core.models import Call, Reason
from askonce.core.origins import normalized
from askonce.core.protocols import Response
from askonce.core.response_headers import media_type, says_no_store, varies
from askonce.stores.tiered.tiers import Tiers

_log = logging.getLogger("askonce.cache_control")

FIRST_ANSWERS = 20
"""How many answers of one route and media type decide whether `no-store` is meant."""

CacheControlMode = Literal["auto", "heed", "ignore"]

_ROUTES = 1_024


class _RouteCounts:
    """How many of a route's first answers said `no-store`, and how many did not."""

    __slots__ = ("name", "others", "said")

    def __init__(self, name: str) -> None:
        self.name = name
        self.said = 0
        self.others = 0

    @property
    def ignores(self) -> bool:
        return self.said >= FIRST_ANSWERS

    @property
    def is_settled(self) -> bool:
        return self.ignores or self.others > 0

    async def count(self, tiers: Tiers, said: int, others: int) -> None:
        """Add to the counts of all processes, and take over their sums."""
        named = {"said": said, "others": others}
        add = {f"{self.name}{word}": count for word, count in named.items() if count}
        sums = await tiers.counters(add, self.name)
        if sums is None:  # the store is down: count for this process
            self.said, self.others = self.said + said, self.others + others
        else:
            self.said = sums.get(f"{self.name}said", 0)
            self.others = sums.get(f"{self.name}others", 0)


class ResponseCacheControl:
    """Decides whether a provider's own headers forbid storing; both modes share it.

    Args:
        modes: How `no-store` is taken, by address: `heed` it, `ignore` it, or find out (`auto`).
            The empty address stands for all others, which are `auto` by default.
    """

    def __init__(self, modes: Mapping[str, CacheControlMode]) -> None:
        self._modes = {normalized(origin) if origin else "": m for origin, m in modes.items()}
        self._routes: BoundedMap[str, _RouteCounts] = BoundedMap(_ROUTES)

    async def forbids(self, tiers: Tiers, call: Call, response: Response) -> Reason | None:
        """Return why the provider's headers forbid storing an answer; None if they do not.

        Args:
            tiers: Where the counts are kept.
            call: The call that was answered.
            response: The provider's response.
        """
        if varies(response.headers):
            return Reason.VARY
        said, mode = says_no_store(response.headers), self._mode(call.origin)
        if mode == "auto":
            said = await self._is_meant(tiers, call, response, said=said)
        return Reason.NO_STORE if said and mode != "ignore" else None

    def _mode(self, origin: str) -> CacheControlMode:
        return self._modes.get(normalized(origin)) or self._modes.get("", "auto")

    async def _is_meant(self, tiers: Tiers, call: Call, response: Response, *, said: bool) -> bool:
        """Count an answer, if it is one of the first; return whether its `no-store` is meant."""
        route = f"{call.origin}{call.path.partition('?')[0]}"
        kind = media_type(response.headers)
        name = _name(route, kind)
        counts = self._routes.get(name)
        if counts is None:
            counts = _RouteCounts(name)
            await counts.count(tiers, 0, 0)
            counts = self._routes.setdefault(name, counts)
        is_meant = said and not counts.ignores
        if not counts.is_settled and response.status < 300:
            await counts.count(tiers, int(said), int(not said))
            if said and counts.said == FIRST_ANSWERS:
                _log.warning(
                    "%s says Cache-Control: no-store about every answer (%s); it is ignored from"
                    " now on. Set response_cache_control to heed it",
                    route, kind,
                )  # fmt: skip
        return is_meant


def _name(route: str, kind: str) -> str:
    """Return how the names of a route's counters begin: with `|`, which statistics leave out."""
    digest = hashlib.sha256(f"{kind} {route}".encode(errors="replace")).hexdigest()
    return f"|no-store|{digest[:32]}|"
