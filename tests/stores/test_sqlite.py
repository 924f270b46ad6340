"""What the SQLite store does beyond the contract: damage, faults, formats and bounds."""

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from askonce.core.errors import EntryDamaged, StoreError
from askonce.core.models import Entry, Key, Selection, Usage
from askonce.stores import envelope
from askonce.stores.envelope import seal, unseal
from askonce.stores.sqlite import changes
from askonce.stores.sqlite.schema import pragma
from askonce.stores.sqlite.store import SqliteStore
from tests.stores.sqlite_format_1 import PEPPER, make_format_1

T = TypeVar("T")

NOW = 1_750_000_000.0
HEADER_MARKS = (*range(60, 64), *range(68, 72))  # user version and application id

thorough = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=150,
)


def run(story: Coroutine[Any, Any, T]) -> T:
    try:
        story.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("the store has suspended")


async def collect(store: SqliteStore) -> list[Entry]:
    return [found async for found in store.scan(Selection())]


def entry(number: int = 0, size: int = 300, **changes: Any) -> Entry:
    plain = Entry(
        key=Key("team-a", "openai_chat", number.to_bytes(32, "big")),
        body=number.to_bytes(4, "big") * (size // 4),
        status=200,
        headers=(("content-type", "application/json"),),
        created=NOW - 100_000 + number,
        expires=NOW + 60,
        stale_until=NOW + 90,
        question="What is your return policy?",
    )
    return msgspec.structs.replace(plain, **changes)


def noise(number: int, size: int) -> Entry:
    """An entry that no compression makes smaller."""
    return entry(number, body=os.urandom(size))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


@pytest.fixture
def open_store() -> Iterator[Callable[..., SqliteStore]]:
    opened: list[SqliteStore] = []

    def open_(path: Path | str, **settings: Any) -> SqliteStore:
        settings = {"clock": lambda: NOW, "lock": threading.Lock(), **settings}
        opened.append(SqliteStore(path, **settings))
        return opened[-1]

    yield open_
    for store in opened:
        run(store.close())


Open = Callable[..., SqliteStore]


@pytest.fixture
def store(open_store: Open, path: Path) -> SqliteStore:
    return open_store(path)


@pytest.fixture
def sql(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's hands on the same file."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


# The envelope


@given(size=st.integers(0, 20_000), cut=st.integers(1, 400))
def test_a_cut_envelope_is_damaged(size: int, cut: int) -> None:
    whole = entry(size=size)
    blob = seal(whole)
    assert unseal(blob, whole.key) == whole
    for wrong in (blob[:-cut], blob[cut:], blob + b"\0" * cut, b""):
        with pytest.raises(EntryDamaged):
            unseal(wrong, whole.key)


@given(size=st.sampled_from([0, 300, 20_000]), place=st.integers(0), flip=st.integers(1, 255))
def test_no_changed_byte_goes_unseen(size: int, place: int, flip: int) -> None:
    whole = entry(size=size)
    blob = bytearray(seal(whole))
    blob[place % len(blob)] ^= flip
    with pytest.raises(EntryDamaged):
        unseal(bytes(blob), whole.key)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_damaged(garbage: bytes) -> None:
    for blob in (garbage, envelope.MAGIC + garbage, envelope.MAGIC + b"\1\0" + garbage):
        with pytest.raises(EntryDamaged):
            unseal(blob, entry().key)


@pytest.mark.parametrize("change", [{"namespace": "b"}, {"format": "b"}, {"digest": b"b" * 32}])
def test_an_entry_knows_its_key(change: dict[str, Any]) -> None:
    other = entry().key._replace(**change)
    with pytest.raises(EntryDamaged, match="another key"):
        unseal(seal(entry()), other)


UNSIZED = zstandard.ZstdCompressor(write_content_size=False)


def forged(payload: bytes, *, version: int = 1, flags: int = 0) -> bytes:
    """An envelope whose checksum is right, whatever it holds."""
    sealed = envelope.MAGIC + bytes((version, flags)) + payload
    return sealed + envelope._checksum(sealed)


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (forged(b"", version=3), "format 3; this AskOnce reads up to 2: upgrade"),
        (forged(b"", version=0), "never existed"),
        (forged(b"", flags=2), "unknown flags"),
        (forged(b"not zstd", flags=1), "cannot be unpacked"),
        (forged(b"\x80"), "cannot be decoded"),
        (forged(b"\x91" * 5_000), "cannot be decoded"),
        (forged(zstandard.compress(bytes(65 << 20)), flags=1), "more than"),
        (
            forged(zstandard.ZstdCompressor(write_content_size=False).compress(b"x"), flags=1),
            "more",
        ),
    ],
)
def test_what_cannot_be_an_entry_is_named(blob: bytes, says: str) -> None:
    with pytest.raises(EntryDamaged, match=says):
        unseal(blob, entry().key)


