"""`askonce migrate`: create or update the schema of the shared store and the event sources."""

import argparse

from askonce.cli.access.configuration import read_settings
from askonce.core.printers import masked_url
from askonce.core.protocols import EventReader, Store
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.stores.context import StoreContext
from askonce.stores.open_event_reader import open_event_reader
from askonce.stores.open_store import open_store

_DEADLINE_S = 10.0


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    context = StoreContext.of(SyncRuntime(), _DEADLINE_S)
    places: list[tuple[str, Store | EventReader]] = [
        (settings.shared_url, open_store(settings.shared_url, context))
    ]
    for source in settings.sources:
        where = {"stream": source.stream, "channel": source.channel}
        places.append(
            (source.url, open_event_reader(source.url, context, name=source.name, **where))
        )
    for url, place in places:
        for line in run_sync(_migrate(place)) or ["nothing to do"]:
            print(f"{masked_url(url)}: {line}")
    return 0


async def _migrate(store: Store | EventReader) -> list[str]:
    try:
        return await store.migrate()
    finally:
        await store.close()
