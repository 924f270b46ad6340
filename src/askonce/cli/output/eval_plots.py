"""The pictures of `askonce eval`: the trade of a threshold, the rates of a filling cache."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from askonce.semantic.evaluation.json_reports import merge_buckets

Results = Mapping[str, Any]
Place = tuple[int, int]

STRETCHES = 8
"""The number of stretches of a stream in a line."""

OURS, BARE, VCACHE, FAINT = "#0b6e4f", "#c0392b", "#2a5caa", "#8a8f98"
_DPI = 150
_BELOW, _BELOW_LEFT, _ABOVE_LEFT = (5, -9), (-4, -12), (-5, 6)  # points from the numbered point
_APART = 0.03  # of an axis: numbers of points that lie nearer would cover each other


def draw(one: Results, path: Path) -> None:
    """Write the picture of one set."""
    pairs = one["kind"] == "pairs"
    figure = Figure(figsize=(11, 5.4) if pairs else (15, 5.4), dpi=_DPI, layout="constrained")
    if pairs:
        _draw_pairs(figure, one)
    else:
        _draw_stream(figure, one)
    lines = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(lines.values()),
        list(lines),
        loc="outside lower center",
        ncols=8,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path)


# Pairs


def _draw_pairs(figure: Figure, one: Results) -> None:
    figure.suptitle(
        f"{_title(one)}: {one['same']:,} pairs that are the same, {one['different']:,} different"
    )
    left, right = figure.subplots(1, 2)
    _draw_curves(left, one, "wrong_rate", "recall")
    _draw_curves(right, one, "recall", "precision")
    right.axhline(0.95, color=FAINT, linestyle=":", label="95 % precision")
    left.set_xlabel("different pairs served (wrong rate)")
    left.set_ylabel("same pairs served (recall)")
    right.set_xlabel("same pairs served (recall)")
    right.set_ylabel("served pairs that are the same (precision)")
    right.set_ylim(0, 1.03)


def _draw_curves(axes: Axes, one: Results, across: str, up: str) -> None:
    compared = one["compared"]
    for curve, color, label in (
        (compared["curve"], BARE, "threshold alone"),
        (one["curve"], OURS, "threshold and guards"),
    ):
        known = _known(curve, across, up)
        xs, ys = ([point[name] for point in known] for name in (across, up))
        axes.plot(xs, ys, color=color, label=label, linewidth=1.8)
    fixed = _known(compared["fixed"], across, up)
    axes.plot([at[across] for at in fixed], [at[up] for at in fixed], "o", color=BARE, markersize=4)
    _percents(axes)
    # Beside the line, which rises to the right here and falls there.
    place = _BELOW if up == "recall" else _BELOW_LEFT
    _number(axes, fixed, (across, up, "threshold"), color=BARE, place=place)
    _cross(axes, one, across, up)


def _known(points: Sequence[Results], *names: str) -> list[Results]:
    return [point for point in points if all(point[name] is not None for name in names)]


def _number(
    axes: Axes,
    points: Sequence[Results],
    names: tuple[str, str, str],
    *,
    color: str,
    place: Place,
) -> None:
    """Write a point's threshold beside it, unless that would cover the one before."""
    across, up, name = names
    width, height = (end - start for start, end in (axes.get_xlim(), axes.get_ylim()))
    last: tuple[float, float] | None = None
    for point in points:
        x, y = point[across], point[up]
        if last and abs(x - last[0]) < _APART * width and abs(y - last[1]) < _APART * height:
            continue
        last = x, y
        axes.annotate(
            f"{point[name]:.2f}",
            last,
            textcoords="offset points",
            xytext=place,
            ha="left" if place[0] > 0 else "right",
            fontsize=7,
            color=color,
        )


def _cross(axes: Axes, one: Results, across: str, up: str) -> None:
    """The operating point with its interval in both directions."""
    if one[across] is None or one[up] is None:
        return
    x, y = one[across], one[up]
    (left, right), (low, high) = one["intervals"][across], one["intervals"][up]
    axes.errorbar(
        x,
        y,
        xerr=[[x - left], [right - x]],
        yerr=[[y - low], [high - y]],
        fmt="D",
        color=OURS,
        markersize=7,
        markeredgecolor="white",
        capsize=3,
        zorder=5,
        label=f"AskOnce at {one['threshold']:.2f}, with its 95 % interval",
    )


