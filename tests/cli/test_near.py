"""`askonce explain --near`, on real stores; and what forgetting does to an index."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import askonce_models
import numpy
import pytest

from askonce import Cache, Semantic
from askonce.cli import main
from askonce.core.runtime.threads import run_sync
from askonce.semantic.embedders.local import LocalEmbedder
from askonce.semantic.index.open_index import open_process_index
from tests.fixtures.engines import Engines

Run = Callable[..., tuple[int, str, str]]
ASKED = "How do I change my PIN?"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("askonce.cli.commands.invalidate.UNDER_WAY", 0.0)
    monkeypatch.setattr("askonce.cli.commands.forget.UNDER_WAY", 0.0)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)
    return tmp_path


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


def fill(url: str = "sqlite:askonce.db", semantic: Semantic | None = None) -> None:
    with Cache(url, semantic=semantic or Semantic(mode="serve")) as cache:
        cache.put(ASKED, "At any cash machine.", scope="bank", tags=["user:42"])
        cache.put("How do I not change my PIN?", "Do nothing.", scope="bank")
        cache.put("How do I close my account?", "By letter.", scope="bank")
        cache.put(ASKED, "In the app.", scope="other", namespace="team-b")
        cache.put("Never compared", "So it is.", semantic="off")


def test_it_says_what_lies_near_and_why(run: Run) -> None:
    fill()
    status, out, err = run("explain", "--near", "How can I change my PIN?", "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["compared"], report["not_compared"], report["threshold"]) == (4, 1, 0.9)
    first, second, third, *_ = report["nearest"]
    assert {first["namespace"], second["namespace"]} == {"local", "team-b"}
    for one in (first, second):
        assert (one["question"], one["decision"], one["vetoes"]) == (ASKED, "serve", [])
        assert one["similarity"] > 0.98
    assert third["decision"] == "negation"
    assert "negation" in third["vetoes"]
    assert report["nearest"][-1]["decision"] == "far"


def test_people_read_it_line_by_line(run: Run) -> None:
    fill()
    status, out, _ = run("explain", "--near", "How can I change my PIN?", "--namespace", "local")
    assert status == 0
    assert "team-b" not in out
    for line in (
        "  0.99",
        "guards: none refuses",
        "its answer may be served to callers in that scope",
        "not served: negation",
        "not served: not similar enough",
        "only ever matched exactly: 1 more",
    ):
        assert line in out, out


def test_nothing_near_is_status_1(run: Run) -> None:
    fill()
    status, out, _ = run("explain", "--near", "Who won the race?", "--limit", "1")
    assert status == 1
    assert out.count("not served") == 1


def test_an_index_that_is_gone_is_no_matter(run: Run, here: Path) -> None:
    fill()
    (here / "askonce.db-vectors").unlink()
    assert run("explain", "--near", "How can I change my PIN?")[0] == 0


@pytest.mark.parametrize("engine", ["redis8", "postgres"])
def test_shared_indexes_are_asked(
    run: Run, engines: Engines, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    store, index = engines.plain(engine), engines.plain(engine)
    fill(store, Semantic(mode="serve", index=index))
    monkeypatch.setenv("ASKONCE_STORE__URL", store)
    monkeypatch.setenv("ASKONCE_SEMANTIC__INDEX", index)
    status, out, _ = run("explain", "--near", "How can I change my PIN?", "--json")
    assert status == 0
    assert json.loads(out)["nearest"][0]["question"] == ASKED


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--near", ""), "the embedder cannot read all of this question"),
        (("--near", "\N{PILE OF POO}"), "the embedder cannot read all of this question"),
        (("--near", "x", "a.json"), "--near takes a question in place of the files"),
        ((), "explain compares two request bodies; name two files, or --near QUESTION"),
        (("a.json",), "explain compares two request bodies; name two files, or --near QUESTION"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    run: Run, arguments: tuple[str, ...], complaint: str
) -> None:
    fill()
    status, out, err = run("explain", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("askonce: ")
    assert complaint in err
    assert err.count("\n") == 1


def test_a_store_that_is_not_there(run: Run) -> None:
    status, _, err = run("explain", "--near", "x")
    assert status != 0
    assert "there is no store at sqlite:askonce.db yet" in err


def test_a_dead_embedder_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    monkeypatch.setenv("ASKONCE_SEMANTIC__EMBEDDER", "http://127.0.0.1:9/v1?model=x")
    status, _, err = run("explain", "--near", "x")
    assert (status, "the embedder does not answer" in err) == (2, True)


def test_what_is_over_or_asks_for_an_action_or_is_ruled_out_is_not_served(
    run: Run, here: Path
) -> None:
    with Cache("sqlite:askonce.db", semantic=Semantic(mode="serve")) as cache:
        cache.put(ASKED, "At any cash machine.", scope="over", ttl="1ms")
        cache.put("How do I close my account?", "By letter.", scope="bank")
    decisions = json.loads(run("explain", "--near", "How can I change my PIN?", "--json")[1])
    assert [one["question"] for one in decisions["nearest"]] == ["How do I close my account?"]
    report = json.loads(run("explain", "--near", "Please close my account!", "--json")[1])
    assert report["nearest"][0]["decision"] == "side-effect"
    (here / "askonce.toml").write_text('[[rules]]\nmatch = "account"\nnever = "not to be stored"\n')
    report = json.loads(run("explain", "--near", "How can I close my account?", "--json")[1])
    assert report["nearest"][0]["decision"] == "rule"


def test_forgetting_a_thousand_conversations_leaves_no_vector(run: Run, here: Path) -> None:
    with Cache("sqlite:askonce.db", semantic=Semantic(mode="serve")) as cache:
        for number in range(700):
            cache.put(f"{ASKED} {number}", "x", scope=f"talk-{number}", tags=["user:42"])
        cache.put(ASKED, "x", scope="kept")
    status, out, err = run("forget", "--subject", "user:42", "--json")
    assert status == 0, err
    assert json.loads(out)["index"] == "has no vector of it any more"
    index = open_process_index(
        askonce_models.fingerprint(),
        384,
        lock=threading.Lock(),
        clock=lambda: 0.0,
        path=here / "askonce.db-vectors",
    )
    assert run_sync(index.size()) == 1


def test_forgetting_says_where_the_index_cannot_be_reached(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    monkeypatch.setenv("ASKONCE_SEMANTIC__EMBEDDER", "http://127.0.0.1:9/v1?model=x")
    status, out, _ = run("forget", "--subject", "user:42")
    assert status == 1
    assert "the index: could not be reached" in out


def test_forgetting_a_subject_leaves_no_vector(run: Run, here: Path) -> None:
    fill()
    embedder = LocalEmbedder(lock=threading.Lock())
    (vector,) = run_sync(embedder.embed([ASKED]))
    assert vector is not None
    floats = numpy.frombuffer(vector, "<f4")
    kept = numpy.rint(floats * (127 / abs(floats).max())).astype(numpy.int8).tobytes()
    file = here / "askonce.db-vectors"
    assert file.read_bytes().count(kept) == 2
    status, _, err = run("forget", "--subject", "user:42")
    assert status == 0, err
    assert file.read_bytes().count(kept) == 1  # team-b asked the same
    status, out, _ = run("explain", "--near", "How can I change my PIN?", "--namespace", "local")
    assert ASKED not in out
    assert status == 1
