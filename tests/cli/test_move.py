"""`askonce export | import | copy`: whole, resumable, and never from a file that is not whole."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec.structs import replace

from askonce.cli import main
from askonce.cli.transfer import checkpoints, moves, source
from askonce.cli.transfer.moves import Copy, Export, Import
from askonce.core.models import Entry, Key, Selection, Usage
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.stores import archive
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store

Run = Callable[..., tuple[int, str, str]]
NOW = 1_750_000_000.0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, store: str = "sqlite:askonce.db") -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ASKONCE_STORE__URL", store)
            try:
                status = main(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def opened() -> Iterator[Callable[[str], Store]]:
    stores: list[Store] = []

    def open_(name: str = "askonce.db") -> Store:
        clock = SyncRuntime().now
        stores.append(open_store(f"sqlite:{name}", StoreContext(SyncRuntime().lock, clock)))
        return stores[-1]

    yield open_
    for store in stores:
        run_sync(store.close())


Open = Callable[..., Store]


def entry(number: int, *, namespace: str = "team-a", tags: Any = (), **changes: Any) -> Entry:
    now = SyncRuntime().now()
    fields: dict[str, Any] = {"expires": now + 3_600, "stale_until": now + 3_600} | changes
    return Entry(
        Key(namespace, "openai_chat", hashlib.sha256(b"%d" % number).digest()),
        b'{"answer": "%d"}' % number * 20,
        200,
        (("content-type", "application/json"),),
        now - 10,
        model="gpt-5",
        question=f"Question {number}?",
        usage=Usage(10, 20),
        tags=tags,
        **fields,
    )


def fill(store: Store, count: int, **fields: Any) -> list[Entry]:
    entries = [entry(number, **fields) for number in range(count)]
    assert run_sync(store.write_all(entries)) == count
    return entries


def content(store: Store, namespace: str | None = None) -> set[Entry]:
    async def collect() -> set[Entry]:
        return {found async for found in store.scan(Selection(namespace=namespace))}

    return run_sync(collect())


def replace_tags(entries: list[Entry], epochs: dict[str, int]) -> set[Entry]:
    return {moves._under(epochs, one) for one in entries}


def deaf(done: int) -> None:
    """Ignore the progress."""


# Round trips


@pytest.mark.parametrize("name", ["a.askonce", "a.askonce.gz", "a.askonce.zst"])
def test_what_is_exported_is_what_is_imported(run: Run, opened: Open, name: str) -> None:
    entries = fill(opened(), 3_000)
    status, out, _ = run("export", name)
    assert status == 0
    assert out.startswith(f"exported 3,000 entries from sqlite:askonce.db to {name}, ")
    assert [path.name for path in Path().iterdir() if "a.askonce" in path.name] == [name]
    assert os.stat(name).st_mode & 0o777 == 0o600
    status, out, _ = run("import", name, store="sqlite:b.db")
    assert status == 0
    assert out.startswith(f"imported 3,000 entries from {name} to sqlite:b.db, ")
    assert content(opened("b.db")) == set(entries)
    assert run("import", name, store="sqlite:b.db")[0] == 0  # twice is harmless
    assert content(opened("b.db")) == set(entries)


def test_usual_tools_read_compressed_archives(run: Run, opened: Open) -> None:
    fill(opened(), 10_000)  # several blocks
    for name in ("a", "a.gz", "a.zst"):
        assert run("export", name)[0] == 0
    packed = zstandard.ZstdDecompressor().stream_reader(
        Path("a.zst").read_bytes(), read_across_frames=True
    )
    bodies = [
        Path("a").read_bytes(),
        gzip.decompress(Path("a.gz").read_bytes()),
        packed.read(),
    ]
    # But for the time in their first lines they are the same.
    assert len({len(body.partition(b"\n")[2]) for body in bodies}) == 1
    assert json.loads(bodies[1].partition(b"\n")[0])["askonce"] == "archive"


def test_standard_output_and_input(opened: Open) -> None:
    entries = fill(opened(), 100)
    askonce = [sys.executable, "-m", "askonce.cli"]
    exported = subprocess.run([*askonce, "export", "-"], capture_output=True, check=True)
    assert b"exported 100 entries" in exported.stderr
    environ = {**os.environ, "ASKONCE_STORE__URL": "sqlite:b.db"}
    imported = subprocess.run(
        [*askonce, "import", "-"],
        input=exported.stdout,
        capture_output=True,
        check=True,
        env=environ,
    )
    assert imported.stdout.startswith(b"imported 100 entries from standard input")
    assert content(opened("b.db")) == set(entries)


def test_the_summary_for_programs(run: Run, opened: Open) -> None:
    fill(opened(), 10)
    answer = json.loads(run("export", "a.gz", "--json")[1])
    assert (answer["moved"], answer["to"], answer["expired"]) == (10, "a.gz", 0)
    assert answer["per_second"] > 0


def test_only_a_namespace(run: Run, opened: Open) -> None:
    store = opened()
    fill(store, 5)
    mine = fill(store, 5, namespace="team-b")
    assert "exported 5" in run("export", "a", "--namespace", "team-b")[1]
    run("import", "a", store="sqlite:b.db")
    assert content(opened("b.db")) == set(mine)
    assert "copied 5" in run("copy", "--namespace", "team-b", "--to", "sqlite:c.db")[1]
    assert content(opened("c.db")) == set(mine)


def test_what_expired_stays_behind(run: Run, opened: Open) -> None:
    store = opened()
    now = SyncRuntime().now()
    stale = entry(2, expires=now + 5, stale_until=now + 600)
    over = entry(3, expires=now + 5, stale_until=now + 5)
    run_sync(store.write_all([entry(1), stale, over]))
    export = Export(store, "a", source="it", namespace=None, clock=lambda: now + 10)
    run_sync(export.run(deaf))
    assert (export.moved.moved, export.moved.expired) == (2, 1)
    with open("a", "rb") as file:
        later = Import(opened("b.db"), file, "a", target="b", clock=lambda: now + 700)
        run_sync(later.run(deaf))
    assert (later.moved.moved, later.moved.expired) == (1, 1)
    assert "imported 2 entries" in run("import", "a", store="sqlite:c.db")[1]


# Versions of keys


def test_entries_of_older_keys_stay_behind_and_are_counted(run: Run, opened: Open) -> None:
    old = [entry(number, key_version=1) for number in range(3)]
    new = [entry(number) for number in range(3, 5)]
    run_sync(opened().write_all([*old, *new]))
    line = "  3 under keys of version 1, which no question finds any more, left out\n"
    status, out, _ = run("export", "a")
    assert (status, out.endswith(line)) == (0, True)
    status, out, _ = run("copy", "--to", "sqlite:copied.db")
    assert (status, out.endswith(line)) == (0, True)
    assert run("import", "a", store="sqlite:b.db")[0] == 0
    assert content(opened("b.db")) == content(opened("copied.db")) == set(new)


def test_an_archive_of_older_keys_is_read_and_nothing_of_it_taken(run: Run, opened: Open) -> None:
    header = archive.ArchiveHeader(made_by="askonce 0.1", created=NOW, pepper=b"p" * 32)
    with open("a", "wb") as file:
        writer = archive.ArchiveWriter(file, "a")
        writer.begin(header)
        for number in range(3):
            writer.add(entry(number, key_version=1))
        writer.end(archive.ArchiveFooter(entries=3))
    status, out, _ = run("import", "a")
    assert status == 0
    assert out.startswith("imported 0 entries")
    assert "3 under keys of version 1" in out
    assert content(opened()) == set()
    assert json.loads(run("import", "a", "--json")[1])["outdated"] == 3


# Tags


def test_an_entry_takes_the_epochs_of_where_it_arrives(run: Run, opened: Open) -> None:
    store, target = opened(), opened("b.db")
    tags = tuple(run_sync(store.epochs(["policy"], bump=True)).items())
    entries = fill(store, 3, tags=tags)
    outdated = entry(9, tags=(("policy", tags[0][1] - 1),))
    assert not run_sync(store.write(outdated))
    there = run_sync(target.epochs(["policy"], bump=True))
    run("export", "a")
    run("import", "a", store="sqlite:b.db")
    assert content(target) == replace_tags(entries, there)
    run_sync(target.epochs(["policy"], bump=True))
    assert content(target) == set()


class Busy:
    """A store in which something happens while it is scanned."""

    def __init__(self, store: Store, happens: Coroutine[Any, Any, Any]) -> None:
        self._store = store
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def scan(self, selection: Selection) -> Any:
        found = [one async for one in self._store.scan(selection)]
        await self._happens
        for one in found:
            yield one


def invalidated(store: Store) -> tuple[Any, set[Entry]]:
    """A busy store of 30 entries; 20 of them go while it is scanned."""
    tags = tuple(run_sync(store.epochs(["a", "b"])).items())
    plain = [entry(number) for number in range(10)]
    tagged = [entry(number, tags=tags) for number in range(10, 20)]
    others = [entry(number, namespace="team-b") for number in range(20, 30)]
    run_sync(store.write_all([*plain, *tagged, *others]))

    async def happens() -> None:
        await store.epochs(["b"], bump=True)
        await store.remove(Selection(namespace="team-b"))

    return Busy(store, happens()), set(plain)


def test_what_is_invalidated_during_an_export_is_not_imported(opened: Open) -> None:
    store, target = opened(), opened("b.db")
    busy, left = invalidated(store)
    clock = SyncRuntime().now
    export = Export(busy, "a", source="it", namespace=None, clock=clock)
    run_sync(export.run(deaf))
    assert export.moved.moved == 30
    with open("a", "rb") as file:
        arriving = Import(target, file, "a", target="there", clock=clock)
        run_sync(arriving.run(deaf))
    assert (arriving.moved.moved, arriving.moved.invalid) == (10, 20)
    assert content(target) == left


def test_what_is_invalidated_during_a_copy_is_invalidated_there(opened: Open) -> None:
    store, target = opened(), opened("b.db")
    busy, left = invalidated(store)
    copy = Copy(busy, target, "progress", of="it", namespace=None, clock=SyncRuntime().now)
    run_sync(copy.run(deaf))
    assert content(target) == left
    assert not list(Path().glob("progress*"))


# Callers that are known by their credentials


def test_callers_find_their_answers_in_an_empty_store(run: Run, opened: Open) -> None:
    store = opened()
    fill(store, 3, namespace="key:0123456789abcdef")
    run("export", "a")
    out = run("import", "a", store="sqlite:b.db")[1]
    assert "credentials" not in out
    assert run_sync(opened("b.db").pepper()) == run_sync(store.pepper())
    run("copy", "--to", "sqlite:c.db")
    assert run_sync(opened("c.db").pepper()) == run_sync(store.pepper())


def test_a_store_in_use_keeps_its_secret_and_says_who_is_lost(run: Run, opened: Open) -> None:
    fill(opened(), 3, namespace="key:0123456789abcdef")
    target = opened("b.db")
    fill(target, 1)
    secret = run_sync(target.pepper())
    run("export", "a")
    status, _, err = run("import", "a", store="sqlite:b.db")
    assert (status, err.partition(";")[0]) == (1, "askonce: a: is from a store with another secret")
    assert len(content(target)) == 1
    out = run("import", "--foreign", "a", store="sqlite:b.db")[1]
    assert "3 of callers known by their credentials only" in out
    assert run_sync(target.pepper()) == secret


def test_an_older_answer_never_replaces_a_newer_one_unless_asked(run: Run, opened: Open) -> None:
    (old,) = fill(opened(), 1)
    run("export", "a")
    new = replace(old, body=b"newer", created=old.created + 1)
    run_sync(opened().write(new))
    out = run("import", "a")[1]
    assert "1 left out, because the store has newer answers" in out
    assert content(opened()) == {new}
    run("import", "--overwrite", "a")
    assert content(opened()) == {old}


def test_no_archive_writes_into_the_namespace_of_askonce(run: Run, opened: Open) -> None:
    forged = entry(1)
    forged = replace(forged, key=Key("~askonce", forged.key.format, forged.key.digest))
    with open("a", "wb") as file:
        writer = archive.ArchiveWriter(file, "a")
        pepper = run_sync(opened().pepper())
        writer.begin(archive.ArchiveHeader(made_by="test", created=NOW, pepper=pepper))
        writer.add(forged)
        writer.end(archive.ArchiveFooter(entries=1))
    out = run("import", "a", store="sqlite:b.db")[1]
    assert "1 in AskOnce's own namespace" in out
    assert run_sync(opened("b.db").read(forged.key)) is None


def mode_of(path: str | Path) -> int:
    return os.stat(path).st_mode & 0o777


def test_files_are_private_whatever_was_there_before(run: Run, opened: Open) -> None:
    for name in ("b.db", "b.db-wal", "a", "a.progress"):
        Path(name).touch()
        os.chmod(name, 0o666)
    fill(opened(), 3)
    run("export", "a")
    run("import", "a", store="sqlite:b.db")
    assert {name: mode_of(name) for name in ("a", "askonce.db", "b.db")} == {
        "a": 0o600,
        "askonce.db": 0o600,
        "b.db": 0o600,
    }


def test_no_link_leads_an_export_to_another_file(
    run: Run, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at its name, nor at a name beside it that another program could foresee."""
    monkeypatch.setattr(archive, "_BLOCK_BYTES", 10_000)
    fill(opened(), 300)
    Path("victim").write_bytes(b"precious")
    for name in ("a", "a.partial", "a.progress", "a.progress.new"):
        os.symlink("victim", name)
    assert run("export", "a")[0] == 0
    assert Path("victim").read_bytes() == b"precious"
    assert not Path("a").is_symlink()


