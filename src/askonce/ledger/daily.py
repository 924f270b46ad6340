"""Daily usage: what answers saved and cost, added up by day, tenant, model and route.

Every number is an integer, so the numbers of several processes add up exactly. Money is in
nano-dollars; the money of embeddings is in pico-dollars, because one call may cost less than a
nano-dollar. `DailyUsage.take` names each number as a counter of the store:

    |day|2026-11-27|TENANT|MODEL|ROUTE|exact.nano

A combination of tenant, model and route is a group. A day has a limited number of groups; what
comes later counts in the group `other`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from askonce.core.models import SUBDIVIDES, Entry, Outcome
from askonce.ledger.prices import Charge

KINDS: Final = (
    "exact",
    "semantic",
    "stale",
    "joined",
    "read",
    "write",
    "refresh",
    "embedding",
    "audit",
    "upstream",
    "unread",
)
"""The kinds of savings and costs.

Savings: `exact`, `semantic` and `stale` hits, `joined` calls, and `read` from the provider's prompt
cache. Costs: `write` to that cache, `refresh` of an entry before it ends, `embedding`, `audit`.
Neither: the money paid `upstream`, and answers whose usage was `unread`."""

PICO: Final = frozenset({"embedding", "audit"})
"""The kinds whose money is in pico-dollars."""

SAVED: Final = KINDS[:5]
COSTS: Final = KINDS[5:9]
CALLS, TOKENS, MONEY, UNPRICED, UNPRICED_TOKENS = range(5)
BYTE_HOURS: Final = len(KINDS) * 5

FIELDS: Final = (
    *(
        f"{kind}.{field}"
        for kind in KINDS
        for field in (
            "calls",
            "tokens",
            "pico" if kind in PICO else "nano",
            "unpriced",
            "unpriced_tokens",
        )
    ),
    "storage.byte_hours",
)
"""The names of a group's numbers, in their order."""

DAILY, DAY, MONTH, OTHER = "|", "|day|", "|month|", "other|other|other"
"""How the names of daily counters begin, those of a day and of a month, and the group `other`."""
MAX_GROUPS: Final = 500
NANO, PICO_DOLLARS = Decimal(10**9), Decimal(10**12)

_DAY_SECONDS = 86_400
_DAY_ZERO = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _DAY_ZERO
_LONGEST = 96  # characters of a name
_MOST_CACHED = 4_096
_MOST_TOKENS, _MOST_USD = 1 << 40, Decimal(1_000_000)
"""The limits of one answer: larger numbers are false, and no store could hold their sum."""
_LONGEST_LIFE = 10 * 365 * 86_400.0
_AT = {kind: place * 5 for place, kind in enumerate(KINDS)}
_KIND_OF = {
    Outcome.HIT_MEMORY: _AT["exact"],
    Outcome.HIT_SHARED: _AT["exact"],
    Outcome.HIT_SEMANTIC: _AT["semantic"],
    Outcome.STALE: _AT["stale"],
    Outcome.JOINED: _AT["joined"],
}

GroupCounts = list[int]
"""The numbers of one group, in the order of `FIELDS`."""


class SavedTotals(NamedTuple):
    """What answers saved since the process started."""

    nano_usd: int
    tokens: int
    unpriced: int


