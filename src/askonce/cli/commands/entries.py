"""`askonce entries list | show | remove`: list, show and remove stored entries."""

import argparse
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from askonce.cli.access.configuration import read_settings
from askonce.cli.access.stores import closing, open_existing
from askonce.cli.output.terminal import columns, plain, show_json, show_span
from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime, run_sync

SHORTEST_DIGEST = 8
_SHOWN = 12  # digits of a digest in a table: enough to paste into another command
_NAMED = 5  # keys listed for an ambiguous one


def run(options: argparse.Namespace) -> int:
    store = open_existing(read_settings(options))
    verb = {"list": _list, "show": _show, "remove": _remove}[options.verb]
    results: list[int] = []

    async def work() -> None:
        results.append(await verb(store, options))

    run_sync(closing(work(), store))
    return results[0]


# list


class _Listed(NamedTuple):
    entry: Entry
    size: int


async def _list(store: Store, options: argparse.Namespace) -> int:
    now = SyncRuntime().now()
    found: list[_Listed] = []
    more = False
    async for entry in store.scan(Selection(namespace=options.namespace)):
        if not _is_asked_for(entry, options):
            continue
        more = len(found) == options.limit
        if more:
            break
        # A list needs no answers, and there may be many.
        found.append(_Listed(msgspec.structs.replace(entry, body=b""), len(entry.body)))
    if options.json:
        print(
            json.dumps({"entries": [_summary(one, now) for one in found], "more": more}, indent=2)
        )
        return 0
    if not found:
        print("no entries")
        return 0
    heads = ("KEY", "NAMESPACE", "FORMAT", "MODEL", "AGE", "LEFT", "SIZE", "QUESTION")
    rows = [_row(one, now) for one in found]
    for line in columns(heads, rows):
        print(line)
    if more:
        print(f"... and more; --limit shows more than {options.limit}")
    return 0


def _is_asked_for(entry: Entry, options: argparse.Namespace) -> bool:
    return (
        entry.key.namespace != "~askonce"
        and (options.model is None or entry.model == options.model)
        and (options.tag is None or any(tag == options.tag for tag, _ in entry.tags))
    )


def _row(listed: _Listed, now: float) -> tuple[str, ...]:
    entry, size = listed
    left = entry.expires - now
    return (
        entry.key.digest.hex()[:_SHOWN],
        entry.key.namespace,
        entry.key.format,
        entry.model or "-",
        show_span(entry.age(now)),
        show_span(left) if left > 0 else "expired",
        _short_size(size),
        entry.question,
    )


def _summary(listed: _Listed, now: float) -> dict[str, Any]:
    entry, size = listed
    return {
        "key": str(entry.key),
        "model": entry.model,
        "age": round(entry.age(now), 3),
        "ttl": round(entry.expires - now, 3),
        "size": size,
        "tags": [tag for tag, _ in entry.tags],
        "question": entry.question,
    }


def _short_size(size: int) -> str:
    for unit, length in (("M", 1 << 20), ("K", 1 << 10)):
        if size >= length:
            return f"{size / length:.1f}{unit}"
    return f"{size}B"


# show


async def _show(store: Store, options: argparse.Namespace) -> int:
    key = await named_key(store, options.key)
    entry = await store.read(key)
    if entry is None:
        raise StoreError(f"there is no entry {key}")
    now = SyncRuntime().now()
    if options.json:
        print(show_json(_facts(entry, now)))
    else:
        _print(entry, now)
    return 0


def _facts(entry: Entry, now: float) -> dict[str, Any]:
    """Return the entry for programs: seconds, bytes, the body as text or base64."""
    try:
        body = {"body": entry.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(entry.body).decode()}
    return {
        **_summary(_Listed(entry, len(entry.body)), now),
        "origin": entry.origin,
        "status": entry.status,
        "headers": entry.headers,
        "created": entry.created,
        "expires": entry.expires,
        "stale_until": entry.stale_until,
        "latency_ms": entry.latency_ms,
        "usage": msgspec.structs.asdict(entry.usage) if entry.usage else None,
        "cost_usd": str(entry.cost_usd) if entry.cost_usd is not None else None,
        **body,
    }


