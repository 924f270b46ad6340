"""The contract of every index of vectors, for sync and async callers.

To put another index under the contract, add one line to `INDEXES`.
"""

import hashlib
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Key, NearestKey
from askonce.core.protocols import VectorIndex
from askonce.semantic.index import field as fields
from askonce.semantic.index.open_index import open_process_index
from askonce.stores.context import StoreContext
from tests.fixtures.stores import Run, run_blocking

DIMENSIONS = 384
NEVER = 1e10


@dataclass
class Place:
    """Where a test's indexes are: one that is opened again with the same arguments is the same."""

    request: pytest.FixtureRequest
    context: StoreContext
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex}")

    def redis(self, fixture: str, **how: Any) -> VectorIndex:
        from askonce.stores.redis.vectors import open_redis_vectors

        url = f"{self.request.getfixturevalue(fixture)}?prefix={self.prefix}"
        return open_redis_vectors(url, self.context, **how)

    def postgres(self, **how: Any) -> VectorIndex:
        from askonce.stores.postgres.vectors import open_postgres_vectors

        url = f"{self.request.getfixturevalue('postgres_url')}?schema={self.prefix}"
        return open_postgres_vectors(url, self.context, **how)

    def process(self, **how: Any) -> VectorIndex:
        lock, clock = self.context.lock(), self.context.clock
        return open_process_index(lock=lock, clock=clock, **how)


def graph(at: Place, how: dict[str, Any]) -> VectorIndex:
    """A graph from the fourth entry of a scope on."""
    monkeypatch = at.request.getfixturevalue("monkeypatch")
    monkeypatch.setattr(fields, "EXACT_ENTRIES", 3)
    return at.process(**how)


INDEXES: dict[str, Callable[[Place, dict[str, Any]], VectorIndex]] = {
    "exact": lambda at, how: at.process(**how),
    "graph": graph,
    "redis8": lambda at, how: at.redis("redis8_url", **how),
    "redis-cluster": lambda at, how: at.redis("redis_cluster_url", **how),
    "postgres": lambda at, how: at.postgres(**how),
}


