"""What the demo found out, as numbers and as a page that a person reads."""

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import msgspec
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from askonce.cli.demo.traffic import TrafficCall

WIDTH = 88


class CacheStatus(msgspec.Struct, frozen=True):
    """AskOnce's member of a `Cache-Status` header (RFC 9211)."""

    hit: bool = False
    fwd: str = ""
    detail: str = ""
    stored: bool = False

    @classmethod
    def parse(cls, header: str) -> "CacheStatus | None":
        """Read the header; None where AskOnce is not among the caches it lists."""
        for member in header.split(","):
            name, *parameters = [part.strip() for part in member.split(";")]
            if name.strip('"').lower() == "askonce":
                fields = dict(part.partition("=")[::2] for part in parameters)
                return cls(
                    hit="hit" in fields,
                    fwd=fields.get("fwd", ""),
                    detail=fields.get("detail", "").strip('"'),
                    stored="stored" in fields,
                )
        return None

    @property
    def outcome(self) -> str:
        """`hit`, `joined`, `miss` or `bypass`."""
        if self.detail == "joined":
            return "joined"
        if self.hit:
            return "hit"
        return "bypass" if self.fwd == "bypass" else "miss"


class Answered(msgspec.Struct, frozen=True):
    """One call of the demo, as its caller saw it. Times are milliseconds."""

    ask: TrafficCall
    outcome: str
    took_ms: float
    first_text_ms: float | None = None
    right: bool = True
    error: str = ""


class DemoSavings(msgspec.Struct, frozen=True):
    """What the gateway's own ledger says was saved; None where it did not say."""

    usd: Decimal | None = None
    tokens: int | None = None


