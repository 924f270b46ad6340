"""`askonce import`: the entries of an archive into the store."""

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from askonce.cli.access.configuration import read_settings
from askonce.cli.access.stores import closing, open_shared
from askonce.cli.transfer.moves import Import
from askonce.cli.transfer.run_move import move
from askonce.core.errors import ConfigError
from askonce.core.printers import masked_url
from askonce.core.runtime.threads import SyncRuntime


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    target = masked_url(settings.shared_url)
    with ExitStack() as files:
        file = files.enter_context(_opened(options.file))
        store = open_shared(settings)
        # Reads the whole archive first: a damaged one imports nothing.
        arriving = Import(
            store,
            file,
            options.file,
            target=target,
            clock=SyncRuntime().now,
            foreign=options.foreign,
            overwrite=options.overwrite,
        )
        name = "standard input" if options.file == "-" else options.file
        return move(
            options,
            "imported",
            {"from": name, "to": target},
            arriving.moved,
            lambda report: closing(arriving.run(report, restart=options.restart), store),
            total=arriving.total,
        )


def _opened(name: str) -> BinaryIO:
    if name == "-":
        kept = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
        shutil.copyfileobj(sys.stdin.buffer, kept)
        return kept
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