def test_a_bomb_with_a_false_size_is_not_unpacked() -> None:
    bomb = bytearray(zstandard.compress(bytes(65 << 20)))
    # The frame's header: magic (4), descriptor, then a 4-byte size. Claim 1,000 bytes.
    assert zstandard.frame_content_size(bytes(bomb)) == 65 << 20
    bomb[5:9] = (1000).to_bytes(4, "little")
    with pytest.raises(EntryDamaged, match="cannot be unpacked"):
        unseal(forged(bytes(bomb), flags=1), entry().key)


def test_compression_is_used_where_it_pays() -> None:
    assert len(seal(entry(size=20_000))) < 1_000
    assert 20_000 < len(seal(noise(1, 20_000))) < 20_400  # not made larger in vain
    assert unseal(seal(noise(1, 0)), entry(1).key).body == b""


def test_what_cannot_be_kept_is_refused_when_sealed(store: SqliteStore) -> None:
    with pytest.raises(StoreError, match="larger"):
        seal(entry(body=bytes(envelope.MAX_PAYLOAD_BYTES)))
    with pytest.raises(StoreError, match="Unicode") as caught:
        run(store.write(entry(question="secret \ud800")))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(StoreError, match="number"):
        run(store.write(entry(usage=Usage(input_tokens=1 << 80))))


# Damaged entries


def change_blob(sql: sqlite3.Connection, number: int, blob: object) -> None:
    key = (number.to_bytes(32, "big"),)
    assert sql.execute("UPDATE entries SET blob = ? WHERE digest = ?", (blob, *key)).rowcount == 1


@pytest.mark.parametrize(
    "wrong",
    [seal(entry(0))[:-1], b"", "text", 7, seal(entry(2)), forged(b"", version=9)],
    ids=["cut", "empty", "text", "number", "swapped", "newer"],
)
def test_a_damaged_entry_is_a_miss_until_check_removes_it(
    store: SqliteStore, path: Path, request: pytest.FixtureRequest, wrong: object
) -> None:
    for number in range(3):
        run(store.write(entry(number)))
    change_blob(request.getfixturevalue("sql"), 0, wrong)

    assert run(store.read(entry(0).key)) is None
    assert store.damaged == 1
    assert {found.key for found in run(collect(store))} == {entry(1).key, entry(2).key}
    (damage,) = run(store.check())
    assert damage.where.startswith("entries row ")
    assert len(run(store.check(fix=True))) == 1
    assert run(store.check()) == []
    assert run(store.read(entry(1).key)) == entry(1)


def test_a_damaged_entry_can_be_replaced(
    store: SqliteStore, request: pytest.FixtureRequest
) -> None:
    run(store.write(entry()))
    change_blob(request.getfixturevalue("sql"), 0, b"damaged")
    assert run(store.write(entry())) is True
    assert run(store.read(entry().key)) == entry()


def test_swapped_blobs_answer_neither_question(
    store: SqliteStore, request: pytest.FixtureRequest
) -> None:
    run(store.write(entry(0)))
    run(store.write(entry(1)))
    sql = request.getfixturevalue("sql")
    change_blob(sql, 0, seal(entry(1)))
    change_blob(sql, 1, seal(entry(0)))
    assert run(store.read(entry(0).key)) is None
    assert run(store.read(entry(1).key)) is None


