"""Wheels and source archives of this tree, and one fresh environment with the wheels in it."""

import subprocess
import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path
from tarfile import open as open_archive
from typing import NamedTuple
from zipfile import ZipFile

import pytest

from tests.install.environments import Environment, installed, link

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://git.example/team/askonce"


class Distributions(NamedTuple):
    """What `make dist` wrote for one version of both packages."""

    folder: Path

    def _path(self, name: str, ending: str) -> Path:
        (path,) = self.folder.glob(f"{name}-*{ending}")
        return path

    def wheel(self, name: str) -> dict[str, int]:
        """The files of a wheel with their sizes in bytes."""
        with ZipFile(self._path(name, ".whl")) as packed:
            return {info.filename: info.file_size for info in packed.infolist()}

    def metadata(self, name: str) -> Message:
        with ZipFile(self._path(name, ".whl")) as packed:
            (file,) = (name for name in packed.namelist() if name.endswith("/METADATA"))
            return Parser().parsestr(packed.read(file).decode("utf-8"))

    def archive(self, name: str) -> dict[str, int]:
        """The files of a source archive, without its outer folder, with their sizes in bytes."""
        with open_archive(self._path(name, ".tar.gz")) as packed:
            return {
                member.name.partition("/")[2]: member.size
                for member in packed.getmembers()
                if member.isfile()
            }


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, str(ROOT / "scripts" / "dist.py")]
    command += [f"--folder={folder}", f"--repository={REPOSITORY}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return Distributions(folder)


@pytest.fixture(scope="module")
def environment(
    distributions: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """A fresh environment outside the clone, with both wheels and every extra."""
    folder = tmp_path_factory.mktemp("fresh")
    fresh = Environment(folder / "venv", link(installed(), folder / "libraries"))
    extras = ",".join(distributions.metadata("askonce").get_all("Provides-Extra", []))
    said = fresh.pip(
        "install", f"--find-links={distributions.folder}", f"askonce[{extras}]", cwd=folder
    )
    assert "Successfully installed askonce-" in said
    return fresh
