"""`askonce stats`: the counters of the running gateway, or those that its store has kept."""

import argparse
import json
from typing import Any

from askonce.cli.access.configuration import read_settings
from askonce.cli.access.gateways import ask_gateway, gateway_url
from askonce.cli.access.stores import open_existing
from askonce.core.errors import StoreError
from askonce.core.printers import masked_url
from askonce.core.protocols import Store
from askonce.core.runtime.threads import run_sync
from askonce.ledger.ledger import Stats, stats_of

COUNTS = ("calls", "hits", "misses", "joined", "bypassed", "stored", "errors")

_AGREEMENTS = ("agrees", "unclear", "disagrees")


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    stats, source = ask_gateway(settings.gateway), gateway_url(settings.gateway)
    if stats is None:
        try:
            stats = run_sync(_kept(open_existing(settings)))
        except StoreError as error:
            raise StoreError(f"no gateway answers at {source}, and {error}") from error
        source = masked_url(settings.shared_url)
    if options.json:
        numbers: dict[str, Any] = {name: getattr(stats, name) for name in COUNTS}
        numbers["saved_usd"] = float(round(stats.saved_usd, 9))
        numbers["saved_tokens"] = stats.saved_tokens
        numbers["by_meaning"] = stats.outcomes.get("semantic", 0)
        numbers["semantic"] = stats.semantic
        numbers["never_repeats"] = stats.never_repeats
        print(json.dumps({**numbers, "source": source}, indent=2))
    else:
        _print(stats, source)
    return 0


async def _kept(store: Store) -> Stats:
    try:
        return stats_of(await store.counters({}))
    finally:
        await store.close()


def _print(stats: Stats, source: str) -> None:
    for name in COUNTS:
        print(f"{name:<14}{getattr(stats, name):>14,}")
    print(f"{'saved tokens':<14}{stats.saved_tokens:>14,}")
    print(f"{'saved':<14}{stats.saved_usd:>14,.4f} USD")
    if stats.calls > stats.bypassed:
        rate = f"{stats.hit_rate:>14.1%}"
        print(f"{'hit rate':<14}{rate} (hits and joined, of calls not bypassed)")
    _print_semantic(stats)
    for advice in stats.never_repeats.values():
        print(advice)
    print(f"from {source}")


def _print_semantic(stats: Stats) -> None:
    """Print the results of matching by meaning, if it compared any question."""
    counts = stats.semantic
    if hits := stats.outcomes.get("semantic", 0):
        print(f"{'by meaning':<14}{hits:>14,} of the hits")
    would = {word: counts.get(f"shadow:{word}", 0) for word in _AGREEMENTS}
    looked = sum(would.values()) + counts.get("shadow:none", 0)
    if looked:
        said = ", ".join(f"{count:,} {word}" for word, count in would.items())
        print(f"{'in shadow':<14}{sum(would.values()):>14,} of {looked:,} would be hits: {said}")
    bands = sorted({word.split(":")[1] for word in counts if word.startswith("shadow:0.")})
    for band in reversed(bands):
        parts = [f"{counts.get(f'shadow:{band}:{word}', 0):>7,} {word}" for word in _AGREEMENTS]
        print(f"  from {band}    {' '.join(parts)}")
