"""`askonce prompts check`: compare a repository's prompts with their snapshots."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from askonce.cli.output.terminal import plain, show_json
from askonce.core.errors import ConfigError
from askonce.prompts.analyzer.snapshots import (
    VERSION,
    Snapshot,
    SnapshotChange,
    Snapshots,
    compare,
    guess_api,
    snapshot,
)
from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.rules import RuleBook
from askonce.prompts.requests.dialects import DIALECTS, PROVIDERS
from askonce.prompts.requests.render import render


def run(options: argparse.Namespace) -> int:
    book = load_rules()
    prompts = {_name(file): _snapshot(file, options.api, book) for file in options.files}
    before = _kept(options.snapshots)
    if before is None and not options.update:
        raise ConfigError(
            f"{options.snapshots}: does not exist; `askonce prompts check --update` makes it"
        )
    changes = compare(before or {}, prompts)
    if options.update:
        _keep(options.snapshots, prompts)
    if options.json:
        shown = [msgspec.to_builtins(change) for change in changes]
        print(show_json({"prompts": len(prompts), "changes": shown, "updated": options.update}))
    else:
        _show(changes, len(prompts), options)
    return 1 if changes and not options.update else 0


def _name(file: str) -> str:
    """Return a name that is the same on every system and in every clone."""
    path = Path(file)
    if path.is_absolute():
        path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return path.as_posix()


def _snapshot(file: str, api: str | None, book: RuleBook) -> Snapshot:
    request = _body(file)
    if isinstance(request.get("request"), dict):  # a line of a log
        api = api or request.get("api")
        request = request["request"]
    dialect = api or guess_api(request)
    if dialect not in DIALECTS:
        raise ConfigError(f"{file}: is no request body that we know; give its --api")
    model = request.get("model")
    model = model if isinstance(model, str) else ""
    rule = book.rule(PROVIDERS[dialect], model)
    return snapshot(render(request, dialect, rule=rule, model=model))


def _body(file: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(Path(file).read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ConfigError(f"{file}: is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: is not a JSON object")
    return found


def _kept(name: str) -> dict[str, Snapshot] | None:
    path = Path(name)
    if not path.exists():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Snapshots)
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise ConfigError(f"{name}: is not a file of snapshots: {error}") from None
    if found.version != VERSION:
        raise ConfigError(f"{name}: has version {found.version}; renew it with --update")
    return found.prompts


def _keep(name: str, prompts: dict[str, Snapshot]) -> None:
    data = msgspec.json.encode(Snapshots(VERSION, dict(sorted(prompts.items()))))
    try:
        Path(name).write_bytes(msgspec.json.format(data, indent=1) + b"\n")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be written: {error.strerror or error}") from None


def _show(changes: list[SnapshotChange], count: int, options: argparse.Namespace) -> None:
    for change in changes:
        print(f"{plain(change.file)}: {_sentence(change)}")
    kept = count - sum(change.what != "gone" for change in changes)
    print(f"{kept:,} of {count:,} prompts are unchanged", file=sys.stderr)
    if options.update:
        print(f"askonce: wrote {plain(options.snapshots)}", file=sys.stderr)


def _sentence(change: SnapshotChange) -> str:
    if change.what in ("gone", "new"):
        return f"{change.what}; --update records it"
    where = change.pointer or "/"
    lost = change.size - change.kept
    part = f"{lost:,} of its {change.size:,} bytes come after that"
    if change.what == "changed":
        return f"differs from its snapshot at {where}, from byte {change.byte:,} on; {part}"
    if change.what == "longer":
        return f"continues at {where}, where it ended before"
    return f"ends where {where} was before"
