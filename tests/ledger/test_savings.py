"""Daily counters add up exactly in any order, over processes, flushes and folded days."""

import contextlib
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.core.models import SUBDIVIDES, Entry, Key, Outcome, Reason, Usage, Verdict
from askonce.ledger.daily import FIELDS, SAVED
from askonce.ledger.ledger import Ledger, stats_of
from askonce.ledger.prices import Charge
from askonce.ledger.savings import SavingsPart, Sums, folded, savings_of_counters, savings_of_json

DAY = 86_400.0
NOON = 20_000 * DAY + DAY / 2  # 2024-10-04
TODAY = date(2024, 10, 4)

OUTCOMES = {
    Outcome.HIT_MEMORY: "exact",
    Outcome.HIT_SHARED: "exact",
    Outcome.HIT_SEMANTIC: "semantic",
    Outcome.STALE: "stale",
    Outcome.JOINED: "joined",
}


def new_ledger(max_groups: int = 500) -> Ledger:
    return Ledger(contextlib.nullcontext(), max_groups)


def entry(
    tenant: str = "a",
    model: str = "m",
    route: str = "/v1/x",
    usage: Usage | None = Usage(10, 5),  # noqa: B008 - it is frozen
    cost: str | None = "0.001",
    status: int = 200,
) -> Entry:
    return Entry(
        key=Key(tenant, "openai_chat", bytes(32)),
        body=b"x" * 1000,
        status=status,
        headers=(),
        created=NOON,
        expires=NOON + 3600,
        stale_until=NOON + 3600,
        model=model,
        route=route,
        usage=usage,
        cost_usd=None if cost is None else Decimal(cost),
    )


