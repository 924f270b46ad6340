"""`askonce invalidate`: forget the answers that the options name, in every layer and process."""

import argparse
import sys
from typing import Any

import msgspec

from askonce.cli import INTERRUPTED
from askonce.cli.access.configuration import read_settings
from askonce.cli.access.layers import existing_cache
from askonce.cli.commands.entries import named_key
from askonce.cli.output.meter import Meter
from askonce.cli.output.terminal import columns, plain, show_json, show_span
from askonce.core.errors import ConfigError
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.sweep import UNDER_WAY, EntrySample, InvalidationResult, Progress
from askonce.invalidation.target import Invalidation, read
from askonce.library.assembly import Assembly
from askonce.library.cache import Cache

WHO = "cli"
_COUNTING_S = 0.5
"""The time limit for counting the answers with a tag before they are invalidated at once."""
_DIGITS = 12  # of a digest, in a table, as in `entries list`


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    fields = _fields(options)
    with existing_cache(settings) as cache:
        wanted = _wanted(cache, fields, options.key)
        try:
            return _carry_out(cache.assembly, wanted, options)
        except KeyboardInterrupt:
            print("askonce: stopped; run it again to do all of it", file=sys.stderr)
            return INTERRUPTED


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    """Read the options, except the keys, which need a store."""
    names = ("namespace", "tenant", "model", "route", "older_than", "match")
    fields = {name: getattr(options, name) for name in names}
    fields = {name: value for name, value in fields.items() if value is not None}
    if options.tag:
        fields["tag"] = options.tag
    if not fields and not options.key:
        raise ConfigError(
            "invalidate what? give at least one of --tag, --key, --model, --namespace, --tenant,"
            " --route, --older-than, --match; --older-than 0s is everything"
        )
    if fields:
        read(fields, 0.0)  # complains before anything is opened
    return fields


def _wanted(cache: Cache, fields: dict[str, Any], keys: list[str]) -> Invalidation:
    store = cache.assembly.stack.shared_store
    assert store is not None
    named = [str(run_sync(named_key(store, text))) for text in keys]
    return read({**fields, "key": named}, cache.assembly.runtimes.sync.now())


def _carry_out(assembly: Assembly, wanted: Invalidation, options: argparse.Namespace) -> int:
    if options.dry_run:
        with Meter("looking") as meter:
            swept = run_sync(
                assembly.invalidation.invalidate(
                    wanted, who=WHO, dry_run=True, progress=meter.report
                )
            )
        _report(swept, wanted, options)
        return 0
    if wanted.by_tags_alone:
        counted = _counted(assembly, wanted)
        run_sync(assembly.invalidation.invalidate(wanted, who=WHO))
        _report(counted, wanted, options)
        return 0
    _ask(assembly, wanted, options)
    began = assembly.runtimes.sync.monotonic()
    with Meter("looking") as meter:
        swept = run_sync(assembly.invalidation.invalidate(wanted, who=WHO, progress=meter.report))
    _report(swept, wanted, options)
    wait_for_those_under_way(assembly, began)
    return 0


def wait_for_those_under_way(assembly: Assembly, began: float) -> None:
    """Wait until entries that others are writing have arrived; closing the cache then looks again.

    Ctrl-C starts the second look at once.
    """
    left = began + UNDER_WAY - assembly.runtimes.sync.monotonic()
    if left < 0.05:
        return
    print(
        f"askonce: looking again in {left:.1f} s, for what is being written now (Ctrl-C: at once)",
        file=sys.stderr,
    )
    try:
        run_sync(assembly.runtimes.sync.sleep(left))
    except KeyboardInterrupt:
        return


class _LongEnough(Exception):
    """Counting reached its time limit."""


def _counted(assembly: Assembly, wanted: Invalidation) -> InvalidationResult:
    """Count the answers with the tags, if that is quick."""
    until = assembly.runtimes.sync.monotonic() + _COUNTING_S

    def stop_when_late(_looked: int) -> None:
        if assembly.runtimes.sync.monotonic() > until:
            raise _LongEnough

    stop: Progress = stop_when_late
    try:
        looked = run_sync(
            assembly.invalidation.invalidate(wanted, who=WHO, dry_run=True, progress=stop)
        )
    except _LongEnough:
        return InvalidationResult(tags=wanted.tags)
    return msgspec.structs.replace(looked, dry_run=False, tags=wanted.tags)


def _ask(assembly: Assembly, wanted: Invalidation, options: argparse.Namespace) -> None:
    """Ask on a terminal before removing answers that were not named by tag or key."""
    named = wanted.tags or wanted.keys
    if options.yes or options.json or named or not sys.stdin.isatty() or not sys.stderr.isatty():
        return
    with Meter("looking") as meter:
        looked = run_sync(
            assembly.invalidation.invalidate(wanted, who=WHO, dry_run=True, progress=meter.report)
        )
    if not looked.entries:
        return
    for line in _table(looked):
        print(line, file=sys.stderr)
    question = f"invalidate {_answers(looked.entries)}? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was invalidated")


# Output


def below(swept: InvalidationResult) -> dict[str, int]:
    """The counts of the layers; this process's own memory holds nothing."""
    return {name: count for name, count in swept.layers.items() if name != "memory"}


def _report(swept: InvalidationResult, wanted: Invalidation, options: argparse.Namespace) -> None:
    if options.json:
        facts = {
            "dry_run": options.dry_run,
            "entries": swept.entries,
            "layers": below(swept),
            "tags": list(wanted.tags),
            "samples": msgspec.to_builtins(swept.samples),
        }
        print(show_json(facts))
        return
    if options.dry_run:
        for line in _table(swept):
            print(line)
    said = "would invalidate" if options.dry_run else "invalidated"
    layers = below(swept)
    each = ", ".join(f"{name}: {count:,}" for name, count in layers.items())
    where = f" ({each})" if len(layers) > 1 and swept.entries else ""
    print(f"{said} {_answers(swept.entries)}{_by_tags(wanted)}{where}")


def _by_tags(wanted: Invalidation) -> str:
    if not wanted.by_tags_alone:
        return ""
    tags = "the tag" if len(wanted.tags) == 1 else f"{len(wanted.tags)} tags"
    return f" by {tags} {plain(', '.join(wanted.tags))}"


def _table(swept: InvalidationResult) -> list[str]:
    if not swept.samples:
        return []
    now = [_row(sample) for sample in swept.samples]
    lines = columns(("KEY", "NAMESPACE", "MODEL", "AGE", "TAGS", "QUESTION"), now)
    more = (swept.entries or 0) - len(swept.samples)
    return [*lines, f"... and {more:,} more"] if more > 0 else lines


def _row(sample: EntrySample) -> tuple[str, ...]:
    place, _, digest = sample.key.rpartition("/")
    namespace = place.rpartition("/")[0]
    tags = ", ".join(sample.tags) or "-"
    age = show_span(sample.age)
    return (digest[:_DIGITS], namespace, sample.model or "-", age, tags, sample.question)


def _answers(entries: int | None) -> str:
    if entries is None:
        return "all answers (too many to count)"
    return "1 answer" if entries == 1 else f"{entries:,} answers"
