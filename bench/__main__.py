"""All benchmarks, one after the other: a table, and JSON in `.bench/latest.json`.

python -m bench [--quick] [--publish FILE]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import figures, gateway, library, miss, single_flight
from bench.figures import LATEST, Figure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run all benchmarks.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, rougher numbers")
    parser.add_argument("--publish", type=Path, metavar="FILE", help="write the JSON here too")
    chosen = parser.parse_args()
    told = _all(quick=chosen.quick)
    for path in {LATEST, chosen.publish or LATEST}:
        figures.save(told, path)
    figures.show(told)


def _all(*, quick: bool) -> list[Figure]:
    told = []
    for name, part in (
        ("library", library.measure),
        ("gateway", lambda: gateway.measure(1, 2) if quick else gateway.measure()),
        ("miss", lambda: miss.measure(100 if quick else 1_000)),
        ("single-flight", lambda: single_flight.measure(10 if quick else 100)),
        ("memory", lambda: [_memory(100_000 if quick else 1_000_000, 32 if quick else 256)]),
    ):
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        told += part()
    return told


def _memory(puts: int, mib: int) -> Figure:
    """`memory_bound.py` in a process of its own."""
    script = Path(__file__).with_name("memory_bound.py")
    command = [sys.executable, str(script), "--here", "--puts", str(puts), "--mib", str(mib)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return Figure(
        name="memory: growth of the process, of the configured bytes",
        value=told["ratio"],
        unit="x",
        at_most=1.1,
        detail={
            "configured MiB": mib,
            "puts": puts,
            "entries": told["entries"],
            "puts a second": puts / told["seconds"],
        },
    )


if __name__ == "__main__":
    main()
