"""Addresses of stores for tests: each a keyspace, a schema or a file that nobody else uses."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.servers.proxy import FaultProxy

ENGINES = ["sqlite", "redis7", "redis8", "redis-cluster", "postgres"]
"""Every engine that processes share."""


class Engine(NamedTuple):
    """An address of a store that nobody else uses, and the proxy in front of it if there is one."""

    url: str
    proxy: FaultProxy | None


class Engines:
    """Makes addresses: each a keyspace, a schema or a file of its own."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request = request
        self._folder = folder
        self._proxies: list[FaultProxy] = []
        self._made = 0

    def plain(self, name: str) -> str:
        self._made += 1
        own = f"t{abs(hash((self._folder, self._made))):x}"
        if name == "sqlite":
            return f"sqlite:{self._folder / own}.db"
        url = str(self._request.getfixturevalue(_FIXTURES[name]))
        option = "schema" if name == "postgres" else "prefix"
        return f"{url}{'&' if '?' in url else '?'}{option}={own}"

    def proxied(self, name: str) -> Engine:
        url = self.plain(name)
        parts = urlsplit(url)
        if parts.port is None:
            return Engine(url, None)
        proxy = FaultProxy(parts.hostname or "", parts.port, seed=self._made)
        self._proxies.append(proxy)
        credentials = parts.netloc.rpartition("@")[0]
        at = f"{credentials}@" if credentials else ""
        netloc = f"{at}127.0.0.1:{proxy.port}"
        return Engine(urlunsplit(parts._replace(netloc=netloc)), proxy)

    def close(self) -> None:
        for proxy in self._proxies:
            proxy.close()


_FIXTURES = {
    "redis7": "redis7_url",
    "redis8": "redis8_url",
    "redis-cluster": "redis_cluster_url",
    "postgres": "postgres_url",
}


@pytest.fixture
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engines]:
    made = Engines(request, tmp_path)
    yield made
    made.close()
