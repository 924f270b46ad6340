"""Routes: find the Redis server of a key, be it the only one, the elected one or its slot's.

All three follow their servers: a route asks the sentinels again when their master fails or has
become a replica, and reads a cluster's map again when a node fails or a slot has moved.
No command ever names keys of two slots.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from askonce.core.errors import StoreError
from askonce.stores.redis.address import RedisAddress, ServerAddress
from askonce.stores.redis.connections import Node, fault_text, pack

SLOTS = 16384
_HOPS = 5
_ASKING = pack("ASKING")
_MAP = pack("CLUSTER", "SLOTS")

MakeNode = Callable[[ServerAddress, RedisAddress], Node]


class Command(NamedTuple):
    """A packed command and the key that decides its server."""

    name: bytes
    packed: bytes


class RedisRoute(Protocol):
    """Sends commands to the servers of their keys. Error replies are values among the replies.

    `Node.exchange` documents the options.
    """

    spread: bool
    """Whether keys may live on different servers."""

    async def one(
        self, command: Command, *, repeatable: bool = False, lasting: bool = False
    ) -> Any: ...

    async def many(
        self, commands: Sequence[Command], *, patience: float = 0.0, lasting: bool = False
    ) -> list[Any]: ...

    async def masters(self) -> list[Node]: ...

    async def close(self) -> None: ...


class OneServer:
    """The route to a single Redis."""

    spread = False

    def __init__(self, address: RedisAddress, make: MakeNode) -> None:
        self._node = make(address.servers[0], address)

    async def one(
        self, command: Command, *, repeatable: bool = False, lasting: bool = False
    ) -> Any:
        (reply,) = await self._node.exchange(
            (command.packed,), verify=True, repeatable=repeatable, lasting=lasting
        )
        return reply

    async def many(
        self, commands: Sequence[Command], *, patience: float = 0.0, lasting: bool = False
    ) -> list[Any]:
        packed = [command.packed for command in commands]
        return await self._node.exchange(
            packed, len(packed), verify=True, patience=patience, lasting=lasting
        )

    async def masters(self) -> list[Node]:
        return [self._node]

    async def close(self) -> None:
        await self._node.close()


class Sentinels:
    """The route to the master that sentinels have elected for a service."""

    spread = False

    def __init__(self, address: RedisAddress, make: MakeNode) -> None:
        self._address = address
        self._make = make
        # Sentinels have users of their own, and no databases.
        plain = address._replace(user=None, password=None, db=0)
        self._sentinels = [make(server, plain) for server in address.servers]
        self._nodes: dict[ServerAddress, Node] = {}
        self._master: Node | None = None

    async def one(
        self, command: Command, *, repeatable: bool = False, lasting: bool = False
    ) -> Any:
        (reply,) = await self._exchange([command.packed], repeatable=repeatable, lasting=lasting)
        return reply

    async def many(
        self, commands: Sequence[Command], *, patience: float = 0.0, lasting: bool = False
    ) -> list[Any]:
        packed = [command.packed for command in commands]
        return await self._exchange(packed, patience=patience, lasting=lasting)

    async def masters(self) -> list[Node]:
        return [await self._elected()]

    async def close(self) -> None:
        for node in [*self._sentinels, *self._nodes.values()]:
            await node.close()

    async def _exchange(self, packed: list[bytes], **how: Any) -> list[Any]:
        master = await self._elected()
        whole = False
        try:
            replies = await master.exchange(packed, len(packed), verify=True, **how)
            whole = not any(isinstance(reply, ReadOnlyError) for reply in replies)
            return replies
        finally:
            if not whole and self._master is master:
                self._master = None

    async def _elected(self) -> Node:
        if self._master is not None:
            return self._master
        ask = pack("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.service)
        for sentinel in list(self._sentinels):
            try:
                (reply,) = await sentinel.exchange((ask,), repeatable=True)
            except StoreError:
                reply = None
            if isinstance(reply, list):
                server = ServerAddress(reply[0].decode(), int(reply[1]))
                node = self._nodes.get(server) or self._make(server, self._address)
                self._master = self._nodes[server] = node
                return node
            # Ask the others first next time.
            self._sentinels.remove(sentinel)
            self._sentinels.append(sentinel)
        raise StoreError(f"no sentinel knows a master of {self._address.service!r}")


class Cluster:
    """The route to the master of a key's slot; follows MOVED and ASK.

    `home` is the prefix of the epoch index; only connections for its keys are verified.
    """

    spread = True

    def __init__(self, address: RedisAddress, make: MakeNode, home: bytes) -> None:
        self._address = address
        self._make = make
        self._home = home
        self._nodes = {server: make(server, address) for server in address.servers}
        self._order = list(address.servers)  # to ask for the map, failed servers last
        self._owners: list[ServerAddress] = []  # by slot
        self._is_stale = True

    async def one(
        self, command: Command, *, repeatable: bool = False, lasting: bool = False
    ) -> Any:
        server = await self._owner(command.name)
        packed, skip = [command.packed], 0
        for _ in range(_HOPS):
            reply = (
                await self._exchange(
                    server,
                    packed,
                    verify=command.name.startswith(self._home),
                    repeatable=repeatable,
                    lasting=lasting,
                )
            )[skip]
            if not isinstance(reply, AskError):  # MovedError is one too
                return self._checked(reply)
            server = ServerAddress(reply.host or server.host, int(reply.port))
            packed, skip = [command.packed], 0
            if isinstance(reply, MovedError):
                self._owners[reply.slot_id] = server
                self._is_stale = True
            else:
                packed, skip = [_ASKING, command.packed], 1
        raise StoreError("Redis Cluster redirects a command in circles")

    async def many(
        self, commands: Sequence[Command], *, patience: float = 0.0, lasting: bool = False
    ) -> list[Any]:
        places: dict[ServerAddress, list[int]] = {}
        for index, command in enumerate(commands):
            places.setdefault(await self._owner(command.name), []).append(index)
        replies: list[Any] = [None] * len(commands)
        for server, indices in places.items():
            found = await self._exchange(
                server,
                [commands[index].packed for index in indices],
                verify=any(commands[index].name.startswith(self._home) for index in indices),
                patience=patience,
                lasting=lasting,
            )
            for index, reply in zip(indices, found, strict=True):
                if isinstance(reply, AskError):
                    reply = await self.one(commands[index], lasting=lasting)
                replies[index] = self._checked(reply)
        return replies

    async def masters(self) -> list[Node]:
        await self._owner(self._home)
        return [self._node(server) for server in dict.fromkeys(self._owners)]

    async def close(self) -> None:
        for node in list(self._nodes.values()):
            await node.close()

    async def _exchange(self, server: ServerAddress, packed: list[bytes], **how: Any) -> list[Any]:
        try:
            return await self._node(server).exchange(packed, len(packed), **how)
        except StoreError:
            self._is_stale = True
            self._ask_last(server)
            raise

    def _checked(self, reply: Any) -> Any:
        if isinstance(reply, ReadOnlyError | ClusterDownError | TryAgainError):
            self._is_stale = True
        return reply

    async def _owner(self, name: bytes) -> ServerAddress:
        if self._is_stale:
            await self._read_map()
        return self._owners[key_slot(name)]

    async def _read_map(self) -> None:
        """Read the map of slots from the first node that has a whole one."""
        self._is_stale = False  # other calls use the old map meanwhile
        if not self._owners:
            self._is_stale = True
        for server in list(self._order):
            try:
                (reply,) = await self._node(server).exchange((_MAP,), repeatable=True)
            except StoreError:
                reply = None
            if isinstance(reply, list) and self._adopt(reply, server):
                self._is_stale = False
                return
            self._ask_last(server)
        self._is_stale = True
        raise StoreError("no node of the Redis Cluster has a map in which every slot has a master")

    def _adopt(self, ranges: list[Any], source: ServerAddress) -> bool:
        """Use the map that `CLUSTER SLOTS` returned; False if slots are missing in it."""
        owners: list[ServerAddress | None] = [None] * SLOTS
        for first, last, master, *_ in ranges:
            host = (master[0] or b"").decode() or source.host
            owners[first : last + 1] = [ServerAddress(host, master[1])] * (last + 1 - first)
        whole = [owner for owner in owners if owner is not None]
        if len(whole) < SLOTS:
            return False
        self._owners = whole
        self._order = list(dict.fromkeys([source, *whole, *self._order]))
        return True

    def _ask_last(self, server: ServerAddress) -> None:
        self._order = [*(other for other in self._order if other != server), server]

    def _node(self, server: ServerAddress) -> Node:
        node = self._nodes.get(server)
        if node is None:
            node = self._nodes[server] = self._make(server, self._address)
        return node


def route_to(address: RedisAddress, make: MakeNode, home: bytes) -> RedisRoute:
    """Return the route to an address; connections for keys that begin with `home` are verified."""
    if address.kind == "cluster":
        return Cluster(address, make, home)
    if address.kind == "sentinel":
        return Sentinels(address, make)
    return OneServer(address, make)


def sure(reply: Any) -> Any:
    """Return a reply. Raises `StoreError` if it is a refusal."""
    if isinstance(reply, ResponseError):
        raise StoreError(f"Redis refuses: {fault_text(reply)}") from None
    return reply
