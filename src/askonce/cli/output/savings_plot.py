"""The picture of `askonce savings`: the savings each day, what that cost, and what is left."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from askonce.ledger.daily import COSTS
from askonce.ledger.savings import Savings, Sums

_DPI = 150
_KINDS = {
    "exact": ("the same question", "#0b6e4f"),
    "semantic": ("in other words", "#45a17e"),
    "stale": ("stale answers", "#9fd3bd"),
    "joined": ("joined calls", "#2a5caa"),
    "read": ("provider's cache", "#8fb1e0"),
}
_COST, _NET = "#c0392b", "#222222"


def draw(savings: Savings, path: Path) -> None:
    """Write the picture: a bar for each day or month that there are numbers of."""
    days = savings.by("day")
    figure = Figure(figsize=(11, 5), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    places = list(range(len(days)))
    below = [0.0] * len(days)
    for word, (label, color) in _KINDS.items():
        heights = [float(sums.part(word).usd) for sums in days.values()]
        if any(heights):
            axes.bar(places, heights, bottom=below, color=color, label=label, width=0.8)
            below = [low + height for low, height in zip(below, heights, strict=True)]
    costs = [-_cost(sums) for sums in days.values()]
    if any(costs):
        axes.bar(places, costs, color=_COST, label="cost", width=0.8)
    net = [float(sums.net_usd) for sums in days.values()]
    total = f"net, {savings.total.net_usd:,.2f} USD in all"
    axes.plot(places, net, "o-", color=_NET, markersize=3, linewidth=1.2, label=total)
    axes.axhline(0, color="#8a8f98", linewidth=0.8)
    axes.set_title(f"Saved from {savings.since} to {savings.until}")
    axes.set_ylabel("US dollars")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    names = list(days)
    axes.xaxis.set_major_formatter(
        lambda x, _: names[round(x)] if 0 <= round(x) < len(names) and x == round(x) else ""
    )
    axes.grid(axis="y", color="#e6e8eb")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8, rotation=30)
    figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=9)
    figure.savefig(path)


def _cost(sums: Sums) -> float:
    return float(sum(sums.part(word).usd for word in COSTS) + (sums.storage_usd or 0))
