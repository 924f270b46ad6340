"""`askonce savings`: the savings in dollars, and their costs."""

import argparse
import csv
import sys
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from typing import Any

from askonce.cli.access.configuration import read_settings
from askonce.cli.access.gateways import gateway_url
from askonce.cli.access.stores import open_existing
from askonce.cli.output.terminal import columns, plain, show_json
from askonce.config.settings import Settings
from askonce.core.errors import ConfigError, StoreError, missing_library
from askonce.core.printers import masked_url
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.ledger.daily import COSTS, SAVED, utc_day
from askonce.ledger.persistence import stored_savings
from askonce.ledger.savings import BY, Savings, SavingsPart, Sums, plain_sums, savings_of_json

_PATIENCE_S = 10.0
_MOST_BYTES = 256 << 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_LABELS = {
    "exact": "the same question",
    "semantic": "in other words",
    "stale": "stale answers",
    "joined": "joined calls",
    "read": "provider's cache read",
    "write": "provider's cache written",
    "refresh": "refreshed ahead",
    "embedding": "embedding",
    "audit": "audits",
}


def run(options: argparse.Namespace) -> int:
    if options.csv and options.json:
        raise ConfigError("--csv and --json are two ways to print; choose one")
    plots = _plots(options.plot)
    settings = read_settings(options)
    savings, source = _found(settings, options)
    if plots is not None:
        path = Path(options.plot)
        plots.draw(savings, path)
        print(f"askonce: wrote {plain(str(path))}", file=sys.stderr)
    if options.csv:
        _write_csv(savings, options.by)
    elif options.json:
        print(show_json(_as_dict(savings, options.by, source)))
    else:
        print("\n".join(_table(savings, options.by)))
        print(f"{savings.since} to {savings.until} (UTC), from {plain(source)}")
    return 0


# Sources


def _found(settings: Settings, options: argparse.Namespace) -> tuple[Savings, str]:
    """Return the savings and their source. Raises StoreError."""
    source = gateway_url(settings.gateway)
    said = ask_gateway(settings, options.days)
    wants_names = options.by not in (None, "day") or options.csv or options.json
    if said is not None and (settings.admin.token is not None or not wants_names):
        return said, source
    try:
        store = open_existing(settings)
    except StoreError as error:
        if said is None:
            raise StoreError(f"no gateway answers at {source}, and {error}") from error
        if options.by in (None, "day"):
            return said, source
        raise StoreError(
            f"the gateway names {options.by}s only where [admin] has a token, and {error}"
        ) from error
    return run_sync(_kept(store, settings, options.days)), masked_url(settings.shared_url)


