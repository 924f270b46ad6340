"""`python -m bench`: figures are written as they come, and a part that fails costs only its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.__main__ import run
from bench.figures import Figure
from bench.parts import Part

from tests.fixtures.redis_servers import ServerMissing


def part(name: str) -> Part:
    return Part(lambda value: [Figure(name=name, value=value, unit="x")], (3,), (2,), (1,))


def saved_names(path: Path) -> list[str]:
    return [figure["name"] for figure in json.loads(path.read_text())["figures"]]


def test_a_failing_part_is_reported_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    seen: list[str] = []

    def fails() -> list[Figure]:
        seen.extend(saved_names(path))
        raise ValueError("one key where there are three")

    parts = {"first": part("one"), "broken": Part(fails, (), (), ()), "last": part("two")}
    status = run(parts, "smallest", [path])

    assert status == 1
    assert seen == ["one"], "figures are written after each part"
    assert saved_names(path) == ["one", "two"]
    failed = json.loads(path.read_text())["failed"]
    assert failed.keys() == {"broken"}
    assert "one key where there are three" in failed["broken"]
    shown = capsys.readouterr()
    assert "broken failed: ValueError: one key where there are three" in shown.err
    assert "one" in shown.out
    assert "two" in shown.out


def test_the_last_words_of_a_child_process_are_reported(tmp_path: Path) -> None:
    def fails() -> list[Figure]:
        command = [sys.executable, "-c", "import sys; sys.exit('no such index')"]
        subprocess.run(command, check=True, capture_output=True)
        return []

    path = tmp_path / "figures.json"

    assert run({"child": Part(fails, (), (), ())}, "full", [path]) == 1
    assert "no such index" in json.loads(path.read_text())["failed"]["child"]


def test_a_missing_server_is_one_line(tmp_path: Path) -> None:
    def fails() -> list[Figure]:
        raise ServerMissing("Redis 8 is missing")

    path = tmp_path / "figures.json"

    assert run({"redis": Part(fails, (), (), ())}, "full", [path]) == 1
    assert json.loads(path.read_text())["failed"] == {"redis": "Redis 8 is missing"}


@pytest.mark.parametrize(("size", "value"), [("full", 3), ("quick", 2), ("smallest", 1)])
def test_each_size_has_its_arguments(tmp_path: Path, size: str, value: int) -> None:
    path = tmp_path / "figures.json"

    assert run({"one": part("one")}, size, [path]) == 0  # type: ignore[arg-type]
    written = json.loads(path.read_text())
    assert [figure["value"] for figure in written["figures"]] == [value]
    assert "failed" not in written
