"""Regenerates requirements/dev.txt: every package of development and demo, pinned with hashes.

    .venv/bin/python scripts/pin.py            resolve again, write, check
    .venv/bin/python scripts/pin.py --check    only check what is there

The resolver lives in a virtual environment of its own that goes away afterwards. The file names
no index and no host, so that it installs from wherever pip is configured to look.
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
PINS = ROOT / "requirements" / "dev.txt"
RESOLVER = "pip-tools>=7.4"

# Everything that `make` promises to install on, as pip names it.
TARGETS = {
    "Linux x86_64": ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
    "Linux aarch64": ["manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"],
    "macOS arm64": ["macosx_14_0_arm64", "macosx_11_0_arm64"],
}
PYTHONS = ["3.11", "3.13", "3.14"]
NO_WHEEL = ["forbiddenfruit"]  # pure Python, published as a source archive only


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only check the present file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if not options.check:
            resolve(Path(scratch))
        faults = [*faults_in(PINS.read_text(encoding="utf-8")), *missing_wheels(Path(scratch))]
    for fault in faults:
        print(f"requirements/dev.txt: {fault}", file=sys.stderr)
    return 1 if faults else 0


def resolve(scratch: Path) -> None:
    """Write the pins of pyproject.toml's `dev` extra and of its build backend."""
    venv.create(scratch / "venv", with_pip=True)
    python = scratch / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", RESOLVER], check=True)
    command = [str(python), "-m", "piptools", "compile", "--quiet", "--upgrade", "--strip-extras"]
    command += ["--generate-hashes", "--allow-unsafe", "--extra=dev", "--build-deps-for=editable"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host"]
    command += [f"--output-file={PINS.relative_to(ROOT)}", "pyproject.toml"]
    environ = {**os.environ, "CUSTOM_COMPILE_COMMAND": "python scripts/pin.py"}
    subprocess.run(command, check=True, cwd=ROOT, env=environ)


def faults_in(text: str) -> list[str]:
    """What the text of a requirements file must not have, or lacks."""
    faults = [f"names a host: {line}" for line in text.splitlines() if "://" in line]
    faults += [f"is an option: {line}" for line in text.splitlines() if line.startswith("-")]
    for pin in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)):
        if pin.strip() and ("==" not in pin or "--hash=sha256:" not in pin):
            faults.append(f"not pinned with hashes: {pin.splitlines()[0]}")
    return faults


def missing_wheels(scratch: Path) -> list[str]:
    """The targets on which the pins do not install from wheels with the hashes given."""
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
            command += [f"--dest={scratch / 'wheels'}", f"--requirement={PINS}"]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                reason = run.stderr.strip().splitlines()[-1]
                faults.append(f"does not install on {target}, Python {python}: {reason}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
