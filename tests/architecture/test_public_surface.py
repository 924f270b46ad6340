"""What users see stays as it is: the surface is compared with the one that was committed."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import askonce
from askonce.cli import main as askonce_main
from tests.architecture.surface import REWRITE, SNAPSHOT, commands, exports, source_text, surface


def difference(committed: str, found: str) -> str:
    """The lines that differ, each group below the class, call or file that it belongs to."""
    before, after = committed.splitlines(), found.splitlines()
    lines = []
    for line in difflib.unified_diff(before, after, lineterm="", n=2):
        place = re.match(r"@@ -(\d+)", line)
        if place:
            above = before[: int(place[1]) + 1]
            headings = [one for one in above if one and not one.startswith((" ", "#"))]
            lines.append(f"@@ line {place[1]} of {SNAPSHOT.name}, {(headings or [''])[-1]}")
        elif not line.startswith(("---", "+++")):
            lines.append(line)
    return "\n".join(lines)


def test_the_public_surface_is_the_one_that_was_committed() -> None:
    changed = difference(SNAPSHOT.read_text(encoding="utf-8"), surface())

    assert not changed, f"the public surface changed; if that is meant: {REWRITE}\n{changed}"


def test_a_difference_names_its_place_and_both_sides() -> None:
    committed = "class Cache(\n        ttl: str,\n    )\n    def close() -> None\n    def get()\n"

    found = committed.replace("close() -> None", "close(now: bool) -> None")
    assert difference(committed, found).splitlines() == [
        f"@@ line 2 of {SNAPSHOT.name}, class Cache(",
        "         ttl: str,",
        "     )",
        "-    def close() -> None",
        "+    def close(now: bool) -> None",
        "     def get()",
    ]
    assert difference(committed, committed) == ""


def test_a_changed_export_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = "\n".join(exports.lines())

    def close(self: object, *, hurry: bool = False) -> None:
        """A method with another signature."""

    close.__module__ = "askonce"
    monkeypatch.setattr(askonce.Cache, "close", close)
    monkeypatch.setattr(askonce, "__all__", [n for n in askonce.__all__ if n != "ConfigError"])

    changed = difference(before, "\n".join(exports.lines()))
    assert "-    def close() -> None" in changed
    assert "+    def close(*, hurry: bool = False) -> None" in changed
    assert "-class ConfigError of AskOnceError" in changed


def test_a_changed_option_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = "\n".join(commands.lines(tmp_path))

    def main(arguments: Sequence[str]) -> int:
        if arguments[0] == "stats":
            print("usage: askonce stats [-h] [--json-lines]\n\noptions:")
            return 0
        return askonce_main(arguments)

    monkeypatch.setattr(commands, "main", main)

    changed = difference(before, "\n".join(commands.lines(tmp_path)))
    assert "-usage: askonce stats [-h] [--config FILE] [--json]" in changed
    assert "+usage: askonce stats [-h] [--json-lines]" in changed


def test_a_changed_word_of_the_source_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(source_text, "ROOT", tmp_path)
    file = tmp_path / "src" / "deep" / "below.py"
    file.parent.mkdir(parents=True)
    file.write_text('_log = logging.getLogger(\n    "askonce.new"\n)\n', encoding="utf-8")

    assert source_text.found(r"""getLogger\(\s*["']([\w.]+)["']""") == ["askonce.new"]
    with pytest.raises(AssertionError, match="nothing in the source looks like"):
        source_text.found("CREATE TABLE")
