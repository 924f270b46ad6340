"""The page of `askonce prompts analyze --html`: one file with its charts, which loads nothing."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from askonce.cli.prompts.tables import money, name_of, short
from askonce.prompts.analyzer.report import Report

_NUMBERS = (
    ("reported", "reported by the provider"),
    ("simulated", "simulated, as sent"),
    ("achievable_markers", "achievable with markers"),
    ("achievable_layout", "achievable with layout"),
)
_PARTS = (
    ("read_tokens", "read", "read from the cache"),
    ("written_tokens", "written", "written to the cache"),
    ("other_tokens", "other", "neither: the full price"),
)
_MOST = 60  # routes and findings that are shown
_WIDTH, _LABEL, _BAR, _GAP = 760, 190, 20, 7


def page(report: Report, log: str) -> str:
    """Return the page of a report on a log."""
    name = "standard input" if log == "-" else log.rpartition("/")[2]
    title = f"Prompt caches: {escape(name)}"
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = "\n".join([*_top(report, title), *_routes(report["routes"]), *_findings(report)])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _top(report: Report, title: str) -> Iterator[str]:
    lost = [one["usd_lost"] for one in report["findings"] if one["usd_lost"] is not None]
    tiles = [
        (f"{report['score']:.0%}", "of the achievable reads happen"),
        (f"{report['requests']:,}", "requests"),
        (short(report["input_tokens"]), "input tokens"),
        (money(sum(lost)) if lost else "unpriced", "lost to the causes below"),
    ]
    yield f"<h1>{title}</h1>"
    shown = "".join(f"<div><b>{escape(number)}</b>{escape(what)}</div>" for number, what in tiles)
    yield f'<div class="tiles">{shown}</div>'
    if report["bad_line_count"]:
        yield f"<p>{report['bad_line_count']:,} lines of the log are wrong:</p><ul>"
        for bad in report["bad_lines"][:10]:
            used = ", used nevertheless" if bad["used"] else ""
            yield f"<li>line {bad['line']}: {escape(bad['why'])}{used}</li>"
        yield "</ul>"


# Routes


def _routes(routes: Sequence[Report]) -> Iterator[str]:
    yield "<h2>Routes</h2>"
    keys = "".join(
        f'<span style="background:var(--{css})"></span>{what}' for _, css, what in _PARTS
    )
    yield f'<p class="key faint">Input tokens:{keys}</p>'
    for route in routes[:_MOST]:
        yield f"<h3>{escape(name_of(route))}</h3>"
        begins = f"; begins with <q>{escape(route['begins'])}</q>" if route["begins"] else ""
        tools = f", {route['tools']} tools" if route["tools"] else ""
        yield f'<p class="faint">{route["requests"]:,} requests{tools}{begins}</p>'
        yield _bars(route)
        if route["notes"]:
            notes = "".join(f"<li>{escape(note)}</li>" for note in route["notes"])
            yield f'<ul class="faint">{notes}</ul>'
    if len(routes) > _MOST:
        yield f"<p>and {len(routes) - _MOST:,} more routes</p>"


def _bars(route: Report) -> str:
    """Draw a bar for each of the four counts, which divide the same tokens differently."""
    counts = [(route[name], label) for name, label in _NUMBERS if route[name] is not None]
    most = max((_whole(tokens) for tokens, _ in counts), default=0)
    if not most:
        return ""
    room = _WIDTH - _LABEL - 120
    lines = []
    for row, (tokens, label) in enumerate(counts):
        y = row * (_BAR + _GAP)
        lines.append(f'<text x="{_LABEL - 10}" y="{y + 14}" text-anchor="end">{label}</text>')
        x = float(_LABEL)
        for part, css, what in _PARTS:
            wide = room * tokens[part] / most
            if wide > 0:
                title = f"<title>{tokens[part]:,} tokens {what}</title>"
                lines.append(
                    f'<rect class="{css}" x="{x:.1f}" y="{y}" width="{wide:.1f}" '
                    f'height="{_BAR}">{title}</rect>'
                )
            x += wide
        said = f"{tokens['read_tokens'] / max(1, _whole(tokens)):.0%} read"
        if tokens["usd"] is not None:
            said += f", {money(tokens['usd'])}"
        lines.append(f'<text class="faint" x="{x + 8:.1f}" y="{y + 14}">{escape(said)}</text>')
    return _svg(lines, len(counts) * (_BAR + _GAP), f"input tokens of {name_of(route)}")


def _whole(tokens: Report) -> int:
    return sum(int(tokens[part]) for part, _, _ in _PARTS)


def _svg(lines: Sequence[str], height: int, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(lines)}</svg>"
    )


# Findings


def _findings(report: Report) -> Iterator[str]:
    findings = report["findings"]
    yield "<h2>Findings</h2>"
    if not findings:
        yield "<p>Nothing was found.</p>"
        return
    yield _ranking(findings[:_MOST])
    for finding in findings[:_MOST]:
        yield from _finding(finding)
    if len(findings) > _MOST:
        yield f"<p>and {len(findings) - _MOST:,} more</p>"


def _ranking(findings: Sequence[Report]) -> str:
    """Draw the tokens that each finding lost."""
    most = max(one["tokens_lost"] for one in findings) or 1
    room, lines = _WIDTH - _LABEL - 150, []
    for row, one in enumerate(findings):
        y = row * (_BAR + _GAP)
        wide = max(1.0, room * one["tokens_lost"] / most)
        name = escape(one["cause"].replace("_", " "))
        lines.append(f'<text x="{_LABEL - 10}" y="{y + 14}" text-anchor="end">{name}</text>')
        lines.append(
            f'<rect class="lost" x="{_LABEL}" y="{y}" width="{wide:.1f}" height="{_BAR}"/>'
        )
        said = f"{short(one['tokens_lost'])} tokens, {money(one['usd_lost'])}"
        lines.append(
            f'<text class="faint" x="{_LABEL + wide + 8:.1f}" y="{y + 14}">{escape(said)}</text>'
        )
    return _svg(lines, len(findings) * (_BAR + _GAP), "tokens lost by cause")


def _finding(finding: Report) -> Iterator[str]:
    yield f"<h3>{escape(finding['cause'].replace('_', ' '))}</h3>"
    yield (
        f'<p class="faint">{finding["count"]:,} of {finding["requests"]:,} requests of '
        f"{escape(name_of(finding))}; {finding['tokens_lost']:,} tokens, "
        f"{escape(money(finding['usd_lost']))} lost; {finding['confidence']:.0%} sure</p>"
    )
    where = escape(finding["pointer"] or "the whole request")
    lines = f"line {finding['line']}"
    if finding["earlier_line"]:
        lines += f", compared with line {finding['earlier_line']}"
    yield f"<p><code>{where}</code> <span class='faint'>{lines}</span></p>"
    if finding["before"] or finding["after"]:
        before, after = _marked(finding["before"], finding["after"])
        yield f"<pre>{before}</pre><pre>{after}</pre>"
    yield f'<p class="fix">{escape(finding["fix"])}</p>'


def _marked(a: str, b: str) -> tuple[str, str]:
    """Return both excerpts, with the text between their common start and end marked."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[len(a) - 1 - end] == b[len(b) - 1 - end]:
        end += 1
    return _with_mark(a, start, len(a) - end), _with_mark(b, start, len(b) - end)


def _with_mark(text: str, start: int, end: int) -> str:
    marked = f"<mark>{escape(text[start:end])}</mark>" if end > start else ""
    return escape(text[:start]) + marked + escape(text[end:])
