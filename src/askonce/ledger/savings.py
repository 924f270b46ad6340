"""Savings: what the ledger's counters say, by day, tenant, model and route.

Nothing is estimated here: every number is a sum of what was counted when it happened, and an answer
whose price is not known is in no dollars but in `unpriced`.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal, get_args

import msgspec

from askonce.ledger.daily import BOOK, COSTS, DAY, MONTH, MOST_ROWS, OTHER, PICO, WORDS

By = Literal["day", "tenant", "model", "route"]
BY: Final[tuple[By, ...]] = get_args(By)

_NANO, _PICO = Decimal(10**9), Decimal(10**12)
_BYTE_HOURS_OF_A_GB_MONTH = Decimal(10**9 * 730)
_ZERO = Decimal(0)
_MANY_DAYS = 400


class SavingsPart(msgspec.Struct, frozen=True):
    """One kind of saving or cost: calls, their tokens, US dollars.

    `unpriced` of the calls, with `unpriced_tokens` of the tokens, have no known price and are not
    in the dollars.
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
    """What was saved and what that cost; the words are in docs/guides/savings.md.

    Saved: `exact`, `semantic` and `stale` answers out of the cache, `joined` calls, and `read` out
    of the provider's own prompt cache. Costs: `write` into that one, `refresh`, `embedding`,
    `audit` and storage. Beside both: what was paid `upstream` and read, and calls that went past
    `unread`. `storage_usd` is None where storage has no price.
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
        parts = {word: self.part(word) + other.part(word) for word in WORDS}
        priced = [usd for usd in (self.storage_usd, other.storage_usd) if usd is not None]
        return Sums(
            **parts,
            storage_byte_hours=self.storage_byte_hours + other.storage_byte_hours,
            storage_usd=sum(priced, _ZERO) if priced else None,
        )

    def part(self, word: str) -> SavingsPart:
        part: SavingsPart = getattr(self, word)
        return part

    @property
    def answers_usd(self) -> Decimal:
        """What the answers saved that came out of the cache or of a call under way."""
        return self.exact.usd + self.semantic.usd + self.stale.usd + self.joined.usd

    @property
    def saved_usd(self) -> Decimal:
        """All that was saved, the provider's own prompt cache included."""
        return self.answers_usd + self.read.usd

    @property
    def cost_usd(self) -> Decimal:
        """All that saving cost."""
        costs = sum((self.part(word).usd for word in COSTS), _ZERO)
        return costs + (self.storage_usd or _ZERO)

    @property
    def net_usd(self) -> Decimal:
        return self.saved_usd - self.cost_usd


class SavingsLine(msgspec.Struct, frozen=True):
    """The sums of one day (`2026-11-27`) or month (`2026-08`), tenant, model and route.

    What served everybody, as embedding, has no tenant. What came after a day had all the rows that
    it may have is in a line whose tenant, model and route are `other`.
    """

    day: str
    tenant: str
    model: str
    route: str
    sums: Sums


class Savings(msgspec.Struct, frozen=True):
    """What was saved from the day `since` up to and with the day `until`, both in UTC.

    Where days were folded into their month, `since` is that month's first.
    """

    since: str
    until: str
    total: Sums
    lines: tuple[SavingsLine, ...] = ()

    def by(self, what: By) -> dict[str, Sums]:
        """The sums for each day, tenant, model or route, in the order of their names."""
        groups: dict[str, Sums] = {}
        for line in self.lines:
            name: str = getattr(line, what)
            groups[name] = groups.get(name, Sums()) + line.sums
        return dict(sorted(groups.items()))

    def nameless(self) -> "Savings":
        """The same by day alone: of nobody's names anything is said."""
        days = self.by("day").items()
        lines = tuple(SavingsLine(day, "", "", "", sums) for day, sums in days)
        return msgspec.structs.replace(self, lines=lines)


def read_savings(
    counters: Mapping[str, int], today: date, days: int, storage_price: Decimal | None = None
) -> Savings:
    """What the counters of a book say of the last `days` days, today among them.

    `storage_price` is US dollars for a gigabyte and a month. A month whose days were folded counts
    as a whole where any of its days is asked for.
    """
    since = first_day(today, days)
    rows: dict[str, dict[str, int]] = {}
    total: dict[str, int] = {}
    for name, count in counters.items():
        row, _, cell = name.rpartition("|")
        rows.setdefault(row, {})[cell] = count
    lines = []
    first = since
    for row, counts in sorted(rows.items()):
        period, names = _parts(row)
        begins = _first_of(period)
        if begins is None or not _is_asked_for(period, begins, since, today):
            continue
        first = min(first, begins)
        tenant, model, route = map(_shown, names)
        lines.append(SavingsLine(period, tenant, model, route, _sums(counts, storage_price)))
        for cell, count in counts.items():
            total[cell] = total.get(cell, 0) + count
    priced = [line.sums.storage_usd for line in lines if line.sums.storage_usd is not None]
    sums = msgspec.structs.replace(
        _sums(total, None), storage_usd=sum(priced, _ZERO) if priced else None
    )
    return Savings(first.isoformat(), today.isoformat(), sums, tuple(lines))


