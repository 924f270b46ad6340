"""Findings of `askonce prompts analyze` as SARIF 2.1.0, which code hosts show beside the code."""

from typing import Any

from askonce import __version__
from askonce.prompts.analyzer.causes import FIXES, Cause
from askonce.prompts.analyzer.report import Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(report: Report, log: str) -> dict[str, Any]:
    """Return one run with a rule for each cause and a result for each finding."""
    causes = list(dict.fromkeys(finding["cause"] for finding in report["findings"]))
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "askonce prompts analyze",
                        "version": __version__,
                        "rules": [_rule(cause) for cause in causes],
                    }
                },
                "results": [
                    _result(one, causes.index(one["cause"]), log) for one in report["findings"]
                ],
            }
        ],
    }


def _rule(cause: str) -> dict[str, Any]:
    return {
        "id": cause,
        "name": "".join(word.capitalize() for word in cause.split("_")),
        "shortDescription": {"text": cause.replace("_", " ")},
        "help": {"text": FIXES[Cause(cause)]},
    }


def _result(finding: Report, index: int, log: str) -> dict[str, Any]:
    lost = f"{finding['tokens_lost']:,} tokens"
    if finding["usd_lost"] is not None:
        lost += f" (${finding['usd_lost']:,.4f})"
    text = (
        f"{finding['cause'].replace('_', ' ')} at {finding['pointer'] or '/'} in "
        f"{finding['count']:,} of {finding['requests']:,} requests of {finding['provider']} "
        f"{finding['model']}: {lost} lost. {finding['fix']}"
    )
    return {
        "ruleId": finding["cause"],
        "ruleIndex": index,
        "level": "warning" if finding["tokens_lost"] and finding["confidence"] >= 0.5 else "note",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "stdin" if log == "-" else log},
                    "region": {"startLine": max(1, finding["line"])},
                },
                "logicalLocations": [{"fullyQualifiedName": finding["pointer"] or "/"}],
            }
        ],
        "properties": {
            name: finding[name]
            for name in ("tokens_lost", "usd_lost", "confidence", "count", "fix", "route")
        },
    }
