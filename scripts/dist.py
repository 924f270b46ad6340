"""Build the wheels and source archives of askonce and askonce-models into one folder.

    python scripts/dist.py                                    into dist/
    python scripts/dist.py --repository https://HOST/OWNER/NAME

The metadata gets project URLs and absolute README links from the repository's public address: the
option, or the address that this clone was made from. Each wheel is built from its source archive,
as an installer without a wheel would do, so an archive that lacks a file fails here.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = {"askonce": ROOT, "askonce_models": ROOT / "packages" / "askonce-models"}

_HOST, _PATH = r"(?P<host>[\w-]+(?:\.[\w-]+)+)", r"(?P<path>[^\s?#]+?)(?:\.git)?/?"
_URL = re.compile(rf"(?:https?|ssh|git)://(?:[^@/]*@)?{_HOST}(?::\d+)?/{_PATH}")
_SSH = re.compile(rf"[\w.-]+@{_HOST}:{_PATH}")

NO_ADDRESS = (
    "no public address of the repository is known, so the metadata has no project URLs and "
    "README links are plain text; name it: make dist REPOSITORY=https://HOST/OWNER/NAME"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repository", metavar="URL", help="public address of the repository")
    parser.add_argument("--folder", metavar="DIR", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    if options.repository and not options.repository.startswith(("https://", "http://")):
        parser.error("--repository is a web address: https://HOST/OWNER/NAME")
    address = options.repository or public_address(origin())
    if not address:
        print(f"scripts/dist.py: {NO_ADDRESS}", file=sys.stderr)
    for path in build(options.folder, address):
        print(f"{path.stat().st_size / 1e6:7.1f} MB  {path}")
    return 0


def build(folder: Path, address: str) -> list[Path]:
    """Replace what `folder` has of both projects and return the new files."""
    built = []
    for name, project in PROJECTS.items():
        for old in [*folder.glob(f"{name}-*.whl"), *folder.glob(f"{name}-*.tar.gz")]:
            old.unlink()
        run_hatchling("sdist", project, folder, address)
        (archive,) = folder.glob(f"{name}-*.tar.gz")
        with tempfile.TemporaryDirectory() as scratch:
            with tarfile.open(archive) as packed:
                packed.extractall(scratch, filter="data")
            (unpacked,) = Path(scratch).iterdir()
            run_hatchling("wheel", unpacked, folder, address)
        built += [archive, *folder.glob(f"{name}-*.whl")]
    return built


def run_hatchling(target: str, project: Path, folder: Path, address: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", f"--target={target}"]
    command += [f"--directory={folder.resolve()}"]
    environ = {**os.environ, "ASKONCE_REPOSITORY": address}
    done = subprocess.run(
        command, cwd=project, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"scripts/dist.py: {target} of {project.name}: {done.stderr or done.stdout}")


def origin() -> str:
    """Return the address that this clone was made from; empty outside a clone."""
    command = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if (ROOT / ".git").exists() else ""


def public_address(remote: str) -> str:
    """Return the web address of a Git remote, without credentials; empty for a local path."""
    found = _URL.fullmatch(remote) or _SSH.fullmatch(remote)
    return f"https://{found['host']}/{found['path']}" if found else ""


if __name__ == "__main__":
    sys.exit(main())