class DailyUsage:
    """GroupCounts by group and day. Not thread-safe: the ledger holds its lock around every call.

    Times are seconds since the Unix epoch, days are UTC days. If the clock jumps, each answer
    counts on the day that the clock showed.

    Parameters:
        max_groups: The most groups that a day keeps apart.
    """

    def __init__(self, max_groups: int = MAX_GROUPS) -> None:
        self._max_groups = max_groups
        self._days: dict[int, dict[str, GroupCounts]] = {}
        self._stored: dict[int, set[str]] = {}
        self._day = 0
        self._start = self._end = 0.0
        self._groups: dict[str, GroupCounts] = {}
        # Plain dicts, cleared when they are full: every hit reads both.
        self._group_cache: dict[tuple[str, str, str], GroupCounts] = {}
        self._nano_cache: dict[Decimal, int | None] = {}  # a product of Decimals is slow
        self._returned: dict[str, int] = {}
        self._totals: GroupCounts = [0] * len(FIELDS)

    # Counting

    def add_saved(self, outcome: Outcome, entry: Entry, now: float, times: int = 1) -> None:
        """Count `times` calls that an entry saved."""
        if entry.status >= 400:
            return  # providers charge nothing for errors
        if not self._start <= now < self._end:
            self._change_day(now)
        try:
            group = self._group_cache[entry.key[0], entry.model, entry.route]
        except KeyError:
            group = self._group(entry.key[0], entry.model, entry.route)
        at = _KIND_OF[outcome]
        usage, cost = entry.usage, entry.cost_usd
        group[at] += times
        tokens = 0
        if usage is not None:
            tokens = usage.input_tokens + usage.output_tokens
            tokens = tokens * times if 0 <= tokens <= _MOST_TOKENS else 0
            group[at + TOKENS] += tokens
        nano = None
        if cost is not None:
            nano = self._nano_cache[cost] if cost in self._nano_cache else self._nano(cost)
        if nano is not None:
            group[at + MONEY] += nano * times
        else:
            group[at + UNPRICED] += times
            group[at + UNPRICED_TOKENS] += tokens

    def add_paid(self, entry: Entry, charge: Charge, now: float, *, refreshing: bool) -> None:
        """Count an answer of the provider, for a caller or, if `refreshing`, in the background."""
        group = self._group_of(entry, now)
        usage = entry.usage
        for kind in ("upstream", "refresh") if refreshing else ("upstream",):
            _add_usd(group, kind, 0 if usage is None else usage.total_tokens, charge.total)
        if usage is None:
            return
        if usage.cache_read_tokens:
            _add_usd(group, "read", usage.cache_read_tokens, charge.read_saved)
        if usage.cache_write_tokens:
            _add_usd(group, "write", usage.cache_write_tokens, charge.write_surcharge)

    def add_unread(self, now: float) -> None:
        """Count an answer of the provider whose usage was not read.

        It has no tenant, model or route: anyone can send refused requests under any name.
        """
        self._group_at("", "", "", now)[_AT["unread"]] += 1

    def add_stored(self, entry: Entry, now: float) -> None:
        """Count the storage of an entry, from now until it ends."""
        life = min(max(entry.expires, entry.stale_until) - now, _LONGEST_LIFE)
        if life > 0:
            size = len(entry.body) + len(entry.question)
            self._group_of(entry, now)[BYTE_HOURS] += round(size * life / 3600)

    def add_embedded(
        self, model: str, tokens: int, audited: int, cost: Decimal | None, now: float
    ) -> None:
        """Count an embedding of `tokens` tokens, 0 if unknown; `audited` of them for an audit."""
        group = self._group_at("", model, "", now)
        pico = _units(cost, PICO_DOLLARS) if tokens else None
        of_audit = None if pico is None else pico * audited // tokens
        if audited:
            _add(group, "audit", audited, of_audit)
        if tokens > audited or not tokens:
            rest = None if pico is None or of_audit is None else pico - of_audit
            _add(group, "embedding", tokens - audited, rest)

    # Reading

    def take(self) -> dict[str, int]:
        """Return the new counts since the last `take`, by counter name."""
        taken, self._returned = defaultdict(int, self._returned), {}
        for day, groups in self._days.items():
            stored = self._stored.setdefault(day, set())
            for names, group in groups.items():
                if any(group):
                    start = self._counter_start(day, names, stored)
                    for place, count in enumerate(group):
                        if count:
                            taken[start + FIELDS[place]] += count
                            self._totals[place] += count
                    group[:] = [0] * len(group)
        for day in [day for day in self._days if day != self._day]:
            del self._days[day], self._stored[day]
        return dict(taken)

    def give_back(self, taken: Mapping[str, int]) -> None:
        """Count the result of a `take` again: the store did not accept it."""
        for name, count in taken.items():
            self._returned[name] = self._returned.get(name, 0) + count

    def unmerged_days(self) -> list[str]:
        """Return the counter prefixes of days that have groups new to this process."""
        return [
            _prefix(day)
            for day, groups in self._days.items()
            if self._has_new(groups, self._stored.get(day, set()))
        ]

    def _has_new(self, groups: dict[str, GroupCounts], stored: set[str]) -> bool:
        if len(stored) >= self._max_groups:
            return False
        return any(
            names not in stored and names != OTHER and any(group) for names, group in groups.items()
        )

    def merge_groups(self, prefix: str, names: Iterable[str]) -> None:
        """Count the groups that the store has under a day's prefix towards the day's limit."""
        for day in self._days:
            if _prefix(day) == prefix:
                stored = self._stored.setdefault(day, set())
                stored.update(name[len(prefix) :].rpartition("|")[0] for name in names)
                stored.discard(OTHER)

    def usd(self, kind: str) -> Decimal:
        """Return the US dollars of one kind since the process started."""
        place = _AT[kind] + MONEY
        return sum(sums[place] for sums in self._all()) / (PICO_DOLLARS if kind in PICO else NANO)

    def all_saved(self) -> SavedTotals:
        """Return what answers saved since the process started."""
        found = [0, 0, 0]
        for sums in self._all():
            for kind in SAVED[:4]:
                at = _AT[kind]
                found[0] += sums[at + MONEY]
                found[1] += sums[at + TOKENS]
                found[2] += sums[at + UNPRICED]
        return SavedTotals(*found)

    # Groups

    def _all(self) -> Iterator[GroupCounts]:
        yield self._totals
        for groups in self._days.values():
            yield from groups.values()

    def _group_of(self, entry: Entry, now: float) -> GroupCounts:
        return self._group_at(entry.key.namespace, entry.model, entry.route, now)

    def _group_at(self, namespace: str, model: str, route: str, now: float) -> GroupCounts:
        if not self._start <= now < self._end:
            self._change_day(now)
        return self._group(namespace, model, route)

    def _change_day(self, now: float) -> None:
        self._day = day = _day_number(now)
        self._start, self._end = day * float(_DAY_SECONDS), (day + 1) * float(_DAY_SECONDS)
        if now < self._start:
            self._start = now
        elif now >= self._end:
            self._end = now + 1
        self._groups = self._days.setdefault(day, {})
        self._group_cache.clear()

    def _group(self, namespace: str, model: str, route: str) -> GroupCounts:
        key = (namespace, model, route)
        group = self._group_cache.get(key)
        if group is None:
            tenant = namespace.partition(SUBDIVIDES)[0]
            names = "|".join(map(_escaped, (tenant, model, route)))
            if names not in self._groups and len(self._groups) >= self._max_groups:
                names = OTHER
            group = self._groups.setdefault(names, [0] * len(FIELDS))
            if len(self._group_cache) >= _MOST_CACHED:
                self._group_cache.clear()
            self._group_cache[key] = group
        return group

    def _nano(self, cost: Decimal) -> int | None:
        if len(self._nano_cache) >= _MOST_CACHED:
            self._nano_cache.clear()
        nano = self._nano_cache[cost] = _units(cost, NANO)
        return nano

    def _counter_start(self, day: int, names: str, stored: set[str]) -> str:
        """Return how a group's counters begin: with its names as long as the day has room."""
        if names != OTHER and names not in stored:
            if len(stored) >= self._max_groups:
                names = OTHER
            else:
                stored.add(names)
        return f"{_prefix(day)}{names}|"


