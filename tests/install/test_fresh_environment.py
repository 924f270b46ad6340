"""A fresh environment outside the clone: the first examples run, and each extra is enough."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.docs.pages import blocks, commands
from tests.examples.test_examples import EXPECTED
from tests.install.conftest import ROOT, Distributions
from tests.install.environments import Environment, installed, link, required

pytestmark = pytest.mark.slow

USES = {
    "demo": "askonce demo --requests 2 --concurrency 2",
    "eval": "askonce eval --pairs pairs.jsonl --plots pictures",
    "gateway": "askonce serve --host 203.0.113.7",
    "postgres": """python -c "from askonce import *; Cache('postgresql://db.example/a')" """,
    "redis": """python -c "from askonce import *; Cache('redis://cache.example')" """,
    "rules": """python -c "from askonce import *; Cache(rules=Rules().after('cost', '5m'))" """,
    "semantic": "python semantic_memory.py",
}
"""A use of every extra that something fails without, in a folder with these two files."""
QUIET = {"dev", "prices"}
"""The extras that nothing asks for: without prices, savings are unpriced and say so."""


@pytest.mark.parametrize("example", ["exact_match", "semantic_memory"])
def test_the_first_example_of_the_library_and_of_matching_by_meaning_runs(
    environment: Environment, tmp_path: Path, example: str
) -> None:
    environment.see(link(installed(), tmp_path / "libraries"))
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(ROOT / "examples" / f"{example}.py", work)

    done = environment.run("python", "-W", "error", f"{example}.py", cwd=work)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch("".join(f"{line}\n" for line in EXPECTED[example]), done.stdout)


def test_what_runs_is_what_the_wheels_brought(environment: Environment, tmp_path: Path) -> None:
    code = "import askonce, askonce_models; print(askonce.__file__, askonce_models.EMBEDDER)"

    done = environment.run("python", "-c", code, cwd=tmp_path)

    assert [Path(name).parents[1] for name in done.stdout.split()] == [environment.packages] * 2


def test_every_extra_is_used_here(distributions: Distributions) -> None:
    extras = distributions.metadata("askonce").get_all("Provides-Extra", [])

    assert sorted([*USES, *QUIET]) == sorted(extras)


@pytest.mark.parametrize("extra", USES)
def test_a_missing_extra_is_one_line_and_the_extra_that_it_names_is_enough(
    environment: Environment, tmp_path: Path, extra: str
) -> None:
    program, *arguments = shlex.split(USES[extra])
    shutil.copy(ROOT / "examples" / "semantic_memory.py", tmp_path)
    pair = {"a": "How do I change my PIN?", "b": "How can I change my PIN?", "same": True}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))

    environment.see(link(required(["askonce"]), tmp_path / "bare"))
    bare = environment.run(program, *arguments, cwd=tmp_path)
    environment.see(link(required([f"askonce[{extra}]"]), tmp_path / "enough"))
    enough = environment.run(program, *arguments, cwd=tmp_path)

    assert bare.returncode != 0
    assert bare.stderr.endswith(f": pip install 'askonce[{extra}]'\n")
    if program == "askonce":
        assert len(bare.stderr.splitlines()) == 1
    assert "pip install" not in enough.stderr
    assert enough.returncode == 0 or enough.stderr.startswith("askonce: cannot listen on ")


def test_the_readme_installs_matching_by_meaning_from_a_clone(tmp_path: Path) -> None:
    lines = [line for block in blocks(ROOT / "README.md", "bash") for line in commands(block)]
    (command,) = (line for line in lines if line.startswith("pip install ./packages/"))
    arguments = shlex.split(command.partition("pip install")[2])
    folder = tmp_path / "fresh"
    fresh = Environment(folder, link(installed(), tmp_path / "libraries"))

    fresh.pip("install", *arguments, cwd=ROOT)

    code = "from askonce import Cache; print(Cache(semantic='serve').get('Why?', scope='s'))"
    assert fresh.run("python", "-c", code, cwd=tmp_path).stdout == "None\n"