# A damaged file


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of 40 entries, whole and closed."""
    path = tmp_path_factory.mktemp("filled") / "answers.db"
    store = SqliteStore(path, lock=threading.Lock(), clock=lambda: NOW)
    for number in range(40):
        run(store.write(entry(number, size=100 * number)))
    run(store.counters({"hits": 1}))
    run(store.close())
    return path


def test_a_schema_that_is_no_text_is_damage(filled: Path, path: Path, store: SqliteStore) -> None:
    raw = filled.read_bytes()
    path.write_bytes(raw.replace(b"CREATE TABLE epochs", b"\xff\xfe\x80ATE TABLE epochs"))
    with pytest.raises(StoreError):
        run(store.read(entry().key))
    assert len(run(store.check(fix=True))) == 1
    assert run(store.check()) == []


def attempt(story: Coroutine[Any, Any, T]) -> T | None:
    """The result, or None after a StoreError; any other exception fails the test."""
    try:
        return run(story)
    except StoreError:
        return None


@thorough
@given(data=st.data())
def test_no_damage_to_the_file_ever_yields_a_wrong_answer(
    filled: Path, tmp_path: Path, open_store: Open, data: st.DataObject
) -> None:
    folder = tmp_path / os.urandom(8).hex()
    folder.mkdir()
    path = folder / "answers.db"
    raw = bytearray(filled.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(raw) - 1))
        wrong = data.draw(st.binary(min_size=1, max_size=64))
        raw[start : start + len(wrong)] = wrong
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    # The store recognizes other programs' files by these bytes, and leaves them alone.
    same = filled.read_bytes()
    assume(all(raw[i : i + 1] in (b"", same[i : i + 1]) for i in HEADER_MARKS))
    path.write_bytes(raw)

    store = open_store(path)
    began = attempt(store.changes(None, 0))
    mark = began.cursor if began else None
    for number in range(40):
        expected = entry(number, size=100 * number)
        assert attempt(store.read(expected.key)) in (None, expected)
    attempt(store.write(entry(99)))
    assert attempt(store.read(entry(99).key)) in (None, entry(99))
    attempt(store.counters({"hits": 1}))
    attempt(store.epochs(["a"], bump=True))
    attempt(store.remove(Selection(keys=(entry(99).key,))))
    attempt(store.changes(mark, 0))
    attempt(store.lease(entry(98).key, 5))
    run(store.check(fix=True))
    assert run(store.check()) == []
    assert run(store.epochs(["a"], bump=True))
    assert run(store.lease(entry(97).key, 5))
    run(store.changes(mark, 0))
    assert run(store.write(entry(100))) is True
    assert run(store.read(entry(100).key)) == entry(100)
    run(store.close())
    shutil.rmtree(folder)


def test_a_file_that_is_no_database_is_moved_aside(store: SqliteStore, path: Path) -> None:
    path.write_bytes(b"These are my notes, not a database.\n" * 200)
    for _ in range(3):
        with pytest.raises(StoreError, match="NOTADB"):
            run(store.read(entry().key))
    (damage,) = run(store.check())
    assert damage.where == str(path)
    assert "NOTADB" in damage.what
    assert not path.with_name("answers.db.damaged-1").exists()

    run(store.check(fix=True))
    assert path.with_name("answers.db.damaged-1").read_bytes().startswith(b"These are my notes")
    assert run(store.check()) == []
    assert run(store.write(entry())) is True
    # Another time, another name.
    run(store.close())
    path.write_bytes(b"Other notes")
    run(SqliteStore(path, lock=threading.Lock(), clock=lambda: NOW).check(fix=True))
    assert path.with_name("answers.db.damaged-2").read_bytes() == b"Other notes"


def test_epochs_of_a_lost_file_are_never_given_out_again(store: SqliteStore, path: Path) -> None:
    """An answer asked before the file was lost must not be stored after a bump that was lost."""
    asked = run(store.epochs(["a"]))
    run(store.epochs(["a"], bump=True))
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    assert run(store.write(entry(tags=tuple(asked.items())))) is False
    assert run(store.epochs(["a"]))["a"] > 1


def test_a_new_file_gives_out_no_epoch_of_an_earlier_one(path: Path, open_store: Open) -> None:
    """Nor does a process that never saw the earlier one, whose epochs others may still hold."""
    earlier = open_store(path)
    bumped = [run(earlier.epochs(["a"], bump=True))["a"] for _ in range(20)]
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    assert run(open_store(path).epochs(["a"]))["a"] > bumped[-1]


def test_a_clock_that_was_set_back_gives_out_no_epoch_twice(store: SqliteStore, path: Path) -> None:
    far = run(store.epochs(["a"]))["a"] * 2
    run(store.merge_epochs({"a": far}))
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    assert run(store.epochs(["b"]))["b"] > far


def test_a_restored_file_gives_out_no_number_twice(
    store: SqliteStore, path: Path, open_store: Open
) -> None:
    mark, other = run(store.changes(None, 0)).cursor, open_store(path)
    run(store.epochs(["a"], bump=True))
    with sqlite3.connect(path) as db, sqlite3.connect(f"{path}.copy") as copy:
        db.backup(copy)
    for connection in (db, copy):
        connection.close()
    late = run(store.remove(Selection(namespace="no such"))), run(store.changes(None, 0)).cursor
    lost = entry(tags=tuple(run(store.epochs(["a"], bump=True)).items()))
    held = run(store.lease(entry().key, 60))
    assert held is not None
    for gone in (store, other):
        run(gone.close())
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    Path(f"{path}.copy").replace(path)

    restored = open_store(path)
    again = run(restored.lease(entry().key, 60))
    assert again is not None
    assert again.fence > held.fence
    assert run(restored.epochs(["a"], bump=True))["a"] > lost.tags[0][1]
    assert run(restored.write(lost)) is False
    run(restored.remove(Selection(namespace="no such")))
    # The line of the mark's number is there again, and says something else.
    assert run(restored.changes(late[1], 0)).lost
    assert not run(restored.changes(mark, 0)).lost


def test_a_file_moved_away_is_let_go(store: SqliteStore, path: Path, open_store: Open) -> None:
    run(store.write(entry(0)))
    for suffix in ("-wal", "-shm", ""):
        shutil.move(f"{path}{suffix}", f"{path}.away{suffix}")
    other = open_store(path)
    run(other.write(entry(1, tags=(("a", run(other.epochs(["a"]))["a"]),))))
    assert run(store.read(entry(0).key)) is None
    assert run(store.read(entry(1).key)) is not None
    run(other.epochs(["a"], bump=True))
    assert run(store.read(entry(1).key)) is None
    assert run(store.check()) == []


def test_another_programs_database_is_left_alone(store: SqliteStore, path: Path) -> None:
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE accounts (name)")
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        run(store.read(entry().key))
    (damage,) = run(store.check(fix=True))
    assert "another program" in damage.what
    assert path.read_bytes() == before


def test_a_newer_format_is_refused_and_left_alone(
    store: SqliteStore, path: Path, open_store: Open
) -> None:
    run(store.write(entry()))
    run(store.close())
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 3")
    newer.close()
    again = open_store(path)
    with pytest.raises(StoreError, match="format 3; this AskOnce reads up to 2: upgrade"):
        run(again.write(entry()))
    (damage,) = run(again.check(fix=True))
    assert "format 3" in damage.what
    assert not path.with_name("answers.db.damaged-1").exists()


# Formats


def test_a_file_of_format_1_keeps_all_it_has(path: Path, open_store: Open) -> None:
    old = [entry(0, tags=(("a", 4), ("never", 0))), entry(1)]
    outdated = entry(2, tags=(("a", 3),))
    make_format_1(path, [*old, outdated], {"a": 4, "b": 9})
    store = open_store(path)
    assert {found.key for found in run(collect(store))} == {one.key for one in old}
    assert [run(store.read(one.key)) for one in (*old, outdated)] == [*old, None]
    assert run(store.counters({})) == {"hits": 3}
    assert run(store.pepper()) == PEPPER
    assert run(store.epochs(["a", "b", "never"])) == {"a": 4, "b": 9, "never": 0}
    assert run(store.epochs(["never"], bump=True))["never"] > 9
    assert run(store.read(entry(0).key)) is None
    assert run(store.check()) == []


def test_migrating_says_what_it_did(path: Path, open_store: Open) -> None:
    make_format_1(path, [entry()], {})
    store = open_store(path)
    assert run(store.migrate()) == ["raised the file's format from 1 to 2"]
    assert run(store.migrate()) == []
    assert run(open_store(path).migrate()) == []
    assert run(open_store(path.with_name("new.db")).migrate()) == ["made the file, format 2"]
    assert run(store.read(entry().key)) == entry()


def test_what_a_program_of_format_1_bumps_meanwhile_is_bumped(
    path: Path, open_store: Open, request: pytest.FixtureRequest
) -> None:
    make_format_1(path, [], {"a": 5})
    store = open_store(path)
    run(store.migrate())
    request.getfixturevalue("sql").execute("UPDATE epochs SET epoch = 50 WHERE tag = 'a'")
    assert run(store.epochs(["a"], bump=True))["a"] > 50


def test_a_file_that_lost_a_table_is_damaged(store: SqliteStore, path: Path) -> None:
    run(store.write(entry()))
    run(store.close())
    for table in ("changes", "leases", "epochs"):
        with sqlite3.connect(path) as db:
            db.execute(f"DROP TABLE {table}")
        db.close()
        again = SqliteStore(path, lock=threading.Lock(), clock=lambda: NOW)
        assert len(run(again.check(fix=True))) == 1
        assert run(again.check()) == []
        run(again.close())


# News


def test_a_log_that_was_trimmed_says_so(store: SqliteStore, open_store: Open, path: Path) -> None:
    start = run(store.changes(None, 0)).cursor
    for number in range(changes.KEPT + 1):
        run(store.epochs([f"t{number % 50}"], bump=True))
    middle = run(store.changes(None, 0)).cursor
    assert len(run(store.changes(start, 0)).epochs) == 50
    for number in range(changes.KEPT):
        run(store.epochs([f"t{number % 50}"], bump=True))
    assert run(store.changes(start, 0)).lost
    assert run(open_store(path).changes(start, 0)).lost
    news = run(store.changes(middle, 0))
    assert not news.lost
    assert news.epochs == run(store.epochs([f"t{number}" for number in range(50)]))
    with store._file.connected() as db:
        assert db.execute("SELECT count(*) FROM changes").fetchone()[0] < changes.KEPT * 1.2


def test_what_is_too_large_for_a_line_of_the_log_is_lost(store: SqliteStore) -> None:
    mark = run(store.changes(None, 0)).cursor
    run(store.remove(Selection(keys=tuple(entry(number).key for number in range(4_000)))))
    assert run(store.changes(mark, 0)).lost
    mark = run(store.changes(None, 0)).cursor
    bumped = run(store.epochs([f"tag {number}" for number in range(9_000)], bump=True))
    assert len(bumped) == 9_000
    assert run(store.changes(mark, 0)).lost


def test_a_replaced_file_has_lost_the_news(store: SqliteStore, path: Path) -> None:
    run(store.epochs(["a"], bump=True))
    mark = run(store.changes(None, 0)).cursor
    assert run(store.changes(mark, 0)).empty
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    news = run(store.changes(mark, 0))
    assert news.lost
    assert run(store.changes(news.cursor, 0)).empty


def test_news_of_a_quiet_file_read_nothing_but_its_version(store: SqliteStore) -> None:
    said: list[str] = []
    mark = run(store.changes(None, 0)).cursor
    with store._file.connected() as db:
        db.set_trace_callback(said.append)
    assert run(store.changes(mark, 0)).empty
    assert said == ["PRAGMA data_version"]


def test_the_end_of_what_expired_is_no_news(path: Path, open_store: Open) -> None:
    now = [NOW]
    store = open_store(path, clock=lambda: now[0])
    run(store.write(entry(0)))
    mark = run(store.changes(None, 0)).cursor
    now[0] = NOW + 1_000
    for number in range(1, 130):
        run(store.write(entry(number, expires=NOW + 2_000)))
    assert run(store.read(entry(0).key)) is None
    assert run(store.changes(mark, 0)).empty


# In the middle


def test_in_the_middle_a_tag_has_the_epoch_of_the_more_shared_store(store: SqliteStore) -> None:
    """Also one that lies below this file's own floor, which says nothing about others' tags."""
    run(store.merge_epochs({"a": 12}))
    assert run(store.epochs(["a"])) == {"a": 12}
    assert run(store.write(entry(tags=(("a", 12),)))) is True
    run(store.merge_epochs({"a": 11}))
    assert run(store.read(entry().key)) is not None
    run(store.merge_epochs({"a": 13}))
    assert run(store.read(entry().key)) is None


# Faults of the machine


def test_a_full_disk_is_an_error_and_passes(store: SqliteStore) -> None:
    run(store.write(entry(0)))
    with store._file.connected() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(StoreError, match="SQLITE_FULL"):
        run(store.write(noise(1, 50_000)))
    assert run(store.read(entry(0).key)) == entry(0)
    assert run(store.read(entry(1).key)) is None
    assert run(store.write(entry(2))) is True
    with pytest.raises(StoreError, match="SQLITE_FULL"):
        run(store.write(noise(1, 50_000)))
    with store._file.connected() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    assert run(store.write(noise(1, 50_000))) is True
    assert run(store.check()) == []


def test_a_locked_database_is_an_error_soon(
    store: SqliteStore, request: pytest.FixtureRequest
) -> None:
    run(store.write(entry()))
    sql = request.getfixturevalue("sql")
    sql.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    for story in (store.write(entry(1)), store.epochs(["a"], bump=True), store.counters({"a": 1})):
        with pytest.raises(StoreError, match="SQLITE_BUSY"):
            run(story)
    assert time.monotonic() - started < 1.5  # three times 50 ms, and room for a slow machine
    assert run(store.read(entry().key)) == entry()  # readers do not wait for a writer
    sql.execute("ROLLBACK")
    assert run(store.write(entry(1))) is True


def test_a_database_kept_by_one_connection_is_an_error_soon(
    store: SqliteStore, path: Path, open_store: Open, request: pytest.FixtureRequest
) -> None:
    run(store.write(entry()))
    run(store.close())
    sql = request.getfixturevalue("sql")
    sql.execute("PRAGMA locking_mode = EXCLUSIVE")
    sql.execute("BEGIN EXCLUSIVE")
    again = open_store(path)
    started = time.monotonic()
    with pytest.raises(StoreError, match="SQLITE_BUSY"):
        run(again.read(entry().key))
    with pytest.raises(StoreError, match="SQLITE_BUSY"):
        run(again.check(fix=True))
    assert time.monotonic() - started < 1.5
    sql.execute("ROLLBACK")
    sql.close()
    assert run(again.read(entry().key)) == entry()


def test_a_path_that_cannot_be_opened_is_an_error(tmp_path: Path, open_store: Open) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place in ("missing/answers.db", "file/answers.db", "folder", "nul\0.db"):
        store = open_store(tmp_path / place)
        for story in (store.read(entry().key), store.write(entry()), store.check(fix=True)):
            with pytest.raises(StoreError):
                run(story)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder"]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Run as a user who may not write anywhere, as root may."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_cannot_be_written_is_an_error(open_store: Open) -> None:
    # Not below tmp_path, which other users cannot even enter.
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o555)
        with unprivileged(), pytest.raises(StoreError):
            run(open_store(Path(made, "answers.db")).read(entry().key))


def test_text_that_sqlite_cannot_hold_is_an_error_without_it(store: SqliteStore) -> None:
    run(store.write(entry()))
    strange = entry().key._replace(namespace="secret \ud800")
    for story in (
        store.read(strange),
        store.epochs(["secret \ud800"]),
        store.counters({"secret": 1 << 70}),
        store.remove(Selection(namespace="secret \ud800")),
    ):
        with pytest.raises(StoreError) as caught:
            run(story)
        assert "secret" not in str(caught.value)
    assert run(store.counters({})) == {}


def test_a_closed_store_is_an_error(store: SqliteStore) -> None:
    run(store.write(entry()))
    run(store.close())
    with pytest.raises(StoreError, match="closed"):
        run(store.read(entry().key))


# What lasts, and what does not


def test_nothing_is_touched_before_the_first_call(open_store: Open, path: Path) -> None:
    store = open_store(path)
    assert not path.exists()
    run(store.read(entry().key))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("made", [":memory:", "file:x?mode=memory", "a b%20c?#.db"])
def test_a_name_is_only_a_name(
    made: str, tmp_path: Path, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(open_store(made).write(entry()))
    assert (tmp_path / made).stat().st_size > 0


def test_everything_is_there_after_closing_and_opening(
    store: SqliteStore, path: Path, open_store: Open
) -> None:
    bumped = run(store.epochs(["a"], bump=True))
    tags = tuple(bumped.items())
    run(store.write(entry(0, tags=tags)))
    run(store.counters({"hits": 3}))
    mark = run(store.changes(None, 0)).cursor
    pepper = run(store.pepper())
    run(store.close())
    assert [found.name for found in path.parent.iterdir()] == [path.name]  # the log is folded in

    again = open_store(str(path))
    assert run(again.read(entry(0).key)) == entry(0, tags=tags)
    assert run(again.epochs(["a"])) == bumped
    assert run(again.changes(mark, 0)).empty
    assert run(again.migrate()) == []
    assert run(again.counters({})) == {"hits": 3}
    assert run(again.pepper()) == pepper


def test_a_lease_of_a_clock_that_was_ahead_is_over(path: Path, open_store: Open) -> None:
    now = [NOW + 3_600]
    store = open_store(path, clock=lambda: now[0])
    early = run(store.lease(entry().key, 5.0))
    assert early is not None
    now[0] = NOW
    late = run(store.lease(entry().key, 5.0))
    assert late is not None
    assert late.fence > early.fence
    assert run(store.lease(entry().key, 5.0)) is None


def test_what_a_clock_that_was_ahead_stored_is_swept(path: Path, open_store: Open) -> None:
    now = [NOW]
    store = open_store(path, clock=lambda: now[0])
    run(store.write(entry(1, created=NOW)))
    now[0] = NOW - 1_000
    for number in range(100, 170):
        run(store.write(entry(number, created=now[0])))
    assert run(store.read(entry(1).key)) is None
    assert run(store.read(entry(100).key)) is not None


def test_what_is_of_no_more_use_is_swept(path: Path, open_store: Open) -> None:
    now = [NOW]
    store = open_store(path, clock=lambda: now[0])
    for number in range(50):
        run(store.write(entry(number)))
    now[0] = NOW + 70  # expired, but good for a stale answer
    for number in range(100, 170):
        run(store.write(entry(number, expires=NOW + 500)))
    assert run(store.read(entry(0).key)) is not None
    now[0] = NOW + 90
    for number in range(200, 264):
        run(store.write(entry(number, expires=NOW + 500)))
    left = {found.key for found in run(collect(store))}
    assert not left & {entry(number).key for number in range(50)}
    assert len(left) == 70 + 64


@pytest.mark.parametrize("size", [200, 3_000, 60_000])
def test_the_bytes_in_use_stay_within_the_bound(path: Path, open_store: Open, size: int) -> None:
    bound = 1 << 20
    store = open_store(path, max_bytes=bound)
    count = 3 * bound // size
    for number in range(count):
        assert run(store.write(noise(number, size))) is True
    with store._file.connected() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
    assert (pages - free) * page_size <= bound
    assert pages * page_size <= bound * 1.2  # freed pages are used again
    kept = sorted(int.from_bytes(found.key.digest, "big") for found in run(collect(store)))
    assert kept == list(range(kept[0], count))  # the oldest went first
    assert sum(len(seal(found)) for found in run(collect(store))) > bound // 2
    assert run(store.check()) == []


def test_an_entry_larger_than_the_bound_is_not_kept(path: Path, open_store: Open) -> None:
    store = open_store(path, max_bytes=200_000)
    run(store.write(entry(0)))
    run(store.write(entry(1)))
    assert run(store.write(noise(1, 300_000))) is False
    assert run(store.read(entry(0).key)) == entry(0)
    assert run(store.read(entry(1).key)) is None  # no longer the latest answer


def test_many_at_once_stay_within_the_bound(path: Path, open_store: Open) -> None:
    bound = 1 << 20
    store = open_store(path, max_bytes=bound)
    run(store.write(entry(0)))
    many = [noise(number, 8_000) for number in range(1, 600)]
    assert run(store.write_all([*many, noise(0, 2 << 20)])) == 599
    assert run(store.read(entry(0).key)) is None  # no longer the latest answer
    with store._file.connected() as db:
        live = pragma(db, "page_count") - pragma(db, "freelist_count")
        assert live * pragma(db, "page_size") <= bound
    kept = sorted(int.from_bytes(found.key.digest, "big") for found in run(collect(store)))
    assert kept == list(range(kept[0], 600))
    assert len(kept) > 60


def test_a_scan_keeps_few_large_answers_in_memory(store: SqliteStore) -> None:
    for number in range(40):
        run(store.write(noise(number, 1 << 20)))

    async def count() -> int:
        return len([None async for _ in store.scan(Selection())])

    tracemalloc.start()
    try:
        assert run(count()) == 40
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_threads_share_one_store(store: SqliteStore) -> None:
    wrong: list[object] = []

    def work(first: int) -> None:
        for number in range(first, first + 100):
            tags = tuple(run(store.epochs([f"t{first}"])).items())
            run(store.write(entry(number, size=4_000, tags=tags)))
            run(store.counters({"n": 1}))
            if run(store.read(entry(number).key)) != entry(number, size=4_000, tags=tags):
                wrong.append(number)
        if len([found for found in run(collect(store)) if found.key.digest]) < 100:
            wrong.append("scan")

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert run(store.counters({})) == {"n": 400}
    assert len(run(collect(store))) == 400
