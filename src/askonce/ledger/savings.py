"""Savings: reads the ledger's daily counters, by day, tenant, model and route.

Nothing is an estimate: every number is a sum of counted events. An answer whose price is unknown
counts in `unpriced` instead of in dollars.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal, get_args

import msgspec

from askonce.ledger.daily import (
    COSTS,
    DAY,
    KINDS,
    MAX_GROUPS,
    MONTH,
    NANO,
    OTHER,
    PICO,
    PICO_DOLLARS,
)

By = Literal["day", "tenant", "model", "route"]
BY: Final[tuple[By, ...]] = get_args(By)

_BYTE_HOURS_OF_A_GB_MONTH = Decimal(10**9 * 730)
_ZERO = Decimal(0)
_MANY_DAYS = 400


class SavingsPart(msgspec.Struct, frozen=True):
    """One kind of saving or cost.

    Parameters:
        calls: Calls.
        tokens: Their tokens.
        usd: Their US dollars, without unpriced calls.
        unpriced: How many of the calls have no known price.
        unpriced_tokens: The tokens of these.
    """

    calls: int = 0
    tokens: int = 0
    usd: Decimal = _ZERO
    unpriced: int = 0
    unpriced_tokens: int = 0

    def __add__(self, other: "SavingsPart") -> "SavingsPart":
        if other is NOTHING or self is NOTHING:
            return self if other is NOTHING else other
        return SavingsPart(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.usd + other.usd,
            self.unpriced + other.unpriced,
            self.unpriced_tokens + other.unpriced_tokens,
        )


NOTHING: Final = SavingsPart()


class Sums(msgspec.Struct, frozen=True):
    """Savings and their costs; docs/guides/savings.md explains each kind.

    Parameters:
        exact: Saved by exact hits.
        semantic: Saved by semantic hits.
        stale: Saved by stale hits.
        joined: Saved by calls that shared the answer of a call in flight.
        read: Saved by reads from the provider's own prompt cache.
        write: Cost of writes to that prompt cache.
        refresh: Cost of refreshing entries in the background.
        embedding: Cost of embeddings.
        audit: Cost of embeddings that audit semantic matches.
        upstream: Paid to providers for answers whose usage was read.
        unread: Calls to providers whose usage was not read.
        storage_byte_hours: Bytes stored, times hours.
        storage_usd: Cost of storage in US dollars; None without a storage price.
    """

    exact: SavingsPart = NOTHING
    semantic: SavingsPart = NOTHING
    stale: SavingsPart = NOTHING
    joined: SavingsPart = NOTHING
    read: SavingsPart = NOTHING
    write: SavingsPart = NOTHING
    refresh: SavingsPart = NOTHING
    embedding: SavingsPart = NOTHING
    audit: SavingsPart = NOTHING
    upstream: SavingsPart = NOTHING
    unread: SavingsPart = NOTHING
    storage_byte_hours: int = 0
    storage_usd: Decimal | None = None

    def __add__(self, other: "Sums") -> "Sums":
        parts = {kind: self.part(kind) + other.part(kind) for kind in KINDS}
        priced = [usd for usd in (self.storage_usd, other.storage_usd) if usd is not None]
        return Sums(
            **parts,
            storage_byte_hours=self.storage_byte_hours + other.storage_byte_hours,
            storage_usd=sum(priced, _ZERO) if priced else None,
        )

    def part(self, word: str) -> SavingsPart:
        """Return the part of a kind such as `exact`."""
        part: SavingsPart = getattr(self, word)
        return part

    @property
    def answers_usd(self) -> Decimal:
        """US dollars saved by hits and joined calls."""
        return self.exact.usd + self.semantic.usd + self.stale.usd + self.joined.usd

    @property
    def saved_usd(self) -> Decimal:
        """US dollars saved, including those of the provider's own prompt cache."""
        return self.answers_usd + self.read.usd

    @property
    def cost_usd(self) -> Decimal:
        """US dollars that saving cost, including storage."""
        costs = sum((self.part(kind).usd for kind in COSTS), _ZERO)
        return costs + (self.storage_usd or _ZERO)

    @property
    def net_usd(self) -> Decimal:
        """US dollars saved minus US dollars that saving cost."""
        return self.saved_usd - self.cost_usd


