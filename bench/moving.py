"""How fast do entries move in and out of SQLite, and in how much memory?

    python -m bench.moving [--entries N]

`askonce export` and `askonce import` run as a user would run them, each in a process of its own:
out of a SQLite file, into an archive that is not compressed, and into a new SQLite file. The time
is that of the whole process. The peak of its resident memory is held against that of the same with
a tenth of the entries. Entries are answers of about 1 KB, a third of them with a tag.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from askonce.core.models import Entry, Key, Usage
from askonce.core.runtime.threads import run_sync
from askonce.library.cache import Cache
from bench import figures, servers
from bench.figures import Figure
from bench.questions import completion

Tags = tuple[tuple[str, int], ...]

_CHUNK = 4_096
_PRODUCTS = 100
_TEXT = "Open the app, choose Cards, then PIN. " * 12

# A process's own peak would count what its parent held when it started it.
_UNDER_WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("\\n", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


class Move(NamedTuple):
    """How one command did: the whole time in s, its peak in bytes, its own entries a second."""

    entries: int
    seconds: float
    peak: int
    own_rate: float

    @property
    def per_second(self) -> float:
        return self.entries / self.seconds


def measure(entries: int = 1_000_000) -> list[Figure]:
    small, large = _there_and_back(entries // 10), _there_and_back(entries)
    results = []
    for name in small:
        results += _figures(name, small[name], large[name])
    return results


def _figures(name: str, small: Move, large: Move) -> list[Figure]:
    return [
        Figure(
            name=f"{name}: entries a second, SQLite",
            value=large.per_second,
            unit="/s",
            at_least=20_000,
            detail={
                "entries": large.entries,
                "seconds": large.seconds,
                "a second, as the command says": large.own_rate,
            },
        ),
        Figure(
            name=f"{name}: peak of memory, of that with a tenth of the entries",
            value=large.peak / small.peak,
            unit="x",
            at_most=1.5,
            detail={
                f"peak MiB at {small.entries:,}": small.peak / 2**20,
                f"peak MiB at {large.entries:,}": large.peak / 2**20,
            },
        ),
    ]


def _there_and_back(count: int) -> dict[str, Move]:
    """Fill a store, export it, and import it into another one."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        source, target, archive = folder / "from.db", folder / "to.db", folder / "all.askonce"
        _fill(source, count)
        exported = _moved("export", source, archive, count)
        source.unlink()
        return {"export": exported, "import": _moved("import", target, archive, count)}


def _fill(path: Path, count: int) -> None:
    rng = random.Random(count)
    now = time.time()
    with Cache(f"sqlite:{path}") as cache:
        store = cache.assembly.stack.shared_store
        assert store is not None
        epochs = run_sync(store.epochs([f"product:{product}" for product in range(_PRODUCTS)]))
        tags: list[Tags] = [((tag, epoch),) for tag, epoch in epochs.items()]
        for start in range(0, count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, count))
            run_sync(store.write_all(list(_answers(numbers, rng, now, tags))))


def _answers(numbers: range, rng: random.Random, now: float, tags: list[Tags]) -> Iterator[Entry]:
    for number in numbers:
        yield Entry(
            key=Key(f"team-{number % 7}", "openai_chat", rng.randbytes(32)),
            body=completion(f"{_TEXT}Your reference is {number}."),
            status=200,
            headers=(("content-type", "application/json"),),
            created=now,
            expires=now + 86_400.0,
            stale_until=now + 86_400.0,
            model="gpt-4o-mini",
            origin="https://api.openai.com",
            question=f"How do I change PIN {number}?",
            usage=Usage(input_tokens=220, output_tokens=90),
            cost_usd=Decimal("0.000087"),
            latency_ms=812.0,
            tags=tags[number % _PRODUCTS] if number % 3 == 0 else (),
        )


def _moved(verb: str, store: Path, archive: Path, count: int) -> Move:
    config = store.with_suffix(".toml")
    config.write_text(f'[store]\nurl = "sqlite:{store}"\n')
    command = [sys.executable, "-m", "askonce.cli", verb, str(archive)]
    command += ["--json", "--config", str(config)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_WATCH, *command],
        capture_output=True,
        text=True,
        env=servers.environment(),
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"askonce {verb} failed:\n{done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    if report["moved"] != count:
        raise RuntimeError(f"askonce {verb} moved {report['moved']} of {count} entries: {report}")
    peak = int(done.stderr.split()[-1]) * (1 if sys.platform == "darwin" else 1024)
    return Move(count, seconds, peak, report["per_second"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="(%(default)s)")
    figures.show(measure(parser.parse_args().entries))


if __name__ == "__main__":
    main()
