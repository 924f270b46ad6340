"""The ledger: counts how calls were answered, why, and what that saved.

Every number is an integer, so the numbers of several processes add up exactly; money is in
nano-dollars. A call has one outcome and one reason, with the words of `core.models`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import msgspec

from askonce.core.models import Entry, Outcome, Reason, Verdict
from askonce.ledger.daily import COSTS, DAILY, MAX_GROUPS, NANO, SAVED, DailyUsage
from askonce.ledger.prices import UNPRICED, Charge

_OUTCOME = {outcome: f"outcome:{outcome.value}" for outcome in Outcome}
_REASON = {reason: f"reason:{reason.value}" for reason in Reason}
_HITS = (Outcome.HIT_MEMORY, Outcome.HIT_SHARED, Outcome.HIT_SEMANTIC, Outcome.STALE)
_NOT_STORED = {reason: f"not_stored:{reason.value}" for reason in Reason}


class LayerStats(msgspec.Struct, frozen=True):
    """What one layer below memory did.

    Parameters:
        hits: Answers found in it.
        errors: Operations that failed or took too long.
        dropped: Writes that were dropped.
        state: The state of its circuit breaker, `closed`, `open` or `probing`; empty in a process
            that has not opened the layer.
    """

    hits: int = 0
    errors: int = 0
    dropped: int = 0
    state: str = ""


class Stats(msgspec.Struct, frozen=True):
    """What a cache did, in one process or in all of them; every number but `saved_usd` is a count.

    Parameters:
        calls: Answered calls.
        hits: Calls answered from memory, a shared store, a semantic match or a stale entry.
        misses: Calls answered by the provider.
        joined: Calls that shared the answer of a call in flight.
        bypassed: Calls that the cache took no part in.
        stored: Answers stored.
        errors: Faults of the cache that calls continued without.
        saved_usd: US dollars that hits and joined calls saved.
        saved_tokens: Tokens that hits and joined calls saved.
        unpriced: Saved answers whose price is unknown; `saved_usd` does not include them.
        upstream: Calls sent to a provider.
        outcomes: Answered calls by outcome.
        reasons: Missed and bypassed calls by reason.
        not_stored: Whole answers that were not stored, by reason.
        layers: The layers below memory by name, nearest first.
        semantic: Steps of the semantic lookup; docs/guides/semantic.md lists the words.
        prompts: Changes to prompts; docs/guides/prompts.md lists the words.
        never_repeats: Headers and members of a body that differ in each call, so that it cannot
            hit, each with a sentence that says what to do. Of this process only.
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
    never_repeats: dict[str, str] = {}

    @property
    def hit_rate(self) -> float:
        """The share of hits and joined calls among hits, joined calls and misses, from 0 to 1."""
        served = self.hits + self.joined
        return served / (served + self.misses) if served + self.misses else 0.0


