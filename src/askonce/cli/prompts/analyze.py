"""`askonce prompts analyze`: reads a log, has it analyzed, and tells."""

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from askonce.cli.output.columns import plain, show_json
from askonce.cli.output.meter import Meter
from askonce.cli.prompts.log_files import lines_of
from askonce.cli.prompts.tables import show
from askonce.core.errors import ConfigError
from askonce.ledger.prices import GenaiPrices, input_token_price
from askonce.prompts.analyzer.analyzer import Analysis
from askonce.prompts.analyzer.log_lines import BadLine
from askonce.prompts.analyzer.report import Words, plain_report
from askonce.prompts.provider.rule_files import load_rules

_SHOWN = 20  # complaints
_TOLD_EVERY = 500  # lines


def run(options: argparse.Namespace) -> int:
    for name in (options.html, options.sarif):
        _check_folder(name)
    analysis = Analysis(load_rules(map(Path, options.rules)))
    _read(analysis, options.log)
    if not analysis.requests and not analysis.bad_count:
        raise ConfigError(f"{options.log}: is empty")
    words = Words(secrets.token_bytes(32) if options.hash_only else None)
    prices = GenaiPrices()
    report = plain_report(
        analysis, lambda provider, model: input_token_price(prices, model, provider), words
    )
    _write_files(options, report)
    if options.json:
        print(show_json(report))
    else:
        _complain(analysis)
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
            analysis.take(line)
            if analysis.lines % _TOLD_EVERY == 0:
                meter.tell(analysis.lines)
        for why in cut:
            analysis.complain(BadLine(analysis.lines + 1, why))
        analysis.finish()


def _check_folder(name: str | None) -> None:
    """Find out before the work that a file cannot be written."""
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


def _complain(analysis: Analysis) -> None:
    for bad in analysis.bad[:_SHOWN]:
        used = "; used all the same" if bad.used else ""
        print(f"askonce: line {bad.line}: {plain(bad.why)}{used}", file=sys.stderr)
    if analysis.bad_count > _SHOWN:
        print(f"askonce: and {analysis.bad_count - _SHOWN:,} more lines", file=sys.stderr)
