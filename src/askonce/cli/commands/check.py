"""`askonce check`: read the whole store and report, or remove, damaged entries."""

import argparse
import json

from askonce.cli.access.configuration import read_settings
from askonce.cli.access.stores import open_existing
from askonce.core.models import Damage
from askonce.core.printers import masked_url
from askonce.core.protocols import Store
from askonce.core.rules.re2 import compiled_rules
from askonce.core.runtime.threads import run_sync


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    compiled_rules(settings.rules)  # find a wrong pattern now, not while the gateway runs
    damage = run_sync(_check(open_existing(settings), fix=options.fix))
    where = masked_url(settings.shared_url)
    remains = bool(damage) and not options.fix
    if options.json:
        found = [{"what": item.what, "where": item.where} for item in damage]
        print(json.dumps({"store": where, "fixed": options.fix, "damage": found}, indent=2))
    else:
        for item in damage:
            print(f"{'removed' if options.fix else 'damaged'}: {item.where}: {item.what}")
        print(f"{where}: {_summary(len(damage), fix=options.fix)}")
    return 1 if remains else 0


async def _check(store: Store, *, fix: bool) -> list[Damage]:
    try:
        return await store.check(fix=fix)
    finally:
        await store.close()


def _summary(count: int, *, fix: bool) -> str:
    if not count:
        return "nothing is damaged"
    things, them = ("entry", "it") if count == 1 else ("entries", "them")
    if fix:
        return f"{count} damaged {things} removed"
    return f"{count} damaged {things}; `askonce check --fix` removes {them}"
