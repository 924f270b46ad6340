"""`askonce prompts analyze`: read a log, have it analyzed, and show the report."""

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from askonce.cli.output.meter import Meter
from askonce.cli.output.terminal import plain, show_json
from askonce.cli.prompts.log_files import lines_of
from askonce.cli.prompts.tables import show
from askonce.core.errors import ConfigError
from askonce.ledger.prices import GenaiPrices, input_token_price
from askonce.prompts.analyzer.analyzer import Analysis
from askonce.prompts.analyzer.log_lines import BadLine
from askonce.prompts.analyzer.report import Redactor, build_report
from askonce.prompts.provider.rule_files import load_rules

_SHOWN = 20  # bad lines
_PROGRESS_EVERY = 500  # lines


def run(options: argparse.Namespace) -> int:
    for name in (options.html, options.sarif):
        _check_folder(name)
    analysis = Analysis(load_rules(map(Path, options.rules)))
    _read(analysis, options.log)
    if not analysis.requests and not analysis.bad_count:
        raise ConfigError(f"{options.log}: is empty")
    redactor = Redactor(secrets.token_bytes(32) if options.hash_only else None)
    prices = GenaiPrices()
    report = build_report(
        analysis, lambda provider, model: input_token_price(prices, model, provider), redactor
    )
    _write_files(options, report)
    if options.json:
        print(show_json(report))
    else:
        _show_bad_lines(analysis)
        styled = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print("\n".join(show(report, limit=options.limit, styled=styled)))
    if options.fail_under is not None and report["score"] < options.fail_under:
        least = f"{report['score']:.0%} of the achievable reads happen, less than"
        print(f"askonce: {least} --fail-under {options.fail_under:.0%}", file=sys.stderr)
        return 1
    return 0


def _read(analysis: Analysis, name: str) -> None:
    cut: list[str] = []
    with Meter("analyzing", things="requests") as meter:
        for line in lines_of(name, cut):
            analysis.add_line(line)
            if analysis.lines % _PROGRESS_EVERY == 0:
                meter.report(analysis.lines)
        for why in cut:
            analysis.add_bad_line(BadLine(analysis.lines + 1, why))
        analysis.finish()


def _check_folder(name: str | None) -> None:
    """Raise ConfigError before the work if a file could not be written."""
    if name is not None and not Path(name).absolute().parent.is_dir():
        raise ConfigError(f"{name}: its folder does not exist; make it first")


def _write_files(options: argparse.Namespace, report: dict[str, Any]) -> None:
    if options.html:
        from askonce.cli.prompts.page import page

        _write(options.html, page(report, options.log))
    if options.sarif:
        from askonce.cli.prompts.sarif import sarif

        _write(options.sarif, show_json(sarif(report, options.log)) + "\n")


def _write(name: str, text: str) -> None:
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be written: {error.strerror or error}") from None
    print(f"askonce: wrote {plain(name)}", file=sys.stderr)


def _show_bad_lines(analysis: Analysis) -> None:
    for bad in analysis.bad[:_SHOWN]:
        used = "; used nevertheless" if bad.used else ""
        print(f"askonce: line {bad.line}: {plain(bad.why)}{used}", file=sys.stderr)
    if analysis.bad_count > _SHOWN:
        print(f"askonce: and {analysis.bad_count - _SHOWN:,} more lines", file=sys.stderr)
