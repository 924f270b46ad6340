"""What `GET /metrics` and `GET /askonce/stats` show."""

import bisect
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from askonce.accounting import Stats
from askonce.records import Outcome

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Latencies:
    """A histogram of seconds to the first byte of an answer, for each outcome."""

    def __init__(self) -> None:
        self._counts = {outcome: [0] * (len(_BOUNDS) + 1) for outcome in Outcome}
        self._sums = dict.fromkeys(Outcome, 0.0)

    def add(self, outcome: Outcome, seconds: float) -> None:
        self._counts[outcome][bisect.bisect_left(_BOUNDS, seconds)] += 1
        self._sums[outcome] += seconds

    def lines(self) -> Iterable[str]:
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
) -> bytes:
    """Prometheus' text format; labels are the words of the design and nothing else."""
    lines: list[str] = []

    def counter(name: str, text: str, values: dict[str, object], label: str = "") -> None:
        lines.append(f"# HELP askonce_{name} {text}")
        lines.append(f"# TYPE askonce_{name} counter")
        for word, value in values.items():
            labels = f'{{{label}="{word}"}}' if label else ""
            lines.append(f"askonce_{name}{labels} {value}")

    outcomes: dict[str, object] = {o.value: stats.outcomes.get(o.value, 0) for o in Outcome}
    counter("calls_total", "Calls answered, by outcome.", outcomes, "outcome")
    counter("reasons_total", "Why calls were missed or bypassed.", dict(stats.reasons), "because")
    counter(
        "not_stored_total", "Whole answers not stored, and why.", dict(stats.not_stored), "because"
    )
    counter("stored_total", "Answers stored.", {"": stats.stored})
    counter("errors_total", "Faults of the cache that a call went on without.", {"": stats.errors})
    counter("upstream_calls_total", "Calls sent to a provider.", {"": stats.upstream})
    counter("saved_tokens_total", "Tokens not paid for again.", {"": stats.saved_tokens})
    counter("saved_usd_total", "US dollars not paid again.", {"": stats.saved_usd})
    counter("unpriced_total", "Saved answers whose price is not known.", {"": stats.unpriced})
    counter(
        "semantic_total",
        "What matching by meaning did, see docs/semantic.md.",
        dict(stats.semantic),
        "what",
    )
    counter(
        "layer_hits_total",
        "Answers that a layer below memory had.",
        {name: layer.hits for name, layer in stats.layers.items()},
        "layer",
    )
    counter(
        "layer_errors_total",
        "Calls of a layer that failed or took too long.",
        {name: layer.errors for name, layer in stats.layers.items()},
        "layer",
    )
    counter(
        "layer_dropped_total",
        "Answers that were not written to a layer: its queue was full, or it was down.",
        {name: layer.dropped for name, layer in stats.layers.items()},
        "layer",
    )
    lines.append("# HELP askonce_layer_up Whether a layer's circuit breaker is closed.")
    lines.append("# TYPE askonce_layer_up gauge")
    for name, layer in stats.layers.items():
        lines.append(f'askonce_layer_up{{layer="{name}"}} {int(layer.state == "closed")}')
    lines.append("# HELP askonce_source_up Whether a source of events is being followed.")
    lines.append("# TYPE askonce_source_up gauge")
    for name, state in sources.items():
        lines.append(f'askonce_source_up{{source="{name}"}} {int(state == "following")}')
    for name, (text, value) in gauges.items():
        lines += [f"# HELP askonce_{name} {text}", f"# TYPE askonce_{name} gauge"]
        lines.append(f"askonce_{name} {value}")
    lines += latencies.lines()
    return ("\n".join(lines) + "\n").encode()


def plain_stats(stats: Stats) -> dict[str, Any]:
    """The stats for JSON; dollars as a number."""
    plain: dict[str, Any] = msgspec.to_builtins(stats)
    plain["saved_usd"] = float(stats.saved_usd)
    plain["hit_rate"] = round(stats.hit_rate, 4)
    return plain
