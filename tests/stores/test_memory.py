"""What is special to memory: real bytes, the synchronous face, and readers without a lock."""

import gc
import json
import random
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Coroutine
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.models import Entry, Key, Selection, Shape, Usage
from askonce.stores.memory.store import Eviction, HeldEntry, MemoryStore
from askonce.stores.memory.weight import saving_usd

T = TypeVar("T")

EVICTIONS: list[Eviction] = ["s3-fifo", "gdsf"]
MIB = 1024 * 1024
BENCH = Path(__file__).parents[2] / "bench" / "memory_bound.py"
STREAMED = Shape(stream=True)


def done(step: Coroutine[Any, Any, T]) -> T:
    """The result of a method that never suspends."""
    with pytest.raises(StopIteration) as end:
        step.send(None)
    result: T = end.value.value
    return result


def memory(size_bytes: int = MIB, eviction: Eviction = "s3-fifo", **rest: Any) -> MemoryStore:
    return MemoryStore(size_bytes, lock=threading.Lock(), eviction=eviction, **rest)


def key(number: int, namespace: str = "team-a") -> Key:
    return Key(namespace, "openai_chat", number.to_bytes(32, "big"))


def entry(number: int, body: bytes = b"{}", **rest: Any) -> Entry:
    fields: dict[str, Any] = {"expires": 1_100.0, "stale_until": 1_200.0} | rest
    return Entry(key(number), body, 200, (), 1_000.0, **fields)


def full_entry(number: int, rng: random.Random, body_bytes: int) -> Entry:
    """Every field filled with objects of its own, as if decoded from the network."""
    count = 1_000 + number
    return Entry(
        Key("".join(["team", "-a"]), "".join(["openai", "_chat"]), rng.randbytes(32)),
        rng.randbytes(body_bytes),
        404,
        (
            ("".join(["content", "-type"]), "".join(["application", "/json"])),
            ("".join(["x-request", "-id"]), rng.randbytes(12).hex()),
        ),
        count + 0.25,
        count + 0.5,
        count + 0.75,
        "".join(["gpt", "-5"]),
        "".join(["https://", "api.example.com"]),
        rng.randbytes(30).hex() + "é" * (number % 2),
        Usage(count, count + 1, count + 2, count + 3, count + 4),
        Decimal(count) / 1_000,
        float(count),
        tuple((f"product:{tag}", 0) for tag in (number % 50, number)),
    )


# Bytes


@pytest.mark.parametrize("eviction", EVICTIONS)
@pytest.mark.parametrize("body_bytes", [0, 100, 1_000, 20_000])
def test_used_bytes_are_what_python_really_allocated(eviction: Eviction, body_bytes: int) -> None:
    rng = random.Random(1)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        store = memory(256 * MIB, eviction)
        for number in range(3_000):
            store.keep(full_entry(number, rng, body_bytes))
        gc.collect()
        allocated = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(store) == 3_000
    # The charge covers the allocator's rounding too, which tracemalloc does not see.
    assert allocated <= store.used_bytes <= 1.35 * allocated


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_memory_stays_within_its_size_while_entries_come_and_go(eviction: Eviction) -> None:
    rng = random.Random(2)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        store = memory(4 * MIB, eviction)
        for number in range(6_000):
            kept = full_entry(number, rng, rng.randint(10, 3_000))
            store.keep(kept)
            if number % 3 == 0 and (held := store.find(kept.key)) is not None:
                store.show(held, STREAMED, rng.randbytes(rng.randint(10, 3_000)))
            if number % 50 == 0:
                done(store.epochs([f"product:{number}"], bump=True))
        gc.collect()
        allocated = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert store.evicted > 1_000
    assert 0.6 * store.used_bytes <= allocated <= store.used_bytes <= store.size_bytes


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_the_process_stays_within_the_bound(eviction: Eviction) -> None:
    """The bench, on a smaller scale: resident size as the operating system counts it."""
    command = [sys.executable, str(BENCH), "--puts", "60000", "--mib", "32"]
    output = subprocess.run(
        [*command, "--eviction", eviction], check=True, capture_output=True, text=True
    )
    measured = json.loads(output.stdout)
    assert measured["evicted"] > 40_000
    assert measured["ratio"] <= 1.10


def test_leaving_frees_the_answer_at_once() -> None:
    for eviction in EVICTIONS:
        store = memory(256 * MIB, eviction)
        rng = random.Random(3)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for number in range(500):
                store.keep(full_entry(number, rng, 10_000))
            full, _ = tracemalloc.get_traced_memory()
            removed = done(store.remove(Selection()))
            empty, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        assert removed == 500
        assert empty < full / 20


def test_shared_strings_are_held_and_charged_once() -> None:
    store = memory()
    rng = random.Random(4)
    first, second = full_entry(1, rng, 10), full_entry(2, rng, 10)
    store.keep(first)
    used = store.used_bytes
    store.keep(second)
    one, other = store.find(first.key), store.find(second.key)
    assert one is not None
    assert other is not None
    assert one.entry.model is other.entry.model
    assert one.entry.key.namespace is other.entry.key.namespace
    assert one.entry.headers[0][0] is other.entry.headers[0][0]
    assert store.used_bytes < 2 * used


