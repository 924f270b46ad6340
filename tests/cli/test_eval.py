"""`askonce eval` on real files with the real embedder, as a person and as a program meets it."""

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from askonce.cli import main
from askonce.semantic.evaluation.pairs import Pair
from askonce.semantic.evaluation.question_sets import PairSet, StreamSet
from askonce.semantic.evaluation.shipped_sets import shipped_sets
from askonce.semantic.operating_point import THRESHOLD

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]

PAIRS = [
    {"a": "How do I reset my password?", "b": "How can I reset my password?", "same": True},
    {"a": "What is the capital of France?", "b": "Which city is France's capital?", "same": 1},
    {"a": "Who painted the Mona Lisa?", "b": "How do I bake bread?", "same": True},
    {"a": "What is 15% of 80?", "b": "What is 18% of 80?", "same": False},
    {"a": "Flights from Berlin to Madrid", "b": "Flights from Madrid to Berlin", "same": 0},
    {"a": "How tall is Mount Everest?", "b": "Give me a recipe for pancakes.", "same": False},
]
STREAM = [
    {"text": "How do I reset my password?", "intent": "password"},
    {"text": "What is the capital of France?", "intent": "france"},
    {"text": "How can I reset my password?", "intent": "password"},
    {"text": "How do I reset my password?", "intent": "password"},
    {"text": "What's the capital of France?", "intent": "italy"},  # labelled so that a hit is wrong
    {"text": "👾👾", "intent": "password"},  # has no vector
    {"text": "How do I get my password reset?", "intent": "oos"},
]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    (tmp_path / "pairs.jsonl").write_text(lines(PAIRS))
    (tmp_path / "stream.jsonl.gz").write_bytes(gzip.compress(lines(STREAM).encode()))
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["eval", *arguments])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_one_set_of_pairs_is_plain_numbers_at_the_top(run: Run) -> None:
    status, out, err = run("--pairs", "pairs.jsonl", "--json")
    report = json.loads(out)

    assert (status, err) == (0, "")
    assert report["recall"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["wrong_rate"] == 0.0
    assert report["precision"] == 1.0
    assert report["recall_at_precision_95"] == pytest.approx(2 / 3, abs=1e-6)
    low, high = report["intervals"]["recall"]
    assert 0 < low < report["recall"] < high < 1
    assert (report["pairs"], report["same"], report["different"], report["served"]) == (6, 3, 3, 2)
    assert report["threshold"] == THRESHOLD
    (inside,) = report["sets"]
    assert {**inside, "embedder": report["embedder"]}.items() <= report.items()
    assert {point["threshold"] for point in report["compared"]["fixed"]} == {
        0.80,
        0.85,
        0.90,
        0.95,
        0.97,
        0.99,
    }
    assert report["compared"]["scan"]["times_as_long"] > 0
    assert report["compared"]["vcache"]["applicable"] is False
    curve = report["curve"]
    assert [p["threshold"] for p in curve] == sorted((p["threshold"] for p in curve), reverse=True)
    assert {"recall", "wrong_rate", "precision"} <= curve[0].keys()


def test_each_guard_alone_and_all_together(run: Run) -> None:
    _, out, _ = run("--pairs", "pairs.jsonl", "--threshold", "0.8", "--json")
    guards = {one["guard"]: one for one in json.loads(out)["guards"]}

    # Both of the different pairs that lie near each other are prevented, each by its guard.
    assert guards["all"]["wrong_prevented"] == 1.0
    assert guards["all"]["recall_lost"] == 0.0
    assert guards["numbers"]["wrong_prevented"] == 0.5
    assert guards["direction"]["different_vetoed"] == 1
    assert guards["language"]["wrong_prevented"] == 0.0


def test_a_stream_fills_a_cache_over_time(run: Run) -> None:
    status, out, err = run("--stream", "stream.jsonl.gz", "--json", "--threshold", "0.8")
    report = json.loads(out)

    assert (status, err) == (0, "")
    assert (report["questions"], report["needs"], report["out_of_scope"]) == (7, 3, 1)
    assert report["without_vector"] == 1
    assert report["hit_rate"] == pytest.approx(4 / 7, abs=1e-6)
    assert report["wrong_share_of_hits"] == 0.5
    assert report["wrong_share_of_all"] == pytest.approx(2 / 7, abs=1e-6)
    assert report["out_of_scope_served"] == 1.0
    assert report["exact_repeats"] == pytest.approx(1 / 7, abs=1e-6)
    assert report["without_repeats"]["questions"] == 6
    assert report["compared"]["fixed"][0]["without_repeats"]["questions"] == 6
    assert [bucket["hits"] for bucket in report["over_time"]] == [0, 0, 1, 1, 1, 0, 1]
    assert [bucket["wrong"] for bucket in report["over_time"]] == [0, 0, 0, 0, 1, 0, 1]
    assert report["over_time"][0]["wrong_share_of_hits"] is None
    assert [run["delta"] for run in report["compared"]["vcache"]] == [0.01, 0.02, 0.05]
    assert report["compared"]["vcache"][0]["hit_rate"] == 0.0  # it asks until it has learned
    assert report["guards"][-1]["guard"] == "all"


def test_nothing_served_is_null_and_not_zero(run: Run) -> None:
    _, out, _ = run("--pairs", "pairs.jsonl", "--threshold", "1.0", "--json")
    report = json.loads(out)

    assert report["recall"] == 0.0
    assert report["precision"] is None
    assert report["intervals"]["precision"] is None


def test_several_sets_are_reported_under_sets(run: Run, folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "pairs.jsonl").write_text(lines(PAIRS[:2]))
    arguments = ("--pairs", "pairs.jsonl", "--pairs", "more/pairs.jsonl")
    status, out, err = run(
        *arguments, "--stream", "stream.jsonl.gz", "--json", "--plots", "pictures"
    )
    report = json.loads(out)

    assert status == 0
    assert "recall" not in report
    assert [(one["kind"], one["name"]) for one in report["sets"]] == [
        ("pairs", "pairs"),
        ("pairs", "pairs"),
        ("stream", "stream"),
    ]
    assert report["sets"][1]["wrong_rate"] is None  # it has no different pair
    pictures = ["pairs.png", "pairs-2.png", "stream.png"]
    assert err.splitlines() == [f"askonce: wrote pictures/{name}" for name in pictures]
    for name in pictures:
        data = (folder / "pictures" / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 10_000


def test_the_tables_say_the_same(run: Run) -> None:
    status, out, _ = run("--pairs", "pairs.jsonl", "--stream", "stream.jsonl.gz")

    assert status == 0
    assert "pairs: 6 pairs, 3 the same and 3 different" in out
    assert "AskOnce 0.90" in out
    assert "0.97 alone" in out
    assert "vCache 0.02" in out
    assert "1 without a vector, never served" in out
    assert "times as long as this index" in out


def test_zipf_and_out_of_scope_rearrange_a_stream(run: Run, folder: Path) -> None:
    (folder / "oos.jsonl").write_text(lines([{"text": f"What is {n} squared?"} for n in range(9)]))
    _, out, _ = run(
        *("--stream", "stream.jsonl.gz", "--zipf", "1", "--limit", "30", "--json"),
        *("--out-of-scope", "oos.jsonl", "--out-of-scope-part", "0.2"),
    )
    report = json.loads(out)

    assert report["questions"] == 38
    assert report["out_of_scope"] >= 8


def test_the_sets_that_ship(run: Run) -> None:
    status, out, _ = run("--limit", "40", "--json")
    report = json.loads(out)

    assert status == 0
    names = {one["name"]: one["kind"] for one in report["sets"]}
    assert names == {"handwritten": "pairs", "intents": "pairs", "customers": "stream"}


def test_the_sets_that_ship_are_what_their_readme_says() -> None:
    handwritten, intents, customers = shipped_sets()

    assert isinstance(handwritten, PairSet)
    assert isinstance(intents, PairSet)
    assert isinstance(customers, StreamSet)
    same = [pair.same for pair in handwritten.pairs]
    assert (len(same), sum(same)) == (351, 127)
    assert len({frozenset((pair.a, pair.b)) for pair in handwritten.pairs}) == 351
    assert len(intents.pairs) == 840
    assert sum(pair.same for pair in intents.pairs) == 420
    assert all(isinstance(pair, Pair) and pair.a != pair.b for pair in intents.pairs)
    strange = [question for question in customers.questions if question.need is None]
    assert len(strange) == round(len(customers.questions) * 0.05)
    assert customers == shipped_sets()[2]


def test_the_driver_of_make_eval_skips_what_is_not_there(folder: Path) -> None:
    relation = {
        "patterns": ["[X] is the capital of [Y].", "The capital of [Y] is [X]."],
        "subjects": ["Berlin", "Paris", "Rome"],
    }
    (folder / "pararel.jsonl.gz").write_bytes(gzip.compress(lines([relation]).encode()))
    command = [sys.executable, "-m", "bench.evaluate", "--limit", "4", f"--data={folder}"]
    done = subprocess.run(
        [*command, f"--out={folder / 'out'}"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "qqp: skipped, there is no qqp.jsonl.gz" in done.stderr
    assert "banking77: skipped, there is no banking77.jsonl.gz" in done.stderr
    assert "pararel: 4 pairs, 2 the same and 2 different" in done.stdout
    report = json.loads((folder / "out" / "all.json").read_text())
    assert [one["name"] for one in report["sets"]] == [
        "handwritten",
        "intents",
        "customers",
        "pararel",
    ]
    assert (folder / "out" / "pararel.png").stat().st_size > 10_000
    assert json.loads((folder / "out" / "pararel.json").read_text())["pairs"] == 4


def test_bad_lines_are_reported_by_number_and_skipped(run: Run, folder: Path) -> None:
    bad = ["{", '{"a": "x", "b": "y"}', '{"a": "x", "b": "y", "same": "yes"}', "[]", '{"a": 1}']
    huge = json.dumps({"a": "x" * (1 << 20), "b": "y", "same": 1})
    text = "\n".join([*bad, huge, "", *lines(PAIRS).splitlines()])
    (folder / "bad.jsonl").write_text(text)
    status, out, err = run("--pairs", "bad.jsonl", "--json")
    report = json.loads(out)

    assert status == 0
    assert report["pairs"] == 6
    assert err.splitlines() == [
        "askonce: bad.jsonl: line 1: not JSON",
        "askonce: bad.jsonl: line 2: `same` is missing",
        "askonce: bad.jsonl: line 3: `same` is neither true nor false",
        "askonce: bad.jsonl: line 4: not a JSON object",
        "askonce: bad.jsonl: line 5: `a` is not a text",
        "askonce: bad.jsonl: line 6: longer than 1,048,576 bytes",
    ]
    assert [one["line"] for one in report["skipped"]] == [1, 2, 3, 4, 5, 6]


def test_very_many_bad_lines_do_not_flood_the_terminal(run: Run, folder: Path) -> None:
    (folder / "bad.jsonl").write_text("x\n" * 100 + lines(PAIRS))
    status, out, err = run("--pairs", "bad.jsonl", "--json")

    assert status == 0
    assert len(err.splitlines()) == 21
    assert err.endswith("askonce: bad.jsonl: and 80 more lines\n")
    assert len(json.loads(out)["skipped"]) == 100


def test_a_file_that_is_cut_short_gives_what_it_has(run: Run, folder: Path) -> None:
    whole = gzip.compress(lines(PAIRS * 200).encode() + b"\n" * 200_000)
    (folder / "cut.jsonl.gz").write_bytes(whole[:-40])
    status, out, err = run("--pairs", "cut.jsonl.gz", "--limit", "6", "--json")

    assert status == 0
    assert err == "askonce: cut.jsonl.gz: is not gzip, or is cut short\n"
    assert json.loads(out)["pairs"] == 6


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"plain text", "is not gzip, or is cut short"),
    ],
)
def test_a_file_of_no_use_is_one_line(
    run: Run, folder: Path, content: bytes | None, why: str
) -> None:
    name = "no.jsonl.gz" if content == b"plain text" else "no.jsonl"
    if content is not None:
        (folder / name).write_bytes(content)
    for option in ("--pairs", "--stream"):
        assert run(option, name) == (2, "", f"askonce: {name}: {why}\n")


def test_nothing_usable_in_several_lines(run: Run, folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"text": ""}\n{"intent": "x"}\n')
    status, out, err = run("--stream", "bad.jsonl")

    assert (status, out) == (2, "")
    assert err.splitlines() == [
        "askonce: bad.jsonl: line 1: `text` is not a text",
        "askonce: bad.jsonl: line 2: `text` is missing",
        "askonce: nothing to measure: no file has a line that can be used",
    ]


def test_one_bad_file_does_not_stop_the_others(run: Run) -> None:
    status, out, err = run("--pairs", "pairs.jsonl", "--pairs", "no.jsonl", "--json")

    assert status == 0
    assert err == "askonce: no.jsonl: cannot be read: No such file or directory\n"
    assert json.loads(out)["recall"] == pytest.approx(2 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--threshold", "2"], "--threshold"),
        (["--threshold", "nan"], "--threshold"),
        (["--limit", "0"], "--limit"),
        (["--pairs", "-", "--stream", "-"], "only one set can come from standard input"),
        (["--zipf", "1"], "give a --stream FILE"),
        (["--embedder", "nonsense"], "no embedder has this address"),
        (["--stream", "stream.jsonl.gz", "--out-of-scope", "stream.jsonl.gz",
          "--out-of-scope-part", "0.9"], "out-of-scope questions are needed"),
        (["--plots", "pairs.jsonl/x"], "cannot be made"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(run: Run, arguments: list[str], says: str) -> None:
    status, out, err = run(*arguments)

    assert (status, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_without_matplotlib_one_line_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert run("--pairs", "pairs.jsonl", "--plots", "pictures") == (
        2,
        "",
        "askonce: --plots needs matplotlib; run: pip install 'askonce[eval]'\n",
    )


def test_standard_input_and_a_windows_file(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"\xef\xbb\xbf" + lines(PAIRS).replace("\n", "\r\n").encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    status, out, err = run("--pairs", "-", "--json")

    assert (status, err) == (0, "")
    assert (json.loads(out)["name"], json.loads(out)["pairs"]) == ("stdin", 6)


def test_the_command_as_a_process_twice_says_the_same(folder: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "askonce.cli", "eval", "--json"]
    command += ["--stream", "stream.jsonl.gz"]
    reports = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        reports.append(json.loads(done.stdout))
        for one in (reports[-1], reports[-1]["sets"][0]):
            del one["compared"]["scan"]  # a time is never the same twice

    assert reports[0] == reports[1]
