"""`askonce export`: the store's entries as one file."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from askonce.cli.access.configuration import read_settings
from askonce.cli.access.stores import closing, open_existing
from askonce.cli.transfer.checkpoints import writing
from askonce.cli.transfer.moves import Export
from askonce.cli.transfer.run_move import move
from askonce.core.errors import ConfigError
from askonce.core.printers import masked_url
from askonce.core.runtime.threads import SyncRuntime


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    source = masked_url(settings.shared_url)
    store = open_existing(settings)
    export = Export(
        store, options.file, source=source, namespace=options.namespace, clock=SyncRuntime().now
    )
    path = Path(options.file)
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; name a file in it")
    if options.file != "-" and (path.is_file() or not path.exists()):
        return move(
            options,
            "exported",
            {"from": source, "to": options.file},
            export.moved,
            lambda report: closing(export.run(report, restart=options.restart), store),
        )
    # A pipe or a device can be neither renamed nor continued.
    with _stream(options.file) as stream:
        return move(
            options,
            "exported",
            {"from": source},
            export.moved,
            lambda report: closing(export.to_stream(stream, report), store),
            again="what was written is not an archive",
            to_stdout=True,
        )


@contextmanager
def _stream(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        if sys.stdout.isatty():
            raise ConfigError("an archive is not for a terminal; write `askonce export - > FILE`")
        yield sys.stdout.buffer
        return
    with writing(name), Path(name).open("wb") as file:
        yield file
