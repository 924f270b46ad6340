"""Redis for tests and benchmarks: single servers, a pair under a sentinel, a cluster of six.

Each server is a process of its own on a free port, keeps nothing on disk unless told to, and goes
away with the process that started it, even if that one is killed.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot
from scripts.servers import ELSEWHERE, redis_command

READY_SECONDS = 20.0

# `sh` says the server's process id, waits until our end of its standard input is closed (the
# system closes it when we die, however that happens), and then kills the server.
_KEEPER = '"$@" & echo $!; read -r _; kill -9 $! 2>/dev/null; wait'


class ServerMissing(RuntimeError):
    """A server that is needed is not installed; the message is one line."""


def poll(what: str, is_so: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Wait until something is so; fail after a while."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One Redis process. It keeps its port when it is stopped and started again."""

    scheme = "redis"

    def __init__(self, major: int = 8, *options: str) -> None:
        command = redis_command(major)
        if command is None:
            line = f"Redis {major} is missing: run `python scripts/servers.py`; {ELSEWHERE}"
            raise ServerMissing(line)
        self._command = command
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="askonce-redis-"))
        self._keeper: subprocess.Popen[str] | None = None
        self._pid = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> "RedisServer":
        """Start, and return when it answers. On the first start, find a port that is free."""
        for _ in range(5):
            port = self.port or free_port()
            if self._starts(port):
                self.port = port
                return self
        raise RuntimeError(f"Redis does not start: {self.log()[-500:]}")

    def stop(self) -> None:
        """End it as an operator would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        poll("Redis stops", lambda: not self._listens())
        self.kill()

    def kill(self) -> None:
        if self._keeper is not None:
            self._keeper.communicate()
            self._keeper = None

    def freeze(self) -> None:
        """Let it neither answer nor die: what a hung host looks like."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator["redis.Redis"]:
        """redis-py's own client, to look behind a store's back."""
        with redis.Redis(port=self.port, protocol=3, **options) as client:
            yield client

    def settings(self, port: int) -> list[str]:
        kept = ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        return ["--port", str(port), "--bind", "127.0.0.1", *kept]

    def _starts(self, port: int) -> bool:
        (self._folder / "log").unlink(missing_ok=True)
        place = ["--dir", str(self._folder), "--logfile", str(self._folder / "log")]
        command = [*self._command, *self.settings(port), *place, *self._options]
        self._keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        self._pid = int(self._keeper.stdout.readline())
        poll("Redis says in its log how the start went", lambda: bool(self._fate()))
        if self._fate() == "ready":
            return True
        self.kill()
        return False

    def _fate(self) -> str:
        log = self.log()
        if re.search(r"Ready to accept connections|Sentinel ID is", log):
            return "ready"
        return "failed" if re.search(r"[Ff]ailed|FATAL|Fatal|bind:", log) else ""

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except ConnectionError:
            return False  # refused, or reset by a server that is just ending
        return True


class RedisTls(RedisServer):
    """A Redis that speaks TLS only, to one user with the permissions that the store documents."""

    scheme = "rediss"
    user, password = "teller", "s3cr/et @?"
    permissions = "~askonce:* +@read +@write +@scripting +@connection +time +info"

    def __init__(self, major: int = 8) -> None:
        super().__init__(major)
        self.ca = self._folder / "ca.pem"
        _make_certificate(self._folder)

    @property
    def url(self) -> str:
        return f"rediss://{self.user}:s3cr%2Fet%20%40%3F@localhost:{self.port}?ca={self.ca}"

    def settings(self, port: int) -> list[str]:
        tls = ["--tls-port", str(port), "--tls-auth-clients", "no"]
        tls += ["--tls-ca-cert-file", str(self.ca), "--tls-cert-file", str(self.ca)]
        tls += ["--tls-key-file", str(self._folder / "key.pem")]
        acl = self._folder / "users.acl"
        password = "".join(f"{byte:02x}" for byte in _sha256(self.password))
        acl.write_text(f"user default off\nuser {self.user} on #{password} {self.permissions}\n")
        return [*super().settings(0), *tls, "--aclfile", str(acl)]


class RedisPair:
    """A master and its replica, and the sentinel that elects between them."""

    service = "answers"

    def __init__(self, major: int = 8) -> None:
        self.master = RedisServer(major)
        self.replica = RedisServer(major)
        self.sentinel = RedisServer(major)
        self._major = major

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{self.service}"

    def start(self) -> "RedisPair":
        self.master.start()
        of = f"127.0.0.1 {self.master.port}"
        self.replica = _replaced(self.replica, RedisServer(self._major, "--replicaof", *of.split()))
        self.replica.start()
        self.sentinel = _replaced(self.sentinel, _Sentinel(self._major, self.service, of))
        self.sentinel.start()
        with self.sentinel.client() as client:
            poll("the sentinel knows the replica", lambda: _replicas(client, self.service) == 1)
        with self.replica.client() as client:
            poll("the replica follows", lambda: client.info()["master_link_status"] == "up")
        return self

    def close(self) -> None:
        for server in (self.sentinel, self.replica, self.master):
            server.close()