def utc_day(now: float) -> date:
    """Return the UTC day of a time in seconds since the Unix epoch, or the nearest valid day."""
    return date.fromordinal(_DAY_ZERO + _day_number(now))


def _day_number(now: float) -> int:
    return int(min(max(now // _DAY_SECONDS, 0), _LAST_DAY))


def _add_usd(group: GroupCounts, kind: str, tokens: int, usd: Decimal | None) -> None:
    _add(group, kind, tokens, _units(usd, NANO))


def _units(usd: Decimal | None, unit: Decimal) -> int | None:
    """Return dollars as whole units, rounded towards zero; None if no answer costs as much."""
    if usd is None or not -_MOST_USD <= usd <= _MOST_USD:
        return None
    return int(usd * unit)


def _add(group: GroupCounts, kind: str, tokens: int, money: int | None) -> None:
    at = _AT[kind]
    tokens = tokens if 0 <= tokens <= _MOST_TOKENS else 0
    group[at] += 1
    group[at + TOKENS] += tokens
    if money is None:
        group[at + UNPRICED] += 1
        group[at + UNPRICED_TOKENS] += tokens
    else:
        group[at + MONEY] += money


def _prefix(day: int) -> str:
    return f"{DAY}{date.fromordinal(_DAY_ZERO + day).isoformat()}|"


def _escaped(name: str) -> str:
    """Make a name part of a counter's: printable, of limited length, and without a `|`."""
    name = "".join(char if char.isprintable() else "?" for char in name[:_LONGEST])
    return name.replace("%", "%25").replace("|", "%7C")
