"""All benchmarks, one after the other: a table, and JSON in `.bench/latest.json`.

python -m bench [--quick] [--only NAME ...] [--publish FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.redis_servers import RedisServer, ServerMissing

from bench import (
    cluster,
    decision,
    figures,
    gateway,
    gateway_redis,
    histories,
    invalidation,
    library,
    miss,
    moving,
    outage,
    processes,
    prompt_logs,
    prompts,
    propagation,
    redis_hits,
    search,
    single_flight,
)
from bench.figures import LATEST, Figure

ONLY = Path(".bench/only.json")
"""Where the figures of some parts go, so that a whole run's stay."""


class Part(NamedTuple):
    """One benchmark, told whether to be quick, and the servers that it needs."""

    measure: Callable[[bool], list[Figure]]
    needs: tuple[Callable[[], object], ...] = ()


def main() -> None:
    parts = _parts()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run all benchmarks.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, rougher numbers")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(parts),
        metavar="NAME",
        help=f"run only these, into {ONLY}: {', '.join(parts)}",
    )
    parser.add_argument("--publish", type=Path, metavar="FILE", help="write the JSON here too")
    chosen = parser.parse_args()
    names = chosen.only or list(parts)
    try:
        for check in dict.fromkeys(check for name in names for check in parts[name].needs):
            check()
    except ServerMissing as missing:
        sys.exit(f"python -m bench: {missing}")
    told = _measured(((name, parts[name]) for name in names), quick=chosen.quick)
    own = ONLY if chosen.only else LATEST
    for path in {own, chosen.publish or own}:
        figures.save(told, path)
    figures.show(told)


def _measured(parts: Iterable[tuple[str, Part]], *, quick: bool) -> list[Figure]:
    told = []
    for name, part in parts:
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        told += part.measure(quick)
    return told


def _parts() -> dict[str, Part]:
    """All benchmarks, in the order in which they run."""
    redis, postgres = _redis, _postgres
    return {
        "library": Part(lambda quick: library.measure()),
        "gateway": Part(lambda quick: gateway.measure(1, 2) if quick else gateway.measure()),
        "miss": Part(lambda quick: miss.measure(100 if quick else 1_000)),
        "prompts": Part(lambda quick: prompts.measure(100 if quick else 1_000)),
        "single-flight": Part(lambda quick: single_flight.measure(10 if quick else 100)),
        "memory": Part(
            lambda quick: [_memory(100_000 if quick else 1_000_000, 32 if quick else 256)]
        ),
        "redis-hits": Part(lambda quick: redis_hits.measure(), (redis,)),
        "gateway-redis": Part(
            lambda quick: gateway_redis.measure(1, 2) if quick else gateway_redis.measure(),
            (redis,),
        ),
        "outage": Part(lambda quick: outage.measure(5 if quick else 60), (redis,)),
        "processes": Part(lambda quick: _processes(5 if quick else 50), (redis, postgres)),
        "invalidation": Part(
            lambda quick: invalidation.measure(50_000 if quick else 1_000_000), (redis, postgres)
        ),
        "propagation": Part(
            lambda quick: propagation.measure(20 if quick else 200), (redis, postgres)
        ),
        "histories": Part(
            lambda quick: [
                *histories.measure(300 if quick else 10_000),
                *histories.measure(50 if quick else 1_000, store="sqlite"),
            ]
        ),
        "moving": Part(lambda quick: moving.measure(50_000 if quick else 1_000_000)),
        "search": Part(
            lambda quick: search.measure((10_000, 100_000)) if quick else search.measure(),
            (redis,),
        ),
        "decision": Part(lambda quick: decision.measure(10_000 if quick else decision.ENTRIES)),
        "prompt-logs": Part(lambda quick: prompt_logs.measure(10_000 if quick else 100_000)),
        "cluster": Part(lambda quick: cluster.measure(10 if quick else 30), (redis,)),
    }


def _redis() -> None:
    """Raises ServerMissing if there is no Redis 8 here."""
    RedisServer().close()


def _postgres() -> None:
    """Raises ServerMissing if there is no PostgreSQL here."""
    try:
        PostgresServer().close()
    except RuntimeError as missing:
        raise ServerMissing(str(missing)) from None


def _processes(rounds: int) -> list[Figure]:
    """Single-flight among processes, on every kind of store."""
    with (
        tempfile.TemporaryDirectory() as made,
        closing(RedisServer().start()) as redis,
        closing(PostgresServer()) as postgres,
    ):
        postgres.start()
        stores = {
            "Redis 8": f"{redis.url}/0",
            "SQLite": f"sqlite:{Path(made) / 'shared.db'}",
            "PostgreSQL": postgres.url,
        }
        return [processes.measure(name, address, rounds) for name, address in stores.items()]


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
