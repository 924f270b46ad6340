"""The bounded map: the one place that decides what a small in-process memory forgets."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class BoundedMap(Generic[K, V]):
    """A map that forgets the least recently used entries once it is full.

    Reading with `get` or `[]` and writing count as use; `peek`, `in`, `len` and iteration do not.
    `peek` is `get` without that: one look into a dictionary, for the hottest paths.
    Guarantees: after every write the weights sum to at most `most`; one entry heavier than `most`
    is not kept. Each operation takes constant time, plus the entries that it forgets.
    Does not guarantee: atomicity of a read followed by a write. Single operations are safe from
    several threads; callers that need more hold a lock.

    Parameters:
        most: the largest sum of weights; by default, the largest number of entries.
        weigh: the weight of one entry, a positive integer such as bytes. It must give the same
            number for the same key and value. Default: every entry weighs 1.
    """

    __slots__ = ("_entries", "_most", "_weigh", "_weight", "peek")

    def __init__(self, most: int, weigh: Callable[[K, V], int] | None = None) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.peek: Callable[[K], V | None] = self._entries.get
        self._most = most
        self._weigh = weigh
        self._weight = 0

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: V | D) -> V | D: ...
    def get(self, key: K, default: V | D | None = None) -> V | D | None:
        """Return the value under `key` and mark it as used; `default` if there is none."""
        try:
            self._entries.move_to_end(key)
            return self._entries[key]
        except KeyError:
            return default

    def __getitem__(self, key: K) -> V:
        self._entries.move_to_end(key)
        return self._entries[key]

    def __setitem__(self, key: K, value: V) -> None:
        if self._weigh is None:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
            return
        self.pop(key)
        weight = self._weigh(key, value)
        if weight > self._most:
            return
        self._entries[key] = value
        self._weight += weight
        while self._weight > self._most:
            self._weight -= self._weigh(*self._entries.popitem(last=False))

    def setdefault(self, key: K, value: V) -> V:
        """Return the value under `key`; store `value` first if there is none."""
        found = self.get(key)
        if found is None and key not in self._entries:
            self[key] = found = value
        return found  # type: ignore[return-value]

    def pop(self, key: K) -> V | None:
        """Remove and return the value under `key`; None if there is none."""
        if key not in self._entries:
            return None
        value = self._entries.pop(key)
        if self._weigh is not None:
            self._weight -= self._weigh(key, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._weight = 0

    @property
    def weight(self) -> int:
        """The sum of the weights of all entries."""
        return len(self._entries) if self._weigh is None else self._weight

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        """Iterate over a snapshot of the keys, the least recently used first."""
        return iter(list(self._entries))

    def items(self) -> list[tuple[K, V]]:
        """Return a snapshot of all entries, the least recently used first."""
        return list(self._entries.items())

    def values(self) -> list[V]:
        """Return a snapshot of all values, the least recently used first."""
        return list(self._entries.values())