# Streams


def _draw_stream(figure: Figure, one: Results) -> None:
    figure.suptitle(
        f"{_title(one)}: {one['questions']:,} questions after {one['needs']:,} needs, "
        f"{one['out_of_scope']:,} out of scope"
    )
    hits, wrong, trade = figure.subplots(1, 3)
    for axes, what, label in (
        (hits, "hit_rate", "questions served (hit rate)"),
        (wrong, "wrong_share_of_hits", "hits that are wrong"),
    ):
        highest = max(_over_time(axes, *line, what) for line in _lines(one))
        axes.set_xlabel("questions so far")
        axes.set_ylabel(label)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlim(0, one["questions"])
        # The intervals of few hits would make the lines flat.
        axes.set_ylim(0, min(1.0, max(0.02, 1.5 * highest)))
        _plain_frame(axes)
    _draw_trade(trade, one)


def _lines(one: Results) -> list[tuple[Results, str, str, str]]:
    """List the lines over time: vCache, the nearest bare threshold, and AskOnce on top."""
    compared = one["compared"]
    fixed = min(compared["fixed"], key=lambda figures: abs(figures["threshold"] - one["threshold"]))
    vcache = compared["vcache"][1]
    return [
        (vcache, VCACHE, "-", f"vCache, delta {vcache['delta']:.2f}"),
        (fixed, BARE, "-", f"threshold {fixed['threshold']:.2f} alone"),
        (one, OURS, "--", f"AskOnce at {one['threshold']:.2f}"),
    ]


def _over_time(
    axes: Axes, figures: Results, color: str, style: str, label: str, what: str
) -> float:
    """A line with its 95 % interval, for the stretches with any hits; return its height."""
    stretches = [
        (stretch, getattr(stretch, what))
        for stretch in merge_buckets(figures["over_time"], STRETCHES)
        if getattr(stretch, what).rate is not None
    ]
    places = [(stretch.first + stretch.last + 2) / 2 for stretch, _ in stretches]
    rates = [one.rate for _, one in stretches]
    axes.plot(places, rates, style, color=color, label=label, linewidth=1.8)
    lows, highs = [one.low for _, one in stretches], [one.high for _, one in stretches]
    axes.fill_between(places, lows, highs, color=color, alpha=0.12, linewidth=0)
    return max(rates, default=0.0)


def _draw_trade(axes: Axes, one: Results) -> None:
    """Hit rate against wrong hits, a point for each policy."""
    compared, across, up = one["compared"], "wrong_share_of_hits", "hit_rate"
    drawn = []
    for runs, color, label, number in (
        (compared["vcache"], VCACHE, "vCache, by its delta", "delta"),
        (compared["fixed"], BARE, "threshold alone", "threshold"),
        (one["curve"], OURS, "threshold and guards", "threshold"),
    ):
        known = _known(runs, across, up)
        xs, ys = ([run[name] for run in known] for name in (across, up))
        axes.plot(xs, ys, "o-", markersize=4, color=color, label=label, linewidth=1.2)
        drawn.append((known, color, number))
    _cross(axes, one, across, up)
    axes.margins(x=0.1)
    axes.set_ylim(bottom=0)
    _percents(axes)
    for known, color, number in drawn:
        place = _ABOVE_LEFT if color == OURS else _BELOW
        _number(axes, known, (across, up, number), color=color, place=place)
    axes.set_xlabel("hits that are wrong")
    axes.set_ylabel("questions served (hit rate)")


def _percents(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    _plain_frame(axes)


def _plain_frame(axes: Axes) -> None:
    axes.grid(color="#e6e8eb")
    axes.spines[["top", "right"]].set_visible(False)


def _title(one: Results) -> str:
    # A dollar sign would begin mathematics.
    return str(one["name"]).replace("$", r"\$")
