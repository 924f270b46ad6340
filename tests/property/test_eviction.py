"""Eviction policies against the best possible: never better, and not much worse.

The traces are generated, so that what each of them is hard for is known.
"""

import heapq
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.stores.memory.eviction import EvictionPolicy, GreedyDual, Resident, S3Fifo

POLICIES: dict[str, Callable[[int], EvictionPolicy]] = {"s3-fifo": S3Fifo, "gdsf": GreedyDual}


class Request(NamedTuple):
    """One question of a trace; the same key always has the same size and cost."""

    key: int
    size: int = 1
    cost: float = 1.0


class Run(NamedTuple):
    hits: int
    saved: float


def by_number(resident: Resident) -> int:
    assert isinstance(resident.key, int)
    return resident.key


def run(policy: EvictionPolicy, trace: Iterable[Request]) -> Run:
    residents: dict[int, Resident] = {}
    hits, saved = 0, 0.0
    for request in trace:
        resident = residents.get(request.key)
        if resident is not None:
            policy.touch(resident)
            hits += 1
            saved += request.cost
            continue
        if request.size > policy.capacity:
            continue
        newcomer = Resident(request.key, request.size, request.cost)
        for victim in policy.add(newcomer):
            del residents[by_number(victim)]
        residents[request.key] = newcomer
        assert policy.used <= policy.capacity
    assert policy.used == sum(resident.size for resident in residents.values())
    return Run(hits, saved)


def lru(capacity: int, trace: Iterable[Request]) -> int:
    kept: OrderedDict[int, int] = OrderedDict()
    used = hits = 0
    for request in trace:
        if request.key in kept:
            hits += 1
            kept.move_to_end(request.key)
        elif request.size <= capacity:
            kept[request.key] = request.size
            used += request.size
            while used > capacity:
                used -= kept.popitem(last=False)[1]
    return hits


def next_uses(trace: list[Request]) -> list[int]:
    """For each request, when its key is asked for next; past the end if never."""
    following = [len(trace)] * len(trace)
    seen: dict[int, int] = {}
    for turn in range(len(trace) - 1, -1, -1):
        following[turn] = seen.get(trace[turn].key, len(trace) + turn)
        seen[trace[turn].key] = turn
    return following


def belady(capacity: int, trace: list[Request]) -> int:
    """Hits of MIN, who knows the future; the most there can be if all sizes are 1."""
    following = next_uses(trace)
    kept: dict[int, int] = {}
    furthest: list[tuple[int, int]] = []
    hits = 0
    for turn, request in enumerate(trace):
        hits += request.key in kept
        kept[request.key] = following[turn]
        heapq.heappush(furthest, (-following[turn], request.key))
        while len(kept) > capacity:
            when, key = heapq.heappop(furthest)
            if kept.get(key) == -when:
                del kept[key]
    return hits


def most_hits(capacity: int, trace: list[Request]) -> int:
    """More hits than this are impossible, whatever the sizes.

    A hit needs its bytes in the cache since the request before it; the cheapest such intervals
    are taken until all space x time is used (PFOO-U; Berger, Beckmann, Harchol-Balter 2018).
    """
    following = next_uses(trace)
    intervals = sorted(
        (following[turn] - turn) * request.size
        for turn, request in enumerate(trace)
        if following[turn] < len(trace) and request.size <= capacity
    )
    room = capacity * len(trace)
    for hits, interval in enumerate(intervals):
        room -= interval
        if room < 0:
            return hits
    return len(intervals)


# Traces


def zipf(rng: random.Random, length: int, keys: int, skew: float = 0.9) -> list[int]:
    weights = [1 / (rank + 1) ** skew for rank in range(keys)]
    return rng.choices(range(keys), weights, k=length)


def zipf_and_scans(rng: random.Random, length: int, keys: int) -> list[int]:
    """Popular keys, and now and then a long run of keys that never come back."""
    popular = zipf(rng, length, keys)
    trace: list[int] = []
    never_again = keys
    for turn, key in enumerate(popular):
        trace.append(key)
        if turn % 1000 == 999:
            trace.extend(range(never_again, never_again + 400))
            never_again += 400
    return trace[:length]


