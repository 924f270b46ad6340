"""`askonce forget`: remove a person's answers from every layer, and print a receipt."""

import argparse
import json
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, NamedTuple

from askonce.cli import INTERRUPTED
from askonce.cli.access.configuration import read_settings
from askonce.cli.access.gateways import gateway_url
from askonce.cli.access.layers import existing_cache, existing_layers
from askonce.cli.access.stores import open_url
from askonce.cli.commands.invalidate import WHO, below
from askonce.cli.output.meter import Meter
from askonce.cli.output.terminal import columns, plain, show_json
from askonce.config.settings import Settings
from askonce.core.directives import is_tag
from askonce.core.errors import ConfigError
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.sweep import UNDER_WAY
from askonce.invalidation.target import Invalidation, read
from askonce.library.assembly import Assembly
from askonce.stores.tiered.layers import tiers_of

_PATIENCE_S = 60.0
_MOST_BYTES = 1 << 20
_DID_NOT_SAY = "did not say"
_INDEX_MISSED = "could not be reached: vectors of it may be left; run it again"
_NOT_REACHED = (
    "archives that `askonce export` wrote, and backups of the store",
    "bytes in SQLite files of other machines; the answers go there too, run this there as well",
    "logs and audit lines; the tag itself, which is kept so that no late answer comes back",
    "the provider, and everyone who received the answers",
)


class LayerCount(NamedTuple):
    """A layer's entries about the subject."""

    found: int
    left: int | None


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    wanted = read({"subject": options.subject}, 0.0)
    try:
        receipt = _forget(settings, wanted, dry_run=options.dry_run)
    except KeyboardInterrupt:
        print("askonce: stopped before it was proved; run it again", file=sys.stderr)
        return INTERRUPTED
    if options.json:
        print(show_json(receipt))
    else:
        _print(receipt)
    unsure = receipt["gateway"].startswith(_DID_NOT_SAY) or receipt["index"] == _INDEX_MISSED
    return 1 if receipt["left"] or unsure else 0


def _forget(settings: Settings, wanted: Invalidation, *, dry_run: bool) -> dict[str, Any]:
    before = _in_gateway(settings, wanted)
    with existing_cache(settings) as cache:
        assembly = cache.assembly
        if dry_run:
            layers = {
                name: LayerCount(count, None) for name, count in _look(assembly, wanted).items()
            }
            unreadable = 0
        else:
            found = _sweep(assembly, wanted)
            unreadable = _scrub(settings)
            left = _look(assembly, wanted)
            layers = {name: LayerCount(count, left[name]) for name, count in found.items()}
        now = assembly.runtimes.sync.now()
        index = _index(assembly)
    after = before if dry_run else _in_gateway(settings, wanted)
    if isinstance(before, int) and isinstance(after, int):
        layers["gateway's memory"] = LayerCount(before, None if dry_run else after)
    return {
        "subject": wanted.subject,
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "dry_run": dry_run,
        "layers": {name: _facts(one) for name, one in layers.items()},
        "left": None if dry_run else sum(one.left or 0 for one in layers.values()),
        "unreadable_removed": unreadable,
        "index": index,
        "gateway": "was asked" if isinstance(after, int) else after,
        "not_reached": list(_NOT_REACHED),
    }


def _index(assembly: Assembly) -> str:
    """Describe what happened to the vectors of the removed entries."""
    if assembly.semantic is None:
        return "no question is matched by meaning"
    return _INDEX_MISSED if assembly.semantic.missed_removal else "has no vector of it any more"


def _facts(one: LayerCount) -> dict[str, int]:
    return {"found": one.found} | (
        {} if one.left is None else {"removed": max(0, one.found - one.left), "left": one.left}
    )


def _look(assembly: Assembly, wanted: Invalidation) -> dict[str, int]:
    with Meter("looking") as meter:
        looked = run_sync(
            assembly.invalidation.invalidate(wanted, who=WHO, dry_run=True, progress=meter.report)
        )
    return below(looked)


def _sweep(assembly: Assembly, wanted: Invalidation) -> dict[str, int]:
    """Remove the entries, and once more those that arrived meanwhile."""
    with Meter("removing") as meter:
        first = run_sync(assembly.invalidation.invalidate(wanted, who=WHO, progress=meter.report))
        if wanted.subject is not None and is_tag(wanted.subject):
            # Only now: a scan does not see entries with an invalidated tag.
            run_sync(
                assembly.invalidation.invalidate(Invalidation(tags=(wanted.subject,)), who=WHO)
            )
    print(f"askonce: waiting {UNDER_WAY} s for what is being written now", file=sys.stderr)
    run_sync(assembly.runtimes.sync.sleep(UNDER_WAY))
    with Meter("removing") as meter:
        second = run_sync(assembly.invalidation.invalidate(wanted, who=WHO, progress=meter.report))
    late = below(second)
    return {name: count + late[name] for name, count in below(first).items()}


def _scrub(settings: Settings) -> int:
    """Overwrite the removed bytes; return how many unreadable entries went too."""
    removed = 0
    for tier in tiers_of(existing_layers(settings))[1]:
        store = open_url(str(tier.store), size=tier.size)
        try:
            removed += run_sync(store.scrub())
        finally:
            run_sync(store.close())
    return removed


def _in_gateway(settings: Settings, wanted: Invalidation) -> int | str:
    """Count the entries in the memory of the running gateway, or return why that is unknown."""
    url = gateway_url(settings.gateway)
    if settings.admin.token is None:
        return f"was not asked: the one at {url} answers only with an [admin] token"
    request = urllib.request.Request(  # noqa: S310 - an address of the settings, http:// always
        f"{url}/askonce/invalidate",
        json.dumps({"subject": wanted.subject, "dry_run": True}).encode(),
        {"authorization": f"Bearer {settings.admin.token}", "content-type": "application/json"},
    )
    # The gateway is ours and near: a proxy of the environment has no part in this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_PATIENCE_S) as response:
            return int(json.loads(response.read(_MOST_BYTES))["layers"]["memory"])
    except urllib.error.HTTPError as error:
        error.close()
        return f"{_DID_NOT_SAY}: the one at {url} answered {error.code}"
    except urllib.error.URLError:
        return f"was not asked: none answers at {url}"
    except (OSError, HTTPException):
        return f"{_DID_NOT_SAY}: the one at {url} broke off, or took more than {_PATIENCE_S:.0f} s"
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"what answers at {url} is no AskOnce gateway") from None


def _print(receipt: dict[str, Any]) -> None:
    said = "would forget" if receipt["dry_run"] else "forgot"
    print(f"{said} {plain(receipt['subject'])}, {receipt['time']}")
    print()
    heads = ("LAYER", "FOUND") if receipt["dry_run"] else ("LAYER", "FOUND", "REMOVED", "LEFT")
    rows = [[name, *map(str, counts.values())] for name, counts in receipt["layers"].items()]
    for line in columns(heads, rows):
        print(line)
    print()
    if receipt["unreadable_removed"]:
        count = receipt["unreadable_removed"]
        print(f"also removed {count:,} unreadable entries, regardless of their subject")
    print(f"the gateway {receipt['gateway']}")
    print(f"the index: {receipt['index']}")
    print("not reached:")
    for place in receipt["not_reached"]:
        print(f"  {place}")
