"""The ledger: how calls were answered, why, and what that saved.

Everything is an integer, so that counts of several processes add up exactly: money is kept in
nano-dollars. A call has one outcome and one reason; both are the words of `records`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import msgspec

from askonce.core.models import Entry, Outcome, Reason, Verdict
from askonce.ledger.charges import UNPRICED, Charge
from askonce.ledger.daily import BOOK, COSTS, MOST_ROWS, SAVED, DailyUsage

_NANO = Decimal(1_000_000_000)
_OUTCOME = {outcome: f"outcome:{outcome.value}" for outcome in Outcome}
_REASON = {reason: f"reason:{reason.value}" for reason in Reason}
_NOT_STORED = {reason: f"not_stored:{reason.value}" for reason in Reason}


class LayerStats(msgspec.Struct, frozen=True):
    """What one layer did: answers it had, calls of it that failed, writes that were dropped.

    `state` is its circuit breaker's, in a process that has one: closed, open or probing.
    """

    hits: int = 0
    errors: int = 0
    dropped: int = 0
    state: str = ""


class Stats(msgspec.Struct, frozen=True):
    """What a cache did. `hits` counts memory, shared, semantic and stale answers, not joined ones.

    `unpriced` counts saved answers whose price is not known; they are not in `saved_usd`.
    """

    calls: int = 0
    hits: int = 0
    misses: int = 0
    joined: int = 0
    bypassed: int = 0
    stored: int = 0
    errors: int = 0
    saved_usd: Decimal = Decimal(0)
    saved_tokens: int = 0
    unpriced: int = 0
    upstream: int = 0
    outcomes: dict[str, int] = {}
    reasons: dict[str, int] = {}
    not_stored: dict[str, int] = {}
    layers: dict[str, LayerStats] = {}
    semantic: dict[str, int] = {}
    prompts: dict[str, int] = {}

    @property
    def hit_rate(self) -> float:
        """Hits and joined calls, of all calls that the cache took part in."""
        served = self.hits + self.joined
        return served / (served + self.misses) if served + self.misses else 0.0


def stats_of(counters: Mapping[str, int], states: Mapping[str, str] | None = None) -> Stats:
    """Read a ledger's integers, of one process or of all of them.

    `states` are the layers of this cache, nearest first, with their breakers' states.
    """

    def part(prefix: str) -> dict[str, int]:
        return {
            name[len(prefix) :]: count
            for name, count in sorted(counters.items())
            if name.startswith(prefix) and count
        }

    outcomes = part("outcome:")
    hits = (Outcome.HIT_MEMORY, Outcome.HIT_SHARED, Outcome.HIT_SEMANTIC, Outcome.STALE)
    return Stats(
        calls=sum(outcomes.values()),
        hits=sum(outcomes.get(hit, 0) for hit in hits),
        misses=outcomes.get(Outcome.MISS, 0),
        joined=outcomes.get(Outcome.JOINED, 0),
        bypassed=outcomes.get(Outcome.BYPASS, 0),
        stored=counters.get("stored", 0),
        errors=sum(part("fault:").values()),
        saved_usd=Decimal(counters.get("saved_nano_usd", 0)) / _NANO,
        saved_tokens=counters.get("saved_tokens", 0),
        unpriced=counters.get("unpriced", 0),
        upstream=counters.get("upstream", 0),
        outcomes=outcomes,
        reasons=part("reason:"),
        not_stored=part("not_stored:"),
        layers=_layers(part("layer:"), states or {}),
        semantic=part("semantic:"),
        prompts=part("prompts:"),
    )


def _layers(counts: Mapping[str, int], states: Mapping[str, str]) -> dict[str, LayerStats]:
    names = dict.fromkeys([*states, *(name.partition(":")[0] for name in counts)])
    return {
        name: LayerStats(
            hits=counts.get(f"{name}:hits", 0),
            errors=counts.get(f"{name}:errors", 0),
            dropped=counts.get(f"{name}:dropped", 0),
            state=states.get(name, ""),
        )
        for name in names
    }


class Ledger:
    """Counts as calls are answered; a few additions each, safe from any thread.

    Times are seconds since the Unix epoch. Of a day its book has `most_rows` rows.
    """

    def __init__(self, lock: AbstractContextManager[Any], most_rows: int = MOST_ROWS) -> None:
        self._lock = lock
        self._tallies: defaultdict[str, int] = defaultdict(int)
        self._taken: dict[str, int] = {}
        self._book = DailyUsage(most_rows)

    def answered(
        self,
        outcome: Outcome,
        reason: Reason = Reason.OK,
        saved: Entry | None = None,
        now: float = 0.0,
    ) -> None:
        """One call was answered; `saved` is the entry that spared an upstream call `now`."""
        with self._lock:
            self._tallies[_OUTCOME[outcome]] += 1
            if reason is not Reason.OK:
                self._tallies[_REASON[reason]] += 1
            if saved is not None:
                self._book.saved(outcome, saved, now)

    def landed(self, verdict: Verdict) -> None:
        """An upstream answer was whole, and this was decided about it."""
        with self._lock:
            self._tallies["stored" if verdict.yes else _NOT_STORED[verdict.reason]] += 1

    def paid(
        self,
        entry: Entry,
        now: float,
        charge: Charge = UNPRICED,
        *,
        joined: int = 0,
        refreshing: bool = False,
    ) -> None:
        """The provider was paid for an answer, and `joined` callers shared it with its leader.

        Nobody waits for one that is `refreshing` another.
        """
        with self._lock:
            self._book.asked(entry, charge, now, refreshing=refreshing)
            if joined:
                self._book.saved(Outcome.JOINED, entry, now, joined)

    def kept(self, entry: Entry, now: float) -> None:
        """An entry was stored, and takes its place until it ends."""
        with self._lock:
            self._book.kept(entry, now)

    def unread(self, now: float) -> None:
        """The provider was asked, and what its answer cost was not read."""
        with self._lock:
            self._book.unread(now)

    def embedded(
        self, model: str, tokens: int, audited: int, cost: Decimal | None, now: float
    ) -> None:
        """Texts were embedded for so many tokens, `audited` of them to compare answers."""
        with self._lock:
            self._book.embedded(model, tokens, audited, cost, now)

    def layer(self, name: str, what: str) -> None:
        """One hit, error or dropped write of a layer below memory."""
        with self._lock:
            self._tallies[f"layer:{name}:{what}"] += 1

    def semantic(self, what: str, times: int = 1) -> None:
        """What matching by meaning did, so many times; the words are in docs/guides/semantic.md."""
        with self._lock:
            self._tallies[f"semantic:{what}"] += times

    def prompts(self, what: str) -> None:
        """What was done to a prompt on its way to the provider; words of docs/guides/prompts.md."""
        with self._lock:
            self._tallies[f"prompts:{what}"] += 1

    def asked_upstream(self) -> None:
        with self._lock:
            self._tallies["upstream"] += 1

    def count_fault(self, what: str) -> bool:
        """A fault of the cache; True if it is worth a line in the log (the 1st, 2nd, 4th …)."""
        with self._lock:
            count = self._tallies[f"fault:{what}"] = self._tallies[f"fault:{what}"] + 1
        return count & (count - 1) == 0

    def counters(self) -> dict[str, int]:
        """Everything since the beginning but the rows of the book."""
        with self._lock:
            return self._all()

    def money(self) -> dict[str, Decimal]:
        """US dollars since the beginning, by the words of the book."""
        with self._lock:
            return {word: self._book.usd(word) for word in (*SAVED, *COSTS, "upstream")}

    def take(self) -> dict[str, int]:
        """What came in since the last `take`, to be added to a store's lasting tallies."""
        with self._lock:
            counts = self._all()
            fresh = {
                name: count - self._taken.get(name, 0)
                for name, count in counts.items()
                if count != self._taken.get(name, 0)
            }
            self._taken = counts
            return fresh | self._book.take()

    def give_back(self, taken: Mapping[str, int]) -> None:
        """What was taken could not be kept: it counts as new again."""
        with self._lock:
            self._book.give_back({n: count for n, count in taken.items() if n.startswith(BOOK)})
            for name, count in taken.items():
                if not name.startswith(BOOK):
                    self._taken[name] = self._taken.get(name, 0) - count

    def unlearned(self) -> list[str]:
        """Where the names of those days begin whose rows in the store have to be learnt first."""
        with self._lock:
            return self._book.unlearned()

    def learn(self, start: str, names: Iterable[str]) -> None:
        """What the store has under such a beginning."""
        with self._lock:
            self._book.learn(start, names)

    def _all(self) -> dict[str, int]:
        saved = self._book.all_saved()
        names = ("saved_nano_usd", "saved_tokens", "unpriced")
        sums = {name: count for name, count in zip(names, saved, strict=True) if count}
        return {**self._tallies, **sums}