def test_strings_stay_bounded_when_every_entry_brings_new_ones() -> None:
    store = memory(64 * 1024)
    for number in range(500):
        store.keep(entry(number, model=f"model-{number}" * 10, tags=((f"tag-{number}", 0),)))
        assert store.used_bytes <= store.size_bytes


def test_an_entry_larger_than_memory_is_refused_and_the_old_answer_goes() -> None:
    store = memory(10_000)
    assert store.keep(entry(1, b"old"))
    assert store.keep(entry(2, b"other"))
    assert not store.keep(entry(1, b"x" * 10_000))
    assert store.find(key(1)) is None
    assert store.find(key(2)) is not None


# Presentations


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_what_was_shown_is_remembered_charged_and_given_back(eviction: Eviction) -> None:
    store = memory(eviction=eviction)
    store.keep(entry(1))
    held = store.find(key(1))
    assert held is not None
    assert held.rendered.get(STREAMED) is None
    before = store.used_bytes
    store.show(held, STREAMED, b"x" * 1_000)
    assert held.rendered[STREAMED] == b"x" * 1_000
    assert store.used_bytes >= before + 1_000
    store.show(held, STREAMED, b"y")
    assert held.rendered[STREAMED] == b"y"
    assert before < store.used_bytes < before + 1_000
    store.keep(entry(1))
    assert store.used_bytes == before


def test_showing_the_body_itself_costs_no_second_body() -> None:
    store = memory()
    store.keep(entry(1, b"x" * 100_000))
    held = store.find(key(1))
    assert held is not None
    before = store.used_bytes
    store.show(held, Shape(), held.entry.body)
    assert store.used_bytes < before + 1_000


def test_nothing_is_shown_for_an_entry_that_left_or_if_it_is_too_large() -> None:
    store = memory(10_000)
    store.keep(entry(1))
    held = store.find(key(1))
    assert held is not None
    store.show(held, STREAMED, b"x" * 10_000)
    assert not held.rendered
    assert store.find(key(1)) is held
    store.keep(entry(1, b"new"))
    before = store.used_bytes
    store.show(held, STREAMED, b"old frames")
    assert store.used_bytes == before
    new = store.find(key(1))
    assert new is not None
    assert not new.rendered


# Time and invalidation


def test_reading_never_extends_life_and_the_dead_are_dropped_when_found() -> None:
    now = [1_000.0]
    store = memory(clock=lambda: now[0])
    store.keep(entry(1))
    now[0] = 1_199.9
    for _ in range(100):
        assert store.find(key(1)) is not None
    now[0] = 1_200.0
    assert store.find(key(1)) is None
    assert len(store) == 0
    now[0] = 1_000.0
    assert store.find(key(1)) is None


def test_an_invalidated_entry_is_forgotten_when_it_is_found() -> None:
    store = memory()
    store.keep(entry(1, tags=(("policy", 0),)))
    store.keep(entry(2))
    done(store.epochs(["policy"], bump=True))
    assert store.find(key(1)) is None
    assert len(store) == 1
    assert not store.keep(entry(1, tags=(("policy", 0),)))
    assert store.keep(entry(1, tags=(("policy", 1),)))


def test_epochs_learnt_from_another_store_only_ever_rise() -> None:
    store = memory()
    assert not store.keep(entry(1, tags=(("policy", 5),)))
    store.apply_epochs({"policy": 5})
    assert store.keep(entry(1, tags=(("policy", 5),)))
    store.apply_epochs({"policy": 4})
    assert store.find(key(1)) is not None
    store.apply_epochs({"policy": 6})
    assert store.find(key(1)) is None


def test_a_full_table_of_epochs_undoes_no_invalidation() -> None:
    store = memory(40_000)
    captured = done(store.epochs(["victim", "bystander"]))
    store.keep(entry(1, tags=tuple(captured.items())))
    done(store.epochs(["victim"], bump=True))
    last = captured
    for number in range(300):
        done(store.epochs([f"doc:{number}"], bump=True))
        assert store.used_bytes <= store.size_bytes
        now = done(store.epochs(captured))
        assert all(now[tag] >= last[tag] for tag in now)
        last = now
        assert not store.keep(entry(1, tags=(("victim", captured["victim"]),)))
        assert store.find(key(1)) is None
    assert store.keep(entry(1, tags=tuple(last.items())))
    assert store.find(key(1)) is not None


# Money


def test_an_unpriced_answer_still_competes() -> None:
    unpriced = entry(1, b"x" * 4_000)
    counted = entry(1, usage=Usage(500, 500))
    priced = entry(1, usage=Usage(500, 500), cost_usd=Decimal("0.01"))
    free = entry(1, usage=Usage(500, 500), cost_usd=Decimal(0))
    assert saving_usd(unpriced) == pytest.approx(saving_usd(counted), rel=0.01)
    assert 0 < saving_usd(counted) == saving_usd(free) < saving_usd(priced) == 0.01