class SavingsLine(msgspec.Struct, frozen=True):
    """The sums of one day or month, tenant, model and route.

    Parameters:
        day: A UTC day such as `2026-11-27` or a month such as `2026-08`.
        tenant: The tenant; empty for costs that all tenants share, such as embeddings. Tenant,
            model and route are all `other` for combinations beyond the limit of the day.
        model: The model that answered.
        route: The path of the request.
        sums: The savings and costs.
    """

    day: str
    tenant: str
    model: str
    route: str
    sums: Sums


class Savings(msgspec.Struct, frozen=True):
    """The savings of a range of days.

    Parameters:
        since: The first UTC day, such as `2026-11-01`; the first of the month if that month's days
            were folded.
        until: The last UTC day, which is included.
        total: The sums of all lines.
        lines: The sums by day, tenant, model and route, in that order.
    """

    since: str
    until: str
    total: Sums
    lines: tuple[SavingsLine, ...] = ()

    def by(self, what: By) -> dict[str, Sums]:
        """Return the sums of each group, in the order of the groups' names.

        Parameters:
            what: what to group by: `day`, `tenant`, `model` or `route`.
        """
        groups: dict[str, Sums] = {}
        for line in self.lines:
            name: str = getattr(line, what)
            groups[name] = groups.get(name, Sums()) + line.sums
        return dict(sorted(groups.items()))

    def nameless(self) -> "Savings":
        """Return the same by day only, without the names of tenants, models and routes."""
        days = self.by("day").items()
        lines = tuple(SavingsLine(day, "", "", "", sums) for day, sums in days)
        return msgspec.structs.replace(self, lines=lines)


def savings_of_counters(
    counters: Mapping[str, int], today: date, days: int, storage_price: Decimal | None = None
) -> Savings:
    """Return the savings in a store's counters for the last `days` days, including today.

    `storage_price` is US dollars for a gigabyte and a month. A folded month counts as a whole if
    the range includes any of its days.
    """
    since = first_day(today, days)
    groups: dict[str, dict[str, int]] = {}
    total: dict[str, int] = {}
    for name, count in counters.items():
        start, _, field = name.rpartition("|")
        groups.setdefault(start, {})[field] = count
    lines = []
    first = since
    for start, counts in sorted(groups.items()):
        period, names = _parts(start)
        begins = _first_of(period)
        if begins is None or not _is_within(period, begins, since, today):
            continue
        first = min(first, begins)
        tenant, model, route = map(_unescaped, names)
        lines.append(SavingsLine(period, tenant, model, route, _sums(counts, storage_price)))
        for field, count in counts.items():
            total[field] = total.get(field, 0) + count
    priced = [line.sums.storage_usd for line in lines if line.sums.storage_usd is not None]
    sums = msgspec.structs.replace(
        _sums(total, None), storage_usd=sum(priced, _ZERO) if priced else None
    )
    return Savings(first.isoformat(), today.isoformat(), sums, tuple(lines))


def first_day(today: date, days: int) -> date:
    """Return the first of the last `days` days, including today."""
    return today - timedelta(days=min(days, (today - date.min).days + 1) - 1)


def prefixes(today: date, days: int) -> list[str]:
    """Return the prefixes of the counters of the last `days` days."""
    since = first_day(today, days)
    if days > _MANY_DAYS:
        return [DAY, MONTH]
    months = sorted({f"{since + timedelta(day):%Y-%m}" for day in range((today - since).days + 1)})
    return [f"{start}{month}" for month in months for start in (DAY, MONTH)]


def folded(
    counters: Mapping[str, int], before: date, max_groups: int = MAX_GROUPS
) -> dict[str, int]:
    """Return what to add to the counters to fold the days before `before` into their months.

    Nothing is lost: each number leaves its day and is added to its month. A month has at most
    `max_groups` groups, too.
    """
    known: dict[str, set[str]] = {}
    for name in counters:
        if name.startswith(MONTH):
            period, names = _parts(name.rpartition("|")[0])
            known.setdefault(period, set()).add("|".join(names))
    moves: dict[str, int] = {}
    for name, count in sorted(counters.items()):
        start, _, field = name.rpartition("|")
        period, names = _parts(start)
        begins = _first_of(period)
        if not name.startswith(DAY) or begins is None or begins >= before:
            continue
        month, group = period[:7], "|".join(names)
        groups = known.setdefault(month, set())
        if group not in groups and len(groups - {OTHER}) >= max_groups:
            group = OTHER
        groups.add(group)
        moves[name] = -count
        target = f"{MONTH}{month}|{group}|{field}"
        moves[target] = moves.get(target, 0) + count
    return {name: count for name, count in moves.items() if count}


