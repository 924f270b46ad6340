"""The tables of `askonce eval`, made from the plain numbers that `--json` prints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from askonce.cli.output.terminal import columns, plain
from askonce.semantic.evaluation.json_reports import merge_buckets, share_values

Results = Mapping[str, Any]


def show(figures: Sequence[Results]) -> Iterator[str]:
    """The lines of every set's tables, and of all sets together where there are several."""
    for one in figures:
        yield from _set(one)
        yield ""
    if len(figures) > 1:
        yield from summary(figures)
    yield "Percents, in brackets their 95 % intervals. What they mean: docs/guides/evaluating.md"


def summary(figures: Sequence[Results]) -> Iterator[str]:
    """Yield a line for each set, at its operating point."""
    pairs = [one for one in figures if one["kind"] == "pairs"]
    streams = [one for one in figures if one["kind"] == "stream"]
    if pairs:
        yield from columns(
            ("pairs", "recall", "wrong rate", "precision", "recall at 95 % precision"),
            [(one["name"], *_rates(one, PAIRS)) for one in pairs],
        )
        yield ""
    if streams:
        yield from columns(
            ("streams", "hit rate", "wrong of hits", "wrong of all", "out of scope served"),
            [(one["name"], *_rates(one, STREAMS)) for one in streams],
        )
        yield ""


STRETCHES = 5
"""The number of stretches of a stream in a table."""

PAIRS = ("recall", "wrong_rate", "precision", "recall_at_precision_95")
STREAMS = ("hit_rate", "wrong_share_of_hits", "wrong_share_of_all", "out_of_scope_served")


def _set(one: Results) -> Iterator[str]:
    if one["kind"] == "pairs":
        yield from _pairs(one)
    else:
        yield from _stream(one)
    yield ""
    yield from _guards(one["guards"], one["threshold"])
    scan = one["compared"]["scan"]
    if "times_as_long" in scan:
        yield ""
        yield (
            f"Tutorials scan all entries: {scan['times_as_long']:.1f} times as long as this index, "
            f"of {scan['entries']:,} entries"
        )


def _pairs(one: Results) -> Iterator[str]:
    yield (
        f"{plain(one['name'])}: {one['pairs']:,} pairs, {one['same']:,} the same and "
        f"{one['different']:,} different{_unread(one)}"
    )
    yield ""
    rows = [(f"AskOnce {one['threshold']:.2f}", *_shares(one, PAIRS[:3]))]
    rows += [
        (f"{fixed['threshold']:.2f} alone", *_shares(fixed, PAIRS[:3]))
        for fixed in one["compared"]["fixed"]
    ]
    yield from columns(("what serves", "recall", "wrong rate", "precision"), rows)
    yield ""
    best, bare = one["recall_at_precision_95"], one["compared"]["recall_at_precision_95"]
    yield (
        f"Best recall with 95 % precision: {_percent(best)} with guards, {_percent(bare)} without"
    )


def _stream(one: Results) -> Iterator[str]:
    yield (
        f"{plain(one['name'])}: {one['questions']:,} questions after {one['needs']:,} needs, "
        f"{one['out_of_scope']:,} out of scope{_unread(one)}"
    )
    yield ""
    figures = [
        (f"AskOnce {one['threshold']:.2f}", one),
        *((f"{fixed['threshold']:.2f} alone", fixed) for fixed in one["compared"]["fixed"]),
        *((f"vCache {vcache['delta']:.2f}", vcache) for vcache in one["compared"]["vcache"]),
    ]
    yield from _policies(figures)
    yield ""
    yield (
        f"{_percent(one['exact_repeats'])} of the questions repeat an earlier one word by word; "
        "without them:"
    )
    yield ""
    yield from _policies([(name, run["without_repeats"]) for name, run in figures])
    yield ""
    yield from _over_time(one["over_time"])


def _policies(figures: Sequence[tuple[str, Results]]) -> Iterator[str]:
    # Of the last two only the rates: with four intervals a line has no room in 80 columns.
    yield from columns(
        ("what serves", "hit rate", "wrong of hits", "wrong of all", "out of scope"),
        [(name, *_shares(run, STREAMS[:2]), *_rates(run, STREAMS[2:])) for name, run in figures],
    )


def _over_time(buckets: Sequence[Results]) -> Iterator[str]:
    rows = [
        (
            f"{stretch.first + 1:,} to {stretch.last + 1:,}",
            f"{stretch.entries:,}",
            *(
                _share(*share_values(one))
                for one in (stretch.hit_rate, stretch.wrong_share_of_hits)
            ),
        )
        for stretch in merge_buckets(buckets, STRETCHES)
    ]
    yield from columns(("questions", "entries", "hit rate", "wrong of hits"), rows)


def _guards(effects: Sequence[Results], threshold: float) -> Iterator[str]:
    rows = [
        (
            effect["guard"],
            _effect(effect, "recall_lost", "same"),
            _effect(effect, "wrong_prevented", "different"),
        )
        for effect in effects
        if effect["same_vetoed"] or effect["different_vetoed"] or effect["guard"] == "all"
    ]
    heads = (f"guard, alone, at {threshold:.2f}", "recall lost", "wrong hits prevented")
    yield from columns(heads, rows)


def _effect(effect: Results, name: str, kind: str) -> str:
    vetoed, proposed = effect[f"{kind}_vetoed"], effect[f"{kind}_proposed"]
    return f"{_percent(effect[name])} ({vetoed:,} of {proposed:,})"


def _shares(one: Results, names: Sequence[str]) -> list[str]:
    return [_share(one[name], one["intervals"][name]) for name in names]


def _rates(one: Results, names: Sequence[str]) -> list[str]:
    return ["-" if one[name] is None else f"{100 * one[name]:.1f}" for name in names]


def _share(rate: float | None, interval: Sequence[float] | None) -> str:
    if rate is None or interval is None:
        return "-"
    low, high = (f"{100 * end:.1f}" for end in interval)
    return f"{100 * rate:.1f} [{low}, {high}]"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f} %"


def _unread(one: Results) -> str:
    unread = one["without_vector"]
    return f"; {unread:,} without a vector, never served" if unread else ""