def bursts(rng: random.Random, length: int, keys: int) -> list[int]:
    """A few keys at a time, each asked again soon and then no more."""
    trace: list[int] = []
    first = 0
    while len(trace) < length:
        trace.extend(first + rng.randrange(keys // 50) for _ in range(keys // 10))
        first += keys // 100
    return trace[:length]


def loop(_: random.Random, length: int, keys: int) -> list[int]:
    return [turn % keys for turn in range(length)]


TRACES = {"zipf": zipf, "zipf-and-scans": zipf_and_scans, "bursts": bursts, "loop": loop}
LENGTH, KEYS = 12_000, 1_000


def sized(keys: list[int]) -> list[Request]:
    """The same trace with sizes from 1 to 400, a few of them larger than a small queue."""
    return [Request(key, 1 + (key * 7919) % 97 + 300 * (key % 29 == 0)) for key in keys]


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("capacity", [30, 200])
def test_no_policy_beats_belady(name: str, policy: str, capacity: int) -> None:
    trace = [Request(key) for key in TRACES[name](random.Random(1), LENGTH, KEYS)]
    best = belady(capacity, trace)
    assert best <= most_hits(capacity, trace)
    assert run(POLICIES[policy](capacity), trace).hits <= best


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("capacity", [1_500, 12_000])
def test_no_policy_beats_the_bound_for_sizes(name: str, policy: str, capacity: int) -> None:
    trace = sized(TRACES[name](random.Random(2), LENGTH, KEYS))
    assert run(POLICIES[policy](capacity), trace).hits <= most_hits(capacity, trace)


@pytest.mark.parametrize("capacity", [50, 100, 200])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_s3_fifo_keeps_what_is_popular_through_scans(seed: int, capacity: int) -> None:
    trace = [Request(key) for key in zipf_and_scans(random.Random(seed), LENGTH, KEYS)]
    hits = run(S3Fifo(capacity), trace).hits
    assert hits > 1.05 * lru(capacity, trace)
    assert hits > 0.7 * belady(capacity, trace)


@pytest.mark.parametrize("capacity", [50, 100, 200])
def test_s3_fifo_is_no_worse_than_lru_where_nothing_scans(capacity: int) -> None:
    trace = [Request(key) for key in zipf(random.Random(4), LENGTH, KEYS)]
    assert run(S3Fifo(capacity), trace).hits >= lru(capacity, trace)


@pytest.mark.parametrize("capacity", [3_000, 6_000])
def test_s3_fifo_is_no_worse_than_lru_with_sizes(capacity: int) -> None:
    trace = sized(zipf_and_scans(random.Random(5), LENGTH, KEYS))
    assert run(S3Fifo(capacity), trace).hits > lru(capacity, trace)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gdsf_saves_more_money_where_costs_differ(seed: int) -> None:
    rng = random.Random(seed)
    cost = [rng.choice([0.001, 0.001, 0.01, 1.0]) for _ in range(KEYS)]
    size = [rng.randint(1, 100) for _ in range(KEYS)]
    trace = [Request(key, size[key], cost[key]) for key in zipf(rng, LENGTH, KEYS, 0.7)]
    dear = run(GreedyDual(4_000), trace)
    plain = run(S3Fifo(4_000), trace)
    assert dear.saved > 1.2 * plain.saved


def test_gdsf_lets_go_of_what_was_dear_but_is_not_asked_for() -> None:
    policy = GreedyDual(10)
    dear = [Resident(f"dear {number}", 1, 20.0) for number in range(9)]
    left = [victim for resident in dear for victim in policy.add(resident)]
    # Each cheap newcomer pushes the one before it out, and the floor up by its own worth.
    for turn in range(15):
        left += policy.add(Resident(turn, 1, 1.0))
    assert not set(dear) & set(left)
    for turn in range(15, 40):
        left += policy.add(Resident(turn, 1, 1.0))
    assert set(dear) <= set(left)


def test_a_newcomer_that_the_ghost_remembers_skips_the_small_queue() -> None:
    policy = S3Fifo(20)
    newcomers = [Resident(key, 1) for key in range(21)]
    left = [victim for newcomer in newcomers for victim in policy.add(newcomer)]
    assert left == newcomers[:1]
    back = Resident(0, 1)
    left += policy.add(back)
    # A scan as long as the cache flushes the small queue, and not what came back.
    for key in range(100, 120):
        left += policy.add(Resident(key, 1))
    assert set(newcomers) <= set(left)
    assert back not in left


@pytest.mark.parametrize("asked_again", [False, True])
def test_a_newcomer_larger_than_the_small_queue_has_to_earn_its_place(asked_again: bool) -> None:
    policy = S3Fifo(100)
    large = Resident("large", 40)
    assert policy.add(large) == []
    if asked_again:
        policy.touch(large)
        policy.touch(large)
    left = [victim for key in range(100) for victim in policy.add(Resident(key, 1))]
    assert (large in left) is not asked_again


@pytest.mark.parametrize("policy", POLICIES.values())
def test_a_refreshed_resident_keeps_its_standing(policy: Callable[[int], EvictionPolicy]) -> None:
    chosen = policy(10)
    popular = Resident("popular", 1, 1.0)
    chosen.add(popular)
    for _ in range(3):
        chosen.touch(popular)
    refreshed = Resident("popular", 1, 1.0)
    assert chosen.add(refreshed, instead_of=popular) == []
    assert chosen.used == 1
    left = [victim for key in range(12) for victim in chosen.add(Resident(key, 1, 1.0))]
    assert refreshed not in left
    assert popular not in left
    assert len(left) == 3


def test_ghosts_are_paid_for_and_never_outnumber_the_residents() -> None:
    policy = S3Fifo(10_000, ghost_bytes=30)
    alive: dict[object, Resident] = {}
    for key in range(2_000):
        alive[key] = Resident(key, 100)
        for victim in policy.add(alive[key]):
            del alive[victim.key]
        ghosts = policy.used - 100 * len(alive)
        assert policy.used <= 10_000
        assert 0 <= ghosts <= 30 * len(alive)
    assert policy.used > 100 * len(alive)
    for resident in alive.values():
        policy.drop(resident)
    assert policy.used == 0


def test_tombstones_are_bounded_and_cleared() -> None:
    policy = GreedyDual(10**9, tombstone_bytes=1)
    residents = [Resident(key, 1_000, float(key)) for key in range(5_000)]
    for resident in residents:
        policy.add(resident)
    for left, resident in zip(range(4_999, -1, -1), residents, strict=True):
        policy.drop(resident)
        assert policy.used - 1_000 * left <= left + 64
    assert policy.used == 0


# Any sequence of operations

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "touch", "touch", "resize", "drop", "shrink"]),
        st.integers(0, 12),
        st.integers(1, 60),
    ),
    max_size=120,
)


