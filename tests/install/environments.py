"""Fresh environments without a network: a venv that sees the installed libraries, and little else.

The third-party libraries are the ones that `make setup` installed. A fresh environment gets a
folder of links to their files. AskOnce's own packages are never among them, so the wheels must
bring them. pip asks no index: a requirement that no installed library meets is an error.
"""

import os
import subprocess
import sys
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = {"askonce", "askonce-models"}


def installed() -> list[Distribution]:
    """Every third-party distribution of this environment."""
    return [found for found in distributions() if canonicalize_name(found.name) not in OURS]


def required(requirements: Iterable[str]) -> list[Distribution]:
    """The installed distributions that these requirements bring, and what those require in turn."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        found[name] = distribution(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(text), wanted) for text in found[name].requires or []]
    return [library for name, library in found.items() if name not in OURS]


def link(libraries: Iterable[Distribution], folder: Path) -> Path:
    """A folder on which exactly these distributions can be imported."""
    folder.mkdir()
    for library in libraries:
        tops = {Path(file.parts[0]) for file in library.files or [] if file.parts[0] != ".."}
        for top in tops - {Path("__pycache__")}:
            source, target = Path(str(library.locate_file(top))), folder / top
            if source.suffix != ".pth" and not target.exists():
                target.symlink_to(source)
    return folder


class Environment:
    """A virtual environment of its own in `folder`, with the libraries that each call names."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        if not folder.exists():
            venv.create(folder)
        (self.packages,) = folder.glob("lib/python*/site-packages")

    def pip(self, *arguments: str, cwd: Path, libraries: Path) -> str:
        """Run pip on this environment, with no index and no settings of the user's."""
        done = _run(
            [sys.executable, "-m", "pip", f"--python={self.bin / 'python'}", *arguments],
            cwd,
            PIP_CONFIG_FILE=os.devnull,
            PIP_DISABLE_PIP_VERSION_CHECK="1",
            PIP_NO_BUILD_ISOLATION="0",  # pip reads a false value as "no isolation"
            PIP_NO_COMPILE="1",
            PIP_NO_INDEX="1",
            PYTHONPATH=str(libraries),
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(self, *command: str, cwd: Path, libraries: Path) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment, with these libraries and no variables of the user's."""
        program, *arguments = command
        return _run([str(self.bin / program), *arguments], cwd, PYTHONPATH=str(libraries))


def _run(command: list[str], cwd: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    keep = ("HOME", "LANG", "PATH", "TMPDIR")
    environ = {name: os.environ[name] for name in keep if name in os.environ} | extra
    return subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