class StoredCounters:
    """Counters that add up, as a store's do."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, more: Mapping[str, int]) -> None:
        for name, count in more.items():
            self.counts[name] = self.counts.get(name, 0) + count
            if not self.counts[name]:
                del self.counts[name]

    def flush(self, ledger: Ledger) -> None:
        for start in ledger.unmerged_days():
            ledger.merge_groups(start, [name for name in self.counts if name.startswith(start)])
        self.add(ledger.take())

    def sums(self, days: int = 36_500, today: date = TODAY + timedelta(40)) -> Sums:
        return savings_of_counters(self.counts, today, days).total


class Hit(NamedTuple):
    outcome: Outcome
    tenant: str
    model: str
    tokens: int
    nano: int | None
    second: int
    process: int
    flushes: bool


HITS = st.lists(
    st.builds(
        Hit,
        st.sampled_from(sorted(OUTCOMES)),
        st.sampled_from("abc"),
        st.sampled_from(["m1", "m|2", "50%"]),
        st.integers(0, 10**6),
        st.none() | st.integers(0, 10**12),
        st.integers(0, 40 * 86_400),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(hits=HITS, rows=st.integers(1, 12), folds=st.integers(-1, 45))
def test_any_order_and_any_split_give_the_same_sums(hits: list[Hit], rows: int, folds: int) -> None:
    stored, processes = StoredCounters(), [new_ledger(rows) for _ in range(3)]
    expected = {word: SavingsPart() for word in SAVED}
    for number, hit in enumerate(hits):
        cost = None if hit.nano is None else Decimal(hit.nano).scaleb(-9)
        one = entry(hit.tenant, hit.model, usage=Usage(hit.tokens, 1))
        one = msgspec.structs.replace(one, cost_usd=cost)
        processes[hit.process].answered(hit.outcome, Reason.OK, one, NOON + hit.second)
        tokens = hit.tokens + 1
        unpriced = cost is None
        expected[OUTCOMES[hit.outcome]] += SavingsPart(
            1, tokens, cost or Decimal(0), unpriced, tokens * unpriced
        )
        if hit.flushes:
            stored.flush(processes[hit.process])
        if number == folds:
            stored.add(folded(stored.counts, TODAY + timedelta(folds), rows))
    for process in processes:
        stored.flush(process)
    stored.add(folded(stored.counts, TODAY + timedelta(max(0, folds)), rows))
    found = stored.sums()
    assert {word: found.part(word) for word in SAVED} == expected
    plain = stats_of(stored.counts)
    assert plain.saved_usd == found.answers_usd
    assert plain.saved_tokens == sum(expected[word].tokens for word in SAVED)
    assert plain.unpriced == sum(expected[word].unpriced for word in SAVED)
    for day in {name.split("|")[2] for name in stored.counts if name.startswith("|")}:
        start = f"|day|{day}|" if len(day) == 10 else f"|month|{day}|"
        names = {n[len(start) :].rpartition("|")[0] for n in stored.counts if n.startswith(start)}
        assert len(names - {"other|other|other"}) <= rows


def test_a_returned_take_counts_once() -> None:
    ledger, stored = new_ledger(), StoredCounters()
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(), NOON)
    taken = ledger.take()
    ledger.give_back(taken)
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(), NOON)
    stored.flush(ledger)
    assert stored.sums().exact == SavingsPart(2, 30, Decimal("0.002"))
    assert stats_of(stored.counts).saved_usd == Decimal("0.002")
    assert ledger.take() == {}


def test_a_clock_over_midnight_and_back() -> None:
    ledger, stored = new_ledger(), StoredCounters()
    midnight = 20_001 * DAY
    for now in (midnight - 0.001, midnight, midnight - 1, midnight + DAY):
        ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(), now)
    stored.flush(ledger)
    by = savings_of_counters(stored.counts, TODAY + timedelta(2), 30).by("day")
    assert {day: sums.exact.calls for day, sums in by.items()} == {
        "2024-10-04": 2,
        "2024-10-05": 1,
        "2024-10-06": 1,
    }
    assert list(savings_of_counters(stored.counts, TODAY + timedelta(1), 1).by("day")) == [
        "2024-10-05"
    ]


@pytest.mark.parametrize("now", [-1e18, -1.0, 1e18])
def test_a_time_outside_the_calendar_fails_no_call(now: float) -> None:
    ledger, stored = new_ledger(), StoredCounters()
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(), now)
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(), now)
    stored.flush(ledger)
    assert sum(count for name, count in stored.counts.items() if name.endswith("exact.calls")) == 2


def test_unpriced_is_not_zero() -> None:
    ledger, stored = new_ledger(), StoredCounters()
    ledger.answered(Outcome.HIT_SHARED, Reason.OK, entry(cost=None), NOON)
    ledger.answered(Outcome.HIT_SHARED, Reason.OK, entry(cost=None, usage=None), NOON)
    ledger.paid(entry(cost=None, usage=Usage(100, 1, 80, 10)), NOON, Charge())
    stored.flush(ledger)
    found = stored.sums()
    assert found.exact == SavingsPart(2, 15, Decimal(0), 2, 15)
    assert found.read == SavingsPart(1, 80, Decimal(0), 1, 80)
    assert found.write == SavingsPart(1, 10, Decimal(0), 1, 10)
    assert found.upstream == SavingsPart(1, 101, Decimal(0), 1, 101)
    assert (found.saved_usd, found.cost_usd) == (Decimal(0), Decimal(0))


def test_kinds_of_costs_are_kept_apart() -> None:
    ledger, stored = new_ledger(), StoredCounters()
    charge = Charge(Decimal("0.5"), Decimal("0.2"), Decimal("0.05"))
    one = entry(usage=Usage(100, 10, 60, 20), cost="0.5")
    ledger.paid(one, NOON, charge, joined=3)
    ledger.paid(one, NOON, charge, refreshing=True)
    ledger.kept(one, NOON)
    ledger.unread(NOON)
    ledger.embedded("e", 1_000, 250, Decimal("0.000020"), NOON)
    ledger.embedded("e", 5, 0, Decimal("0.0000000001"), NOON)
    ledger.embedded("e", 0, 0, Decimal(0), NOON)
    stored.flush(ledger)
    found = savings_of_counters(stored.counts, TODAY, 1, Decimal("0.10")).total
    assert found.upstream == SavingsPart(2, 220, Decimal("1.0"))
    assert found.refresh == SavingsPart(1, 110, Decimal("0.5"))
    assert found.joined == SavingsPart(3, 330, Decimal("1.5"))
    assert found.read == SavingsPart(2, 120, Decimal("0.4"))
    assert found.write == SavingsPart(2, 40, Decimal("0.10"))
    assert found.audit == SavingsPart(1, 250, Decimal("0.000005"))
    assert found.embedding == SavingsPart(3, 755, Decimal("0.0000150001"), 1, 0)
    assert found.unread.calls == 1
    assert found.storage_byte_hours == 1000
    assert found.storage_usd == (Decimal(1000) / 730 / 10**10).quantize(Decimal("1e-12"))
    assert found.saved_usd == Decimal("1.9")
    assert found.net_usd == found.saved_usd - found.cost_usd
    assert found.cost_usd == Decimal("0.6000200001") + (found.storage_usd or 0)


@pytest.mark.parametrize("number", [10**30, -(10**30), -1])
def test_impossible_numbers_count_no_tokens_and_have_no_price(number: int) -> None:
    ledger, stored = new_ledger(), StoredCounters()
    one = entry(usage=Usage(number, 0, number, number), cost=str(number * 10**7))
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, one, NOON)
    ledger.paid(one, NOON, Charge(Decimal(number) * 10**7, Decimal("1e40"), Decimal("-1e40")))
    ledger.kept(msgspec.structs.replace(one, expires=float("inf")), NOON)
    stored.flush(ledger)
    found = stored.sums()
    unpriced = SavingsPart(1, 0, Decimal(0), 1, 0)
    assert (found.exact, found.upstream, found.read, found.write) == (unpriced,) * 4
    assert found.storage_byte_hours == 1000 * 24 * 365 * 10
    assert all(abs(count) < 2**63 for count in stored.counts.values())


def test_a_full_day_is_not_merged_again() -> None:
    ledger, stored = new_ledger(max_groups=2), StoredCounters()
    for number in range(5):
        one = entry(model=f"m{number}")
        ledger.answered(Outcome.HIT_MEMORY, Reason.OK, one, NOON)
    assert len(ledger.unmerged_days()) == 1
    stored.flush(ledger)
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(model="m9"), NOON)
    assert ledger.unmerged_days() == []


def test_an_error_of_the_provider_saves_nothing() -> None:
    ledger = new_ledger()
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(status=404, usage=None), NOON)
    assert ledger.take() == {"outcome:memory": 1}
    ledger.landed(Verdict(False, Reason.STATUS))
    assert ledger.take() == {"not_stored:status": 1}


def test_a_day_has_a_limited_number_of_groups_in_one_process_and_in_all() -> None:
    stored = StoredCounters()
    for process in range(3):
        ledger = new_ledger(max_groups=4)
        for number in range(10):
            one = entry(model=f"m{process}-{number}")
            ledger.answered(Outcome.HIT_MEMORY, Reason.OK, one, NOON)
        stored.flush(ledger)
    by = savings_of_counters(stored.counts, TODAY, 1).by("model")
    assert {name: sums.exact.calls for name, sums in by.items()} == {
        "m0-0": 1,
        "m0-1": 1,
        "m0-2": 1,
        "m0-3": 1,
        "other": 26,
    }


def test_names_survive_and_cannot_forge_another_group() -> None:
    stored, ledger = StoredCounters(), new_ledger()
    names = ["a|b", "a%7Cb", "line\nbreak", "x" * 500, "half \ud800"]
    for name in names:
        ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(model=name), NOON)
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(f"team{SUBDIVIDES}eu"), NOON)
    stored.flush(ledger)
    found = savings_of_counters(stored.counts, TODAY, 1)
    assert set(found.by("model")) == {"a|b", "a%7Cb", "line?break", "x" * 96, "half ?", "m"}
    assert set(found.by("tenant")) == {"a", "team"}
    for name in stored.counts:
        name.encode()


def test_a_folded_month_counts_as_a_whole() -> None:
    stored, ledger = StoredCounters(), new_ledger()
    for days in (0, 1, 30):
        ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(), NOON + days * DAY)
    stored.flush(ledger)
    stored.add(folded(stored.counts, date(2024, 11, 1)))
    assert {name.split("|")[2] for name in stored.counts if "exact.calls" in name} == {
        "2024-10",
        "2024-11-03",
    }
    found = savings_of_counters(stored.counts, date(2024, 11, 4), 10)
    assert (found.since, found.until, found.total.exact.calls) == ("2024-10-01", "2024-11-04", 3)
    assert savings_of_counters(stored.counts, date(2024, 11, 4), 4).total.exact.calls == 1
    assert folded(stored.counts, date(2024, 11, 1)) == {}


def test_two_processes_that_fold_at_once_agree() -> None:
    stored, ledger = StoredCounters(), new_ledger()
    ledger.answered(Outcome.HIT_MEMORY, Reason.OK, entry(), NOON)
    stored.flush(ledger)
    moves = folded(stored.counts, date(2024, 11, 1))
    stored.add(moves)
    stored.add(moves)
    assert stored.sums().exact.calls == 1
    stored.add(folded(stored.counts, date(2024, 11, 1)))
    assert stored.sums().exact == SavingsPart(1, 15, Decimal("0.001"))
    assert not any(name.startswith("|day|") for name in stored.counts)


def test_foreign_counters_are_left_alone() -> None:
    strange = {"|": 1, "|day|x": 2, "|day|2024-10-99|a|b|c|exact.calls": 3, "|day|2024-10-04|a": 4}
    assert savings_of_counters(strange, TODAY, 30).total == Sums()
    assert folded(strange, TODAY) == {}
    new = {"|day|2024-10-04|a|b|c|exact.novel": 5, "|day|2024-10-04|a|b|c|exact.calls": 1}
    assert savings_of_counters(new, TODAY, 30).total.exact.calls == 1


def test_every_counter_has_a_name_of_its_own() -> None:
    assert len(set(FIELDS)) == len(FIELDS)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"since":1}', b"\xff"])
def test_other_json_is_no_savings(body: bytes) -> None:
    assert savings_of_json(body) is None


@pytest.mark.parametrize("days", [1, 30, 36_500, 10**7])
def test_any_number_of_days(days: int) -> None:
    assert savings_of_counters({}, TODAY, days).total == Sums()