class Clock:
    """The test's own time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(INDEXES))
def opened(
    request: pytest.FixtureRequest, run: Run, context: StoreContext, clock: Clock
) -> Iterator[Callable[..., VectorIndex]]:
    """Opens an index in one place; all are closed after the test."""
    place = Place(request, context._replace(clock=clock))
    made: list[VectorIndex] = []

    def open_(**how: Any) -> VectorIndex:
        how = {"embedder": "mini", "dimensions": DIMENSIONS, **how}
        made.append(INDEXES[request.param](place, how))
        return made[-1]

    yield open_
    for index in made:
        run(index.close())


def key(name: object, namespace: str = "team", format_: str = "chat") -> Key:
    return Key(namespace, format_, hashlib.sha256(str(name).encode()).digest())


def vectors(count: int, seed: int = 0, *, dimensions: int = DIMENSIONS) -> Any:
    """Vectors of unit length that lie as questions do: in heaps, and in few directions."""
    chance = numpy.random.default_rng(seed)
    few = max(2, dimensions // 12)
    heaps = chance.normal(size=(max(1, count // 20), few))
    latent = heaps[chance.integers(0, len(heaps), count)] + chance.normal(size=(count, few)) * 0.6
    directions = numpy.random.default_rng(99).normal(size=(few, dimensions))
    made = latent @ directions + chance.normal(size=(count, dimensions)) * 0.3
    made /= numpy.linalg.norm(made, axis=1, keepdims=True)
    return made.astype("<f4")


def names(found: list[Any]) -> list[Key]:
    return [near.key for near in found]


async def fill(index: VectorIndex, scope: bytes, made: Any, expires: float = NEVER) -> None:
    for number, vector in enumerate(made):
        await index.add(scope, key(number), vector.tobytes(), expires)


def test_the_nearest_come_first_with_their_cosine(opened: Any, run: Run) -> None:
    made = vectors(40)
    index = opened()

    async def story() -> Any:
        await fill(index, b"s", made)
        return await index.nearest(b"s", made[7].tobytes(), 5)

    found = run(story())
    cosines = made @ made[7]
    best = [key(number) for number in numpy.argsort(-cosines)[:5]]
    assert names(found) == best
    assert found[0].similarity == pytest.approx(1.0, abs=0.002)
    for near, cosine in zip(found, sorted(cosines, reverse=True), strict=False):
        assert near.similarity == pytest.approx(cosine, abs=0.005)
    assert all(-1 <= near.similarity <= 1 for near in found)


def test_an_opposite_vector_is_far(opened: Any, run: Run) -> None:
    (vector,) = vectors(1)
    index = opened()

    async def story() -> Any:
        await index.add(b"s", key("a"), vector.tobytes(), NEVER)
        return await index.nearest(b"s", (-vector).tobytes(), 1)

    (found,) = run(story())
    assert found.similarity == pytest.approx(-1.0, abs=0.002)


def test_scopes_never_mix(opened: Any, run: Run) -> None:
    made = vectors(12)
    index = opened()

    async def story() -> None:
        for number, vector in enumerate(made):
            scope = b"scope-%d" % (number % 3)
            await index.add(scope, key(number), vector.tobytes(), NEVER)
        for number in range(3):
            found = await index.nearest(b"scope-%d" % number, made[0].tobytes(), 100)
            assert set(names(found)) == {key(n) for n in range(12) if n % 3 == number}
            assert await index.size(b"scope-%d" % number) == 4
        assert await index.size() == 12
        assert await index.nearest(b"scope-", made[0].tobytes(), 100) == []
        assert await index.size(b"no such") == 0

    run(story())


def test_keys_that_differ_in_any_part_are_others(opened: Any, run: Run) -> None:
    (vector,) = vectors(1)
    index = opened()
    keys = [key("a"), key("a", "other"), key("a", "team", "text"), key("b"), key("a", "\ud800 x/y")]

    async def story() -> Any:
        for one in keys:
            await index.add(b"s", one, vector.tobytes(), NEVER)
        await index.remove(b"s", [keys[1]])
        return await index.nearest(b"s", vector.tobytes(), 10)

    assert set(names(run(story()))) == {*keys} - {keys[1]}


def test_what_was_removed_is_not_named(opened: Any, run: Run) -> None:
    made = vectors(12)
    index = opened()

    async def story() -> None:
        await fill(index, b"s", made)
        await index.remove(b"s", [key(0), key(5), key("no such")])
        await index.remove(b"t", [key(1)])
        found = await index.nearest(b"s", made[5].tobytes(), 100)
        assert set(names(found)) == {key(n) for n in range(12)} - {key(0), key(5)}
        await index.add(b"s", key(5), made[0].tobytes(), NEVER)
        found = await index.nearest(b"s", made[0].tobytes(), 1)
        assert names(found) == [key(5)]
        await index.remove(b"s", map(key, range(12)))
        assert await index.nearest(b"s", made[0].tobytes(), 3) == []
        assert await index.size() == 0

    run(story())


def test_what_has_expired_is_not_named(opened: Any, run: Run, clock: Clock) -> None:
    made = vectors(12)
    index = opened()

    async def story() -> None:
        for number, vector in enumerate(made):
            await index.add(b"s", key(number), vector.tobytes(), 1010.0 + number)
        clock.now = 1014.0
        found = await index.nearest(b"s", made[0].tobytes(), 100)
        assert set(names(found)) == {key(n) for n in range(5, 12)}
        assert await index.size(b"s") == await index.size() == 7
        clock.now = 2000.0
        assert await index.nearest(b"s", made[0].tobytes(), 3) == []
        assert await index.size() == 0
        await index.add(b"s", key("new"), made[1].tobytes(), 3000.0)
        assert names(await index.nearest(b"s", made[0].tobytes(), 3)) == [key("new")]

    run(story())


def test_a_key_that_comes_again_is_replaced(opened: Any, run: Run, clock: Clock) -> None:
    made = vectors(8)
    index = opened()

    async def story() -> None:
        await fill(index, b"s", made[:6])
        await index.add(b"s", key(0), made[7].tobytes(), 1500.0)
        assert await index.size(b"s") == 6
        found = await index.nearest(b"s", made[7].tobytes(), 6)
        assert found[0].key == key(0)
        assert found[0].similarity == pytest.approx(1.0, abs=0.002)
        assert len(set(names(found))) == 6
        clock.now = 1501.0
        assert key(0) not in names(await index.nearest(b"s", made[7].tobytes(), 6))
        assert await index.size(b"s") == 5

    run(story())


def test_the_oldest_leave_a_full_scope(opened: Any, run: Run) -> None:
    made = vectors(12)
    index = opened(max_entries=5)

    async def story() -> None:
        await fill(index, b"s", made[:5])
        await index.add(b"s", key(0), made[0].tobytes(), NEVER)  # the newest now
        await index.add(b"s", key(5), made[5].tobytes(), NEVER)
        await index.add(b"s", key(6), made[6].tobytes(), NEVER)
        await index.add(b"t", key(7), made[7].tobytes(), NEVER)
        found = await index.nearest(b"s", made[0].tobytes(), 100)
        assert set(names(found)) == {key(n) for n in (3, 4, 0, 5, 6)}
        assert (await index.size(b"s"), await index.size(b"t")) == (5, 1)

    run(story())


def test_embedders_are_kept_apart(opened: Any, run: Run) -> None:
    made, short = vectors(3), vectors(3, dimensions=24)
    one, other, small = opened(), opened(embedder="max"), opened(dimensions=24)

    async def story() -> None:
        await one.add(b"s", key(1), made[0].tobytes(), NEVER)
        await other.add(b"s", key(2), made[0].tobytes(), NEVER)
        await small.add(b"s", key(3), short[0].tobytes(), NEVER)
        assert names(await one.nearest(b"s", made[0].tobytes(), 9)) == [key(1)]
        assert names(await other.nearest(b"s", made[0].tobytes(), 9)) == [key(2)]
        assert names(await small.nearest(b"s", short[0].tobytes(), 9)) == [key(3)]
        await one.clear()
        assert (await one.size(), await other.size(), await small.size()) == (0, 1, 1)

    run(story())


def test_a_cleared_index_goes_on(opened: Any, run: Run) -> None:
    made = vectors(8)
    index = opened()

    async def story() -> None:
        await fill(index, b"s", made)
        await fill(index, b"t", made)
        await index.clear()
        assert await index.size() == 0
        assert await index.nearest(b"s", made[0].tobytes(), 3) == []
        await index.add(b"s", key("a"), made[0].tobytes(), NEVER)
        assert names(await index.nearest(b"s", made[0].tobytes(), 3)) == [key("a")]

    run(story())


@pytest.mark.parametrize(
    "wrong",
    [b"", b"\0" * 4, b"\0" * 4 * DIMENSIONS, b"\0\0\xc0\x7f" * DIMENSIONS],
    ids=["empty", "short", "zero", "nan"],
)
def test_bytes_that_are_no_vector_are_refused(opened: Any, run: Run, wrong: bytes) -> None:
    index = opened()
    made = vectors(1)
    with pytest.raises(StoreError, match="the vector"):
        run(index.add(b"s", key("a"), wrong, NEVER))
    run(index.add(b"s", key("b"), made[0].tobytes(), NEVER))
    with pytest.raises(StoreError, match="the vector"):
        run(index.nearest(b"s", wrong, 3))
    assert run(index.size()) == 1
    assert run(index.nearest(b"s", made[0].tobytes(), 0)) == []


def test_the_nearest_is_found_again_and_again(opened: Any, run: Run) -> None:
    count = 400
    made = vectors(count + 60, seed=3)
    index = opened(max_entries=count)

    async def story() -> int:
        # Twice as many as there is room for: the second half takes the place of the first.
        for number, vector in enumerate(vectors(count, seed=4)):
            await index.add(b"s", key(f"old {number}"), vector.tobytes(), NEVER)
        await fill(index, b"s", made[:count])
        assert await index.size(b"s") == count
        right = 0
        for question in made[count:]:
            (found,) = await index.nearest(b"s", question.tobytes(), 1)
            right += found.similarity > (made[:count] @ question).max() - 0.003
        return right

    assert run(story()) >= 59


def test_redis_7_is_refused_with_one_clear_line(
    redis7_url: str, run: Run, context: StoreContext
) -> None:
    from askonce.stores.redis.vectors import open_redis_vectors

    index = open_redis_vectors(redis7_url, context, embedder="mini", dimensions=DIMENSIONS)
    (vector,) = vectors(1)
    with pytest.raises(ConfigError, match="needs Redis 8"):
        run(index.nearest(b"s", vector.tobytes(), 1))
    with pytest.raises(ConfigError, match="needs Redis 8"):
        run(index.add(b"s", key("a"), vector.tobytes(), NEVER))
    run(index.close())


# A model: a dict, and the exact cosine

SMALL = 16
_steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "remove", "pass", "find"]),
        st.integers(0, 11),
        st.integers(0, 1),
        st.integers(1, 30),
    ),
    max_size=60,
)


@pytest.mark.parametrize("exact", [4096, 2], ids=["exact", "graph"])
@given(steps=_steps, most=st.sampled_from([None, 1, 4]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_is_a_dict_and_the_cosine(
    exact: int, steps: list[Any], most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "EXACT_ENTRIES", exact)
    clock, made = Clock(), vectors(30, seed=5, dimensions=SMALL)
    index = open_process_index("mini", SMALL, lock=Lock(), clock=clock, max_entries=most)
    model: dict[bytes, dict[Key, tuple[Any, float]]] = {b"0": {}, b"1": {}}

    async def step(verb: str, which: int, where: int, number: int) -> None:
        scope, held = b"%d" % where, model[b"%d" % where]
        if verb == "add":
            vector, expires = made[number - 1], clock.now + number
            await index.add(scope, key(which), vector.tobytes(), expires)
            held.pop(key(which), None)
            held[key(which)] = (vector, expires)
        elif verb == "remove":
            await index.remove(scope, [key(which)])
            held.pop(key(which), None)
        elif verb == "pass":
            clock.now += number / 2
        question = made[number - 1]
        found = await index.nearest(scope, question.tobytes(), 20)
        alive = {one: vector for one, (vector, end) in held.items() if end > clock.now}
        if most is None:
            assert set(names(found)) == set(alive)
            assert await index.size(scope) == len(alive)
        else:
            assert set(names(found)) <= set(alive)
            assert len(found) <= most
        for near in found:
            assert near.similarity == pytest.approx(alive[near.key] @ question, abs=0.02)
        similarities = [near.similarity for near in found]
        assert similarities == sorted(similarities, reverse=True)

    for verb, which, where, number in steps:
        run_blocking(step(verb, which, where, number))


def test_a_scope_without_searches_does_not_stay_in_memory() -> None:
    clock, made = Clock(), vectors(1)
    index = open_process_index("mini", DIMENSIONS, lock=Lock(), clock=clock)
    for number in range(50):
        run_blocking(index.add(b"%d" % number, key("a"), made[0].tobytes(), 1001.0))
    clock.now = 1002.0
    for _ in range(60):
        run_blocking(index.add(b"s", key("b"), made[0].tobytes(), NEVER))
    assert len(index._fields) == 1


def test_threads_may_share_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "EXACT_ENTRIES", 50)
    made = vectors(400)
    index = open_process_index("mini", DIMENSIONS, lock=Lock(), clock=Clock(), max_entries=150)

    def work(part: int) -> None:
        for number in range(part, 400, 4):
            run_blocking(index.add(b"s", key(number), made[number].tobytes(), NEVER))
            found = run_blocking(index.nearest(b"s", made[number].tobytes(), 3))
            assert all(-1 <= near.similarity <= 1 for near in found)
            if number % 5 == 0:
                run_blocking(index.remove(b"s", [key(number - 4)]))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert 100 < run_blocking(index.size(b"s")) <= 150


# A graph of thousands, beside the exact search


def found_by(index: Any, questions: Any) -> list[NearestKey]:
    return [run_blocking(index.nearest(b"s", one.tobytes(), 1))[0] for one in questions]


def recall(index: Any, names_: list[Key], held: Any, questions: Any) -> float:
    """How often the one that is found is the nearest, or as near."""
    right = 0
    for near, cosines in zip(found_by(index, questions), questions @ held.T, strict=True):
        right += cosines[names_.index(near.key)] >= cosines.max() - 1e-6
    return right / len(questions)


def test_a_graph_finds_what_the_exact_search_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "EXACT_ENTRIES", 500)  # it is whole with 3,000 entries
    made, questions = vectors(6_000, seed=7), vectors(6_300, seed=7)[6_000:]
    questions[:150] = near_to(made[:150])
    path = tmp_path / "index"

    def opened() -> Any:
        lock = Lock()
        return open_process_index("mini", DIMENSIONS, lock=lock, clock=Clock(), path=path)

    index = opened()
    run_blocking(fill(index, b"s", made))
    assert index._fields[b"s"]._matrix is None
    held = [key(number) for number in range(len(made))]
    assert recall(index, held, made, questions) >= 0.99

    # A third is replaced in place, and a third removed.
    replaced = vectors(2_000, seed=8)
    run_blocking(fill(index, b"s", replaced))
    run_blocking(index.remove(b"s", held[2_000:4_000]))
    left = [*held[:2_000], *held[4_000:]]
    now = numpy.concatenate([replaced, made[4_000:]])
    assert run_blocking(index.size(b"s")) == 4_000
    assert recall(index, left, now, questions) >= 0.99

    before = found_by(index, questions)
    assert before == found_by(index, questions)
    run_blocking(index.close())
    assert found_by(opened(), questions) == before


def near_to(made: Any) -> Any:
    """The same said in other words."""
    moved = made + numpy.random.default_rng(6).normal(size=made.shape) * 0.01
    return (moved / numpy.linalg.norm(moved, axis=1, keepdims=True)).astype("<f4")


# The file of an index in this process


def at_path(path: Path, embedder: str = "mini", dimensions: int = DIMENSIONS) -> Any:
    return open_process_index(
        embedder, dimensions, lock=Lock(), clock=lambda: 1000.0, path=path, max_entries=30
    )


def written(path: Path) -> Any:
    """An index of two scopes, one a graph, saved; and its vectors."""
    made = vectors(40)
    index = at_path(path)
    run_blocking(fill(index, b"large", made))
    run_blocking(index.add(b"small", key("alone"), made[0].tobytes(), NEVER))
    run_blocking(index.close())
    return made


@pytest.mark.parametrize("exact", [4096, 20, 3], ids=["exact", "growing", "graph"])
def test_a_saved_index_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: int
) -> None:
    monkeypatch.setattr(fields, "EXACT_ENTRIES", exact)
    path = tmp_path / "index"
    assert at_path(path).rebuilt_needed
    made = written(path)
    index = at_path(path)
    assert not index.rebuilt_needed
    assert run_blocking(index.size()) == 31
    assert run_blocking(index.size(b"large")) == 30
    before = run_blocking(index.nearest(b"large", made[39].tobytes(), 30))
    assert set(names(before)) == {key(n) for n in range(10, 40)}
    assert before[0].key == key(39)
    # It goes on as before: the oldest leave first.
    run_blocking(index.add(b"large", key("new"), made[1].tobytes(), NEVER))
    after = run_blocking(index.nearest(b"large", made[1].tobytes(), 30))
    assert set(names(after)) == {key(n) for n in range(11, 40)} | {key("new")}
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def flipped(at: float) -> Callable[[bytes], bytes]:
    def damage(blob: bytes) -> bytes:
        place = int(at * (len(blob) - 1))
        return blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda blob: b"",
    "another-thing": lambda blob: b"#!/bin/sh\n" * 100,
    "half": lambda blob: blob[: len(blob) // 2],
    "one-byte-less": lambda blob: blob[:-1],
    "one-byte-more": lambda blob: blob + b"x",
    "head-only": lambda blob: blob[:5],
    "later-version": lambda blob: blob[:4] + b"\x02" + blob[5:],
    "zeros": lambda blob: bytes(len(blob)),
    **{f"bit-{at}": flipped(at) for at in (0.0, 0.0001, 0.1, 0.5, 0.9, 1.0)},
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_file_is_an_empty_index_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(fields, "EXACT_ENTRIES", 3)
    path = tmp_path / "index"
    made = written(path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    index = at_path(path)
    assert index.rebuilt_needed
    assert run_blocking(index.size()) == 0
    run_blocking(index.add(b"large", key("a"), made[0].tobytes(), NEVER))
    run_blocking(index.close())
    assert run_blocking(at_path(path).size()) == 1


def test_a_file_of_another_embedder_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "index"
    written(path)
    for index in (at_path(path, "max"), at_path(path, dimensions=24)):
        assert index.rebuilt_needed
        assert run_blocking(index.size()) == 0
    assert run_blocking(at_path(path).size()) == 31


def test_a_full_disk_is_a_store_error_and_the_index_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index"
    made = written(path)
    before = path.read_bytes()
    index = at_path(path)
    run_blocking(index.add(b"large", key("a"), made[0].tobytes(), NEVER))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        run_blocking(index.save())
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert key("a") in names(run_blocking(index.nearest(b"large", made[0].tobytes(), 30)))
    run_blocking(index.close())
    assert key("a") in names(run_blocking(at_path(path).nearest(b"large", made[0].tobytes(), 30)))


def test_without_its_libraries_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(ConfigError, match=r"run: pip install 'askonce\[semantic\]'"):
        open_process_index("mini", DIMENSIONS, lock=Lock(), clock=lambda: 0.0)


ORDER = """
from threading import Lock

from askonce.semantic.embedders.local import LocalEmbedder
from askonce.core.runtime.threads import run_sync
from askonce.semantic.index.open_index import open_process_index

index = open_process_index("mini", 384, lock=Lock(), clock=lambda: 0.0)
(vector,) = run_sync(LocalEmbedder(lock=Lock()).embed(["Is the branch open on Sundays?"]))
run_sync(index.nearest(b"s", vector, 1))
"""


def test_the_local_embedder_may_load_after_the_index() -> None:
    # Two C++ runtimes in one process: in the other order, importing onnxruntime ended the process.
    done = subprocess.run([sys.executable, "-c", ORDER], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