class Report(msgspec.Struct, frozen=True):
    """What came of a demo: every call, how long all took, what the provider saw."""

    calls: tuple[Answered, ...]
    seconds: float
    upstream_calls: int | None = None
    savings: DemoSavings = DemoSavings()

    def where(self, outcome: str) -> list[Answered]:
        """The calls that were answered this way."""
        return [call for call in self.calls if call.outcome == outcome and not call.error]

    @property
    def wrong(self) -> list[Answered]:
        return [call for call in self.calls if not call.right and not call.error]

    @property
    def failed(self) -> list[Answered]:
        return [call for call in self.calls if call.error]

    @property
    def all_right(self) -> bool:
        """Every question was answered, and with the provider's own answer."""
        return bool(self.calls) and not self.wrong and not self.failed

    @property
    def hit_rate(self) -> float:
        """The share of calls answered from the cache; joined calls are not among them."""
        return len(self.where("hit")) / len(self.calls) if self.calls else 0.0

    @property
    def most_asked(self) -> list[tuple[str, int]]:
        return Counter(call.ask.question for call in self.calls).most_common(3)

    def as_dict(self) -> dict[str, object]:
        """The same numbers for programs; latencies in milliseconds."""
        groups = {}
        for outcome in OUTCOMES:
            times = [call.took_ms for call in self.where(outcome)]
            p50, p99 = percentile(times, 0.50), percentile(times, 0.99)
            groups[outcome] = {"calls": len(times), "p50_ms": p50, "p99_ms": p99}
        usd = self.savings.usd
        return {
            "calls": len(self.calls),
            "seconds": round(self.seconds, 2),
            "hit_rate": round(self.hit_rate, 4),
            **groups,
            "streamed": sum(call.ask.stream for call in self.calls),
            "upstream_calls": self.upstream_calls,
            "saved_tokens": self.savings.tokens,
            "saved_usd": None if usd is None else str(usd),
            "wrong": len(self.wrong),
            "failed": len(self.failed),
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only or not console.is_terminal
        parts: list[RenderableType] = [
            _headline(self),
            Text(),
            _latencies(self, bar="#" if options.ascii_only else "█"),
            Text(),
            _facts(self),
            Text(),
            _popular(self, ascii_only=options.ascii_only),
            Text(),
            _verdict(self),
        ]
        if plain:
            yield Group(Text("AskOnce demo"), Text(), *parts)
        else:
            title = "[bold]AskOnce demo[/]"
            yield Panel(Group(*parts), title=title, box=box.ROUNDED, width=WIDTH, padding=(1, 2))


OUTCOMES = ("hit", "joined", "miss", "bypass")
_ROWS = {
    "hit": ("from the cache", "green"),
    "joined": ("joined a call in flight", "cyan"),
    "miss": ("asked the model", "yellow"),
    "bypass": ("not asked of the cache", "magenta"),
}


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    if not values:
        return None
    ordered = sorted(values)
    rank = math.ceil(share * len(ordered))
    return ordered[max(rank, 1) - 1]


def _headline(report: Report) -> Text:
    calls = len(report.calls)
    distinct = len({call.ask.question for call in report.calls})
    return Text.assemble(
        (f"{calls:,} questions", "bold"),
        f" from bank customers, {distinct:,} of them different, in {report.seconds:.1f} s.\n",
        (f"{report.hit_rate:.0%}", "bold green"),
        " were answered from the cache",
        *_times_faster(report),
        ".",
    )


def _times_faster(report: Report) -> list[tuple[str, str]]:
    hit = percentile([call.took_ms for call in report.where("hit")], 0.5)
    miss = percentile([call.took_ms for call in report.where("miss")], 0.5)
    if not hit or not miss:
        return []
    return [(", ", ""), (f"{miss / hit:.0f} times as fast", "bold green"), (" as the model", "")]


def _latencies(report: Report, *, bar: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("how it was answered", no_wrap=True)
    for title in ("calls", "p50", "p99", "first words"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for outcome in OUTCOMES:
        calls = report.where(outcome)
        if not calls and outcome == "bypass":
            continue
        label, color = _ROWS[outcome]
        took = [call.took_ms for call in calls]
        first = [call.first_text_ms for call in calls if call.first_text_ms is not None]
        share = len(calls) / max(len(report.calls), 1)
        table.add_row(
            label,
            f"{len(calls):,}",
            _duration(percentile(took, 0.50)),
            _duration(percentile(took, 0.99)),
            _duration(percentile(first, 0.50)),
            Text(bar * math.ceil(share * 16), style=color),
        )
    return table


def _facts(report: Report) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    table.add_column()
    asked, upstream = len(report.calls), report.upstream_calls
    spared = "" if upstream is None else f"instead of {asked:,}"
    streamed = sum(call.ask.stream for call in report.calls)
    anthropic = sum(call.ask.sdk == "anthropic" for call in report.calls)
    table.add_row("calls to the model", _count(upstream), spared)
    table.add_row("tokens saved", _count(report.savings.tokens), "")
    table.add_row("money saved", _dollars(report.savings.usd), _per_million(report))
    table.add_row("streamed", f"{streamed:,}", "a cached answer streams too")
    table.add_row("through openai", f"{asked - anthropic:,}", "the SDK as published, unmodified")
    table.add_row("through anthropic", f"{anthropic:,}", "likewise")
    return table


def _popular(report: Report, *, ascii_only: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("asked most", no_wrap=True)
    table.add_column("times", justify="right")
    for question, count in report.most_asked:
        shown = textwrap.shorten(question, 68, placeholder=" ...")
        if ascii_only:
            shown = shown.encode("ascii", "replace").decode()
        table.add_row(Text(shown, style="italic"), str(count))
    return table


def _verdict(report: Report) -> Text:
    wrong, failed = len(report.wrong), len(report.failed)
    text = Text.assemble(
        ("wrong answers: ", "bold"),
        (str(wrong), "bold green" if not wrong else "bold red"),
        "   (each was compared with what the model says to that question)",
    )
    if failed:
        first = report.failed[0].error
        text.append(f"\nfailed calls: {failed}, the first with: {first}", style="bold red")
    return text


def _duration(ms: float | None) -> str:
    if ms is None:
        return "-"
    return f"{ms:.1f} ms" if ms < 100 else f"{ms:,.0f} ms"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _dollars(usd: Decimal | None) -> str:
    return "-" if usd is None else f"${usd:,.4f}"


def _per_million(report: Report) -> str:
    """What the same traffic saves on a million questions: a demo's own cents say little."""
    if report.savings.usd is None or not report.calls:
        return ""
    return f"${report.savings.usd * 1_000_000 / len(report.calls):,.0f} on a million such questions"