def ask_gateway(settings: Settings, days: int) -> Savings | None:
    """Ask a running gateway; None if none answers, or another server does."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310 - our own gateway's address
        f"{gateway_url(settings.gateway)}/askonce/savings?days={days}"
    )
    if settings.admin.token is not None:
        request.add_header("Authorization", f"Bearer {settings.admin.token}")
    try:
        with opener.open(request, timeout=_PATIENCE_S) as response:
            return savings_of_json(response.read(_MOST_BYTES))
    except (OSError, HTTPException, ValueError):
        return None


async def _kept(store: Store, settings: Settings, days: int) -> Savings:
    try:
        today = utc_day(SyncRuntime().now())
        return await stored_savings(store, today, days, settings.ledger.storage_price)
    finally:
        await store.close()


# Output


def _table(savings: Savings, by: Any) -> list[str]:
    if by is None:
        return columns(("", "calls", "tokens", "unpriced", "USD"), list(_parts(savings.total)))
    heads = (by, "answers", "tokens", "unpriced", "prompt USD", "saved USD", "cost USD", "net USD")
    rows = [_row(name or "-", sums) for name, sums in savings.by(by).items()]
    return columns(heads, [*rows, _row("all", savings.total)])


def _parts(total: Sums) -> Iterator[tuple[str, ...]]:
    """Yield a row for each word, and their sums."""
    for words, sign, name, usd in (
        (SAVED, 1, "saved", total.saved_usd),
        (COSTS, -1, "cost", -total.cost_usd),
    ):
        for word in words:
            part = total.part(word)
            yield (f"  {_LABELS[word]}", *_counts(part), _usd(sign * part.usd))
        if words is COSTS and (total.storage_usd is not None or total.storage_byte_hours):
            priced = total.storage_usd is not None
            usd_of_storage = _usd(-(total.storage_usd or Decimal(0))) if priced else "unpriced"
            yield ("  storage", "", "", "", usd_of_storage)
        yield (name, "", "", "", _usd(usd))
    yield ("net", "", "", "", _usd(total.net_usd))
    yield ("paid to providers", *_counts(total.upstream), _usd(total.upstream.usd))
    if total.unread.calls:
        yield ("not read", f"{total.unread.calls:,}", "", "", "unpriced")


def _counts(part: SavingsPart) -> tuple[str, str, str]:
    return f"{part.calls:,}", f"{part.tokens:,}", f"{part.unpriced:,}"


def _row(name: str, sums: Sums) -> tuple[str, ...]:
    answers = sums.exact + sums.semantic + sums.stale + sums.joined
    return (
        name,
        f"{answers.calls:,}",
        f"{answers.tokens:,}",
        f"{answers.unpriced:,}",
        _usd(sums.read.usd),
        _usd(sums.saved_usd),
        _usd(sums.cost_usd),
        _usd(sums.net_usd),
    )


def _usd(usd: Decimal) -> str:
    return f"{usd:,.4f}" if usd else "0.0000"


def _as_dict(savings: Savings, by: Any, source: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "since": savings.since,
        "until": savings.until,
        "total": _numbers(plain_sums(savings.total)),
    }
    if by is None:
        facts["lines"] = [
            {**{what: getattr(line, what) for what in BY}, **_numbers(plain_sums(line.sums))}
            for line in savings.lines
        ]
    else:
        facts["by"] = by
        facts["lines"] = [
            {by: name, **_numbers(plain_sums(sums))} for name, sums in savings.by(by).items()
        ]
    return {**facts, "source": source}


def _numbers(value: Any) -> Any:
    """Decimals as numbers, to the last digit that is kept."""
    if isinstance(value, Decimal):
        return float(round(value, 12))
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    return value


def _write_csv(savings: Savings, by: Any) -> None:
    names = BY if by is None else (by,)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*names, *_flat(plain_sums(Sums()))])
    if by is None:
        rows = [([getattr(line, what) for what in BY], line.sums) for line in savings.lines]
    else:
        rows = [([name], sums) for name, sums in savings.by(by).items()]
    for group, sums in rows:
        writer.writerow([*map(_cell, group), *_flat(plain_sums(sums)).values()])


def _flat(sums: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in sums.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        flat |= {f"{name}.{cell}" if cell else name: _digits(one) for cell, one in inner}
    return flat


def _digits(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value


def _cell(name: str) -> str:
    """Return a name that a spreadsheet cannot take for a formula, nor a terminal for a command."""
    name = plain(name)
    return f"'{name}" if name.startswith(_FORMULA) else name


def _plots(path: str | None) -> Any:
    """Import the module that draws, if a picture is requested. Raises ConfigError."""
    if path is None:
        return None
    try:
        import matplotlib  # noqa: F401

        from askonce.cli.output import savings_plot
    except ImportError:
        raise missing_library("--plot", "matplotlib", "eval") from None
    if Path(path).suffix.lower() != ".png":
        raise ConfigError("--plot writes a PNG; give it a name that ends in .png")
    if not Path(path).absolute().parent.is_dir():
        raise ConfigError(f"{plain(path)}: its folder is not there; make it first")
    return savings_plot
