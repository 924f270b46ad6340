"""The tables that `askonce prompts analyze` prints on a terminal."""

from collections.abc import Sequence

from askonce.cli.output.terminal import columns, plain
from askonce.prompts.analyzer.report import Report

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_NUMBERS = (
    ("reported", "billed"),
    ("simulated", "now"),
    ("achievable_markers", "markers"),
    ("achievable_layout", "layout"),
)


def show(report: Report, *, limit: int, styled: bool) -> list[str]:
    """Return the lines: a summary, the routes, and the findings that cost the most."""
    lines = [_summary(report), "", *_routes(report["routes"][:limit])]
    more = len(report["routes"]) - limit
    if more > 0:
        lines.append(f"and {more:,} more routes")
    for route in report["routes"][:limit]:
        lines += [f"  {name_of(route)}: {note}" for note in route["notes"]]
    findings = report["findings"]
    lines += ["", f"{len(findings):,} findings" if findings else "nothing was found"]
    for finding in findings[:limit]:
        lines += ["", *_finding(finding, styled=styled)]
    if len(findings) > limit:
        lines += ["", f"and {len(findings) - limit:,} more; --limit shows them"]
    return lines


def _summary(report: Report) -> str:
    bad = report["bad_line_count"]
    wrong = f", {bad:,} bad lines" if bad else ""
    return (
        f"{report['requests']:,} requests{wrong}, {report['input_tokens']:,} input tokens; "
        f"{report['score']:.0%} of the achievable reads happen"
    )


def name_of(route: Report) -> str:
    return plain(f"{route['provider']} {route['api']} {route['model'] or '?'} #{route['route']}")


def _routes(routes: Sequence[Report]) -> list[str]:
    heads = ["#", "calls", "tokens", *(head for _, head in _NUMBERS), "paid", "best", "route"]
    rows = [
        [
            str(route["route"]),
            f"{route['requests']:,}",
            short(route["input_tokens"]),
            *(_read(route[name]) for name, _ in _NUMBERS),
            _paid(route["reported"] or route["simulated"]),
            _paid(route["achievable_layout"]),
            f"{route['provider']} {route['api']} {route['model'] or '?'}",
        ]
        for route in routes
    ]
    return columns(heads, rows) if rows else []


def _read(tokens: Report | None) -> str:
    """Return the share that is read from the cache."""
    if tokens is None:
        return "-"
    whole = tokens["read_tokens"] + tokens["written_tokens"] + tokens["other_tokens"]
    return f"{tokens['read_tokens'] / whole:.0%}" if whole else "0%"


def _paid(tokens: Report | None) -> str:
    return "-" if tokens is None else money(tokens["usd"])


def money(usd: float | None) -> str:
    if usd is None:
        return "unpriced"
    return f"${usd:,.2f}" if abs(usd) >= 1 else f"${usd:.2g}" if usd else "$0"


def short(tokens: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if tokens >= size:
            return f"{tokens / size:.1f}{unit}"
    return str(tokens)


def _finding(finding: Report, *, styled: bool) -> list[str]:
    bold, dim, end = (_BOLD, _DIM, _PLAIN) if styled else ("", "", "")
    lost = f"{short(finding['tokens_lost'])} tokens, {money(finding['usd_lost'])} lost"
    where = finding["pointer"] or "the whole request"
    count = f"{finding['count']:,} of {finding['requests']:,} requests"
    sure = f"{dim}({finding['confidence']:.0%} sure){end}"
    lines = [
        f"{bold}{finding['cause']}{end}  {count}, {lost}  {sure}",
        f"  at   {plain(where)}, line {finding['line']}  {dim}route #{finding['route']}{end}",
    ]
    if finding["before"] or finding["after"]:
        lines += [f"  was  {plain(finding['before'])}", f"  is   {plain(finding['after'])}"]
    return [*lines, f"  fix  {finding['fix']}"]
