"""Regenerate requirements/dev.txt and docs.txt: every package of development, pinned with hashes.

    .venv/bin/python scripts/pin.py            resolve both files again, write, check
    .venv/bin/python scripts/pin.py docs       only requirements/docs.txt
    .venv/bin/python scripts/pin.py --check    only check the present files

The resolver lives in a temporary virtual environment. The files name no index and no host, so
that they install from wherever pip is configured to look.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESOLVER = "pip-tools>=7.4"

# What each file is compiled from. The tools of the site are held to the versions in dev.txt.
SOURCES = {
    "dev": ["--extra=dev", "--build-deps-for=editable", "pyproject.toml"],
    "docs": ["requirements/docs.in"],
}

# Every platform on which `make` promises to install, as pip names it.
TARGETS = {
    "Linux x86_64": ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
    "Linux aarch64": ["manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"],
    "macOS arm64": ["macosx_14_0_arm64", "macosx_11_0_arm64"],
}
PYTHONS = ["3.11", "3.13", "3.14"]
NO_WHEEL = ["forbiddenfruit"]  # pure Python, published as a source archive only


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*SOURCES, []], help="dev, docs; default both")
    parser.add_argument("--check", action="store_true", help="only check the present files")
    options = parser.parse_args()
    names = options.names or list(SOURCES)
    faults = []
    with tempfile.TemporaryDirectory() as scratch:
        if not options.check:
            resolve(names, Path(scratch))
        for name in names:
            found = [*faults_in(pins(name).read_text(encoding="utf-8"))]
            found += missing_wheels(pins(name), Path(scratch))
            faults += [f"requirements/{name}.txt: {fault}" for fault in found]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def pins(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def resolve(names: list[str], scratch: Path) -> None:
    """Write the files of these names."""
    venv.create(scratch / "venv", with_pip=True)
    python = scratch / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", RESOLVER], check=True)
    environ = {**os.environ, "CUSTOM_COMPILE_COMMAND": "python scripts/pin.py"}
    for name in names:
        command = [str(python), "-m", "piptools", "compile", "--quiet", "--upgrade"]
        command += ["--strip-extras", "--generate-hashes", "--allow-unsafe", "--no-emit-index-url"]
        command += ["--no-emit-find-links", "--no-emit-trusted-host"]
        command += [f"--output-file={pins(name).relative_to(ROOT)}", *SOURCES[name]]
        subprocess.run(command, check=True, cwd=ROOT, env=environ)


def faults_in(text: str) -> list[str]:
    """Say what a requirements file names and must not, and what it lacks."""
    faults = [f"names a host: {line}" for line in text.splitlines() if "://" in line]
    faults += [f"is an option: {line}" for line in text.splitlines() if line.startswith("-")]
    for pin in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)):
        if pin.strip() and ("==" not in pin or "--hash=sha256:" not in pin):
            faults.append(f"not pinned with hashes: {pin.splitlines()[0]}")
    return faults


def missing_wheels(file: Path, scratch: Path) -> list[str]:
    """List the targets on which the pins do not install from wheels with the hashes given."""
    faults = []
    for python in PYTHONS:
        for target, platforms in TARGETS.items():
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += [
                "--require-hashes",
                "--only-binary=:all:",
                f"--no-binary={','.join(NO_WHEEL)}",
            ]
            command += [f"--python-version={python}"]
            command += [f"--platform={platform}" for platform in platforms]
            command += [f"--dest={scratch / 'wheels'}", f"--requirement={file}"]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                reason = run.stderr.strip().splitlines()[-1]
                faults.append(f"does not install on {target}, Python {python}: {reason}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
