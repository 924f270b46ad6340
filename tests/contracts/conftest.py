"""Every store, in both flavors: a behavior test that takes `store` and `run` runs on all of them.

To put another store under the contract, add one line to `STORES`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple, TypeVar

import pytest

from askonce.protocols import Store
from askonce.stores.ground import Ground
from askonce.stores.open_store import open_store
from tests.contracts.folder import FolderStore

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Place(NamedTuple):
    """Where a test's stores may be made: a folder of their own, and a name that nobody else has."""

    request: pytest.FixtureRequest
    folder: Any
    name: str
    ground: Ground

    def server(self, fixture: str) -> str:
        """The address of a real server, from the fixture that runs it."""
        return str(self.request.getfixturevalue(fixture))


STORES: dict[str, Callable[[Place], Store]] = {
    "memory": lambda at: open_store("memory:", at.ground, size=8 << 20),
    "memory-gdsf": lambda at: open_store("memory:", at.ground, size=8 << 20, eviction="gdsf"),
    "folder": lambda at: FolderStore(at.folder),
    "sqlite": lambda at: open_store(f"sqlite:{at.folder / 'askonce.db'}", at.ground),
    "postgres": lambda at: open_store(f"{at.server('postgres_url')}?schema={at.name}", at.ground),
    "redis7": lambda at: open_store(f"{at.server('redis7_url')}?prefix={at.name}", at.ground),
    "redis8": lambda at: open_store(f"{at.server('redis8_url')}?prefix={at.name}", at.ground),
    "redis-sentinel": lambda at: open_store(
        f"{at.server('redis_sentinel_url')}?prefix={at.name}", at.ground
    ),
    "redis-cluster": lambda at: open_store(
        f"{at.server('redis_cluster_url')}?prefix={at.name}", at.ground
    ),
}
LOCAL = {"memory", "memory-gdsf", "folder", "sqlite"}
"""Stores that block in either flavor."""
SHARES = set(STORES) - {"memory", "memory-gdsf", "folder"}
"""Stores that several processes may share, each with an instance of its own."""


def run_blocking(story: Coroutine[Any, Any, T]) -> T:
    """Step a coroutine that must never suspend to its end."""
    try:
        story.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    story.close()
    raise AssertionError("a blocking store has suspended")


@pytest.fixture(params=["blocking", "suspending"])
def flavor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(flavor: str) -> Iterator[Run]:
    """Runs stories to their end, in one flavor; the suspending one in one event loop."""
    if flavor == "blocking":
        yield run_blocking
        return
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def ground(flavor: str) -> Ground:
    """Time stands still, at zero, for every store under the contract."""
    if flavor == "blocking":
        return Ground(threading.Lock, lambda: 0.0, deadline=5.0)
    return Ground(threading.Lock, lambda: 0.0, asyncio.get_running_loop, True, 5.0)


@pytest.fixture(params=list(STORES))
def new_store(
    request: pytest.FixtureRequest, tmp_path: Any, run: Run, ground: Ground
) -> Iterator[Callable[[], Store]]:
    """Makes an empty store each time it is called; all are closed after the test."""
    made: list[Store] = []

    def make() -> Store:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        name = f"t{abs(hash(folder)):x}"
        made.append(STORES[request.param](Place(request, folder, name, ground)))
        return made[-1]

    yield make
    for store in made:
        run(store.close())


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()
