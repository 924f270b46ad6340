"""Eviction policies: which entries leave when memory is full. Both are bounded in bytes.

`S3Fifo` (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023) keeps entries
that are asked for again and lets scans pass through a small queue. `GreedyDual` (Cherkasova,
"Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy", HPL-98-69R1;
the cost term follows Cao and Irani, 1997) keeps entries that save most per byte.

The owner calls everything but `touch` under its lock. `touch` needs none: it writes a counter, and
a lost update only makes that a little too small.
"""

import heapq
from collections import deque
from collections.abc import Hashable
from typing import Any, Protocol

_MOST_HITS = 3  # two bits, as in the paper
_PROMOTED_AFTER = 2  # hits in the small queue that move an entry to the main one
_SMALL_SHARE = 10  # the small queue is one tenth of the capacity
_FEW = 64  # so few tombstones are never worth a compaction


_Node = list[Any]  # [priority, turn, Resident | None]: the heap's item, emptied on removal


class Resident:
    """One entry of the cache as a policy sees it; the store's own record extends it.

    `size` is in bytes and above 0; `cost` is the US dollars that a hit saves.

    The slots after `hits` belong to the policy that the resident lives in. The policies link
    residents directly, because a tombstone would keep a whole answer alive after it left.
    """

    __slots__ = ("after", "before", "cost", "hits", "key", "node", "priority", "queue", "size")

    after: "Resident"
    before: "Resident"

    def __init__(self, key: Hashable, size: int, cost: float = 0.0) -> None:
        self.key = key
        self.size = size
        self.cost = cost
        self.hits = 0
        self.queue: _Queue | None = None
        self.node: _Node | None = None
        self.priority = 0.0


class EvictionPolicy(Protocol):
    """Decides which residents leave so that `used` never exceeds `capacity`, both in bytes.

    Guarantees: after `add` or `settle`, `used <= capacity`; every resident that left is in the
    returned list, exactly once; the same operations in the same order choose the same victims.
    """

    capacity: int

    @property
    def used(self) -> int:
        """Bytes of the residents, and of the policy's memory of others."""

    def touch(self, resident: Resident) -> None:
        """Note a hit. Cheap, and safe without the lock."""

    def add(self, resident: Resident, *, instead_of: Resident | None = None) -> list[Resident]:
        """Admit a newcomer of at most `capacity` bytes; return the residents that left for it.

        With `instead_of` the newcomer takes over the standing of the resident that it replaces
        (which is not in the returned list): a refreshed answer is not a new one.
        """

    def resize(self, resident: Resident, size: int) -> None:
        """Note that a resident now takes `size` bytes; `settle` makes the room."""

    def drop(self, resident: Resident) -> None:
        """Forget a resident that its owner removed; nothing if it already left."""

    def settle(self) -> list[Resident]:
        """Make `used` fit `capacity` again; return the residents that left."""


class S3Fifo:
    """Three FIFO queues: a small one for newcomers, a main one for repeated entries, and a ghost.

    A newcomer waits in the small queue, a tenth of the capacity. If it is asked for at least
    twice there it moves to the main queue, else it leaves and only its hash stays behind, in the
    ghost queue; a newcomer that the ghost remembers goes straight to the main queue. The main
    queue gives its oldest another round for each hit, three at most.

    Sizes differ here, unlike in the paper. The small queue's tenth is where eviction starts, not
    a wall: a newcomer larger than that waits there too and leaves when its turn comes. (Sent
    straight to the main queue, large ones that are not asked for again stay too long.) The owner
    refuses an entry larger than the whole capacity. The ghost remembers at most as many hashes as
    there are residents, and `ghost_bytes` for each count against the capacity.
    """

    def __init__(self, capacity: int, *, ghost_bytes: int = 0) -> None:
        self.capacity = capacity
        self._ghost_bytes = ghost_bytes
        self._small = _Queue()
        self._main = _Queue()
        self._ghost = _Ghost()

    @property
    def used(self) -> int:
        return self._small.bytes + self._main.bytes + self._ghost_bytes * len(self._ghost)

    def touch(self, resident: Resident) -> None:
        if resident.hits < _MOST_HITS:
            resident.hits += 1

    def add(self, resident: Resident, *, instead_of: Resident | None = None) -> list[Resident]:
        queue = None
        if instead_of is not None:
            queue = instead_of.queue
            resident.hits = instead_of.hits
            self.drop(instead_of)
        if queue is None:
            queue = self._main if resident.key in self._ghost else self._small
        victims = self._make_room(resident.size)
        queue.push(resident)
        return victims

    def resize(self, resident: Resident, size: int) -> None:
        if resident.queue is not None:
            resident.queue.bytes += size - resident.size
            resident.size = size

    def drop(self, resident: Resident) -> None:
        if resident.queue is not None:
            resident.queue.unlink(resident)
            # The ghost is bounded by the residents, so it shrinks with them.
            self._ghost.trim(self._small.count + self._main.count)

    def settle(self) -> list[Resident]:
        return self._make_room(0)

    def _small_share(self) -> int:
        return self.capacity // _SMALL_SHARE

    def _make_room(self, size: int) -> list[Resident]:
        victims: list[Resident] = []
        while self.used + size > self.capacity and (self._small.count or self._main.count):
            victims.append(self._evict())
            self._ghost.trim(self._small.count + self._main.count)
        return victims

    def _evict(self) -> Resident:
        while True:
            if self._small.count and (
                self._small.bytes > self._small_share() or not self._main.count
            ):
                oldest = self._small.pop()
                if oldest.hits < _PROMOTED_AFTER:
                    self._ghost.add(oldest.key)
                    return oldest
                oldest.hits = 0
            else:
                oldest = self._main.pop()
                if not oldest.hits:
                    return oldest
                oldest.hits -= 1
            self._main.push(oldest)


