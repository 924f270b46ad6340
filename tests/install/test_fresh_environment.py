"""A fresh environment outside the clone: the first examples run, and each extra is enough."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.docs.pages import blocks, commands
from tests.examples.test_examples import EXPECTED
from tests.install.conftest import ROOT, Distributions
from tests.install.environments import Environment, link, required

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
QUIET = {"brotli", "dev", "jwt", "prices"}
"""The extras that nothing asks for here: without prices, savings are unpriced and say so; without
brotli, such a body bypasses with a reason; `[identity.jwt]` needs the gateway's extra as well."""


def copy_example(name: str, folder: Path) -> None:
    """Copy an example; a busy machine may take longer than the 250 ms that embedding may take."""
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    patient = text.replace('="serve")', '=Semantic(mode="serve", deadline="30s"))')
    if patient != text:
        patient = patient.replace("import Cache\n", "import Cache, Semantic\n")
    (folder / f"{name}.py").write_text(patient, encoding="utf-8")


@pytest.mark.parametrize("example", ["exact_match", "semantic_memory"])
def test_the_first_example_of_the_library_and_of_matching_by_meaning_runs(
    environment: Environment, libraries: Path, tmp_path: Path, example: str
) -> None:
    copy_example(example, tmp_path)
    command = ["python", "-W", "error", f"{example}.py"]

    done = environment.run(*command, cwd=tmp_path, libraries=libraries)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch("".join(f"{line}\n" for line in EXPECTED[example]), done.stdout)


def test_imports_come_from_the_wheels(
    environment: Environment, libraries: Path, tmp_path: Path
) -> None:
    code = "import askonce, askonce_models; print(askonce.__file__, askonce_models.EMBEDDER)"

    done = environment.run("python", "-c", code, cwd=tmp_path, libraries=libraries)

    assert [Path(name).parents[1] for name in done.stdout.split()] == [environment.packages] * 2


def test_every_extra_is_used_here(distributions: Distributions) -> None:
    assert sorted([*USES, *QUIET]) == sorted(distributions.extras())


@pytest.mark.parametrize("extra", USES)
def test_a_missing_extra_is_one_line_and_the_extra_that_it_names_is_enough(
    environment: Environment, tmp_path: Path, extra: str
) -> None:
    command = shlex.split(USES[extra])
    copy_example("semantic_memory", tmp_path)
    pair = {"a": "How do I change my PIN?", "b": "How can I change my PIN?", "same": True}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))

    nothing = link(required(["askonce"]), tmp_path / "nothing")
    bare = environment.run(*command, cwd=tmp_path, libraries=nothing)
    named = link(required([f"askonce[{extra}]"]), tmp_path / "named")
    enough = environment.run(*command, cwd=tmp_path, libraries=named)

    assert bare.returncode != 0
    assert bare.stderr.endswith(f": pip install 'askonce[{extra}]'\n")
    if command[0] == "askonce":
        assert len(bare.stderr.splitlines()) == 1
    assert "pip install" not in enough.stderr
    assert enough.returncode == 0 or enough.stderr.startswith("askonce: cannot listen on ")


def test_the_readme_installs_matching_by_meaning_from_a_clone(
    libraries: Path, tmp_path: Path
) -> None:
    lines = [line for block in blocks(ROOT / "README.md", "bash") for line in commands(block)]
    (command,) = (line for line in lines if line.startswith("pip install ./packages/"))
    fresh = Environment(tmp_path / "fresh")
    code = "from askonce import Cache; print(Cache(semantic='serve').get('Why?', scope='s'))"

    fresh.pip(*shlex.split(command)[1:], cwd=ROOT, libraries=libraries)
    done = fresh.run("python", "-c", code, cwd=tmp_path, libraries=libraries)

    assert done.stdout == "None\n", done.stderr