def _parts(start: str) -> tuple[str, tuple[str, str, str]]:
    """Split the start of a counter's name into period and names; no period if it is not daily."""
    parts = start.split("|")
    if len(parts) != 6 or parts[0] or f"|{parts[1]}|" not in (DAY, MONTH):
        return "", ("", "", "")
    return parts[2], (parts[3], parts[4], parts[5])


def _first_of(period: str) -> date | None:
    """Return the first day of a day or a month."""
    try:
        return date.fromisoformat(period if len(period) == 10 else f"{period}-01")
    except ValueError:
        return None


def _is_within(period: str, begins: date, since: date, today: date) -> bool:
    if len(period) == 10:
        return since <= begins <= today
    return f"{since:%Y-%m}" <= period <= f"{today:%Y-%m}"


def _sums(counts: Mapping[str, int], storage_price: Decimal | None) -> Sums:
    counted = {name.partition(".")[0] for name in counts}
    parts = {
        kind: SavingsPart(
            counts.get(f"{kind}.calls", 0),
            counts.get(f"{kind}.tokens", 0),
            _usd(kind, counts),
            counts.get(f"{kind}.unpriced", 0),
            counts.get(f"{kind}.unpriced_tokens", 0),
        )
        for kind in KINDS
        if kind in counted
    }
    byte_hours = counts.get("storage.byte_hours", 0)
    usd = None
    if storage_price is not None:
        whole = byte_hours * storage_price / _BYTE_HOURS_OF_A_GB_MONTH
        usd = whole.quantize(1 / PICO_DOLLARS)
    return Sums(**parts, storage_byte_hours=byte_hours, storage_usd=usd)


def _usd(kind: str, counts: Mapping[str, int]) -> Decimal:
    if kind in PICO:
        return counts.get(f"{kind}.pico", 0) / PICO_DOLLARS
    return counts.get(f"{kind}.nano", 0) / NANO


def _unescaped(name: str) -> str:
    return name.replace("%7C", "|").replace("%25", "%")


def plain_savings(savings: Savings) -> dict[str, object]:
    """Return the savings for JSON, with the dollars saved, spent and net; money as Decimals."""
    return {
        "since": savings.since,
        "until": savings.until,
        "total": plain_sums(savings.total),
        "lines": [
            {
                "day": line.day,
                "tenant": line.tenant,
                "model": line.model,
                "route": line.route,
                **plain_sums(line.sums),
            }
            for line in savings.lines
        ],
    }


def plain_sums(sums: Sums) -> dict[str, object]:
    """Return sums for JSON, with the dollars saved, spent and net; money as Decimals."""
    parts: dict[str, object] = {kind: msgspec.structs.asdict(sums.part(kind)) for kind in KINDS}
    return {
        "saved_usd": sums.saved_usd,
        "cost_usd": sums.cost_usd,
        "net_usd": sums.net_usd,
        **parts,
        "storage_byte_hours": sums.storage_byte_hours,
        "storage_usd": sums.storage_usd,
    }


def savings_of_json(plain: bytes) -> Savings | None:
    """Return the savings that the JSON of `plain_savings` holds; None if it is something else."""
    try:
        found = msgspec.json.decode(plain, type=_Plain, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    lines = tuple(
        SavingsLine(line.day, line.tenant, line.model, line.route, _only_sums(line))
        for line in found.lines
    )
    return Savings(found.since, found.until, _only_sums(found.total), lines)


class _PlainLine(Sums, frozen=True, kw_only=True):
    day: str
    tenant: str
    model: str
    route: str


class _Plain(msgspec.Struct, frozen=True):
    since: str
    until: str
    total: Sums
    lines: tuple[_PlainLine, ...]


def _only_sums(sums: Sums) -> Sums:
    return Sums(**{name: getattr(sums, name) for name in Sums.__struct_fields__})
