"""`askonce migrate`: makes or renews what the shared store needs before anybody uses it."""

import argparse

from askonce.cli.reading import read_settings
from askonce.protocols import Store
from askonce.runtimes import Blocking, finish
from askonce.showing import masked_url
from askonce.stores import Ground, open_store

_DEADLINE_S = 10.0


def run(options: argparse.Namespace) -> int:
    url = read_settings(options).shared_url
    runtime = Blocking()
    ground = Ground(
        runtime.guard, runtime.now, runtime.place, deadline=_DEADLINE_S, tick=runtime.tick
    )
    for line in finish(_migrate(open_store(url, ground))) or ["nothing to do"]:
        print(f"{masked_url(url)}: {line}")
    return 0


async def _migrate(store: Store) -> list[str]:
    try:
        return await store.migrate()
    finally:
        await store.close()