class GreedyDual:
    """Greedy-Dual-Size-Frequency: the resident leaves that saves least per byte, aged.

    A resident's priority is `floor + frequency * cost / size`. The floor is the priority of the
    last victim, so residents that are not asked for again sink below newcomers.

    A hit only raises the resident's own priority. The heap is updated when the resident comes to
    the top: priorities never sink, so a position can only be too early, and the first resident
    whose position is still right is the true minimum. A removed resident leaves an empty node,
    `tombstone_bytes` each; they never outnumber the residents by more than a few.
    """

    def __init__(self, capacity: int, *, tombstone_bytes: int = 0) -> None:
        self.capacity = capacity
        self._tombstone_bytes = tombstone_bytes
        self._floor = 0.0
        self._bytes = 0
        self._heap: list[_Node] = []
        self._tombstones = 0
        self._turn = 0

    @property
    def used(self) -> int:
        return self._bytes + self._tombstone_bytes * self._tombstones

    def touch(self, resident: Resident) -> None:
        resident.hits = hits = resident.hits + 1
        priority = self._floor + (hits + 1) * resident.cost / resident.size
        if priority > resident.priority:  # a resident that grew keeps the rank it had
            resident.priority = priority

    def add(self, resident: Resident, *, instead_of: Resident | None = None) -> list[Resident]:
        if instead_of is not None:
            resident.hits = instead_of.hits
            self.drop(instead_of)
        victims = self._make_room(resident.size)
        resident.priority = self._floor + (resident.hits + 1) * resident.cost / resident.size
        # The turn decides between equals: first in, first out, and nodes never compare residents.
        self._turn += 1
        resident.node = [resident.priority, self._turn, resident]
        heapq.heappush(self._heap, resident.node)
        self._bytes += resident.size
        return victims

    def resize(self, resident: Resident, size: int) -> None:
        if resident.node is not None:
            self._bytes += size - resident.size
            resident.size = size

    def drop(self, resident: Resident) -> None:
        node = resident.node
        if node is None:
            return
        node[2] = resident.node = None
        self._bytes -= resident.size
        self._tombstones += 1
        self._compact()

    def settle(self) -> list[Resident]:
        return self._make_room(0)

    def _make_room(self, size: int) -> list[Resident]:
        victims: list[Resident] = []
        while self._heap and self.used + size > self.capacity:
            node = self._heap[0]
            resident = node[2]
            if resident is None:
                heapq.heappop(self._heap)
                self._tombstones -= 1
            elif resident.priority > node[0]:
                node[0] = resident.priority
                heapq.heapreplace(self._heap, node)
            else:
                heapq.heappop(self._heap)
                self._floor = max(self._floor, resident.priority)
                self._bytes -= resident.size
                resident.node = node[2] = None
                victims.append(resident)
        self._compact()
        return victims

    def _compact(self) -> None:
        residents = len(self._heap) - self._tombstones
        if self._tombstones > (residents + _FEW if residents else 0):
            self._heap = [node for node in self._heap if node[2] is not None]
            heapq.heapify(self._heap)
            self._tombstones = 0


class _Queue:
    """A FIFO of residents that knows its bytes: a ring through the residents themselves.

    Any of them leaves in O(1) and is freed at once: after `unlink` it refers to no other.
    """

    __slots__ = ("bytes", "count", "ring")

    def __init__(self) -> None:
        self.bytes = 0
        self.count = 0
        self.ring = Resident(None, 0)
        self.ring.before = self.ring.after = self.ring

    def push(self, resident: Resident) -> None:
        newest = self.ring.before
        resident.before = newest
        resident.after = self.ring
        newest.after = self.ring.before = resident
        resident.queue = self
        self.bytes += resident.size
        self.count += 1

    def pop(self) -> Resident:
        """Take the oldest out; there must be one."""
        oldest = self.ring.after
        self.unlink(oldest)
        return oldest

    def unlink(self, resident: Resident) -> None:
        before, after = resident.before, resident.after
        before.after = after
        after.before = before
        del resident.before, resident.after
        resident.queue = None
        self.bytes -= resident.size
        self.count -= 1


class _Ghost:
    """The hashes of keys that left recently, the oldest first.

    A hit leaves the hash where it is: its key now lives in the main queue and cannot come back
    here before it was a newcomer again, so the queue and the set always hold the same hashes.
    """

    __slots__ = ("_known", "_order")

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._order: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, key: Hashable) -> bool:
        return hash(key) in self._known

    def add(self, key: Hashable) -> None:
        hashed = hash(key)
        if hashed not in self._known:
            self._known.add(hashed)
            self._order.append(hashed)

    def trim(self, limit: int) -> None:
        """Forget the oldest until `limit` are left."""
        while len(self._order) > limit:
            self._known.discard(self._order.popleft())
