"""`askonce docs sync`: invalidate the answers of changed documents."""

import argparse
import json
import sys
from pathlib import Path

import msgspec

from askonce.cli import INTERRUPTED
from askonce.cli.access.configuration import read_settings
from askonce.cli.access.stores import closing, open_existing
from askonce.cli.output.meter import Meter
from askonce.cli.output.terminal import plain
from askonce.core.document_tags import version_of
from askonce.core.errors import ConfigError
from askonce.core.fail_open import FailOpen
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.invalidation.audit import Audit
from askonce.invalidation.document_sync import (
    DocumentSync,
    DocumentSyncResult,
    Manifest,
    read_manifest,
)
from askonce.ledger.ledger import Ledger

WHO = "cli"
_NAMED = 5


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    manifest = _manifest(options.manifest, options.prefix)
    runtime = SyncRuntime()
    store = open_existing(settings)
    syncing = DocumentSync(store, manifest)
    results: list[DocumentSyncResult] = []

    with Meter("looking") as meter:

        async def work() -> None:
            results.append(await syncing.run(dry_run=options.dry_run, progress=meter.report))

        try:
            run_sync(closing(work(), store))
        except KeyboardInterrupt:
            print("askonce: stopped; run it again to do all of it", file=sys.stderr)
            return INTERRUPTED
    (synced,) = results
    if not synced.dry_run:
        audit = Audit(FailOpen(Ledger(runtime.lock())), runtime.now, settings.admin.audit)
        audit(WHO, _audit_facts(synced, options.prefix), synced.entries, tags=synced.tags)
    if options.json:
        print(json.dumps(msgspec.to_builtins(synced), indent=2))
    else:
        _print(synced)
    return 0


def _audit_facts(synced: DocumentSyncResult, prefix: str) -> dict[str, str | int]:
    return {
        "documents": prefix,
        "changed": len(synced.changed),
        "removed": len(synced.removed),
        "added": len(synced.added),
    }


def _manifest(name: str, prefix: str) -> Manifest:
    """The manifest in a file, with the versions of the files that it names."""
    path = Path(name)
    try:
        raw = sys.stdin.buffer.read() if name == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    folder = Path() if name == "-" else path.parent

    def file_version(relative: str) -> str:
        try:
            return version_of((folder / relative).read_bytes())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"{name}: {relative} cannot be read: {reason}") from None

    return Manifest(
        read_manifest(raw, "the manifest" if name == "-" else name, file_version), prefix
    )


def _print(synced: DocumentSyncResult) -> None:
    for what in ("changed", "removed", "added"):
        names = getattr(synced, what)
        if names:
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            print(f"{what} {len(names):,}: {', '.join(map(plain, names[:_NAMED]))}{more}")
    print(f"unchanged {synced.unchanged:,}")
    entries = "1 answer" if synced.entries == 1 else f"{synced.entries:,} answers"
    tags = "1 tag" if len(synced.tags) == 1 else f"{len(synced.tags):,} tags"
    would = "would invalidate" if synced.dry_run else "invalidated"
    print(f"{would} {entries} by {tags}")
    for sample in synced.samples:
        print(f"  {plain(sample.question) or sample.key}  ({plain(', '.join(sample.documents))})")
    more_entries = synced.entries - len(synced.samples)
    if more_entries:
        print(f"  and {more_entries:,} more")
