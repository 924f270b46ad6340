"""The daybook: what answers saved and cost, by day, tenant, model and route, as it comes in.

Everything is an integer, so that any split over processes adds up to the same sums. Money is in
nano-dollars; that of embedding, of which one call may cost less than one of them, in pico-dollars.
What is taken out of the book has the names of a store's counters:

    |day|2026-11-27|TENANT|MODEL|ROUTE|exact.nano

Of a day there are so many rows and no more; what comes after them counts in a row `other`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from askonce.core.models import SUBDIVIDES, Entry, Outcome
from askonce.ledger.charges import Charge

WORDS: Final = (
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
"""What is counted. Saved: `exact`, `semantic`, `stale`, `joined`, and `read` out of the provider's
own cache. Cost: `write` into that one, `refresh` ahead of an entry's end, `embedding`, `audit`.
Beside both: what was paid `upstream`, and answers of which that was `unread`."""

PICO: Final = frozenset({"embedding", "audit"})
"""The words whose money is in pico-dollars."""

SAVED: Final = WORDS[:5]
COSTS: Final = WORDS[5:9]
CALLS, TOKENS, MONEY, UNPRICED, UNPRICED_TOKENS = range(5)
BYTE_HOURS: Final = len(WORDS) * 5

CELLS: Final = (
    *(
        f"{word}.{cell}"
        for word in WORDS
        for cell in (
            "calls",
            "tokens",
            "pico" if word in PICO else "nano",
            "unpriced",
            "unpriced_tokens",
        )
    ),
    "storage.byte_hours",
)
"""The names of a row's numbers, in their order."""

BOOK, DAY, MONTH, OTHER = "|", "|day|", "|month|", "other|other|other"
MOST_ROWS: Final = 500

_DAY_SECONDS = 86_400
_DAY_ZERO = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _DAY_ZERO
_NANO, _PICO = Decimal(10**9), Decimal(10**12)
_LONGEST = 96  # characters of a name
_MOST_FOUND = 4_096
_MOST_TOKENS, _MOST_USD = 1 << 40, Decimal(1_000_000)
"""Of one answer. Numbers beyond these are not true, and a sum of them would fit into no store."""
_LONGEST_LIFE = 10 * 365 * 86_400.0
_AT = {word: place * 5 for place, word in enumerate(WORDS)}
_KIND = {
    Outcome.HIT_MEMORY: _AT["exact"],
    Outcome.HIT_SHARED: _AT["exact"],
    Outcome.HIT_SEMANTIC: _AT["semantic"],
    Outcome.STALE: _AT["stale"],
    Outcome.JOINED: _AT["joined"],
}

Row = list[int]


class Saved(NamedTuple):
    """What answers saved, since the book was begun."""

    nano_usd: int
    tokens: int
    unpriced: int


