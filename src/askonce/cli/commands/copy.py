"""`askonce copy`: the store's entries into another store."""

import argparse
import hashlib

from askonce.cli.access.configuration import read_settings
from askonce.cli.access.stores import closing, open_existing, open_url
from askonce.cli.transfer.moves import Copy
from askonce.cli.transfer.run_move import move
from askonce.core.errors import ConfigError
from askonce.core.printers import masked_url
from askonce.core.runtime.threads import SyncRuntime


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    source, target = masked_url(settings.shared_url), masked_url(options.to)
    if settings.shared_url == options.to:
        raise ConfigError(f"{target} is the configured store itself; give --to another address")
    of = f"copy of {options.namespace or 'everything'} from {source} to {target}"
    into = open_url(options.to)
    store = open_existing(settings)
    copy = Copy(
        store,
        into,
        f"askonce-copy-{hashlib.sha256(of.encode()).hexdigest()[:8]}.progress",
        of=of,
        namespace=options.namespace,
        clock=SyncRuntime().now,
    )
    return move(
        options,
        "copied",
        {"from": source, "to": target},
        copy.moved,
        lambda report: closing(copy.run(report, restart=options.restart), store, into),
    )
