"""The bodies of `GET /metrics` and `GET /askonce/stats`."""

import bisect
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from askonce.core.models import Outcome
from askonce.ledger.daily import COSTS, SAVED
from askonce.ledger.ledger import Stats

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Latencies:
    """A histogram of seconds to the first byte of an answer, for each outcome."""

    def __init__(self) -> None:
        self._counts = {outcome: [0] * (len(_BOUNDS) + 1) for outcome in Outcome}
        self._sums = dict.fromkeys(Outcome, 0.0)

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count one answer."""
        self._counts[outcome][bisect.bisect_left(_BOUNDS, seconds)] += 1
        self._sums[outcome] += seconds

    def lines(self) -> Iterable[str]:
        """Yield the histogram in Prometheus' text format."""
        name = "askonce_first_byte_seconds"
        yield f"# HELP {name} Seconds until the first byte of an answer was sent."
        yield f"# TYPE {name} histogram"
        for outcome, counts in self._counts.items():
            total = sum(counts)
            if not total:
                continue
            label = f'outcome="{outcome.value}"'
            running = 0
            for bound, count in zip(_BOUNDS, counts, strict=False):
                running += count
                yield f'{name}_bucket{{{label},le="{bound}"}} {running}'
            yield f'{name}_bucket{{{label},le="+Inf"}} {total}'
            yield f"{name}_sum{{{label}}} {self._sums[outcome]:.6f}"
            yield f"{name}_count{{{label}}} {total}"


def metrics(
    stats: Stats,
    latencies: Latencies,
    gauges: dict[str, tuple[str, int]],
    sources: Mapping[str, str],
    money: Mapping[str, Decimal] | None = None,
) -> bytes:
    """Return the metrics in Prometheus' text format."""
    families = [*_counters(stats), *_money(money or {})]
    lines = [line for family in families for line in family.lines()]
    lines.append("# HELP askonce_layer_up Whether a layer's circuit breaker is closed.")
    lines.append("# TYPE askonce_layer_up gauge")
    for name, layer in stats.layers.items():
        lines.append(f'askonce_layer_up{{layer="{name}"}} {int(layer.state == "closed")}')
    lines.append("# HELP askonce_source_up Whether the gateway reads a source of events.")
    lines.append("# TYPE askonce_source_up gauge")
    for name, state in sources.items():
        lines.append(f'askonce_source_up{{source="{name}"}} {int(state == "following")}')
    for name, (text, value) in gauges.items():
        lines += [f"# HELP askonce_{name} {text}", f"# TYPE askonce_{name} gauge"]
        lines.append(f"askonce_{name} {value}")
    lines += latencies.lines()
    return ("\n".join(lines) + "\n").encode()


class _Counter(NamedTuple):
    """A family of counters: one for each value of its label, or a single one."""

    name: str
    text: str
    values: Mapping[str, object]
    label: str = ""

    def lines(self) -> Iterable[str]:
        yield f"# HELP askonce_{self.name} {self.text}"
        yield f"# TYPE askonce_{self.name} counter"
        for word, value in self.values.items():
            labels = f'{{{self.label}="{word}"}}' if self.label else ""
            yield f"askonce_{self.name}{labels} {value}"


def _counters(stats: Stats) -> Iterable[_Counter]:
    outcomes = {o.value: stats.outcomes.get(o.value, 0) for o in Outcome}
    yield _Counter("calls_total", "Calls answered, by outcome.", outcomes, "outcome")
    text = "Missed and bypassed calls, by reason."
    yield _Counter("reasons_total", text, stats.reasons, "because")
    text = "Whole answers that were not stored, by reason."
    yield _Counter("not_stored_total", text, stats.not_stored, "because")
    yield _Counter("stored_total", "Answers stored.", {"": stats.stored})
    text = "Faults of the cache that calls continued without."
    yield _Counter("errors_total", text, {"": stats.errors})
    yield _Counter("upstream_calls_total", "Calls sent to a provider.", {"": stats.upstream})
    yield _Counter("saved_tokens_total", "Tokens not paid for again.", {"": stats.saved_tokens})
    yield _Counter("saved_usd_total", "US dollars not paid again.", {"": stats.saved_usd})
    text = "Saved answers whose price is unknown."
    yield _Counter("unpriced_total", text, {"": stats.unpriced})
    text = "Steps of the semantic lookup, see docs/guides/semantic.md."
    yield _Counter("semantic_total", text, stats.semantic, "what")
    text = "Changes to prompts on their way to a provider, see docs/guides/prompts.md."
    yield _Counter("prompts_total", text, stats.prompts, "what")
    layers = stats.layers.items()
    text = "Answers found in a layer below memory."
    yield _Counter("layer_hits_total", text, {n: one.hits for n, one in layers}, "layer")
    text = "Operations of a layer that failed or took too long."
    yield _Counter("layer_errors_total", text, {n: one.errors for n, one in layers}, "layer")
    text = "Answers not written to a layer because its queue was full or it was down."
    yield _Counter("layer_dropped_total", text, {n: one.dropped for n, one in layers}, "layer")


def _money(money: Mapping[str, Decimal]) -> Iterable[_Counter]:
    text = "US dollars saved, by kind of saving."
    saved = {word: money.get(word, 0) for word in SAVED}
    yield _Counter("ledger_saved_usd_total", text, saved, "what")
    text = "US dollars that saving cost, by kind of cost, without storage."
    costs = {word: money.get(word, 0) for word in COSTS}
    yield _Counter("ledger_cost_usd_total", text, costs, "what")
    text = "US dollars paid to providers for answers with a known price."
    yield _Counter("ledger_upstream_usd_total", text, {"": money.get("upstream", 0)})


def plain_stats(stats: Stats) -> dict[str, Any]:
    """Return the stats for JSON, with dollars as a float."""
    plain: dict[str, Any] = msgspec.to_builtins(stats)
    plain["saved_usd"] = float(stats.saved_usd)
    plain["hit_rate"] = round(stats.hit_rate, 4)
    return plain
