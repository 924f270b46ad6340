"""`askonce invalidate` and `askonce forget`, on real stores of every engine."""

import json
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from askonce import Cache, Layer
from askonce.cli import main
from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.invalidation.target import OWN_NAMESPACE
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from tests.fixtures.engines import ENGINES, Engines

Run = Callable[..., tuple[int, str, str]]
SOON = "askonce.cli.commands.invalidate.UNDER_WAY"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    # How long to wait is tested once; the others need not.
    monkeypatch.setattr(SOON, 0.0)
    monkeypatch.setattr("askonce.cli.commands.forget.UNDER_WAY", 0.0)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


def opened(url: str) -> Store:
    return open_store(url, StoreContext(SyncRuntime().lock, SyncRuntime().now, deadline=5.0))


def entry(digest: str, question: str, **changes: Any) -> Entry:
    now = SyncRuntime().now()
    plain = Entry(
        Key("team-a", "openai_chat", bytes.fromhex(digest.ljust(64, "0"))),
        f"the answer to {question}".encode(),
        200,
        (),
        now - 7_300,
        now + 86_400,
        now + 86_400,
        model="gpt-4o-mini",
        route="/v1/chat/completions",
        question=question,
    )
    return msgspec.structs.replace(plain, **changes)


def filled(url: str) -> None:
    store = opened(url)
    epochs = run_sync(store.epochs(["product:7", "user:42"]))

    def tags(*names: str) -> tuple[tuple[str, int], ...]:
        return tuple((name, epochs[name]) for name in names)

    other = Key("team-b~user:42", "text", bytes.fromhex("cc".ljust(64, "0")))
    run_sync(
        store.write_all(
            [
                entry("aaaaaaaa01", "What is your return policy?"),
                entry("aaaaaaaa02", "What does it cost?", tags=tags("product:7")),
                entry("bb", "Who am I?", tags=tags("product:7", "user:42"), model="gpt-5"),
                entry("cc", "Where do I live?", key=other, route="", model=""),
                entry("dd", "Hello", created=SyncRuntime().now() - 10),
            ]
        )
    )
    run_sync(store.close())


def left(url: str) -> set[str]:
    async def digests() -> set[str]:
        return {
            one.key.digest.hex().rstrip("0")
            async for one in store.scan(Selection())
            if one.key.namespace != OWN_NAMESPACE
        }

    store = opened(url)
    try:
        return run_sync(digests())
    finally:
        run_sync(store.close())


ALL = {"aaaaaaaa01", "aaaaaaaa02", "bb", "cc", "dd"}


@pytest.fixture
def url() -> str:
    filled("sqlite:askonce.db")
    return "sqlite:askonce.db"


@pytest.mark.parametrize("engine", ENGINES)
def test_invalidate_sweeps_every_engine_and_reports_it(
    run: Run, engines: Engines, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = engines.plain(engine)
    filled(url)
    monkeypatch.setenv("ASKONCE_STORE__URL", url)

    status, out, _ = run("invalidate", "--match", "RETURN pol(icy|icies)", "--dry-run", "--json")
    assert status == 0
    said = json.loads(out)
    assert (said["entries"], said["dry_run"], list(said["layers"].values())) == (1, True, [1])
    assert said["samples"][0]["question"] == "What is your return policy?"
    assert left(url) == ALL

    assert json.loads(run("invalidate", "--match", "return", "--json")[1])["entries"] == 1
    assert left(url) == ALL - {"aaaaaaaa01"}

    said = json.loads(run("invalidate", "--tag", "product:7", "--json")[1])
    assert said["tags"] == ["product:7"]
    assert said["entries"] == 2
    assert left(url) == {"cc", "dd"}

    assert run("invalidate", "--older-than", "0s")[0] == 0
    assert left(url) == set()


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--tag", "product:7"], {"aaaaaaaa02", "bb"}),
        (["--tag", "product:7", "--tag", "user:42", "--model", "gpt-5*"], {"bb"}),
        (["--key", "aaaaaaaa01", "--key", "dd000000"], {"aaaaaaaa01", "dd"}),
        (["--key", "team-a/openai_chat/bb"], {"bb"}),
        (["--namespace", "team-a"], ALL - {"cc"}),
        (["--tenant", "team-b"], {"cc"}),
        (["--namespace", "team-b"], set()),
        (["--route", "/v1/chat*", "--older-than", "1h"], {"aaaaaaaa01", "aaaaaaaa02", "bb"}),
        (["--route", "text"], {"cc"}),
        (["--older-than", "0s"], ALL),
        (["--model", "unused"], set()),
    ],
)
def test_what_the_options_name_goes_and_nothing_else(
    run: Run, url: str, options: list[str], gone: set[str]
) -> None:
    looked = run("invalidate", *options, "--dry-run")
    assert looked[0] == 0
    counted = "1 answer" if len(gone) == 1 else f"{len(gone)} answers"
    assert f"would invalidate {counted}" in looked[1]
    assert left(url) == ALL

    done = run("invalidate", *options)
    assert done[0] == 0
    assert f"invalidated {counted}" in done[1]
    assert left(url) == ALL - gone


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "invalidate what?"),
        (["--older-than", "soon"], 2, "older_than is"),
        (["--match", "("], 2, "not a pattern"),
        (["--key", "zz"], 2, "not a key"),
        (["--key", "99999999"], 1, "no entry whose key begins"),
        (["--tag", ""], 2, "tag is not a text"),
        (["--about", "return policy"], 2, "unrecognized arguments: --about return policy"),
    ],
)
def test_bad_input_is_one_clear_line(
    run: Run, url: str, arguments: list[str], status: int, said: str
) -> None:
    done = run("invalidate", *arguments)
    assert done[0] == status
    assert said in done[2]
    assert len(done[2].splitlines()) == 1
    assert left(url) == ALL


