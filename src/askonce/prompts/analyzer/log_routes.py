"""Routes of a log: requests to one provider, dialect and model whose heads are of one family.

Each has four numbers: what the provider reported, what its rules make of the requests as they were
sent, and what could be achieved with the best markers, and with the best layout on top of that.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from askonce.formats.usage import ReportedUsage
from askonce.prompts.analyzer.hindsight import Best
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.requests.segments import Kind, Rendered
from askonce.prompts.simulator import Fate


class Tokens(msgspec.Struct):
    """Input tokens by what they cost: read from the cache, written to it, or neither.

    `surcharge` is what writing costs beyond the input price, in tokens at that price.
    """

    read: int = 0
    written: int = 0
    plain: int = 0
    surcharge: Decimal = Decimal(0)

    @property
    def total(self) -> int:
        return self.read + self.written + self.plain

    def paid(self, read: Decimal) -> Decimal:
        """Tokens at the input price that these cost as much as."""
        return self.plain + self.written + self.surcharge + self.read * read


class LogRoute:
    """One route and its numbers. `told` is how many of its requests came with their usage."""

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
        self.told = 0
        self.in_doubt = 0
        self.low_usage = 0
        self.head = ""
        self.tools = 0
        self.reported = Tokens()
        self.simulated = Tokens()
        self.markers = Tokens()
        self.layout = Tokens()
        self.misplaced = 0
        """Tokens that would be read if what comes before them did not change."""

    def count(self, usage: ReportedUsage | None, fate: Fate) -> None:
        """What became of one more request."""
        written = sum(fate.written.values())
        self.simulated.read += fate.read
        self.simulated.written += written
        self.simulated.plain += fate.uncached
        self.simulated.surcharge += self.surcharge_of(fate.written)
        if usage is None or usage.input_total is None:
            return
        self.told += 1
        read, writes = usage.cached_read or 0, usage.writes or {}
        written = sum(writes.values())
        self.reported.read += read
        self.reported.written += written
        self.reported.plain += usage.input_total - read - written
        self.reported.surcharge += self.surcharge_of(writes)
        if fate.read - read > max(1024, fate.read // 2):
            self.low_usage += 1

    def surcharge_of(self, writes: Mapping[str, int]) -> Decimal:
        if self.rule is None:
            return Decimal(0)
        lives, usual = self.rule.ttls, self.rule.default_ttl
        return sum(
            (
                tokens * (lives.get(ttl, lives[usual]).write - 1)
                for ttl, tokens in writes.items()
                if tokens
            ),
            Decimal(0),
        )

    def settle(self, best: Best) -> None:
        """Work out what is achievable, once the whole log is known."""
        # Where writing costs nothing, as much as is not read costs the same.
        written = sum(n for cost, n in best.written.items() if cost > 1)
        surcharge = sum(((cost - 1) * n for cost, n in best.written.items()), Decimal(0))
        plain = self.simulated.total - best.read - written
        markers = Tokens(best.read, written, plain, surcharge)
        read = Decimal(1) if self.rule is None else self.rule.read
        if self.simulated.paid(read) < markers.paid(read):
            markers = self.simulated
        self.markers = markers
        moved = min(self.misplaced, markers.plain + markers.written)
        plain = min(moved, markers.plain)
        rewritten = moved - plain
        part = Decimal(rewritten) / markers.written if rewritten else Decimal(0)
        self.layout = Tokens(
            markers.read + moved,
            markers.written - rewritten,
            markers.plain - plain,
            markers.surcharge * (1 - part),
        )

    @property
    def score(self) -> float:
        """What part of the achievable reads happens, as reported or else as simulated."""
        goal = self.layout.read / max(1, self.layout.total)
        told = self.reported if self.told * 2 >= self.requests else self.simulated
        if goal <= 0 or told.total <= 0:
            return 1.0
        return min(1.0, told.read / told.total / goal)


class LogRoutes:
    """All routes of a log, by number."""

    def __init__(self) -> None:
        self.all: list[LogRoute] = []
        self._known: dict[tuple[str, str, str, int], LogRoute] = {}

    def route(
        self, provider: str, api: str, rendered: Rendered, family: int, rule: ProviderRule | None
    ) -> LogRoute:
        key = (provider, api, rendered.model, family)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = LogRoute(len(self.all), provider, api, rendered.model, rule)
            found.family = family
            found.tools = sum(one.kind is Kind.TOOL for one in rendered.segments)
            found.head = next(
                (
                    one.data[:400].decode(errors="replace")
                    for one in rendered.segments
                    if one.kind is Kind.SYSTEM or one.pointer == "/instructions"
                ),
                "",
            )
            self.all.append(found)
        found.requests += 1
        found.in_doubt += not rendered.is_understood
        return found