def test_by_cost_the_dear_answers_stay() -> None:
    store = memory(100_000, "gdsf")
    for number in range(300):
        dear = number % 10 == 0
        store.keep(entry(number, b"x" * 1_000, cost_usd=Decimal("0.1" if dear else "0.001")))
    assert all(store.find(key(number)) is not None for number in range(0, 300, 10))
    assert store.evicted > 200


# Laws

OPERATION = st.tuples(
    st.sampled_from(["keep", "keep", "keep", "find", "find", "show", "remove", "bump", "expire"]),
    st.integers(0, 5),
    st.integers(0, 2_500),
)


class Oracle:
    """What a store without a size limit would hold, in plain dicts."""

    def __init__(self) -> None:
        self.last: dict[Key, Entry] = {}
        self.epochs: dict[str, int] = {}
        self.rendered: dict[Key, list[tuple[Shape, bytes]]] = {}

    def readable(self, wanted: Key) -> Entry | None:
        known = self.last.get(wanted)
        if known is None or any(self.epochs.get(tag, 0) != epoch for tag, epoch in known.tags):
            return None
        return known


@pytest.mark.parametrize("eviction", EVICTIONS)
@given(operations=st.lists(OPERATION, max_size=80))
def test_a_hit_is_the_last_answer_kept_and_the_bound_always_holds(
    eviction: Eviction, operations: list[tuple[str, int, int]]
) -> None:
    store, oracle = memory(9_000, eviction), Oracle()
    for verb, number, size in operations:
        tag = f"tag-{number % 2}"
        if verb == "keep":
            epoch = oracle.epochs.get(tag, 0) if size % 5 else 0
            tags = ((tag, epoch),) if number < 4 else ()
            offered = entry(number, b"x" * size, expires=size, stale_until=size, tags=tags)
            stored = store.keep(offered)
            if tags and epoch != oracle.epochs.get(tag, 0):
                assert not stored
            else:
                oracle.last[offered.key] = offered
                oracle.rendered.pop(offered.key, None)
        elif verb == "remove":
            gone = done(store.remove(Selection(keys=(key(number), key(number)))))
            assert gone <= (oracle.last.pop(key(number), None) is not None)
            assert store.find(key(number)) is None
        elif verb == "expire":
            done(store.remove(Selection(expired_before=float(size))))
            oracle.last = {k: v for k, v in oracle.last.items() if v.expires >= size}
        elif verb == "bump":
            oracle.epochs |= done(store.epochs([tag], bump=True))
        held = store.find(key(number))
        if held is not None:
            assert held.entry == oracle.readable(key(number))
            if verb == "show":
                shape, frames = Shape(stream=size % 2 == 0), b"%d" % number * size
                store.show(held, shape, frames)
                oracle.rendered.setdefault(held.entry.key, []).append((shape, frames))
            assert set(held.rendered.items()) <= set(oracle.rendered.get(held.entry.key, []))
        assert store.used_bytes <= store.size_bytes
    done(store.close())
    assert len(store) == 0


@given(operations=st.lists(OPERATION, max_size=60))
def test_with_room_for_all_nothing_is_ever_lost(operations: list[tuple[str, int, int]]) -> None:
    store, oracle = memory(), Oracle()
    for _, number, size in operations:
        offered = entry(number, b"x" * size)
        assert store.keep(offered)
        oracle.last[offered.key] = offered
        for wanted in map(key, range(6)):
            held = store.find(wanted)
            assert (held and held.entry) == oracle.readable(wanted)
    assert store.evicted == 0


# Threads


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_threads_see_whole_answers_of_their_own_key(eviction: Eviction) -> None:
    store = memory(60_000, eviction)
    wrong: list[HeldEntry] = []
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        start.wait()
        for _ in range(3_000):
            number = rng.randrange(60)
            held = store.find(key(number))
            if held is None:
                tags = tuple(done(store.epochs([f"tag-{number % 3}"])).items())
                store.keep(entry(number, b"%d" % number * rng.randint(1, 500), tags=tags))
            elif held.entry.key != key(number) or set(held.entry.body) != set(b"%d" % number):
                wrong.append(held)
            else:
                store.show(held, STREAMED, held.entry.body * 2)
            if rng.random() < 0.01:
                done(store.epochs([f"tag-{number % 3}"], bump=True))
            if rng.random() < 0.01:
                done(store.remove(Selection(keys=(key(number),))))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 0 < store.used_bytes <= store.size_bytes
    done(store.remove(Selection()))
    empty = MemoryStore(60_000, lock=nullcontext(), eviction=eviction)
    empty.apply_epochs(done(store.epochs([f"tag-{number}" for number in range(3)])))
    # The books balance: only tags and shared strings are left.
    assert len(store) == 0
    assert store.used_bytes < empty.used_bytes + 60_000 // 64