@pytest.mark.parametrize("command", ["invalidate", "forget"])
@pytest.mark.parametrize(
    ("store", "said"),
    [("sqlite:nowhere.db", "there is no store at"), ("memory:", "only the running gateway")],
)
def test_a_store_that_is_not_there(
    run: Run, command: str, store: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASKONCE_STORE__URL", store)
    option = "--tag" if command == "invalidate" else "--subject"
    status, _, complaint = run(command, option, "x")
    assert status == 1
    assert said in complaint
    assert not Path("nowhere.db").exists()


def test_layers_between_are_swept_too_and_lines_are_audited(run: Run, tmp_path: Path) -> None:
    Path("askonce.toml").write_text(
        '[layers.near]\nurl = "sqlite:near.db"\n[layers.none]\nurl = "sqlite:none.db"\n'
        '[layers.far]\nurl = "sqlite:far.db"\n[admin]\naudit = "audit.jsonl"\n'
    )
    with Cache(layers=[Layer("sqlite:near.db"), Layer("sqlite:far.db", "far")]) as cache:
        for number in range(4):
            cache.put(f"question {number}", "yes", namespace="team-a")
        cache.put("another question", "no", namespace="team-b")

    done = run("invalidate", "--namespace", "team-a")

    assert "invalidated 4 answers (near: 4, far: 4)" in done[1]
    assert len(left("sqlite:near.db")) == len(left("sqlite:far.db")) == 1
    assert not Path("none.db").exists()
    (line,) = Path("audit.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["who"], record["what"], record["entries"]) == ("cli", {"namespace": "team-a"}, 4)


def test_a_dry_run_shows_a_table_as_wide_as_the_terminal(run: Run, url: str) -> None:
    _, out, _ = run("invalidate", "--older-than", "0s", "--dry-run")
    lines = out.splitlines()
    assert lines[0].split() == ["KEY", "NAMESPACE", "MODEL", "AGE", "TAGS", "QUESTION"]
    assert len(lines) == 7
    assert all(len(line) <= 80 for line in lines)


def test_it_waits_for_what_is_being_written(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look removes what a process kept that had not heard of it."""
    monkeypatch.setattr(SOON, 1.5)
    late = entry("ee", "Too late?")
    written: list[bool] = []
    pause = SyncRuntime.sleep

    async def meanwhile(self: SyncRuntime, seconds: float) -> None:
        if seconds > 0.5 and not written:
            store = opened(url)
            written.append(await store.write(late))
            await store.close()
        await pause(self, seconds)

    monkeypatch.setattr(SyncRuntime, "sleep", meanwhile)

    done = run("invalidate", "--namespace", "team-a")

    assert "looking again in" in done[2]
    assert written == [True]
    assert left(url) == {"cc"}


# forget


@pytest.mark.parametrize("engine", ENGINES)
def test_a_person_is_forgotten(
    run: Run, engines: Engines, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = engines.plain(engine)
    filled(url)
    monkeypatch.setenv("ASKONCE_STORE__URL", url)

    looked = json.loads(run("forget", "--subject", "user:42", "--dry-run", "--json")[1])
    assert [one["found"] for one in looked["layers"].values()] == [2]
    assert left(url) == ALL

    status, out, _ = run("forget", "--subject", "user:42", "--json")
    assert status == 0
    receipt = json.loads(out)
    assert list(receipt["layers"].values()) == [{"found": 2, "removed": 2, "left": 0}]
    assert (receipt["left"], receipt["unreadable_removed"]) == (0, 0)
    assert "only with an [admin] token" in receipt["gateway"]
    assert left(url) == ALL - {"bb", "cc"}


@pytest.mark.parametrize("engine", ENGINES)
def test_forget_removes_entries_that_are_no_longer_readable(
    run: Run, engines: Engines, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = engines.plain(engine)
    filled(url)
    monkeypatch.setenv("ASKONCE_STORE__URL", url)
    with Cache(url) as cache:
        cache.invalidate(tags=["user:42"])

    receipt = json.loads(run("forget", "--subject", "user:42", "--json")[1])

    assert list(receipt["layers"].values()) == [{"found": 1, "removed": 1, "left": 0}]
    assert receipt["unreadable_removed"] == 1


def test_no_byte_is_left_in_the_file(run: Run) -> None:
    secrets = [f"secret-{number:04d}" for number in range(300)]
    with Cache("sqlite:askonce.db") as cache:
        for number, secret in enumerate(secrets):
            tags = ["user:42"] if number % 2 else []
            cache.put(f"question {secret}", f"answer {secret}", tags=tags)
        for secret in secrets[1:21:2]:
            cache.put(f"question {secret}", "overwritten", tags=["user:42"])
        cache.invalidate(tags=["user:42"])
        for secret in secrets[101::2]:
            cache.put(f"question {secret}", f"answer again {secret}", tags=["user:42"])
    assert secrets[151].encode() in _bytes_of("askonce.db")

    # Another process has the file open meanwhile.
    with Cache("sqlite:askonce.db") as other:
        assert other.get(f"question {secrets[0]}") is not None
        status, _, _ = run("forget", "--subject", "user:42")
        found = _bytes_of("askonce.db")
        assert status == 0
        assert other.get(f"question {secrets[1]}") is None
        assert other.get(f"question {secrets[0]}") is not None
    for kept, forgotten in zip(secrets[::2], secrets[1::2], strict=True):
        assert kept.encode() in found
        assert forgotten.encode() not in found
    assert not any(forgotten.encode() in _bytes_of("askonce.db") for forgotten in secrets[1::2])


def _bytes_of(name: str) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(Path().glob(f"{name}*")))


def test_a_receipt_for_people(run: Run, url: str) -> None:
    status, out, _ = run("forget", "--subject", "user:42")
    assert status == 0
    assert out.startswith("forgot user:42, 20")
    assert ["sqlite", "2", "2", "0"] in [line.split() for line in out.splitlines()]
    assert "not reached:" in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_a_gateway_that_does_not_say_is_no_proof(run: Run, url: str) -> None:
    class Ill(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Ill) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        Path("askonce.toml").write_text(
            f'[gateway]\nport = {port}\n[admin]\ntoken = "a-token-of-this-test"\n'
        )
        status, out, _ = run("forget", "--subject", "user:42", "--json")
        server.shutdown()
        thread.join()
    receipt = json.loads(out)
    assert receipt["left"] == 0
    assert receipt["gateway"].startswith("did not say")
    assert status == 1


def test_json_has_nothing_that_a_terminal_obeys(run: Run, url: str) -> None:
    question = "\x9b31m \u202e \x7f \U000e0001 退货 \x1b[2J"
    store = opened(url)
    run_sync(store.write(entry("ee", question)))
    run_sync(store.close())
    _, out, _ = run("invalidate", "--match", "退货", "--dry-run", "--json")
    assert all(char.isprintable() or char == "\n" for char in out)
    assert "退货" in out
    assert json.loads(out)["samples"][0]["question"] == question