def first_day(today: date, days: int) -> date:
    """The first of so many days, today among them."""
    return today - timedelta(days=min(days, (today - date.min).days + 1) - 1)


def places(today: date, days: int) -> list[str]:
    """Where the names of the counters begin that tell of the last `days` days."""
    since = first_day(today, days)
    if days > _MANY_DAYS:
        return [DAY, MONTH]
    months = sorted({f"{since + timedelta(day):%Y-%m}" for day in range((today - since).days + 1)})
    return [f"{book}{month}" for month in months for book in (DAY, MONTH)]


def folded(counters: Mapping[str, int], before: date, most_rows: int = MOST_ROWS) -> dict[str, int]:
    """What to add to the counters so that the days before a day are in their months.

    Nothing is lost: as much as is taken from a day is added to its month. A month has at most so
    many rows too.
    """
    known: dict[str, set[str]] = {}
    for name in counters:
        if name.startswith(MONTH):
            period, names = _parts(name.rpartition("|")[0])
            known.setdefault(period, set()).add("|".join(names))
    moves: dict[str, int] = {}
    for name, count in sorted(counters.items()):
        start, _, cell = name.rpartition("|")
        period, names = _parts(start)
        begins = _first_of(period)
        if not name.startswith(DAY) or begins is None or begins >= before:
            continue
        month, row = period[:7], "|".join(names)
        rows = known.setdefault(month, set())
        if row not in rows and len(rows - {OTHER}) >= most_rows:
            row = OTHER
        rows.add(row)
        moves[name] = -count
        target = f"{MONTH}{month}|{row}|{cell}"
        moves[target] = moves.get(target, 0) + count
    return {name: count for name, count in moves.items() if count}


def _parts(row: str) -> tuple[str, tuple[str, str, str]]:
    """The period and the names of a row; no period where it is none of ours."""
    parts = row.split("|")
    if len(parts) != 6 or f"|{parts[1]}|" not in (DAY, MONTH) or not row.startswith(BOOK):
        return "", ("", "", "")
    return parts[2], (parts[3], parts[4], parts[5])


def _first_of(period: str) -> date | None:
    """The first day of a day or a month."""
    try:
        return date.fromisoformat(period if len(period) == 10 else f"{period}-01")
    except ValueError:
        return None


def _is_asked_for(period: str, begins: date, since: date, today: date) -> bool:
    if len(period) == 10:
        return since <= begins <= today
    return f"{since:%Y-%m}" <= period <= f"{today:%Y-%m}"


def _sums(counts: Mapping[str, int], storage_price: Decimal | None) -> Sums:
    words = {name.partition(".")[0] for name in counts}
    parts = {
        word: SavingsPart(
            counts.get(f"{word}.calls", 0),
            counts.get(f"{word}.tokens", 0),
            _usd(word, counts),
            counts.get(f"{word}.unpriced", 0),
            counts.get(f"{word}.unpriced_tokens", 0),
        )
        for word in WORDS
        if word in words
    }
    byte_hours = counts.get("storage.byte_hours", 0)
    usd = None
    if storage_price is not None:
        whole = byte_hours * storage_price / _BYTE_HOURS_OF_A_GB_MONTH
        usd = whole.quantize(1 / _PICO)
    return Sums(**parts, storage_byte_hours=byte_hours, storage_usd=usd)


def _usd(word: str, counts: Mapping[str, int]) -> Decimal:
    if word in PICO:
        return counts.get(f"{word}.pico", 0) / _PICO
    return counts.get(f"{word}.nano", 0) / _NANO


def _shown(name: str) -> str:
    return name.replace("%7C", "|").replace("%25", "%")


def plain_savings(savings: Savings) -> dict[str, object]:
    """The savings for JSON, with what follows from the sums."""
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
    """Sums for JSON; dollars are Decimals still."""
    parts: dict[str, object] = {
        word: {name: getattr(sums.part(word), name) for name in SavingsPart.__struct_fields__}
        for word in WORDS
    }
    return {
        "saved_usd": sums.saved_usd,
        "cost_usd": sums.cost_usd,
        "net_usd": sums.net_usd,
        **parts,
        "storage_byte_hours": sums.storage_byte_hours,
        "storage_usd": sums.storage_usd,
    }


def savings_of(plain: bytes) -> Savings | None:
    """The savings out of such JSON; None where it is none."""
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
