"""All benchmarks, one after the other: a table, and JSON in `.bench/latest.json`.

python -m bench [--quick | --smallest] [--only NAME ...] [--publish FILE]

The JSON is written after each part. A part that fails is reported and skipped; then the exit
status is 1.
"""

import argparse
import subprocess
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from tests.fixtures.redis_servers import ServerMissing

from bench import figures
from bench.figures import LATEST, Figure
from bench.parts import PARTS, Part, Size

ONLY = Path(".bench/only.json")
"""Where the figures of some parts go, so that those of a whole run stay."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run all benchmarks.")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="a tenth of the work, rougher numbers")
    sizes.add_argument(
        "--smallest", action="store_true", help="only show that each part runs; no real numbers"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(PARTS),
        metavar="NAME",
        help=f"run only these, into {ONLY}: {', '.join(PARTS)}",
    )
    parser.add_argument("--publish", type=Path, metavar="FILE", help="write the JSON here too")
    chosen = parser.parse_args(arguments)
    size: Size = "quick" if chosen.quick else "smallest" if chosen.smallest else "full"
    parts = {name: PARTS[name] for name in chosen.only or PARTS}
    is_whole = not chosen.only and size != "smallest"
    paths = {LATEST if is_whole else ONLY}
    if chosen.publish:
        paths.add(chosen.publish)
    return run(parts, size, paths)


def run(parts: dict[str, Part], size: Size, paths: Iterable[Path]) -> int:
    """Measure each part, write all figures so far to each path, and print the table.

    Returns 1 if any part failed, otherwise 0.
    """
    paths = list(paths)
    measured: list[Figure] = []
    failed: dict[str, str] = {}
    for name, part in parts.items():
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        try:
            measured += part.run(size)
        except Exception as error:  # noqa: BLE001 - one broken part must not cost the others' figures
            failed[name] = _reason(error)
            print(f"{name} failed, skipped: {failed[name]}", file=sys.stderr, flush=True)
        for path in paths:
            figures.save(measured, path, failed)
    figures.show(measured)
    for name, reason in failed.items():
        print(f"{name} failed: {reason.splitlines()[-1]}", file=sys.stderr)
    return 1 if failed else 0


def _reason(error: Exception) -> str:
    """One line for a missing server; otherwise the traceback and a child's own last words."""
    if isinstance(error, ServerMissing):
        return str(error)
    trace = "".join(traceback.format_exception(error)).rstrip()
    if isinstance(error, subprocess.CalledProcessError) and error.stderr:
        child = error.stderr if isinstance(error.stderr, str) else error.stderr.decode()
        trace += f"\n{child.rstrip()[-2000:]}"
    return trace


if __name__ == "__main__":
    sys.exit(main())