def test_a_forged_checkpoint_leads_to_no_other_file(run: Run, opened: Open) -> None:
    fill(opened(), 3)
    Path("victim").write_bytes(b"precious")
    for name in ("../victim", "victim", "a.0123456789abcdef.partial/../victim"):
        stage = {"of": "export of everything from sqlite:askonce.db", "partial": name}
        Path("a.progress").write_text(json.dumps(stage))
        assert run("export", "a")[0] == 0
        assert Path("victim").read_bytes() == b"precious"


# Stopping and going on


class Stopped(Exception):
    pass


def stop_after(count: int) -> Callable[[int], None]:
    def stop_at_count(done: int) -> None:
        if done >= count:
            raise Stopped

    return stop_at_count


@pytest.mark.parametrize("name", ["a", "a.gz", "a.zst"])
def test_an_export_goes_on_where_it_was(
    opened: Open, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(archive, "_BLOCK_BYTES", 50_000)
    entries = fill(opened(), 1_000)
    clock = SyncRuntime().now
    for count in (200, 600):
        export = Export(opened(), name, source="sqlite:askonce.db", namespace=None, clock=clock)
        with pytest.raises(Stopped):
            run_sync(export.run(stop_after(count)))
        assert not Path(name).exists()
    (partial,) = Path().glob(f"{name}.*.partial")
    with partial.open("ab") as file:
        file.write(b"half a block")  # as after `kill -9`
    out = run("export", name)[1]
    assert out.startswith("exported 1,000 entries")
    earlier = int(out.partition(" of them in an earlier run")[0].split()[-1])
    assert 400 < earlier < 1_000
    assert run("import", name, store="sqlite:b.db")[0] == 0
    assert content(opened("b.db")) == set(entries)
    assert not [*Path().glob("*.partial"), *Path().glob("*.progress")]


def test_an_import_goes_on_where_it_was(
    opened: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_CHUNK", 100)
    entries = fill(opened(), 1_000)
    run("export", "a")
    with open("a", "rb") as file:
        arriving = Import(opened("b.db"), file, "a", target="sqlite:b.db", clock=SyncRuntime().now)
        with pytest.raises(Stopped):
            run_sync(arriving.run(stop_after(500)))
    assert len(content(opened("b.db"))) == 500
    # Another archive of the same name, and another store, have nothing to do with it.
    assert "earlier" not in run("import", "a", store="sqlite:c.db")[1]
    with open("a", "rb") as file:
        arriving = Import(opened("d.db"), file, "a", target="sqlite:d.db", clock=SyncRuntime().now)
        with pytest.raises(Stopped):
            run_sync(arriving.run(stop_after(300)))
    assert "300 of them in an earlier run" in run("import", "a", store="sqlite:d.db")[1]
    assert content(opened("d.db")) == set(entries)


def test_a_copy_goes_on_where_it_was(
    opened: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_CHUNK", 100)
    entries = fill(opened(), 1_000)
    clock = SyncRuntime().now
    for count in (300, 600):
        copy = Copy(opened(), opened("b.db"), "p", of="it", namespace=None, clock=clock)
        with pytest.raises(Stopped):
            run_sync(copy.run(stop_after(count)))
    with open("p.keys", "ab") as file:
        file.write(b"cut")  # as after `kill -9`
    copy = Copy(opened(), opened("b.db"), "p", of="it", namespace=None, clock=clock)
    run_sync(copy.run(deaf))
    assert (copy.moved.resumed, copy.moved.moved) == (600, 400)
    assert content(opened("b.db")) == set(entries)
    assert not list(Path().glob("p*"))


def test_restart_begins_from_the_start(
    opened: Open, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_BLOCK_BYTES", 10_000)
    fill(opened(), 300)
    export = Export(
        opened(), "a", source="sqlite:askonce.db", namespace=None, clock=SyncRuntime().now
    )
    with pytest.raises(Stopped):
        run_sync(export.run(stop_after(100)))
    (partial,) = Path().glob("a.*.partial")
    partial.write_bytes(b"something else")
    status, _, err = run("export", "a")
    assert status == 1
    assert err == f"askonce: {partial}: is not what was left there; start over with --restart\n"
    out = run("export", "a", "--restart")[1]
    assert out.startswith("exported 300 entries")
    assert "earlier" not in out


def progressed(name: str) -> bool:
    """Would another run have something to go on from?"""
    return Path(name).exists() and json.loads(Path(name).read_bytes())["entries"] > 0


def test_ctrl_c_leaves_what_can_be_gone_on_with(opened: Open) -> None:
    fill(opened(), 60_000)
    command = [sys.executable, "-m", "askonce.cli", "export", "a.gz"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        while not progressed("a.gz.progress"):
            assert export.poll() is None
        export.send_signal(signal.SIGINT)
        _, err = export.communicate(timeout=30)
    assert export.returncode == 130
    assert err.startswith(b"askonce: stopped after ")
    assert err.endswith(b" entries; run the same command again to go on\n")
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.startswith(b"exported 60,000 entries")
    assert b"in an earlier run" in done.stdout


# What is not whole


@pytest.fixture
def good(run: Run, opened: Open) -> bytes:
    fill(opened(), 200)
    run("export", "good")
    return Path("good").read_bytes()


def spoilt(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: raw[: len(raw) // 2], "ends too early, after "),
        (lambda raw: raw[:-1], "ends too early, after 200 entries"),
        (lambda raw: raw[:20], "is not an archive that `askonce export` wrote"),
        (lambda raw: b"", "is not an archive that `askonce export` wrote"),
        (lambda raw: b'{"some": "json"}\n', "is not an archive that `askonce export` wrote"),
        (lambda raw: raw + b"\n", "is damaged"),
        (lambda raw: spoilt(raw, len(raw) // 2), "is damaged"),
        (lambda raw: spoilt(raw, len(raw) - 20), "is damaged"),
        (lambda raw: spoilt(raw, 60), "is damaged"),
        (lambda raw: raw.replace(b'"version":1', b'"version":7', 1), "has format 7; this AskOnce"),
        (lambda raw: raw[: len(raw) // 2] + raw[len(raw) // 2 + 300 :], "is damaged"),
    ],
    ids=range(11),
)
def test_a_file_that_is_not_whole_is_refused_before_anything_is_imported(
    run: Run, opened: Open, good: bytes, damage: Callable[[bytes], bytes], says: str
) -> None:
    Path("bad").write_bytes(damage(good))
    status, out, err = run("import", "bad", store="sqlite:b.db")
    assert (status, out) == (1, "")
    assert err.startswith(f"askonce: bad: {says}")
    assert err.count("\n") == 1
    assert content(opened("b.db")) == set()


@pytest.mark.parametrize("name", ["bad.gz", "bad.zst"])
@pytest.mark.parametrize("damage", ["cut", "noise", "plain"])
def test_a_compressed_file_that_is_not_whole_is_refused(
    run: Run, good: bytes, name: str, damage: str
) -> None:
    run("export", name)
    raw = Path(name).read_bytes()
    wrong = {"cut": raw[: len(raw) // 2], "noise": os.urandom(500), "plain": good}[damage]
    Path(name).write_bytes(wrong)
    status, _, err = run("import", name, store="sqlite:b.db")
    assert status == 1
    assert err.startswith(f"askonce: {name}: ")
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_read_or_written_is_one_line(run: Run, opened: Open) -> None:
    fill(opened(), 1)
    assert run("import", "missing")[2] == (
        "askonce: missing: cannot be read: No such file or directory\n"
    )
    assert run("export", "no/where")[2] == (
        "askonce: no/where: cannot be written: No such file or directory\n"
    )
    Path("folder").mkdir()
    assert run("export", "folder")[2] == "askonce: folder: is a folder; name a file in it\n"
    assert run("export", "a", store="sqlite:none.db")[0] == 1
    assert run("export", "a", store="memory:")[0] == 1
    assert run("copy", "--to", "sqlite:askonce.db")[0] == 2
    assert run("copy", "--to", "nonsense:")[0] == 2


@pytest.mark.needs(Path("/dev/full").is_char_device())
def test_a_full_disk_is_one_line(run: Run, opened: Open) -> None:
    fill(opened(), 5_000)
    status, _, err = run("export", "/dev/full")
    assert status == 1
    assert err == "askonce: /dev/full: cannot be written: No space left on device\n"
    assert Path("/dev/full").is_char_device()  # and is still what it was


# Memory


def test_moving_takes_memory_that_does_not_grow_with_the_store(opened: Open) -> None:
    """20,000 entries are 9 MB of envelopes; a resumed copy keeps 8 bytes of each."""
    for first in range(0, 20_000, 2_000):
        run_sync(opened().write_all([entry(number) for number in range(first, first + 2_000)]))
    clock = SyncRuntime().now
    tracemalloc.start()
    try:
        export = Export(opened(), "a", source="it", namespace=None, clock=clock)
        run_sync(export.run(deaf))
        with open("a", "rb") as file:
            arriving = Import(opened("b.db"), file, "a", target="b", clock=clock)
            run_sync(arriving.run(deaf))
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
    assert arriving.moved.moved == 20_000


def test_keys_that_were_moved_are_known_again() -> None:
    known = checkpoints.Keys(entry(number).key for number in range(1_000))
    assert all(entry(number).key in known for number in range(0, 1_000, 97))
    assert not any(entry(number).key in known for number in range(1_000, 2_000))
    assert not any(entry(n, namespace="team-b").key in known for n in range(100))
