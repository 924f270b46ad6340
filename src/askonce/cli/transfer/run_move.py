"""Run a move with a progress meter and print its result, for `export`, `import` and `copy`."""

import argparse
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from askonce.cli import INTERRUPTED
from askonce.cli.output.meter import Meter
from askonce.cli.transfer.moves import Moved
from askonce.core.runtime.threads import run_sync

_DOING = {"exported": "exporting", "imported": "importing", "copied": "copying"}
_SAID = {
    "resumed": "{} of them in an earlier run",
    "expired": "{} expired, left out",
    "invalid": "{} invalidated meanwhile, left out",
    "refused": "{} refused by the store (too large, or invalidated meanwhile)",
    "older": "{} left out, because the store has newer answers (--overwrite replaces them)",
    "reserved": "{} in AskOnce's own namespace, which no archive may hold, left out",
    "outdated": "{} under keys of version 1, which no question finds any more, left out",
    "orphaned": "{} of callers known by their credentials only, who will not find them here: "
    "the store has a secret of its own (see docs/guides/moving.md)",
}


def move(
    options: argparse.Namespace,
    verb: str,
    where: dict[str, str],
    moved: Moved,
    work: Callable[[Callable[[int], None]], Coroutine[Any, Any, None]],
    *,
    total: int | None = None,
    again: str = "run the same command again to go on",
    to_stdout: bool = False,
) -> int:
    """Do the work with a meter and print the result, also after Ctrl-C; return the exit status."""
    out = sys.stderr if to_stdout else sys.stdout
    meter = Meter(_DOING[verb], total)
    try:
        with meter:
            run_sync(work(meter.report))
    except KeyboardInterrupt:
        print(f"askonce: stopped after {moved.total:,} entries; {again}", file=sys.stderr)
        return INTERRUPTED
    rate = round(moved.moved / meter.seconds)
    if options.json:
        numbers = msgspec.structs.asdict(moved)
        result = {**where, **numbers, "seconds": round(meter.seconds, 3), "per_second": rate}
        print(json.dumps(result, indent=2), file=out)
        return 0
    places = " ".join(f"{name} {place}" for name, place in where.items())
    print(f"{verb} {moved.total:,} entries {places}, {rate:,} a second", file=out)
    for name, line in _SAID.items():
        if count := getattr(moved, name):
            print(f"  {line.format(f'{count:,}')}", file=out)
    return 0
