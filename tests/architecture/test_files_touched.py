"""How many files a reader opens to follow a request: those whose code runs for it, once warm."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from askonce.core.models import Call, Outcome
from askonce.library.cache import Cache
from tests.architecture.source import SOURCE
from tests.fixtures.scripted import Script, Scripted, call, said

HIT_FILES = 12
"""A memory hit of a cache with a SQLite file; 18 before the packages were drawn."""

MISS_FILES = 61
"""A JSON answer of the provider, stored in the same cache; 46 before who asks, lookups and content
encodings had modules of their own."""


def files_touched(work: Callable[[], object]) -> set[str]:
    """Run work; return the files of the package whose code ran in this thread."""
    folder, touched = f"{SOURCE}/", set()

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(folder):
            touched.add(name.removeprefix(folder))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return touched


def touched_by(path: Path, question: str, outcome: Outcome) -> set[str]:
    """Warm a cache up with other questions and `known`; return the files that one call touches."""
    with Cache(f"sqlite:{path}") as cache:

        def ask(asked: Call) -> Outcome:
            return cache.answer(asked, Scripted(lambda: Script(said()))).outcome

        for other in ("first", "known", "known"):
            ask(call(other))
        found: list[Outcome] = []
        touched = files_touched(lambda: found.append(ask(call(question))))
        assert found == [outcome]
        return touched


def test_a_memory_hit_touches_few_files(tmp_path: Path) -> None:
    touched = touched_by(tmp_path / "answers.db", "known", Outcome.HIT_MEMORY)
    assert len(touched) <= HIT_FILES, sorted(touched)


def test_a_miss_touches_few_files(tmp_path: Path) -> None:
    touched = touched_by(tmp_path / "answers.db", "new", Outcome.MISS)
    assert len(touched) <= MISS_FILES, sorted(touched)


def test_files_are_counted() -> None:
    assert files_touched(lambda: call("?")) == set()
    assert len(files_touched(lambda: Cache("memory:").close())) > 20