def stats_of(
    counters: Mapping[str, int],
    states: Mapping[str, str] | None = None,
    never_repeats: dict[str, str] | None = None,
) -> Stats:
    """Return the stats that a ledger's counters hold, of one process or of all of them.

    `states` maps the layers of this cache, nearest first, to the states of their circuit breakers.
    `never_repeats` is what differs in each call; see `Stats`.
    """

    def part(prefix: str) -> dict[str, int]:
        return {
            name[len(prefix) :]: count
            for name, count in sorted(counters.items())
            if name.startswith(prefix) and count
        }

    outcomes = part("outcome:")
    return Stats(
        calls=sum(outcomes.values()),
        hits=sum(outcomes.get(hit, 0) for hit in _HITS),
        misses=outcomes.get(Outcome.MISS, 0),
        joined=outcomes.get(Outcome.JOINED, 0),
        bypassed=outcomes.get(Outcome.BYPASS, 0),
        stored=counters.get("stored", 0),
        errors=sum(part("fault:").values()),
        saved_usd=counters.get("saved_nano_usd", 0) / NANO,
        saved_tokens=counters.get("saved_tokens", 0),
        unpriced=counters.get("unpriced", 0),
        upstream=counters.get("upstream", 0),
        outcomes=outcomes,
        reasons=part("reason:"),
        not_stored=part("not_stored:"),
        layers=_layers(part("layer:"), states or {}),
        semantic=part("semantic:"),
        prompts=part("prompts:"),
        never_repeats=never_repeats or {},
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
    """Counts calls as they are answered: a few additions each, safe from any thread.

    Times are seconds since the Unix epoch.

    Parameters:
        lock: Guards the counters.
        max_groups: Combinations of tenant, model and route that a day keeps apart.
    """

    def __init__(self, lock: AbstractContextManager[Any], max_groups: int = MAX_GROUPS) -> None:
        self._lock = lock
        self._counters: defaultdict[str, int] = defaultdict(int)
        self._taken: dict[str, int] = {}
        self._daily = DailyUsage(max_groups)

    def answered(
        self,
        outcome: Outcome,
        reason: Reason = Reason.OK,
        saved: Entry | None = None,
        now: float = 0.0,
    ) -> None:
        """Count an answered call; `saved` is the entry that made an upstream call unnecessary."""
        with self._lock:
            self._counters[_OUTCOME[outcome]] += 1
            if reason is not Reason.OK:
                self._counters[_REASON[reason]] += 1
            if saved is not None:
                self._daily.add_saved(outcome, saved, now)

    def landed(self, verdict: Verdict) -> None:
        """Count a whole answer from upstream by the verdict on storing it."""
        with self._lock:
            self._counters["stored" if verdict.yes else _NOT_STORED[verdict.reason]] += 1

    def paid(
        self,
        entry: Entry,
        now: float,
        charge: Charge = UNPRICED,
        *,
        joined: int = 0,
        refreshing: bool = False,
    ) -> None:
        """Count an answer that the provider was paid for.

        `joined` callers shared it with the first one; if `refreshing`, no caller waited for it.
        """
        with self._lock:
            self._daily.add_paid(entry, charge, now, refreshing=refreshing)
            if joined:
                self._daily.add_saved(Outcome.JOINED, entry, now, joined)

    def kept(self, entry: Entry, now: float) -> None:
        """Count the storage of an entry, from now until it ends."""
        with self._lock:
            self._daily.add_stored(entry, now)

    def unread(self, now: float) -> None:
        """Count an answer of the provider whose usage was not read."""
        with self._lock:
            self._daily.add_unread(now)

    def embedded(
        self, model: str, tokens: int, audited: int, cost: Decimal | None, now: float
    ) -> None:
        """Count an embedding of `tokens` tokens, 0 if unknown; `audited` of them for an audit."""
        with self._lock:
            self._daily.add_embedded(model, tokens, audited, cost, now)

    def layer(self, name: str, what: str) -> None:
        """Count one of the `hits`, `errors` or `dropped` writes of a layer below memory."""
        with self._lock:
            self._counters[f"layer:{name}:{what}"] += 1

    def semantic(self, what: str, times: int = 1) -> None:
        """Count a step of the semantic lookup; docs/guides/semantic.md lists the words."""
        with self._lock:
            self._counters[f"semantic:{what}"] += times

    def prompts(self, what: str) -> None:
        """Count a change to an outgoing prompt; docs/guides/prompts.md lists the words."""
        with self._lock:
            self._counters[f"prompts:{what}"] += 1

    def asked_upstream(self) -> None:
        """Count a call to a provider."""
        with self._lock:
            self._counters["upstream"] += 1

    def count_fault(self, what: str) -> bool:
        """Count a fault of the cache; return True if it should be logged (the 1st, 2nd, 4th …)."""
        with self._lock:
            count = self._counters[f"fault:{what}"] = self._counters[f"fault:{what}"] + 1
        return count & (count - 1) == 0

    def has_hits(self) -> bool:
        """Whether any call was a hit since the process started."""
        with self._lock:
            return any(self._counters.get(_OUTCOME[hit]) for hit in _HITS)

    def counters(self) -> dict[str, int]:
        """Return every counter since the process started, except the daily ones."""
        with self._lock:
            return self._all()

    def money(self) -> dict[str, Decimal]:
        """Return US dollars since the process started, by kind of saving or cost."""
        with self._lock:
            return {kind: self._daily.usd(kind) for kind in (*SAVED, *COSTS, "upstream")}

    def take(self) -> dict[str, int]:
        """Return the new counts since the last `take`, to add to the store's counters."""
        with self._lock:
            counts = self._all()
            fresh = {
                name: count - self._taken.get(name, 0)
                for name, count in counts.items()
                if count != self._taken.get(name, 0)
            }
            self._taken = counts
            return fresh | self._daily.take()

    def give_back(self, taken: Mapping[str, int]) -> None:
        """Count the result of a `take` again: the store did not accept it."""
        with self._lock:
            self._daily.give_back({n: count for n, count in taken.items() if n.startswith(DAILY)})
            for name, count in taken.items():
                if not name.startswith(DAILY):
                    self._taken[name] = self._taken.get(name, 0) - count

    def unmerged_days(self) -> list[str]:
        """Return the counter prefixes of days whose stored groups must be merged before `take`."""
        with self._lock:
            return self._daily.unmerged_days()

    def merge_groups(self, prefix: str, names: Iterable[str]) -> None:
        """Merge the groups that the store has under such a prefix."""
        with self._lock:
            self._daily.merge_groups(prefix, names)

    def _all(self) -> dict[str, int]:
        saved = self._daily.all_saved()
        names = ("saved_nano_usd", "saved_tokens", "unpriced")
        sums = {name: count for name, count in zip(names, saved, strict=True) if count}
        return {**self._counters, **sums}
