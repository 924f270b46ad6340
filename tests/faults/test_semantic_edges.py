"""The semantic layer at its edges: threads that come at once, forks, hung layers, dead workers."""

import hashlib
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from askonce import Cache, Semantic
from askonce.core.errors import ConfigError
from askonce.core.models import Entry, Key
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.semantic.index.open_index import open_process_index
from askonce.stores.tiered.layers import Layer
from tests.fixtures.common_store import CommonStore

ASKED = "What is your return policy?"
AGAIN = "What's your return policy?"
PATIENT = Semantic(mode="serve", deadline="10s")


def test_threads_that_come_at_once_open_one_index(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/a.db"
    with Cache(url, semantic=PATIENT) as cache:
        for number in range(30):
            cache.put(f"Where is shelf number {number}?", "There.", scope=f"s{number}")
    with Cache(url, semantic=PATIENT) as cache:
        pair = cache.assembly.semantic
        assert pair is not None
        found: list[object] = []
        gate = threading.Barrier(8)

        def open_it() -> None:
            gate.wait()
            found.append(pair.index(384, suspends=False).vectors)

        threads = [threading.Thread(target=open_it) for _ in range(8)]
        for thread in threads:
            thread.start()
        pair.reconciler.start()
        for thread in threads:
            thread.join(30)
        assert len({id(one) for one in found}) == 1
        for _ in range(2_000):
            if pair.reconciler.ready:
                break
            time.sleep(0.01)
        answer = cache.get("Where's shelf number 7?", scope="s7")
        assert answer is not None
        assert answer.reason == "semantic"
        assert cache.stats().semantic.get("reindexed") is None


class Slow(CommonStore):
    """A store whose reads hang, on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = False
        self.reads = 0

    async def read(self, key: Key) -> Entry | None:
        self.reads += self.hangs and key.namespace == "local"
        if self.hangs and key.namespace == "local":
            threading.Event().wait(0.4)
        return await super().read(key)


def test_a_layer_that_hangs_costs_a_question_no_more_than_a_few_reads() -> None:
    store = Slow()
    semantic = Semantic(mode="serve", deadline="250ms", threshold=0.5)
    # Nothing stays in memory, so that every candidate has to be read.
    with Cache(layers=[Layer("memory:", size=20_000), Layer(store)], semantic=semantic) as cache:
        for number in range(6):
            cache.put(f"{ASKED} {'Please. ' * number}", "x" * 30_000, scope="shop")
        run_sync(cache.assembly.services.sync.tiers.settle())
        store.hangs = True
        began = time.perf_counter()
        cache.get("Could you explain what isn't your return policy?", scope="shop")
        assert store.reads <= 3
        assert time.perf_counter() - began < 5


def test_a_forked_child_asks_on_while_its_parent_was_busy() -> None:
    with Cache(semantic=PATIENT) as cache:
        cache.put(ASKED, "Thirty days.", scope="shop")
        stop = threading.Event()

        def ask() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                cache.get(f"{AGAIN} {number % 50}", scope="shop")

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            children = [_child(cache) for _ in range(8)]
            assert [_end_of(child) for child in children] == [0] * len(children)
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)


def _child(cache: Cache) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(30)  # a child that hangs is killed
    try:
        answer = cache.get(ASKED, scope="shop", semantic="off")
        index = cache.assembly.semantic.index(384, suspends=False).vectors  # type: ignore[union-attr]
        size = run_sync(index.size())
        os._exit(0 if answer is not None and size == 1 else 3)
    except BaseException:  # noqa: BLE001 - the child's own end
        os._exit(4)


def _end_of(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def test_a_worker_that_is_killed_blocks_no_caller() -> None:
    class Killed(BaseException):
        pass

    with Cache(semantic=Semantic(mode="serve", deadline="2s")) as cache:
        cache.put(ASKED, "Thirty days.", scope="shop")
        embedding: Any = cache.assembly.semantic.embedding  # type: ignore[union-attr]
        embed = embedding._embedder.embed
        deadly = [True]

        async def dying(texts: list[str]) -> Any:
            if deadly.pop() if deadly else False:
                raise Killed
            return await embed(texts)

        embedding._embedder.embed = dying
        assert cache.get(AGAIN, scope="shop") is None
        answer = cache.get(f"{AGAIN}!", scope="shop")
        assert answer is not None
        assert answer.reason == "semantic"


@pytest.mark.parametrize(
    ("semantic", "complaint"),
    [
        ({"index": "redis://localhost:port"}, "HOST:PORT"),
        ({"index": "redis://localhost?foo=bar"}, "options prefix"),
        ({"index": "postgresql://"}, "postgresql"),
        ({"index": "process:/nowhere/at/all/x"}, "there is no such folder; make it"),
        ({"index": "faiss:x"}, "names no index"),
        ({"embedder": "word2vec"}, "no embedder has this address"),
        ({"threshold": 0.2}, "is not a cosine from 0.5 to 1"),
        ({"mode": "on"}, "cannot be 'on'"),
        ({"max_entries": 0}, "max_entries must be above zero"),
        ({"models": "gpt-4o*"}, None),
        ({"deadline": "soon"}, "deadline"),
        ({"tools": "maybe"}, "is neither true nor false"),
    ],
)
def test_what_cannot_be_is_said_when_the_cache_is_made(
    semantic: dict[str, Any], complaint: str | None
) -> None:
    if complaint is None:
        Cache(semantic=Semantic(**semantic)).close()
        return
    with pytest.raises(ConfigError) as raised:
        Cache(semantic=Semantic(**semantic))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("similarity", [float("nan"), 1.5, -0.1, "0.99", True, None])
def test_a_similarity_that_is_none_is_refused(similarity: Any) -> None:
    with Cache() as cache, pytest.raises(ConfigError, match="write a cosine from 0 to 1"):
        cache.get(ASKED, similarity=similarity)


def test_one_entry_before_the_file_is_read_costs_no_other_and_nothing_comes_back(
    tmp_path: Path,
) -> None:
    def opened(*, load: bool) -> Any:
        now = SyncRuntime().now
        path = tmp_path / "index"
        return open_process_index(
            "e", 4, lock=threading.Lock(), clock=now, path=path, load=load
        )  # fmt: skip

    def key(number: int) -> Key:
        return Key("team", "chat", hashlib.sha256(b"%d" % number).digest())

    def vector(number: int) -> bytes:
        return struct.pack("<4f", 1.0, number, number * number % 7, 0.5)

    first = opened(load=True)
    for number in range(60):
        run_sync(first.add(b"s", key(number), vector(number), 1e11))
    run_sync(first.close())
    second = opened(load=False)
    run_sync(second.add(b"s", key(60), vector(60), 1e11))
    run_sync(second.add(b"s", key(7), vector(7), 2e11))
    run_sync(second.remove(b"s", [key(3)]))
    second.load()
    assert run_sync(second.size(b"s")) == 60
    assert not second.has(b"s", key(3), 1e11)
    assert second.has(b"s", key(4), 1e11)
    assert second.has(b"s", key(7), 2e11)
    run_sync(second.close())
    third = opened(load=True)
    assert run_sync(third.size()) == 60
    assert {near.key for near in run_sync(third.nearest(b"s", vector(60), 1))} == {key(60)}


@pytest.mark.parametrize("where", ["store", "index"])
@pytest.mark.parametrize(("library", "extra", "url"), [
    ("redis", "redis", "redis://localhost"),
    ("psycopg", "postgres", "postgresql://localhost/db"),
])  # fmt: skip
def test_a_library_that_is_missing_is_one_clear_line(
    where: str, library: str, extra: str, url: str
) -> None:
    """In a process of its own: here the library is imported already."""
    given = repr(url) if where == "store" else f"semantic=Semantic(index={url!r})"
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from askonce import Cache, ConfigError, Semantic\n"
        f"try:\n    Cache({given})\nexcept ConfigError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith(f"run: pip install 'askonce[{extra}]'"), done.stderr
