"""The report of an analysis as plain values: routes with their counts, findings, bad lines."""

import hmac
from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from askonce.prompts.analyzer.analyzer import Analysis
from askonce.prompts.analyzer.findings import Finding
from askonce.prompts.analyzer.log_routes import LogRoute, TokenCounts

PriceOf = Callable[[str, str], Decimal | None]
"""US dollars for an uncached input token, by provider and model; None if unknown."""

Report = Mapping[str, Any]
"""The JSON object of a report, or a part of it."""

_SHOWN_LINES = 10


class Redactor:
    """Shows texts of prompts, or with a key, keyed hashes instead.

    Parameters:
        key: the secret key of the hashes. Default: none; texts are shown.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    def show(self, text: str) -> str:
        if self._key is None or not text:
            return text
        digest = hmac.new(self._key, text.encode(errors="surrogatepass"), blake2b).hexdigest()
        return f"hash:{digest[:16]}"


def build_report(analysis: Analysis, price_of: PriceOf, redactor: Redactor) -> dict[str, Any]:
    """Return the report as a JSON object; dollars are null if a price is not known."""
    routes = [route for route in analysis.routes.all if route.requests]
    prices = {route.number: price_of(route.provider, route.model) for route in routes}
    findings = sorted(
        analysis.findings.values(),
        key=lambda one: (-(prices[one.route] or 0) * one.weight, -one.lost, -one.count),
    )
    total = sum(route.simulated.total for route in routes)
    return {
        "lines": analysis.lines,
        "requests": analysis.requests,
        "score": score_of(routes),
        "input_tokens": total,
        "routes": [
            _route(route, prices[route.number], redactor)
            for route in sorted(routes, key=lambda one: -one.simulated.total)
        ],
        "findings": [
            _finding(one, analysis.routes.all[one.route], prices[one.route], redactor)
            for one in findings
        ],
        "bad_line_count": analysis.bad_count,
        "bad_lines": [{"line": bad.line, "why": bad.why, "used": bad.used} for bad in analysis.bad],
    }


def score_of(routes: list[LogRoute]) -> float:
    """Return the share of the achievable reads that happened, over all routes, by tokens."""
    weights = [(route.score, route.layout.read) for route in routes if route.rule is not None]
    whole = sum(weight for _, weight in weights)
    return round(sum(score * weight for score, weight in weights) / whole, 4) if whole else 1.0


def _route(route: LogRoute, price: Decimal | None, redactor: Redactor) -> dict[str, Any]:
    read = Decimal(1) if route.rule is None else route.rule.read
    numbers = {
        "reported": route.reported if route.with_usage else None,
        "simulated": route.simulated if route.rule is not None else None,
        "achievable_markers": route.markers if route.rule is not None else None,
        "achievable_layout": route.layout if route.rule is not None else None,
    }
    return {
        "route": route.number,
        "provider": route.provider,
        "api": route.api,
        "model": route.model,
        "begins": redactor.show(" ".join(route.head.split())[:80]),
        "tools": route.tools,
        "requests": route.requests,
        "with_usage": route.with_usage,
        "input_tokens": route.simulated.total,
        "score": round(route.score, 4),
        **{name: _tokens(found, price, read) for name, found in numbers.items()},
        "rule": _rule(route),
        "notes": _notes(route, price),
    }


def _tokens(tokens: TokenCounts | None, price: Decimal | None, read: Decimal) -> Any:
    if tokens is None:
        return None
    return {
        "read_tokens": tokens.read,
        "written_tokens": tokens.written,
        "other_tokens": tokens.plain,
        "usd": _usd(tokens.paid(read), price),
    }


def _usd(tokens: Decimal, price: Decimal | None) -> float | None:
    return None if price is None else float(round(tokens * price, 9))


def _rule(route: LogRoute) -> dict[str, Any] | None:
    rule = route.rule
    if rule is None:
        return None
    return {
        "min_tokens": rule.min_tokens,
        "matching": rule.matching,
        "read": str(rule.read),
        "lifetimes": {name: life.seconds for name, life in rule.ttls.items()},
        "source": rule.source,
        "date": rule.date,
        "confidence": rule.confidence,
    }


def _notes(route: LogRoute, price: Decimal | None) -> list[str]:
    notes = []
    if route.rule is None:
        notes.append("no rule is known for this model; only the reported usage is shown")
    elif route.rule.confidence == "low":
        notes.append("the rule for this model has no primary source for everything in it")
    if price is None:
        notes.append("unpriced: the model's price is not known")
    if route.low_usage * 10 > max(1, route.with_usage):
        notes.append(
            f"{route.low_usage:,} answers reported far fewer tokens read than the rules say: "
            "the provider dropped entries or routed requests apart"
        )
    if route.in_doubt:
        notes.append(f"{route.in_doubt:,} requests have parts that are not understood")
    return notes


def _finding(
    finding: Finding, route: LogRoute, price: Decimal | None, redactor: Redactor
) -> dict[str, Any]:
    found = finding.excerpt
    example = finding.example
    assert example is not None
    return {
        "cause": str(finding.cause),
        "route": route.number,
        "provider": route.provider,
        "api": route.api,
        "model": route.model,
        "pointer": example.pointer,
        "pointers": dict(finding.pointers.most_common(5)),
        "count": finding.count,
        "requests": route.requests,
        "byte": example.byte,
        "token": example.token,
        "before": redactor.show(found.before),
        "after": redactor.show(found.after),
        "line": found.line,
        "earlier_line": found.earlier_line,
        "lines": finding.lines[:_SHOWN_LINES],
        "tokens_lost": finding.lost,
        "usd_lost": None if route.rule is None else _usd(finding.weight, price),
        "confidence": finding.mean_confidence,
        "fix": finding.fix,
    }
