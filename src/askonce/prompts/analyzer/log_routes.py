"""The routes of a log: requests to one provider, dialect and model whose heads are of one family.

Each has four token counts: as the provider reported them, as its rules make them of the requests
that were sent, as achievable with the best markers, and as achievable with the best layout too.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from askonce.formats.usage import ReportedUsage
from askonce.prompts.analyzer.offline_optimum import OptimalTokens
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.requests.segments import RenderedPrompt, SegmentKind
from askonce.prompts.simulator import SimulatedUsage


class TokenCounts(msgspec.Struct):
    """Input tokens by their price: read from the cache, written to it, or neither.

    `surcharge` is the price of writing beyond the input price, in tokens at the input price.
    """

    read: int = 0
    written: int = 0
    plain: int = 0
    surcharge: Decimal = Decimal(0)

    @property
    def total(self) -> int:
        return self.read + self.written + self.plain

    def paid(self, read: Decimal) -> Decimal:
        """Return the cost in tokens at the input price; `read` is the price of reading one."""
        return self.plain + self.written + self.surcharge + self.read * read


class LogRoute:
    """One route and its token counts.

    requests    how many there were, and how many of them came `with_usage`
    in_doubt    requests with parts that are not understood
    low_usage   requests whose reported reads are far below the simulated ones
    head        the beginning of its instructions; `tools` is the number of tools
    misplaced   tokens that would be read if nothing before them changed
    """

    def __init__(
        self, number: int, provider: str, api: str, model: str, rule: ProviderRule | None
    ) -> None:
        self.number = number
        self.provider = provider
        self.api = api
        self.model = model
        self.rule = rule
        self.family = 0
        self.requests = 0
        self.with_usage = 0
        self.in_doubt = 0
        self.low_usage = 0
        self.head = ""
        self.tools = 0
        self.reported = TokenCounts()
        self.simulated = TokenCounts()
        self.markers = TokenCounts()
        self.layout = TokenCounts()
        self.misplaced = 0

    def add_request(self, usage: ReportedUsage | None, simulated: SimulatedUsage) -> None:
        """Add the reported and the simulated tokens of one request."""
        written = sum(simulated.written.values())
        self.simulated.read += simulated.read
        self.simulated.written += written
        self.simulated.plain += simulated.uncached
        self.simulated.surcharge += self._surcharge(simulated.written)
        if usage is None or usage.input_total is None:
            return
        self.with_usage += 1
        read, writes = usage.cached_read or 0, usage.writes or {}
        written = sum(writes.values())
        self.reported.read += read
        self.reported.written += written
        self.reported.plain += usage.input_total - read - written
        self.reported.surcharge += self._surcharge(writes)
        if simulated.read - read > max(1024, simulated.read // 2):
            self.low_usage += 1

    def _surcharge(self, writes: Mapping[str, int]) -> Decimal:
        if self.rule is None:
            return Decimal(0)
        lives, usual = self.rule.ttls, self.rule.ttls[self.rule.default_ttl]
        prices = ((lives.get(ttl, usual).write - 1) * count for ttl, count in writes.items())
        return sum(prices, Decimal(0))

    def finish(self, best: OptimalTokens) -> None:
        """Compute what is achievable, once the whole log is known."""
        # If writing has no surcharge, written tokens cost the same as plain ones.
        written = sum(n for cost, n in best.written.items() if cost > 1)
        surcharge = sum(((cost - 1) * n for cost, n in best.written.items()), Decimal(0))
        plain = self.simulated.total - best.read - written
        markers = TokenCounts(best.read, written, plain, surcharge)
        read = Decimal(1) if self.rule is None else self.rule.read
        if self.simulated.paid(read) < markers.paid(read):
            markers = self.simulated
        self.markers = markers
        moved = min(self.misplaced, markers.plain + markers.written)
        plain = min(moved, markers.plain)
        rewritten = moved - plain
        part = Decimal(rewritten) / markers.written if rewritten else Decimal(0)
        self.layout = TokenCounts(
            markers.read + moved,
            markers.written - rewritten,
            markers.plain - plain,
            markers.surcharge * (1 - part),
        )

    @property
    def score(self) -> float:
        """The share of the achievable reads that happened, as reported or else as simulated."""
        goal = self.layout.read / max(1, self.layout.total)
        actual = self.reported if self.with_usage * 2 >= self.requests else self.simulated
        if goal <= 0 or actual.total <= 0:
            return 1.0
        return min(1.0, actual.read / actual.total / goal)


class LogRoutes:
    """All routes of a log, by number."""

    def __init__(self) -> None:
        self.all: list[LogRoute] = []
        self._known: dict[tuple[str, str, str, int], LogRoute] = {}

    def route(
        self,
        provider: str,
        api: str,
        rendered: RenderedPrompt,
        family: int,
        rule: ProviderRule | None,
    ) -> LogRoute:
        key = (provider, api, rendered.model, family)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = LogRoute(len(self.all), provider, api, rendered.model, rule)
            found.family = family
            found.tools = sum(one.kind is SegmentKind.TOOL for one in rendered.segments)
            found.head = next(
                (
                    one.data[:400].decode(errors="replace")
                    for one in rendered.segments
                    if one.kind is SegmentKind.SYSTEM or one.pointer == "/instructions"
                ),
                "",
            )
            self.all.append(found)
        found.requests += 1
        found.in_doubt += not rendered.is_understood
        return found
