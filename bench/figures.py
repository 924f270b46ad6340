"""Figures: measured values beside their goals."""

import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec
from rich.console import Console
from rich.table import Table

LATEST = Path(".bench/latest.json")


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured number; its goal is a bound that it must keep `at_most` or `at_least`."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    detail: dict[str, float | str] = {}

    @property
    def met(self) -> bool | None:
        """Is the goal met; None where there is none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None

    @property
    def goal(self) -> str:
        if self.at_most is not None:
            return f"<= {_plain(self.at_most)}"
        return "" if self.at_least is None else f">= {_plain(self.at_least)}"


def save(
    figures: Sequence[Figure], path: Path, failed: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write the figures, what they were measured on, and why the parts that `failed` did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    saved: dict[str, object] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "figures": [
            {**msgspec.to_builtins(figure), "goal": figure.goal, "met": figure.met}
            for figure in figures
        ],
    }
    if failed:
        saved["failed"] = dict(failed)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(saved), indent=2) + b"\n")


def show(figures: Iterable[Figure]) -> None:
    """Print the figures as a table."""
    table = Table(title="AskOnce, measured", title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("goal", justify="right")
    table.add_column("")
    table.add_column("details", style="dim", overflow="fold")
    for figure in figures:
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.met]
        details = "; ".join(
            f"{name} {value if isinstance(value, str) else _plain(value)}"
            for name, value in figure.detail.items()
        )
        measured = f"{_plain(figure.value)} {figure.unit}".rstrip()
        table.add_row(figure.name, measured, figure.goal, verdict, details)
    Console().print(table)


def percentile(numbers: Sequence[float], percent: int) -> float:
    return statistics.quantiles(numbers, n=100, method="inclusive")[percent - 1]


def _plain(number: float) -> str:
    if not math.isfinite(number):
        return str(number)
    if number == int(number) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"
