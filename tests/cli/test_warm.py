"""`askonce warm`: known answers are found afterwards, questions are asked once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from askonce import Cache
from askonce.cli import main
from askonce.cli.commands.demo import start_gateway
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(("warm", *arguments))
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


def lines(*given: object) -> str:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in given]
    Path("lines.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return "lines.jsonl"


def stored(question: str, **rest: Any) -> str | None:
    """What a program that uses the library finds."""
    with Cache("sqlite:askonce.db") as cache:
        answer = cache.get(question, **rest)
        return None if answer is None else answer.text


# Known answers


def test_known_answers_are_found_by_the_library(run: Run) -> None:
    name = lines(
        {"question": "What is your return policy?", "answer": "30 days"},
        {"question": "Hours?", "answer": "9-17", "scope": "berlin", "namespace": "team-a"},
        {"question": "Über?", "answer": "ja \N{SNOWMAN}", "ttl": "10s", "tags": ["policy"]},
    )
    assert run(name) == (0, "3 stored, 0 already there, 0 failed\n", "")
    assert stored("What is your return policy?") == "30 days"
    assert stored("Hours?", scope="berlin", namespace="team-a") == "9-17"
    assert stored("Hours?") is None
    with Cache("sqlite:askonce.db") as cache:
        answer = cache.get("Über?")
        assert answer is not None
        assert answer.text == "ja \N{SNOWMAN}"
        assert 0 < answer.ttl <= 10
        cache.invalidate(tags=["policy"])
        assert cache.get("Über?") is None


def test_what_is_there_is_not_stored_again_and_what_changed_is(run: Run) -> None:
    known = {"question": "q", "answer": "a", "tags": ["policy"]}
    assert run(lines(known))[1] == "1 stored, 0 already there, 0 failed\n"
    assert run(lines(known))[1] == "0 stored, 1 already there, 0 failed\n"
    assert run(lines({**known, "answer": "b"}))[1] == "1 stored, 0 already there, 0 failed\n"
    assert stored("q") == "b"
    with Cache("sqlite:askonce.db") as cache:
        cache.invalidate(tags=["policy"])
    assert run(lines(known))[1] == "1 stored, 0 already there, 0 failed\n"


def test_what_was_warmed_at_one_time_does_not_end_at_one_time(run: Run) -> None:
    Path("askonce.toml").write_text('[cache]\nttl = "1000s"\njitter = "50%"\n', encoding="utf-8")
    known = [{"question": f"Question {n}?", "answer": "So."} for n in range(12)]
    wished = {"question": "With a wish?", "answer": "So.", "ttl": "1000s"}
    assert run(lines(*known, wished))[0] == 0

    with Cache("sqlite:askonce.db") as cache:
        found = [cache.get(one["question"]) for one in known]
        lives = [answer.ttl for answer in found if answer is not None]
        named = cache.get("With a wish?")
    assert len(lives) == 12
    assert len({round(life / 10) for life in lives}) > 6
    assert all(400 < life <= 1000 for life in lives)
    assert named is not None
    assert named.ttl > 900


def test_bad_lines_are_named_and_do_not_stop_the_rest(run: Run) -> None:
    name = lines(
        "not json",
        {"question": "no answer"},
        "",
        {"question": "q", "answer": "a", "tll": "1h"},
        ["a", "list"],
        {"question": "q", "answer": "a", "ttl": "soon"},
        {"question": "q", "answer": "a", "ttl": 0},
        {"path": "/v1/chat/completions"},
        {"question": "good", "answer": "yes"},
    )
    status, out, err = run(name)
    assert status == 1
    assert out == "1 stored, 0 already there, 7 failed\n"
    assert sorted(err.splitlines()) == [
        "line 1: is not one JSON object",
        "line 2: Object missing required field `answer`",
        "line 4: Object contains unknown field `tll`",
        "line 5: is not one JSON object",
        "line 6: not a duration: 'soon' (write 90s, 5m, 24h, 7d or plain seconds)",
        "line 7: ttl is not above 0",
        "line 8: Object missing required field `request`",
    ]
    assert stored("good") == "yes"


def test_the_summary_for_programs(run: Run) -> None:
    status, out, _ = run(lines({"question": "q", "answer": "a"}, "x"), "--json")
    assert status == 1
    assert json.loads(out) == {
        "stored": 1,
        "already_there": 0,
        "failed": 1,
        "failures": [{"line": 2, "why": "is not one JSON object"}],
    }


def test_a_file_that_is_not_there(run: Run) -> None:
    assert run("none.jsonl")[0] == 2


def test_standard_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "askonce.cli", "warm", "-"],
        input=b'{"question": "q", "answer": "a"}\n',
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"1 stored, 0 already there, 0 failed\n"


# Questions


QUESTION = {
    "path": "/v1/chat/completions",
    "headers": {"authorization": "Bearer sk-warm"},
    "request": {
        "model": "gpt-5",
        "stream": True,
        "messages": [{"role": "user", "content": "What is your return policy?"}],
    },
}


@pytest.fixture
def provider() -> DemoProvider:
    return DemoProvider(first_byte_ms=(0, 0), word_ms=0, slow_s=0)


@pytest.fixture
def provider_url(provider: DemoProvider) -> Iterator[str]:
    with running(provider) as url:
        yield url


def another(content: str) -> dict[str, object]:
    messages = [{"role": "user", "content": content}]
    return {**QUESTION, "request": {"model": "gpt-5", "messages": messages}}


def test_questions_are_asked_of_a_running_gateway_once(
    run: Run, provider: DemoProvider, provider_url: str
) -> None:
    with start_gateway(provider_url) as url:
        name = lines(QUESTION, another("How long does delivery take?"))
        assert run(name, "--via", url) == (0, "2 stored, 0 already there, 0 failed\n", "")
        assert provider.calls.total == 2
        assert run(name, "--via", url)[1] == "0 stored, 2 already there, 0 failed\n"
        assert provider.calls.total == 2


def test_without_a_gateway_one_is_started_for_the_while(
    run: Run, provider: DemoProvider, provider_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASKONCE_PROVIDERS__OPENAI__BASE_URL", provider_url)
    monkeypatch.setenv("ASKONCE_GATEWAY__PORT", "9")
    assert run(lines(QUESTION)) == (0, "1 stored, 0 already there, 0 failed\n", "")
    assert run(lines(QUESTION)) == (0, "0 stored, 1 already there, 0 failed\n", "")
    assert provider.calls.total == 1


def test_what_a_provider_refuses_is_named(run: Run, provider_url: str) -> None:
    with start_gateway(provider_url) as url:
        wrong = {**QUESTION, "path": "/v1/nowhere"}
        status, out, err = run(lines(wrong, QUESTION), "--via", url)
    assert status == 1
    assert out == "1 stored, 0 already there, 1 failed\n"
    assert err.startswith("line 1: HTTP 404: ")
    assert "sk-warm" not in err


def test_a_gateway_that_is_not_there_is_named(run: Run) -> None:
    began = time.monotonic()
    status, out, err = run(lines(QUESTION), "--via", "http://127.0.0.1:9")
    assert status == 1
    assert out == "0 stored, 0 already there, 1 failed\n"
    assert err.startswith("line 1: http://127.0.0.1:9 cannot be asked: ")
    assert time.monotonic() - began < 10
