"""Wheels and source archives of this tree, and one fresh environment with the wheels in it."""

import fcntl
import os
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

    def extras(self) -> list[str]:
        return self.metadata("askonce").get_all("Provides-Extra", [])

    def archive(self, name: str) -> dict[str, int]:
        """The files of a source archive, without its outer folder, with their sizes in bytes."""
        with open_archive(self._path(name, ".tar.gz")) as packed:
            return {
                member.name.partition("/")[2]: member.size
                for member in packed.getmembers()
                if member.isfile()
            }


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share; one at a time fills it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "install"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fill(folder)
    return folder


def fill(folder: Path) -> None:
    """Build the distributions and install them with every extra, unless another worker has."""
    if (folder / "done").exists():
        return
    command = [sys.executable, str(ROOT / "scripts" / "dist.py")]
    command += [f"--folder={folder / 'dist'}", f"--repository={REPOSITORY}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    wheels = Distributions(folder / "dist")
    libraries = link(installed(), folder / "libraries")
    wanted = f"askonce[{','.join(wheels.extras())}]"
    options = [f"--find-links={wheels.folder}"]
    said = Environment(folder / "venv").pip(
        "install", *options, wanted, cwd=folder, libraries=libraries
    )
    # No more and no less: what the extras require was there.
    assert said.splitlines()[-1].startswith("Successfully installed askonce-")
    (folder / "done").touch()


@pytest.fixture(scope="session")
def distributions(shared: Path) -> Distributions:
    return Distributions(shared / "dist")


@pytest.fixture(scope="session")
def environment(shared: Path) -> Environment:
    """A fresh environment outside the clone, with both wheels, installed with every extra."""
    return Environment(shared / "venv")


@pytest.fixture(scope="session")
def libraries(shared: Path) -> Path:
    """Every third-party library of the development environment."""
    return shared / "libraries"
