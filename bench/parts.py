"""The parts of `make bench`, in the order in which they run, and how much each does at each size.

`full` is what the documentation's figures are measured with. `quick` is about a tenth of it, with
rougher numbers. `smallest` shows in seconds that a part still runs; its numbers mean nothing.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.redis_servers import RedisServer

from bench import (
    cluster,
    decision,
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
from bench.figures import Figure

Size = Literal["full", "quick", "smallest"]


class Part(NamedTuple):
    """One benchmark, and the arguments that it gets at each size."""

    measure: Callable[..., list[Figure]]
    full: tuple[Any, ...]
    quick: tuple[Any, ...]
    smallest: tuple[Any, ...]

    def run(self, size: Size) -> list[Figure]:
        arguments: tuple[Any, ...] = getattr(self, size)
        return self.measure(*arguments)


def _histories(in_memory: int, in_sqlite: int) -> list[Figure]:
    return [*histories.measure(in_memory), *histories.measure(in_sqlite, store="sqlite")]


def _processes(rounds: int, count: int, deadline: str | None = None) -> list[Figure]:
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
        return [
            processes.measure(name, address, rounds, count, deadline)
            for name, address in stores.items()
        ]


def _memory(puts: int, mib: int) -> list[Figure]:
    """`memory_bound.py` in a process of its own."""
    script = Path(__file__).with_name("memory_bound.py")
    command = [sys.executable, str(script), "--here", "--puts", str(puts), "--mib", str(mib)]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        Figure(
            name="memory: growth of the process, of the configured bytes",
            value=measured["ratio"],
            unit="x",
            at_most=1.1,
            detail={
                "configured MiB": mib,
                "puts": puts,
                "entries": measured["entries"],
                "puts a second": puts / measured["seconds"],
            },
        )
    ]


PARTS = {
    "library": Part(library.measure, (60,), (60,), (1,)),
    "gateway": Part(gateway.measure, (2, 7), (1, 2), (0.2, 1)),
    "miss": Part(miss.measure, (1_000,), (100,), (10,)),
    "prompts": Part(prompts.measure, (1_000,), (100,), (10,)),
    "single-flight": Part(single_flight.measure, (100,), (10,), (2,)),
    "memory": Part(_memory, (1_000_000, 256), (100_000, 32), (5_000, 2)),
    "redis-hits": Part(redis_hits.measure, (40,), (40,), (1,)),
    "gateway-redis": Part(gateway_redis.measure, (2, 7), (1, 2), (0.2, 1)),
    "outage": Part(outage.measure, (60,), (5,), (0.5,)),
    "processes": Part(
        _processes, (50, processes.PROCESSES), (5, processes.PROCESSES), (1, 2, "10s")
    ),
    "invalidation": Part(invalidation.measure, (1_000_000, 200), (50_000, 200), (500, 2)),
    "propagation": Part(propagation.measure, (200,), (20,), (1,)),
    "histories": Part(_histories, (10_000, 1_000), (300, 50), (10, 3)),
    "moving": Part(moving.measure, (1_000_000,), (50_000,), (500,)),
    "search": Part(
        search.measure, ((10_000, 100_000, 1_000_000),), ((10_000, 100_000),), ((1_000,), 500)
    ),
    "decision": Part(decision.measure, (decision.ENTRIES,), (10_000,), (100,)),
    "prompt-logs": Part(prompt_logs.measure, (100_000,), (10_000,), (100,)),
    "cluster": Part(cluster.measure, (30,), (10,), (3,)),
}
"""By the name that `--only` takes."""
