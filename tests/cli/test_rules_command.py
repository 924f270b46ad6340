"""`askonce rules test`, and what the other commands do with rules."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from askonce.cli import main

RULES = r"""
[[rules]]
match = "price|cost"
ttl = "5m"
tags = ["prices"]
[[rules]]
match = 'order (?P<id>[\w-]+)'
tags = ["order:{id}"]
[[rules]]
on = "product_updated"
tags = ["product:{product_id}"]
match = "product"
[[rules]]
match = "cost"
route = "/v1/*"
ttl = "1h"
[[rules]]
pack = "personal"
"""
QUESTIONS = "What does it COST?\n\nWhere is my order AB-12?\nhi \x1b[31m\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "askonce.toml").write_text(RULES)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str, stdin: str = QUESTIONS) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        status = main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_each_question_with_what_it_gets_and_who_won(run: Any) -> None:
    status, out, _ = run("rules", "test", "--route", "/v1/chat/completions", "askonce.toml")
    assert status == 0
    assert out.splitlines() == [
        "What does it COST?",
        "  lives 5m  rule 1 (price|cost)",
        "  tags prices  rule 1 (price|cost)",
        "  also matched: rule 4 (cost); its ttl lost: rule 1 comes first",
        "Where is my order AB-12?",
        "  never stored (personal): asks what became of something of the caller's  rule 5 (personal)",  # noqa: E501
        r"  also matched: rule 2 (order (?P<id>[\w-]+)); has nothing to say: rule 5 says never",
        "hi  [31m",
        "  lives 1d  cache.ttl",
    ]


def test_the_same_for_programs(run: Any) -> None:
    _, out, _ = run("rules", "test", "askonce.toml", "--json")
    cost, order, _ = json.loads(out)["questions"]
    assert cost == {
        "question": "What does it COST?",
        "stored": True,
        "ttl": 300.0,
        "tags": ["prices"],
        "because": None,
        "never": None,
        "won": {"never": [], "ttl": [1], "tags": [1]},
        "lost": [],
    }
    assert (order["stored"], order["because"], order["lost"]) == (False, "personal", [2])


def test_what_an_event_would_invalidate(run: Any) -> None:
    event = ("rules", "test", "askonce.toml", "--event", "product_updated", "product_id=A 1")
    assert run(*event)[1].splitlines() == [
        "product_updated would invalidate",
        "  answers with the tag product:A%201",
        "  answers with the tag product:a%201",
        "  answers to questions that match product",
    ]
    assert json.loads(run(*event, "--json")[1]) == {
        "event": "product_updated",
        "data": {"product_id": "A 1"},
        "tags": ["product:A%201", "product:a%201"],
        "patterns": ["product"],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--event", "product_updated"), "lacks 'product_id' in its data"),
        (("--event", "nothing"), "no rule is about the event 'nothing'; there are product_updated"),
        (("--event", "product_updated", "5"), "'5' is not a member of an event's data"),
    ],
)
def test_what_is_wrong_is_one_line(run: Any, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = run("rules", "test", "askonce.toml", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "askonce.toml: has no [[rules]]; write at least one"),
        ('[[rules]]\nmatch = "("\nttl = 5', "askonce.toml: rule 1: '(' is not a pattern"),
        ('[[rules]]\nmatch = "x"\ntll = 5', "askonce.toml: rule 1: 'tll' is not a key of a rule"),
    ],
)
def test_a_bad_file_is_one_line(run: Any, folder: Path, text: str, said: str) -> None:
    (folder / "askonce.toml").write_text(text)
    status, out, err = run("rules", "test", "askonce.toml")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_config_shows_the_rules_and_check_compiles_them(run: Any, folder: Path) -> None:
    assert '[[rules]]\nmatch = "price|cost"\nttl = "5m"\ntags = ["prices"]' in run("config")[1]
    assert json.loads(run("config", "--json")[1])["settings"]["rules"][4] == {"pack": "personal"}
    (folder / "askonce.toml").write_text('[[rules]]\nmatch = "("\nttl = 5\n[store]\nurl="memory:"')
    status, _, err = run("check")
    assert status == 2
    assert "rule 1: '(' is not a pattern that RE2 knows" in err


def test_answers_that_are_warmed_follow_the_rules(run: Any, folder: Path) -> None:
    lines = [
        {"question": "What does it cost?", "answer": "5", "ttl": "1h"},
        {"question": "Where is my order?", "answer": "There"},
    ]
    (folder / "known.jsonl").write_text("\n".join(map(json.dumps, lines)))
    status, out, err = run("warm", "known.jsonl", "--json")
    assert (status, json.loads(out)["stored"]) == (1, 1)
    assert "line 2: may not be stored: personal" in err
    (entry,) = json.loads(run("entries", "list", "--tag", "prices", "--json")[1])["entries"]
    assert entry["question"] == "What does it cost?"


def test_without_re2_it_says_what_to_install(folder: Path) -> None:
    code = (
        "import sys; sys.modules['re2'] = None\n"
        "from askonce import Cache, Rules\n"
        "Cache(rules=Rules().after(None, '5m', model='m')).close()\n"
        "from askonce.cli import main\n"
        "sys.exit(main(['rules', 'test', 'askonce.toml']))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "rule 1: a pattern needs RE2; run: pip install 'askonce[rules]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_route_is_of_its_format_and_files_of_windows_begin_with_a_mark(
    run: Any, folder: Path
) -> None:
    text = '[[rules]]\nroute = "openai_chat"\nmatch = "^price"\nttl = "5m"\n'
    (folder / "windows.toml").write_text(text, encoding="utf-8-sig")
    arguments = ("rules", "test", "--route", "/v1/chat/completions", "windows.toml")
    _, out, _ = run(*arguments, stdin="\ufeffprice?\n")
    assert out.splitlines() == ["price?", "  lives 5m  rule 1 (^price)"]