class DailyUsage:
    """Sums by row. Not safe from several threads: the ledger's guard is its guard.

    Times are seconds since the Unix epoch, days are UTC's. A clock that jumps counts each answer
    on the day that it said.
    """

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most = most_rows
        self._days: dict[int, dict[str, Row]] = {}
        self._known: dict[int, set[str]] = {}
        self._day = 0
        self._start = self._end = 0.0
        self._rows: dict[str, Row] = {}
        self._found: dict[tuple[str, str, str], Row] = {}
        self._nanos: dict[
            Decimal, int | None
        ] = {}  # a Decimal's product takes longer than all the rest
        self._returned: dict[str, int] = {}
        self._totals: Row = [0] * len(CELLS)

    # What comes in

    def saved(self, outcome: Outcome, entry: Entry, now: float, times: int = 1) -> None:
        """So many calls were spared by an entry."""
        if entry.status >= 400:
            return  # the provider's "no" is free
        if not self._start <= now < self._end:
            self._turn(now)
        try:
            row = self._found[entry.key[0], entry.model, entry.route]
        except KeyError:
            row = self._row(entry.key[0], entry.model, entry.route)
        at = _KIND[outcome]
        usage, cost = entry.usage, entry.cost_usd
        row[at] += times
        tokens = 0
        if usage is not None:
            tokens = usage.input_tokens + usage.output_tokens
            tokens = tokens * times if 0 <= tokens <= _MOST_TOKENS else 0
            row[at + TOKENS] += tokens
        nano = None
        if cost is not None:
            nano = self._nanos[cost] if cost in self._nanos else self._nano(cost)
        if nano is not None:
            row[at + MONEY] += nano * times
        else:
            row[at + UNPRICED] += times
            row[at + UNPRICED_TOKENS] += tokens

    def asked(self, entry: Entry, charge: Charge, now: float, *, refreshing: bool) -> None:
        """The provider gave an entry's answer, for a caller or, `refreshing`, for none."""
        row = self._row_of(entry, now)
        usage = entry.usage
        words = ("upstream", "refresh") if refreshing else ("upstream",)
        for word in words:
            total = 0 if usage is None else usage.total_tokens
            _add(row, word, total, charge.total)
        if usage is None:
            return
        if usage.cache_read_tokens:
            _add(row, "read", usage.cache_read_tokens, charge.read_saved)
        if usage.cache_write_tokens:
            _add(row, "write", usage.cache_write_tokens, charge.write_surcharge)

    def unread(self, now: float) -> None:
        """The provider was asked, and what its answer cost was not read.

        No row of a tenant's: anybody can ask what is refused, under as many names as they like.
        """
        self._at("", "", "", now)[_AT["unread"]] += 1

    def kept(self, entry: Entry, now: float) -> None:
        """An entry was stored: it takes its place for as long as it may live."""
        life = min(max(entry.expires, entry.stale_until) - now, _LONGEST_LIFE)
        if life > 0:
            size = len(entry.body) + len(entry.question)
            self._row_of(entry, now)[BYTE_HOURS] += round(size * life / 3600)

    def embedded(
        self, model: str, tokens: int, audited: int, cost: Decimal | None, now: float
    ) -> None:
        """Texts were embedded for so many tokens; so many of them to compare answers.

        Of 0 tokens nobody knows how many they were.
        """
        row = self._at("", model, "", now)
        pico = _units(cost, _PICO) if tokens else None
        of_audit = None if pico is None else pico * audited // tokens
        if audited:
            _add_units(row, "audit", audited, of_audit)
        if tokens > audited or not tokens:
            rest = None if pico is None or of_audit is None else pico - of_audit
            _add_units(row, "embedding", tokens - audited, rest)

    # What goes out

    def take(self) -> dict[str, int]:
        """What came in since the last `take`, by the names of counters."""
        taken, self._returned = defaultdict(int, self._returned), {}
        for day, rows in self._days.items():
            known = self._known.setdefault(day, set())
            for names, row in rows.items():
                if any(row):
                    start = self._place(day, names, known)
                    for place, count in enumerate(row):
                        if count:
                            taken[start + CELLS[place]] += count
                            self._totals[place] += count
                    row[:] = [0] * len(row)
        for day in [day for day in self._days if day != self._day]:
            del self._days[day], self._known[day]
        return dict(taken)

    def give_back(self, taken: Mapping[str, int]) -> None:
        """What was taken could not be kept: it counts as new again."""
        for name, count in taken.items():
            self._returned[name] = self._returned.get(name, 0) + count

    def unlearned(self) -> list[str]:
        """Where the names of those days begin that have rows new to this process."""
        return [
            _start(day)
            for day, rows in self._days.items()
            if self._has_new(rows, self._known.get(day, set()))
        ]

    def _has_new(self, rows: dict[str, Row], known: set[str]) -> bool:
        """Are there rows that may need room, where there is any?"""
        if len(known) >= self._most:
            return False
        return any(
            names not in known and names != OTHER and any(row) for names, row in rows.items()
        )

    def learn(self, start: str, names: Iterable[str]) -> None:
        """What rows the store has of a day already: they count among its rows."""
        for day in self._days:
            if _start(day) == start:
                known = self._known.setdefault(day, set())
                known.update(name[len(start) :].rpartition("|")[0] for name in names)
                known.discard(OTHER)

    def usd(self, word: str) -> Decimal:
        """The US dollars of one word since the book was begun, of all days."""
        place = _AT[word] + MONEY
        rows = (row[place] for rows in self._days.values() for row in rows.values())
        return (self._totals[place] + sum(rows)) / (_PICO if word in PICO else _NANO)

    def all_saved(self) -> Saved:
        """What answers saved, of all days."""
        found = [0, 0, 0]
        for row in (self._totals, *(row for rows in self._days.values() for row in rows.values())):
            for word in SAVED[:4]:
                at = _AT[word]
                found[0] += row[at + MONEY]
                found[1] += row[at + TOKENS]
                found[2] += row[at + UNPRICED]
        return Saved(*found)

    # Rows

    def _row_of(self, entry: Entry, now: float) -> Row:
        return self._at(entry.key.namespace, entry.model, entry.route, now)

    def _at(self, namespace: str, model: str, route: str, now: float) -> Row:
        if not self._start <= now < self._end:
            self._turn(now)
        return self._row(namespace, model, route)

    def _turn(self, now: float) -> None:
        """Go to the day of a time; a time that no calendar has counts on the nearest one's."""
        self._day = day = int(min(max(now // _DAY_SECONDS, 0), _LAST_DAY))
        self._start, self._end = day * float(_DAY_SECONDS), (day + 1) * float(_DAY_SECONDS)
        if now < self._start:
            self._start = now
        elif now >= self._end:
            self._end = now + 1
        self._rows = self._days.setdefault(day, {})
        self._found.clear()

    def _row(self, namespace: str, model: str, route: str) -> Row:
        asked = (namespace, model, route)
        row = self._found.get(asked)
        if row is None:
            tenant = namespace.partition(SUBDIVIDES)[0]
            names = "|".join(map(_named, (tenant, model, route)))
            if names not in self._rows and len(self._rows) >= self._most:
                names = OTHER
            row = self._rows.setdefault(names, [0] * len(CELLS))
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found[asked] = row
        return row

    def _nano(self, cost: Decimal) -> int | None:
        if len(self._nanos) >= _MOST_FOUND:
            self._nanos.clear()
        nano = self._nanos[cost] = _units(cost, _NANO)
        return nano

    def _place(self, day: int, names: str, known: set[str]) -> str:
        """Where a row's counters are kept: under its names, as long as the day has room."""
        if names != OTHER and names not in known:
            if len(known) >= self._most:
                names = OTHER
            else:
                known.add(names)
        return f"{_start(day)}{names}|"


def _add(row: Row, word: str, tokens: int, usd: Decimal | None) -> None:
    _add_units(row, word, tokens, _units(usd, _NANO))


def _units(usd: Decimal | None, unit: Decimal) -> int | None:
    """Dollars as whole units, rounded towards zero; None for what no answer costs."""
    if usd is None or not -_MOST_USD <= usd <= _MOST_USD:
        return None
    return int(usd * unit)


def _add_units(row: Row, word: str, tokens: int, money: int | None) -> None:
    at = _AT[word]
    tokens = tokens if 0 <= tokens <= _MOST_TOKENS else 0
    row[at] += 1
    row[at + TOKENS] += tokens
    if money is None:
        row[at + UNPRICED] += 1
        row[at + UNPRICED_TOKENS] += tokens
    else:
        row[at + MONEY] += money


def _start(day: int) -> str:
    return f"{DAY}{date.fromordinal(_DAY_ZERO + day).isoformat()}|"


def _named(name: str) -> str:
    """A name within a counter's: on one line, not too long, and without a `|` of its own."""
    name = "".join(char if char.isprintable() else "?" for char in name[:_LONGEST])
    return name.replace("%", "%25").replace("|", "%7C")
