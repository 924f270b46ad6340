"""The command line as a person meets it: real files, a real store, a real HTTP server."""

import contextlib
import http.server
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from askonce import __version__
from askonce.cli import main
from askonce.cli.grammar.parser import new_parser
from askonce.core.models import Entry, Key
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.gateway.metrics import plain_stats
from askonce.ledger.ledger import stats_of
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store

Run = Callable[..., tuple[int, str, str]]

COMMANDS = (
    "serve",
    "demo",
    "stats",
    "savings",
    "explain",
    "check",
    "migrate",
    "export",
    "import",
    "copy",
    "entries",
    "entries list",
    "entries show",
    "entries remove",
    "warm",
    "invalidate",
    "forget",
    "docs",
    "docs sync",
    "rules",
    "rules test",
    "eval",
    "prompts",
    "prompts analyze",
    "prompts check",
    "config",
)
BODY = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, no settings in the environment, and a port without a server."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ASKONCE_GATEWAY__PORT", str(probe.getsockname()[1]))
    return tmp_path


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit status, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


def make_store(**counters: int) -> None:
    runtime = SyncRuntime()
    store = open_store("sqlite:askonce.db", StoreContext(runtime.lock, runtime.now))
    run_sync(store.counters(counters))
    run_sync(store.close())


def make_damaged_store() -> None:
    runtime = SyncRuntime()
    store = open_store("sqlite:askonce.db", StoreContext(runtime.lock, runtime.now))
    entry = Entry(
        key=Key("me", "openai_chat", bytes(32)),
        body=b"{}",
        status=200,
        headers=(),
        created=0.0,
        expires=4e9,
        stale_until=4e9,
    )
    run_sync(store.write(entry))
    run_sync(store.close())
    with contextlib.closing(sqlite3.connect("askonce.db")) as db, db:
        db.execute("UPDATE entries SET blob = zeroblob(length(blob))")


def write(name: str, body: object) -> str:
    Path(name).write_text(json.dumps(body), encoding="utf-8")
    return name


