"""`askonce entries`: how it shows the store's entries and removes them."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from askonce.cli import main
from askonce.cli.output.terminal import columns, fitted, plain, show_span, width
from askonce.core.models import Entry, Key, Selection, Usage
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(("entries", *arguments))
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


def entry(digest: str, **changes: Any) -> Entry:
    now = SyncRuntime().now()
    plain_entry = Entry(
        Key("team-a", "openai_chat", bytes.fromhex(digest.ljust(64, "0"))),
        b'{"answer":"30 days"}',
        200,
        (("content-type", "application/json"),),
        now - 7_300,
        now + 3 * 86_400 + 30,
        now + 3 * 86_400 + 30,
        model="gpt-5",
        origin="https://api.openai.com",
        question="What is your return policy?",
        usage=Usage(12, 30),
        cost_usd=Decimal("0.00012"),
        latency_ms=812.0,
    )
    return msgspec.structs.replace(plain_entry, **changes)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = open_store("sqlite:askonce.db", StoreContext(SyncRuntime().lock, SyncRuntime().now))
    tags = tuple(run_sync(opened.epochs(["product:7"])).items())
    entries = [
        entry("3f9c51aa01"),
        entry("3f9c51aa02", model="gpt-5-mini", tags=tags),
        entry("77d01b2e", key=Key("team-b", "text", bytes.fromhex("77d01b2e".ljust(64, "0")))),
    ]
    run_sync(opened.write_all(entries))
    yield opened
    run_sync(opened.close())


# list


def test_a_list_is_a_table_as_wide_as_the_terminal(run: Run, store: Store) -> None:
    status, out, _ = run("list")
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        "KEY", "NAMESPACE", "FORMAT", "MODEL", "AGE", "LEFT", "SIZE", "QUESTION",
    ]  # fmt: skip
    assert lines[1].split()[:7] == [
        "3f9c51aa0100", "team-a", "openai_chat", "gpt-5", "2h", "3d", "20B",
    ]  # fmt: skip
    assert len(lines) == 4
    assert all(len(line) <= 80 for line in lines)
    assert "What is" in lines[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--namespace", "team-b"], ["77d01b2e"]),
        (["--model", "gpt-5-mini"], ["3f9c51aa02"]),
        (["--tag", "product:7"], ["3f9c51aa02"]),
        (["--tag", "product:8"], []),
        (["--model", "gpt-5", "--namespace", "team-a"], ["3f9c51aa01"]),
        (["--limit", "2"], ["3f9c51aa01", "3f9c51aa02"]),
    ],
)
def test_a_list_of_some(run: Run, store: Store, options: list[str], expected: list[str]) -> None:
    answer = json.loads(run("list", "--json", *options)[1])
    digests = [found["key"].rpartition("/")[2].rstrip("0") for found in answer["entries"]]
    assert digests == expected
    assert answer["more"] is ("--limit" in options)


def test_an_empty_list_and_one_that_goes_on(run: Run, store: Store) -> None:
    assert run("list", "--namespace", "nowhere") == (0, "no entries\n", "")
    assert run("list", "--limit", "1")[1].endswith("... and more; --limit shows more than 1\n")
    status, _, err = run("list", "--limit", "0")
    assert status == 2
    assert err.count("\n") == 1


def test_a_question_cannot_steer_the_terminal(run: Run, store: Store) -> None:
    evil = "\x1b[31m\x07\nred\u202e"
    run_sync(store.write(entry("ee", question=evil, body=evil.encode())))
    for out in (run("list")[1], run("show", "ee000000")[1]):
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "\u202e" not in out
        assert "red" in out


# show


@pytest.mark.parametrize(
    "name",
    [
        "team-b/text/" + "77d01b2e".ljust(64, "0"),
        "team-b/text/77d0",
        "team-b/text/77d0…",
        "77d01b2e",
        "77D01B2E0000",
    ],
)
def test_an_entry_is_found_by_enough_of_its_key(run: Run, store: Store, name: str) -> None:
    status, out, _ = run("show", name)
    assert status == 0
    assert out.startswith("key       team-b/text/77d01b2e")


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("3f9c51aa", 1, "3f9c51aa could be team-a/openai_chat/3f9c51aa01"),
        ("3f9c5", 2, "not a key: 3f9c5; write namespace/format/digest"),
        ("nonsense", 2, "not a key: nonsense"),
        ("a/3f9c51aa", 2, "not a key: a/3f9c51aa"),
        ("team-a/text/3f9c", 1, "there is no entry whose key begins with team-a/text/3f9c"),
        ("team-a/text/" + "3f" * 32, 1, "there is no entry team-a/text/3f3f"),
    ],
)
def test_a_key_that_names_no_entry_is_one_line(
    run: Run, store: Store, name: str, status: int, says: str
) -> None:
    found, out, err = run("show", name)
    assert (found, out) == (status, "")
    assert err.startswith(f"askonce: {says}")
    assert err.count("\n") == 1


def test_an_entry_is_shown_whole(run: Run, store: Store) -> None:
    out = run("show", "3f9c51aa02")[1]
    for line in (
        "model     gpt-5-mini",
        "question  What is your return policy?",
        "headers   content-type: application/json",
        "age       2h",
        "left      3d",
        "size      20 bytes",
        "tags      product:7",
        "usage     12 input_tokens, 30 output_tokens",
        "cost      0.00012 USD",
        "latency   812 ms",
    ):
        assert line in out.splitlines()
    assert out.endswith('{\n  "answer": "30 days"\n}\n')


def test_an_entry_for_programs(run: Run, store: Store) -> None:
    answer = json.loads(run("show", "3f9c51aa02", "--json")[1])
    assert answer["body"] == '{"answer":"30 days"}'
    assert answer["headers"] == [["content-type", "application/json"]]
    assert answer["usage"]["input_tokens"] == 12
    assert answer["cost_usd"] == "0.00012"
    assert 7_300 <= answer["age"] < 7_400
    run_sync(store.write(entry("bb", body=b"\xff\xfe")))
    assert json.loads(run("show", "bb000000", "--json")[1])["body_base64"] == "//4="
    assert run("show", "bb000000")[1].endswith("(the answer is not text; --json has its bytes)\n")


# remove


def count(store: Store) -> int:
    async def counted() -> int:
        return len([None async for _ in store.scan(Selection())])

    return run_sync(counted())


def test_what_is_named_goes_and_others_hear_of_it(run: Run, store: Store) -> None:
    mark = run_sync(store.changes(None, 0)).cursor
    assert run("remove", "3f9c51aa01", "--dry-run") == (0, "would remove 1 entry\n", "")
    assert count(store) == 3
    assert run("remove", "3f9c51aa01", "77d01b2e") == (0, "removed 2 entries\n", "")
    assert count(store) == 1
    (removed,) = run_sync(store.changes(mark, 0)).removed
    assert len(removed.keys or ()) == 2


def test_a_namespace_goes_only_after_a_yes(run: Run, store: Store) -> None:
    status, out, err = run("remove", "--namespace", "team-a")
    assert (status, out) == (2, "")
    assert "give --yes to remove every entry of the namespace team-a" in err
    assert count(store) == 3
    assert run("remove", "--namespace", "team-a", "--dry-run")[1] == "would remove 2 entries\n"
    answer = json.loads(run("remove", "--namespace", "team-a", "--yes", "--json")[1])
    assert answer == {"entries": 2, "removed": True}
    assert count(store) == 1


@pytest.mark.parametrize(("said", "left"), [(b"n\n", 3), (b"\n", 3), (b"y\n", 1)])
def test_a_person_is_asked(store: Store, said: bytes, left: int) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "askonce.cli", "entries", "remove", "--namespace", "team-a"]
    try:
        os.write(ours, said)
        done = subprocess.run(command, stdin=theirs, capture_output=True, timeout=30, check=False)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stderr.startswith(b"remove every entry of the namespace team-a? [y/N] ")
    assert count(store) == left


def test_removing_needs_keys_a_namespace_or_all(run: Run, store: Store) -> None:
    for arguments in ([], ["3f9c51aa01", "--namespace", "team-a"], ["3f9c51aa01", "--all"]):
        status, _, err = run("remove", *arguments)
        assert status == 2
        assert err == "askonce: entries remove: name keys, a --namespace or --all\n"
    assert count(store) == 3


def test_everything_goes_after_a_yes(run: Run, store: Store) -> None:
    status, _, err = run("remove", "--all")
    assert status == 2
    assert "give --yes to remove every entry\n" in err
    assert run("remove", "--all", "--yes") == (0, "removed 3 entries\n", "")
    assert count(store) == 0


# Tables


def test_columns_never_exceed_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("abc", "a" * 90, "営業時間は何時から" * 9), ("d", "e", "f")]
    for room in (30, 80, 200):
        monkeypatch.setenv("COLUMNS", str(room))
        lines = columns(("ONE", "TWO", "THREE"), rows)
        assert all(width(line) <= room for line in lines)
        assert lines[1].startswith("abc  a")


def test_texts_fit_cells() -> None:
    assert fitted("abcdef", 4) == "abc…"
    assert fitted("営業時間", 5) == "営業…"
    assert fitted("営業時間", 6) == "営業… "
    assert fitted("ab", 4) == "ab  "
    assert plain("a\tb\x00c\x7f") == "a b c "
    assert [show_span(s) for s in (0, 59, 60, 7_200, 200_000)] == ["0s", "59s", "1m", "2h", "2d"]
