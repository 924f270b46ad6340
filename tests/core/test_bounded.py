"""The bounded map is a model LRU: same entries, same order, never over its bound."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from askonce.core.bounded import BoundedMap

STEPS = st.lists(
    st.tuples(st.sampled_from(["get", "set", "pop", "default", "clear", "in"]), st.integers(0, 6)),
    max_size=60,
)


class ModelLru:
    """The obvious implementation: a list of pairs, the least recently used first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.pairs: list[tuple[int, int]] = []

    def use(self, key: int) -> int | None:
        for pair in self.pairs:
            if pair[0] == key:
                self.pairs.remove(pair)
                self.pairs.append(pair)
                return pair[1]
        return None

    def set(self, key: int, value: int) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] != key]
        if value <= self.most:
            self.pairs.append((key, value))
        while sum(weight for _, weight in self.pairs) > self.most:
            self.pairs.pop(0)


@given(STEPS, st.integers(1, 12))
def test_it_is_a_weighted_lru(steps: list[tuple[str, int]], most: int) -> None:
    found: BoundedMap[int, int] = BoundedMap(most, lambda _, weight: weight)
    model = ModelLru(most)
    for number, (step, key) in enumerate(steps):
        weight = number % 5 + 1
        if step == "get":
            assert found.get(key) == model.use(key)
        elif step == "set":
            found[key] = weight
            model.set(key, weight)
        elif step == "pop":
            found.pop(key)
            model.pairs = [pair for pair in model.pairs if pair[0] != key]
        elif step == "default":
            if model.use(key) is None:
                model.set(key, weight)
            found.setdefault(key, weight)
        elif step == "clear":
            found.clear()
            model.pairs = []
        else:
            assert (key in found) == any(pair[0] == key for pair in model.pairs)
        assert found.items() == model.pairs
        assert found.weight == sum(weight for _, weight in model.pairs) <= most


def test_without_weights_it_counts_entries() -> None:
    found: BoundedMap[str, int] = BoundedMap(2)
    found["a"], found["b"] = 1, 2
    assert found["a"] == 1
    found["c"] = 3
    assert list(found) == ["a", "c"]
    assert found.get("b") is None
    assert found.get("b", 7) == 7


def test_threads_share_it() -> None:
    found: BoundedMap[int, int] = BoundedMap(50)

    def work(seed: int) -> None:
        for number in range(5_000):
            found[(number * seed) % 97] = number
            found.get((number * seed * 3) % 97)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (1, 3, 5, 7)))  # raises what a thread raised
    assert len(found) <= 50