@pytest.mark.parametrize("policy", [S3Fifo(100), GreedyDual(100)], ids=POLICIES)
def test_settling_an_empty_policy_frees_nothing(policy: EvictionPolicy) -> None:
    assert policy.settle() == []
    assert policy.used == 0


@pytest.mark.parametrize("name", POLICIES)
@given(operations=OPERATIONS, overhead=st.sampled_from([0, 3]))
def test_the_byte_bound_holds_whatever_happens(
    name: str, operations: list[tuple[str, int, int]], overhead: int
) -> None:
    policy: EvictionPolicy = (
        S3Fifo(100, ghost_bytes=overhead)
        if name == "s3-fifo"
        else GreedyDual(100, tombstone_bytes=overhead)
    )
    alive: dict[int, Resident] = {}
    for verb, key, number in operations:
        known = alive.get(key)
        left: list[Resident] = []
        if verb == "add":
            alive[key] = Resident(key, number, float(number % 7))
            left = policy.add(alive[key], instead_of=known)
        elif verb == "shrink":
            policy.capacity = 60 + number % 41
            left = policy.settle()
        elif known is not None and verb == "touch":
            policy.touch(known)
        elif known is not None and verb == "resize":
            policy.resize(known, number)
            left = policy.settle()
        elif known is not None:
            policy.drop(alive.pop(key))
        assert all(count == 1 for count in Counter(map(id, left)).values())
        for victim in left:
            assert alive.pop(by_number(victim)) is victim
        bytes_alive = sum(resident.size for resident in alive.values())
        assert bytes_alive <= policy.used <= policy.capacity
        if not overhead:
            assert policy.used == bytes_alive
