"""`askonce stats`: the counters of the running gateway, or those that its store has kept."""

import argparse
import json
import urllib.error
import urllib.request
from decimal import Decimal
from http.client import HTTPException
from typing import Any

from askonce.cli.reading import gateway_url, open_existing, read_settings
from askonce.errors import StoreError
from askonce.protocols import Store
from askonce.runtimes import finish
from askonce.settings import Gateway
from askonce.showing import masked_url

COUNTS = ("calls", "hits", "misses", "joined", "bypassed", "stored", "errors")
PATIENCE_S = 1.0
MOST_BYTES = 1 << 20
NANO = Decimal(1_000_000_000)

Tallies = dict[str, int]


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    tallies, source = ask_gateway(settings.gateway), gateway_url(settings.gateway)
    if tallies is None:
        try:
            tallies = finish(_tallies(open_existing(settings)))
        except StoreError as error:
            raise StoreError(f"no gateway answers at {source}, and {error}") from error
        source = masked_url(settings.shared_url)
    numbers: dict[str, Any] = {name: tallies.get(name, 0) for name in COUNTS}
    saved_usd = Decimal(tallies.get("saved_nano_usd", 0)) / NANO
    numbers["saved_usd"] = float(round(saved_usd, 9))
    numbers["saved_tokens"] = tallies.get("saved_tokens", 0)
    if options.json:
        print(json.dumps({**numbers, "source": source}, indent=2))
    else:
        _print(numbers, source)
    return 0


def ask_gateway(gateway: Gateway) -> Tallies | None:
    """The counters of a gateway that runs, or None if none answers, or something else does."""
    # The gateway is ours and near: a proxy of the environment has no part in this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{gateway_url(gateway)}/askonce/stats"
    try:
        with opener.open(url, timeout=PATIENCE_S) as response:
            answer = json.loads(response.read(MOST_BYTES))
    except (OSError, HTTPException, ValueError):
        return None
    if not isinstance(answer, dict) or type(answer.get("calls")) is not int:
        return None
    return {name: value for name, value in answer.items() if type(value) is int}


async def _tallies(store: Store) -> Tallies:
    try:
        return await store.tallies({})
    finally:
        await store.close()


def _print(numbers: dict[str, Any], source: str) -> None:
    asked = numbers["calls"] - numbers["bypassed"]
    served = numbers["hits"] + numbers["joined"]
    for name in COUNTS:
        print(f"{name:<14}{numbers[name]:>14,}")
    print(f"{'saved tokens':<14}{numbers['saved_tokens']:>14,}")
    print(f"{'saved':<14}{numbers['saved_usd']:>14,.4f} USD")
    if asked > 0:
        print(f"{'hit rate':<14}{served / asked:>14.1%} (hits and joined, of calls not bypassed)")
    print(f"from {source}")