def _print(entry: Entry, now: float) -> None:
    left = entry.expires - now
    usage = msgspec.structs.asdict(entry.usage) if entry.usage else {}
    facts = {
        "key": str(entry.key),
        "model": entry.model,
        "origin": entry.origin,
        "question": entry.question,
        "status": str(entry.status),
        "headers": ", ".join(f"{name}: {value}" for name, value in entry.headers),
        "age": show_span(entry.age(now)),
        "left": show_span(left) if left > 0 else "expired",
        "size": f"{len(entry.body):,} bytes",
        "tags": ", ".join(tag for tag, _ in entry.tags),
        "usage": ", ".join(f"{count:,} {name}" for name, count in usage.items() if count),
        "cost": f"{entry.cost_usd} USD" if entry.cost_usd is not None else "",
        "latency": f"{entry.latency_ms:,.0f} ms" if entry.latency_ms else "",
    }
    for name, value in facts.items():
        if value:
            print(f"{name:<10}{plain(value)}")
    print()
    try:
        print(_readable(entry.body.decode()))
    except UnicodeDecodeError:
        print("(the answer is not text; --json has its bytes)")


def _readable(body: str) -> str:
    with contextlib.suppress(ValueError, RecursionError):  # other text is shown as it is
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return "\n".join(plain(line) for line in body.split("\n"))


# remove


async def _remove(store: Store, options: argparse.Namespace) -> int:
    if bool(options.keys) + (options.namespace is not None) + options.all != 1:
        raise ConfigError("entries remove: name keys, a --namespace or --all")
    selection, what = Selection(), "every entry"
    if options.keys:
        selection = Selection(keys=tuple([await named_key(store, text) for text in options.keys]))
    elif options.namespace is not None:
        selection = Selection(namespace=options.namespace)
        what = f"every entry of the namespace {options.namespace}"
    if options.dry_run:
        count = 0
        async for _ in store.scan(selection):
            count += 1
        return _said(count, options, removed=False)
    if not (options.keys or options.yes):
        _confirm(what)
    return _said(await store.remove(selection), options, removed=True)


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"standard input is not a terminal to ask on; give --yes to remove {what}"
        )
    print(f"remove {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was removed")


def _said(count: int, options: argparse.Namespace, *, removed: bool) -> int:
    if options.json:
        print(json.dumps({"entries": count, "removed": removed}, indent=2))
    else:
        entries = "1 entry" if count == 1 else f"{count:,} entries"
        print(f"{'removed' if removed else 'would remove'} {entries}")
    return 0


# Keys as people write them


async def named_key(store: Store, text: str) -> Key:
    """Find a key by its text, by `namespace/format/3f9c…` or by the first digits of a digest."""
    try:
        return Key.parse(text)
    except ValueError:
        pass
    rest, _, digits = text.rpartition("/")
    namespace, _, format_ = rest.rpartition("/")
    digits = digits.rstrip("….").lower()
    is_hex = bool(digits) and not set(digits) - set("0123456789abcdef")
    if not is_hex or bool(namespace) != bool(format_) or len(digits) < SHORTEST_DIGEST * (not rest):
        raise ConfigError(
            f"not a key: {plain(text)}; write namespace/format/digest, or at least the first "
            f"{SHORTEST_DIGEST} digits of the digest"
        )
    found = []
    async for entry in _candidates(store, namespace, format_, digits):
        found.append(str(entry.key))
        if len(found) > _NAMED:
            break
    if not found:
        raise StoreError(f"there is no entry whose key begins with {text}")
    if len(found) > 1:
        named = ", ".join(sorted(found)[:_NAMED])
        more = " and others" if len(found) > _NAMED else ""
        raise StoreError(f"{text} could be {named}{more}; write more of it")
    return Key.parse(found[0])


async def _candidates(
    store: Store, namespace: str, format_: str, digits: str
) -> AsyncIterator[Entry]:
    async for entry in store.scan(Selection(namespace=namespace or None)):
        of_format = not format_ or entry.key.format == format_
        if of_format and entry.key.digest.hex().startswith(digits):
            yield entry
