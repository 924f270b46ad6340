"""One SQLite file under several real processes, some of them killed."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from askonce.core.errors import StoreError
from askonce.core.models import Entry, Key, Selection
from askonce.stores.sqlite import changes
from askonce.stores.sqlite.store import SqliteStore
from tests.stores.sqlite_format_1 import make_format_1

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_750_000_000.0


def run(story: Coroutine[Any, Any, T]) -> T:
    try:
        story.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("the store has suspended")


def key(number: int) -> Key:
    return Key("team-a", "openai_chat", number.to_bytes(32, "big"))


def entry(number: int, by: int = 0, tags: tuple[tuple[str, int], ...] = ()) -> Entry:
    """An entry whose body repeats its number from the first byte to the last."""
    return Entry(
        key=key(number),
        body=b"%d:%d;" % (number, by) * (100 + number % 700),
        status=200,
        headers=(),
        created=NOW,
        expires=NOW + 60,
        stale_until=NOW + 60,
        tags=tags,
    )


def is_whole(found: Entry) -> bool:
    number = int.from_bytes(found.key.digest, "big")
    by = int(found.body.partition(b";")[0].partition(b":")[2])
    return found == entry(number, by, found.tags)


async def collect(store: SqliteStore) -> list[Entry]:
    return [found async for found in store.scan(Selection())]


def open_store(path: str | Path, busy_timeout_ms: int = 10_000) -> SqliteStore:
    # Patient: these tests are about stored entries, not about timeouts.
    return SqliteStore(
        path, lock=threading.Lock(), clock=lambda: NOW, busy_timeout_ms=busy_timeout_ms
    )


# What the other processes do: `python -m` this module, with `<role> <path> <number>`.


def say(text: object) -> None:
    print(text, flush=True)


def wait() -> None:
    sys.stdin.readline()


def mixed(path: str, me: int) -> None:
    """Write, read, replace and count among 150 keys that all processes share."""
    store = open_store(path)
    say("ready")
    wait()
    for turn in range(400):
        number = (turn * 7 + me * 31) % 150
        assert run(store.write(entry(number, me)))
        other = run(store.read(key((turn * 13 + me) % 150)))
        assert other is None or is_whole(other)
        run(store.counters({"turns": 1, f"turns of {me}": 1}))
        run(store.epochs([f"t{me}", "shared"], bump=True))
    assert store.damaged == 0
    run(store.close())


def endless(path: str, me: int) -> None:
    """Write new entries for ever, a word after every hundred."""
    store = open_store(path)
    for number in range(10_000_000):
        run(store.write(entry(number, me)))
        if number % 100 == 99:
            say(number + 1)


def pepper(path: str, me: int) -> None:
    store = open_store(path, busy_timeout_ms=50)
    say("ready")
    wait()
    say(run(store.pepper()).hex())
    run(store.close())


def bump(path: str, me: int) -> None:
    store = open_store(path)
    say("ready")
    wait()
    say(run(store.epochs(["policy"], bump=True))["policy"])
    run(store.close())


def lease(path: str, me: int) -> None:
    """Ask for the lease of every key once; say how many were had."""
    store = open_store(path)
    say("ready")
    wait()
    say(sum(run(store.lease(key(number), 60)) is not None for number in range(300)))
    run(store.close())


def fork(path: str, me: int) -> None:
    """Use the store, fork, and go on using it on both sides."""
    store = open_store(path)
    run(store.write(entry(0)))
    child = os.fork()
    # SQLite: "do not open a connection, then fork, then use it in the child", nor close it there.
    assert store._file._db is None
    for number in range(1, 200):
        one = entry(number if child else -number % 1000, 1)
        assert run(store.write(one))
        assert run(store.read(one.key)) == one
        assert run(store.read(key(0))) == entry(0)
    run(store.close())
    if not child:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


ROLES = {role.__name__: role for role in (mixed, endless, pepper, bump, lease, fork)}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_(role: str, number: int = 0) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.stores.test_sqlite_processes"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*command, role, str(path), str(number)],
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        started.append(process)
        return process

    yield start_
    for process in started:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(*processes: "subprocess.Popen[str]") -> list[str]:
    """Let all begin together; return what each says until it ends well."""
    for process in processes:
        assert line(process) == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        said.append(out.strip())
    return said


def test_four_processes_write_and_read_together(start: Start, path: Path) -> None:
    go(*(start("mixed", number) for number in range(4)))
    store = open_store(path)
    found = run(collect(store))
    assert len(found) == 150
    assert all(map(is_whole, found))
    assert run(store.counters({})) == {"turns": 1600} | {f"turns of {me}": 400 for me in range(4)}
    epochs = run(store.epochs(["shared", "t0", "never"]))
    with store._file.connected() as db:
        logged = [changes._read(what) for (what,) in db.execute("SELECT what FROM changes")]
    bumps = [change.epoch for change in logged if "shared" in change.tags]
    assert len(bumps) == len(set(bumps)) == 1600  # one sequence: no two share a number
    assert epochs["shared"] == max(bumps)
    assert epochs["never"] < epochs["t0"] <= epochs["shared"]
    assert run(store.check()) == []
    run(store.close())


@pytest.mark.parametrize("rounds", [1, 13, 40])
def test_a_killed_writer_leaves_only_whole_entries(start: Start, path: Path, rounds: int) -> None:
    writers = [start("endless", 1), start("endless", 2)]
    for _ in range(rounds):
        written = int(line(writers[0]))
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        assert writer.wait(10) == -signal.SIGKILL

    store = open_store(path, busy_timeout_ms=50)
    assert run(store.check()) == []
    found = run(collect(store))
    assert all(map(is_whole, found))
    assert len(found) >= written  # only the machine's own fall may lose what was written
    assert run(store.write(entry(0, 3))) is True
    assert store.damaged == 0
    run(store.close())


def test_processes_that_make_the_store_together_agree(start: Start, path: Path) -> None:
    for _ in range(3):
        said = go(*(start("pepper") for _ in range(4)))
        assert len(set(said)) == 1
        assert len(bytes.fromhex(said[0])) == 32
        for made in path.parent.iterdir():
            made.unlink()


def test_processes_that_upgrade_an_old_file_together_agree(start: Start, path: Path) -> None:
    make_format_1(path, [entry(1, tags=(("a", 3),))], {"a": 3, "policy": 7})
    said = go(*(start("bump") for _ in range(4)))
    assert len({number for number in map(int, said) if number > 7}) == 4
    store = open_store(path)
    assert run(store.read(key(1))) == entry(1, tags=(("a", 3),))
    assert run(store.check()) == []
    run(store.close())


def test_each_lease_is_had_by_one_process(start: Start) -> None:
    assert sum(map(int, go(*(start("lease") for _ in range(4))))) == 300


def test_an_invalidation_is_seen_by_the_other_process_at_once(start: Start, path: Path) -> None:
    store = open_store(path)
    asked = run(store.epochs(["policy"]))
    tagged = entry(1, tags=tuple(asked.items()))
    assert run(store.write(tagged)) is True
    assert run(store.read(key(1))) == tagged
    assert int(go(start("bump"))[0]) > asked["policy"]
    assert run(store.read(key(1))) is None
    assert run(store.write(tagged)) is False
    run(store.close())


def test_a_store_may_be_used_on_both_sides_of_a_fork(start: Start, path: Path) -> None:
    _, err = (forking := start("fork")).communicate(timeout=60)
    assert forking.returncode == 0, err
    store = open_store(path)
    assert run(store.check()) == []
    assert len(run(collect(store))) == 1 + 199 + 199
    run(store.close())


def test_a_lock_in_another_process_is_an_error_soon(start: Start, path: Path) -> None:
    """A writer that stops while it holds the lock delays others only briefly."""
    holder = start("endless")
    assert line(holder) == "100"
    store = open_store(path, busy_timeout_ms=50)
    # Stopped at a random point; sometimes that is inside a transaction, and sometimes not.
    holder.send_signal(signal.SIGSTOP)
    assert run(store.read(key(5))) == entry(5)
    started = time.monotonic()
    with contextlib.suppress(StoreError):
        run(store.write(entry(1_000_000)))
    assert time.monotonic() - started < 1  # 50 ms, and room for a slow machine
    holder.kill()
    holder.wait(10)
    assert run(store.write(entry(1_000_001))) is True
    run(store.close())


if __name__ == "__main__":
    ROLES[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
