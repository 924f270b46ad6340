"""Every store, in both flavors: a behavior test that takes `store` and `run` runs on all of them.

To put another store under the contract, add one line to `STORES`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from askonce.protocols import Store
from askonce.stores.memory import MemoryStore
from askonce.stores.sqlite import SqliteStore

T = TypeVar("T")

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(8 << 20, guard=threading.Lock()),
    "memory-gdsf": lambda folder: MemoryStore(8 << 20, guard=threading.Lock(), eviction="gdsf"),
    "sqlite": lambda folder: SqliteStore(
        folder / "askonce.db", guard=threading.Lock(), clock=lambda: 0.0
    ),
}


def run_blocking(story: Coroutine[Any, Any, T]) -> T:
    """Step a coroutine that must never suspend to its end."""
    try:
        story.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    story.close()
    raise AssertionError("a blocking store has suspended")


def run_async(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(story)


@pytest.fixture(params=[run_blocking, run_async], ids=["blocking", "async"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs one story to its end, in one flavor."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=list(STORES.values()), ids=list(STORES))
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes an empty store each time it is called; all are closed after the test."""
    made: list[Store] = []

    def make() -> Store:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(request.param(folder))
        return made[-1]

    yield make
    for store in made:
        run_blocking(store.close())


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()