class _Sentinel(RedisServer):
    """A sentinel of its own configuration file, which it rewrites."""

    def __init__(self, major: int, service: str, master: str) -> None:
        super().__init__(major)
        self._watch = [
            f"sentinel monitor {service} {master} 1",
            f"sentinel down-after-milliseconds {service} 500",
            f"sentinel failover-timeout {service} 2000",
        ]

    def settings(self, port: int) -> list[str]:
        path = self._folder / "sentinel.conf"
        if not path.exists():
            path.write_text("\n".join([f"port {port}", "bind 127.0.0.1", *self._watch, ""]))
        return [str(path), "--sentinel"]


class RedisCluster:
    """Six nodes: three masters with a third of the slots each, and a replica of each."""

    def __init__(self, major: int = 8, node_timeout_ms: int = 1000) -> None:
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms)]
        self.nodes = [_ClusterNode(major, *options) for _ in range(6)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    def start(self) -> "RedisCluster":
        for node in self.nodes:
            node.start()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(node.client()) for node in self.nodes]
            self._form(clients)
            poll("the cluster is formed", lambda: all(map(_is_formed, clients)))
        return self

    def master_of(self, name: bytes) -> "RedisServer":
        """The node that serves a key now, as a node that runs sees it."""
        slot = key_slot(name)
        for node in self.nodes:
            with contextlib.suppress(redis.RedisError, OSError), node.client(socket_timeout=1) as c:
                for first, last, (_, port, *_), *_ in c.execute_command("CLUSTER SLOTS"):
                    if first <= slot <= last:
                        return next(node for node in self.nodes if node.port == port)
        raise LookupError("no node of the cluster says who serves this key")

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def _form(self, clients: list["redis.Redis"]) -> None:
        first = self.nodes[0]
        edges = (0, 5461, 10923, 16384)
        for index, client in enumerate(clients):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            if index < 3:
                range_ = (edges[index], edges[index + 1] - 1)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", *range_)
            if index:
                place = ("127.0.0.1", first.port, first.bus_port)
                client.execute_command("CLUSTER", "MEET", *place)
        ids = [_text(client.execute_command("CLUSTER", "MYID")) for client in clients]
        for client in clients:
            poll("the nodes have met", lambda c=client: all(id_ in _nodes(c) for id_ in ids))
        for client, master in zip(clients[3:], ids[:3], strict=True):
            client.execute_command("CLUSTER", "REPLICATE", master)


class _ClusterNode(RedisServer):
    """A node of a cluster, with a bus on a free port too."""

    bus_port = 0

    def settings(self, port: int) -> list[str]:
        self.bus_port = self.bus_port or free_port()
        validity = ["--cluster-replica-validity-factor", "0"]
        return [*super().settings(port), "--cluster-port", str(self.bus_port), *validity]


def _is_formed(client: "redis.Redis") -> bool:
    state = client.execute_command("CLUSTER INFO")["cluster_state"]
    replication = client.info("replication")
    is_linked = replication.get("master_link_status", "up") == "up"
    return state == "ok" and is_linked and _nodes(client).count("slave") == 3


def _nodes(client: "redis.Redis") -> str:
    return str(client.execute_command("CLUSTER NODES"))


def _text(reply: Any) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _replicas(client: "redis.Redis", service: str) -> int:
    return len(client.execute_command("SENTINEL", "REPLICAS", service))


def _replaced(old: RedisServer, new: RedisServer) -> RedisServer:
    old.close()
    return new


def _sha256(text: str) -> bytes:
    import hashlib

    return hashlib.sha256(text.encode()).digest()


def _make_certificate(folder: Path) -> None:
    """A certificate for localhost that signs itself."""
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    what = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *what, *files, *name]
    subprocess.run(command, check=True, capture_output=True)


# Fixtures: `tests/conftest.py` names each of them.


def _provided(make: Callable[[], Any]) -> Iterator[Any]:
    """Run a server for a session. One that is missing fails the test, in one line."""
    try:
        server = make()
    except ServerMissing as missing:
        pytest.fail(str(missing), pytrace=False)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def redis7() -> Iterator[RedisServer]:
    yield from _provided(lambda: RedisServer(7))


@pytest.fixture(scope="session")
def redis8() -> Iterator[RedisServer]:
    yield from _provided(lambda: RedisServer(8))


@pytest.fixture(scope="session")
def redis_tls() -> Iterator[RedisTls]:
    yield from _provided(lambda: RedisTls(8))


@pytest.fixture(scope="session")
def redis_pair() -> Iterator[RedisPair]:
    yield from _provided(lambda: RedisPair(8))


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    yield from _provided(lambda: RedisCluster(8))


@pytest.fixture(scope="session")
def redis7_url(redis7: RedisServer) -> str:
    return redis7.url


@pytest.fixture(scope="session")
def redis8_url(redis8: RedisServer) -> str:
    return redis8.url


@pytest.fixture(scope="session")
def redis_sentinel_url(redis_pair: RedisPair) -> str:
    return redis_pair.url


@pytest.fixture(scope="session")
def redis_cluster_url(redis_cluster: RedisCluster) -> str:
    return redis_cluster.url