def test_the_version_is_the_package_s(run: Run) -> None:
    assert run("--version") == (0, f"askonce {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(run: Run, command: str) -> None:
    status, out, _ = run(*command.split(), "--help")
    assert status == 0
    assert f"  askonce {command}" in out.partition("\nexamples:\n")[2]
    assert max(len(line) for line in out.splitlines()) <= 80


def test_the_help_names_every_command() -> None:
    assert tuple(new_parser().commands) == COMMANDS


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["config", "--bogus"], ["explain", "a.json"]])
def test_wrong_usage_is_one_line_and_exit_2(run: Run, arguments: list[str]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("askonce: ")
    assert err.count("\n") == 1


class TestConfig:
    def test_file_and_environment_are_named(self, run: Run) -> None:
        Path("askonce.toml").write_text('[cache]\nttl = "1h"\n', encoding="utf-8")
        status, out, _ = run("config", "--json")
        answer = json.loads(out)
        assert status == 0
        assert answer["settings"]["cache"]["ttl"] == "1h"
        assert answer["origins"] == {
            "cache.ttl": "askonce.toml",
            "gateway.port": "ASKONCE_GATEWAY__PORT",
        }

    def test_what_it_prints_can_be_its_file(self, run: Run) -> None:
        _, out, _ = run("config")
        Path("again.toml").write_text(out, encoding="utf-8")
        assert run("config", "--config", "again.toml")[:1] == (0,)

    def test_a_wrong_file_is_one_line_and_exit_2(self, run: Run) -> None:
        Path("bad.toml").write_text("[cache]\ntll = 1\n", encoding="utf-8")
        expected = (
            """askonce: bad.toml: cache.tll 'tll' is not a key of cache; did you mean "ttl"?\n"""
        )
        assert run("config", "--config", "bad.toml") == (2, "", expected)

    @pytest.mark.parametrize("content", [None, b"\xff\xfe"])
    def test_a_file_that_cannot_be_read_is_named(self, run: Run, content: bytes | None) -> None:
        if content is not None:
            Path("x.toml").write_bytes(content)
        status, _, err = run("config", "--config", "x.toml")
        assert status == 2
        assert err.startswith("askonce: x.toml: ")


class TestExplain:
    def test_one_key_is_exit_0(self, run: Run) -> None:
        a, b = write("a.json", BODY), write("b.json", {**BODY, "user": "me"})
        status, out, _ = run("explain", a, b)
        assert status == 0
        assert out.startswith("same key")
        assert "/user" in out

    def test_two_keys_are_exit_1_with_the_difference(self, run: Run) -> None:
        a, b = write("a.json", BODY), write("b.json", {**BODY, "seed": 1, "temperature": 1})
        status, out, _ = run("explain", "--json", a, b)
        answer = json.loads(out)
        assert status == 1
        assert [item["pointer"] for item in answer["matter"]] == ["/seed", "/temperature"]
        assert (answer["bypass_a"], answer["bypass_b"]) == (None, "sampling")

    def test_the_provider_decides_whether_the_end_user_counts(self, run: Run) -> None:
        a, b = write("a.json", {**BODY, "user": "a"}), write("b.json", {**BODY, "user": "b"})
        Path("askonce.toml").write_text(
            '[providers.own]\nbase_url = "http://own"\nformat = "openai"\nstateless = true\n'
            '[providers.vllm]\nbase_url = "http://vllm"\nformat = "openai"\n',
            encoding="utf-8",
        )
        assert run("explain", a, b)[0] == 0
        assert run("explain", "--provider", "own", a, b)[0] == 0
        status, out, _ = run("explain", "--provider", "vllm", a, b)
        assert (status, "/user" in out) == (1, True)
        status, _, err = run("explain", "--provider", "vlm", a, b)
        assert (status, err.count("\n")) == (2, 1)
        assert """'vlm' is not a provider; did you mean "vllm"?""" in err
        Path("askonce.toml").write_text(
            '[keys]\nignore_members = ["user"]\n[providers.openai]\nbase_url = "http://vllm"\n',
            encoding="utf-8",
        )
        assert run("explain", a, b)[0] == 0

    def test_the_settings_decide_about_sampling(self, run: Run) -> None:
        Path("askonce.toml").write_text('[cache]\nsampling = "reuse"\n', encoding="utf-8")
        a = write("a.json", {**BODY, "temperature": 1})
        assert "bypass" not in run("explain", a, a)[1]

    @pytest.mark.parametrize(
        ("content", "status", "expected"),
        [
            ("{", 1, "b.json: is not JSON"),
            ("[" * 100_000, 1, "b.json: is nested too deeply"),
            ('{"input": "Hi"}', 2, "b.json: looks like no known request body"),
            ('{"model": "claude-x", "messages": []}', 2, "two formats never share a key"),
        ],
    )
    def test_what_is_no_body_is_one_line(
        self, run: Run, content: str, status: int, expected: str
    ) -> None:
        Path("b.json").write_text(content, encoding="utf-8")
        got, out, err = run("explain", write("a.json", BODY), "b.json")
        assert (got, out, err.count("\n")) == (status, "", 1)
        assert expected in err

    def test_a_missing_file_is_named(self, run: Run) -> None:
        status, _, err = run("explain", write("a.json", BODY), "nowhere.json")
        assert (status, err) == (
            2,
            "askonce: nowhere.json: cannot be read: No such file or directory\n",
        )


class TestCheck:
    def test_a_clean_store_is_exit_0(self, run: Run) -> None:
        make_store()
        expected = "sqlite:askonce.db: nothing is damaged\n"
        assert run("check") == (0, expected, "")
        answer = json.loads(run("check", "--json")[1])
        assert answer == {"store": "sqlite:askonce.db", "fixed": False, "damage": []}

    def test_damage_is_reported_then_removed(self, run: Run) -> None:
        make_damaged_store()
        status, out, _ = run("check")
        assert status == 1
        assert "1 damaged entry; `askonce check --fix` removes it" in out
        status, out, _ = run("check", "--fix", "--json")
        assert (status, json.loads(out)["fixed"]) == (0, True)
        assert len(json.loads(out)["damage"]) == 1
        assert run("check")[0] == 0

    def test_looking_creates_no_store(self, run: Run, here: Path) -> None:
        for command in ("check", "stats"):
            status, out, err = run(command)
            assert (status, out, err.count("\n")) == (1, "", 1)
            assert "there is no store at sqlite:askonce.db yet" in err
        assert list(here.iterdir()) == []

    @pytest.mark.parametrize("url", ["mysql:x", "sqlite:", "sqlite:///x.db", "nothing"])
    def test_an_address_of_no_store_is_exit_2(
        self, run: Run, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASKONCE_STORE__URL", url)
        status, _, err = run("check")
        assert (status, err.count("\n")) == (2, 1)
        assert "sqlite:" in err


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request with what the server was given."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.answers[self.path])  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, here: Path) -> Iterator[dict[str, bytes]]:
    """What the server at the configured gateway's address answers, by path."""
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        answers: dict[str, bytes] = {}
        server.answers = answers  # type: ignore[attr-defined]
        monkeypatch.setenv("ASKONCE_GATEWAY__PORT", str(server.server_port))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield answers
        server.shutdown()
        thread.join()


TALLIES = {
    "outcome:memory": 3,
    "outcome:semantic": 2,
    "outcome:miss": 2,
    "outcome:joined": 1,
    "outcome:bypass": 2,
    "stored": 2,
    "saved_nano_usd": 1_234_567_890,
    "saved_tokens": 700,
    "semantic:shadow:agrees": 4,
    "semantic:shadow:none": 5,
    "semantic:shadow:0.93:agrees": 4,
}
"""As a ledger keeps them."""


class TestStats:
    def test_the_store_is_read_when_no_gateway_answers(self, run: Run) -> None:
        make_store(**TALLIES)
        status, out, _ = run("stats", "--json")
        assert status == 0
        assert json.loads(out) == {
            "calls": 10,
            "hits": 5,
            "misses": 2,
            "joined": 1,
            "bypassed": 2,
            "stored": 2,
            "errors": 0,
            "saved_usd": 1.23456789,
            "saved_tokens": 700,
            "by_meaning": 2,
            "semantic": {"shadow:0.93:agrees": 4, "shadow:agrees": 4, "shadow:none": 5},
            "never_repeats": {},
            "source": "sqlite:askonce.db",
        }

    def test_people_get_four_decimals_and_a_rate(self, run: Run) -> None:
        make_store(**TALLIES)
        _, out, _ = run("stats")
        assert "1.2346 USD" in out
        assert "75.0%" in out
        assert "by meaning                 2 of the hits" in out
        assert "4 of 9 would be hits: 4 agrees, 0 unclear, 0 disagrees" in out
        assert "from 0.93          4 agrees       0 unclear       0 disagrees" in out

    def test_a_running_gateway_knows_better(self, run: Run, answers: dict[str, bytes]) -> None:
        make_store(**TALLIES)
        shown = plain_stats(stats_of({**TALLIES, "outcome:memory": 4}))
        answers["/askonce/stats"] = json.dumps(shown).encode()
        answer = json.loads(run("stats", "--json")[1])
        assert (answer["calls"], answer["saved_usd"]) == (11, 1.23456789)
        assert answer["source"].startswith("http://127.0.0.1:")

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"calls": "many"}', b""])
    def test_answers_of_another_program_on_the_port_are_ignored(
        self, run: Run, answers: dict[str, bytes], body: bytes
    ) -> None:
        make_store(**{"outcome:miss": 1})
        answers["/askonce/stats"] = body
        answer = json.loads(run("stats", "--json")[1])
        assert (answer["calls"], answer["source"]) == (1, "sqlite:askonce.db")


def test_a_reader_that_leaves_is_no_error(here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as stdout:
        command = [sys.executable, "-m", "askonce.cli", "config"]
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_help_starts_without_the_rest_of_the_product() -> None:
    code = (
        "import sys, askonce.cli; askonce.cli.new_parser();"
        "print(*sorted({n.split('.')[0] for n in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = ["anthropic", "httpx", "httpx2", "openai", "rich", "sqlite3", "uvicorn", "zstandard"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
