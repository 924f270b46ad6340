"""Does the process stay within the memory that the store was given? One line of JSON.

    python bench/memory_bound.py [--puts N] [--mib N] [--eviction s3-fifo|gdsf]

A fresh process puts answers of about 1 KB (512 to 1,536 bytes, all different) under new keys and
reads some of them again. `rss_growth_bytes` is the highest resident size that the operating
system saw since just before the first put, so passing peaks count too.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

from askonce.core.models import Entry, Key, Usage
from askonce.stores.memory.store import Eviction, MemoryStore


def resident_bytes(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (the highest so far); elsewhere than on Linux always the highest."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def answer(number: int, rng: random.Random) -> Entry:
    """A new answer that shares no object with any other, as if it had come from the network."""
    now = 1_700_000_000.0 + number
    return Entry(
        key=Key(f"team-{number % 7}", "openai_chat", rng.randbytes(32)),
        body=rng.randbytes(rng.randint(512, 1536)),
        status=200,
        headers=(("content-type", "application/json"), ("x-request-id", rng.randbytes(12).hex())),
        created=now,
        expires=now + 3600.0,
        stale_until=now + 7200.0,
        model=f"gpt-{number % 5}",
        origin="https://api.example.com",
        question=rng.randbytes(rng.randint(10, 60)).hex(),
        usage=Usage(input_tokens=300 + number % 1000, output_tokens=300 + number % 700),
        cost_usd=Decimal(number % 1000 + 1) / 100_000,
        latency_ms=300.0 + number % 500,
        tags=((f"product:{number % 100}", 0),) if number % 3 == 0 else (),
    )


def measure(puts: int, size_bytes: int, eviction: Eviction) -> dict[str, object]:
    rng = random.Random(1)
    before = resident_bytes("VmRSS")
    started = time.perf_counter()
    store = MemoryStore(size_bytes, lock=threading.Lock(), eviction=eviction)
    asked_again: list[Key] = []
    for number in range(puts):
        entry = answer(number, rng)
        store.keep(entry)
        if number % 10 == 0:
            asked_again.append(entry.key)
            if len(asked_again) > 1000:
                asked_again[rng.randrange(1000)] = asked_again.pop()
        if asked_again:
            store.find(asked_again[number % len(asked_again)])
    growth = resident_bytes("VmHWM") - before
    return {
        "configured_bytes": size_bytes,
        "rss_growth_bytes": growth,
        "ratio": round(growth / size_bytes, 4),
        "puts": puts,
        "seconds": round(time.perf_counter() - started, 2),
        "eviction": eviction,
        "used_bytes": store.used_bytes,
        "entries": len(store),
        "evicted": store.evicted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--puts", type=int, default=1_000_000)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--eviction", choices=("s3-fifo", "gdsf"), default="s3-fifo")
    parser.add_argument("--here", action="store_true", help="measure in this process")
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(measure(chosen.puts, chosen.mib * 1024 * 1024, chosen.eviction)))
    else:
        # A process of its own, so that nothing measured before counts.
        child = [sys.executable, __file__, "--here", *sys.argv[1:]]
        raise SystemExit(subprocess.run(child, check=False).returncode)


if __name__ == "__main__":
    main()
