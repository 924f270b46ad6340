"""Claims of the pages about the code: a path is a file, a target exists, a word is in use."""

import re
from pathlib import Path

import pytest

from askonce.core.models import Outcome, Reason
from tests.docs.pages import PAGES, ROOT, page_id, read

SOURCE = ROOT / "src" / "askonce"
MODELS = SOURCE / "core" / "models.py"

PROMISES = re.compile(
    r"\b(?:does not occur|do not occur|never occurs) yet\b"
    r"|\bnot (?:yet )?(?:implemented|built|supported yet|available yet)\b"
    r"|\b(?:in|with) a (?:later|future|coming) (?:version|release)\b"
    r"|\bcoming soon\b|\bwill be added\b|\bfor the time being\b",
    re.IGNORECASE,
)
"""Sentences about the code of tomorrow. They are not true of the code of today, or soon not."""


def uses(member: str) -> int:
    """Count the places outside its definition that name a reason or an outcome."""
    count = 0
    for path in SOURCE.rglob("*.py"):
        if path != MODELS:
            count += len(re.findall(rf"\b{member}\b", path.read_text(encoding="utf-8")))
    return count


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_page_speaks_of_the_code_of_tomorrow(page: Path) -> None:
    assert PROMISES.findall(page.read_text(encoding="utf-8")) == []


def test_such_a_sentence_would_be_found() -> None:
    for text in ("It does not occur yet.", "This is not implemented.", "In a later version."):
        assert PROMISES.search(text), text


def test_every_documented_reason_and_outcome_occurs() -> None:
    """A word that no code gives out is no reason; a page that explains it is not true."""
    named = [f"Reason.{one.name}" for one in Reason] + [f"Outcome.{one.name}" for one in Outcome]
    assert [name for name in named if uses(re.escape(name)) == 0] == []


PATHS = re.compile(r"`([a-z_-]+(?:/[a-z_-]+)+(?:\.py)?/?)`")


def test_every_path_of_contributing_exists() -> None:
    named = PATHS.findall(read("CONTRIBUTING.md"))
    missing = [
        path
        for path in named
        if not (ROOT / path).exists()
        and not (SOURCE / path).exists()
        and not (ROOT / "packages" / "askonce-models" / path).exists()
    ]
    assert len(named) > 15
    assert missing == []


def test_every_function_of_the_walks_is_where_contributing_says() -> None:
    text = read("CONTRIBUTING.md")
    claims = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)` \(`(?:\w+\.)?(\w+)`", text)
    claims += [
        (path, name)
        for path, names in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`: ((?:`\w+`[^`|.]*)+)", text)
        for name in re.findall(r"`(\w+)`", names)
    ]
    wrong = [
        f"{path}: {name}"
        for path, name in claims
        if not re.search(rf"\b{name}\b", (SOURCE / path).read_text(encoding="utf-8"))
    ]
    assert len(claims) >= 4
    assert wrong == []


COMMANDS = re.compile(r"(?:^|`)make ((?:[a-z-]+ ?)+)", re.MULTILINE)


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for line in COMMANDS.findall(page.read_text(encoding="utf-8"))
        for target in line.split()
    }
    assert {"test", "check"} <= named
    assert named - targets == set()
