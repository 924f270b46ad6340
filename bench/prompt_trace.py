"""What markers save on real conversations: the optimizer beside fixed strategies.

    python -m bench.prompt_trace TRACE.jsonl.gz

A trace has one JSON object a line: `timestamp` in milliseconds, `input_length` in tokens, and
`hash_ids`, a hash for each block of 512 tokens. Blocks that are equal up to their end have the same
hash, so prefixes can be compared. The first block stands for the system prompt, the last whole one
for the end of the request. The simulator of each provider's rules gets each request as each
strategy would have sent it; the optimizer knows only the requests before it. The table shows the
share of the input's price that is saved; below zero, it cost more than without markers.
"""

import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from askonce.prompts.assembly import shipped_rules
from askonce.prompts.optimizer.breakpoints import PromptSize, choose
from askonce.prompts.optimizer.reuse_stats import ReuseStats
from askonce.prompts.provider.rules import Lifetime, ProviderRule
from askonce.prompts.requests.request_parts import PrefixBoundary
from askonce.prompts.simulator import Breakpoint, SimulatedBlock, SimulatedRequest, Simulator

_BLOCK = 512
_BYTES_PER_TOKEN = 4


class Row(NamedTuple):
    """One request of the trace."""

    at: float
    tokens: int
    blocks: list[SimulatedBlock]

    @property
    def end(self) -> int:
        """The last block that another request can have too."""
        return max(len(self.blocks) - 2, 0)


class Comparison(NamedTuple):
    """The shares that the fixed strategies save under a rule, and the optimizer's share."""

    rule: ProviderRule
    fixed: dict[str, float]
    chosen: float


Strategy = Callable[[Row], tuple[tuple[Breakpoint, ...], bool | None]]
"""Returns a request's breakpoints, and whether the provider may end an entry by itself."""


def read(path: Path) -> list[Row]:
    with gzip.open(path, "rt") as lines:
        rows = [_row(json.loads(line)) for line in lines]
    return sorted(rows, key=lambda row: row.at)


def _row(line: Mapping[str, Any]) -> Row:
    names, tokens = line["hash_ids"], line["input_length"]
    blocks = []
    for at, name in enumerate(names):
        last = at == len(names) - 1
        # A block that is not full is never equal to a later one.
        digest = (name, last and tokens % _BLOCK > 0)
        ends = min((at + 1) * _BLOCK, tokens)
        blocks.append(SimulatedBlock(digest, ends, at, is_endpoint=not last or len(names) == 1))
    return Row(line["timestamp"] / 1000, tokens, blocks)


def saved(rows: Sequence[Row], rule: ProviderRule, strategy: Strategy) -> float:
    """Return the share of the input's price that a strategy saves under a rule."""
    simulator, cost = Simulator(rule), Decimal(0)
    for row in rows:
        breakpoints, implicit = strategy(row)
        request = SimulatedRequest(row.at, row.blocks, breakpoints, implicit)
        cost += simulator.send(request).cost(rule)
    return 1 - float(cost) / sum(row.tokens for row in rows)


def strategies(rule: ProviderRule) -> dict[str, Strategy]:
    own = None if rule.automatic in ("always", "default") else False
    explicit = False if rule.max_writes else None
    by_itself = rule.automatic == "default"

    def system(row: Row) -> tuple[tuple[Breakpoint, ...], bool | None]:
        return (Breakpoint(0),), explicit

    def turns(row: Row) -> tuple[tuple[Breakpoint, ...], bool | None]:
        return (Breakpoint(0),) if by_itself else (Breakpoint(0), Breakpoint(row.end)), own

    def automatic(row: Row) -> tuple[tuple[Breakpoint, ...], bool | None]:
        return () if by_itself or not rule.max_writes else (Breakpoint(row.end),), own

    return {"system prompt": system, "every turn": turns, "automatic": automatic}


def chosen(rule: ProviderRule) -> Strategy:
    """Return the strategy of an optimizer that sees the trace for the first time."""
    reuse = ReuseStats()
    route = reuse.route("trace")
    implicit = rule.automatic == "default"
    ttls = _lifetimes(rule)
    lifetimes = [float(life.seconds) for life in ttls.values()]

    def choice(row: Row) -> tuple[tuple[Breakpoint, ...], bool | None]:
        found = list(_boundaries(row))
        seen = reuse.observe(route, found, lifetimes, row.at, ends_are_written=implicit)
        if not rule.max_writes:
            return (), None
        size = PromptSize(row.tokens, _BYTES_PER_TOKEN, rule.min_tokens * _BYTES_PER_TOKEN)
        made = choose(seen, rule, ttls, size, implicit=implicit, known=route.calls > 1)
        breakpoints = tuple(Breakpoint(boundary.at, ttl) for boundary, ttl in made.marked)
        return breakpoints, implicit and not made.explicit

    return choice


def _lifetimes(rule: ProviderRule) -> dict[str, Lifetime]:
    """Return the lifetimes that a marker can ask for; OpenAI has one for the whole request."""
    if rule.automatic == "default":
        return {rule.default_ttl: rule.ttls[rule.default_ttl]}
    return dict(rule.ttls)


def _boundaries(row: Row) -> Iterator[PrefixBoundary]:
    for at, block in enumerate(row.blocks[: row.end + 1]):
        kind = "system" if at == 0 else "end" if at == row.end else "turn"
        name = repr(block.digest).encode()
        yield PrefixBoundary(kind, str(at), block.tokens * _BYTES_PER_TOKEN, name, at)  # type: ignore[arg-type]


def compare(rows: Sequence[Row], rules: Iterable[ProviderRule]) -> Iterator[Comparison]:
    """Compare the strategies under rules that differ in more than their names."""
    shown: set[tuple[object, ...]] = set()
    for rule in rules:
        same = (rule.matching, rule.automatic, rule.min_tokens, rule.read, rule.quantum)
        if (*same, tuple(rule.ttls.items())) in shown:
            continue
        shown.add((*same, tuple(rule.ttls.items())))
        fixed = {name: saved(rows, rule, one) for name, one in strategies(rule).items()}
        yield Comparison(rule, fixed, saved(rows, rule, chosen(rule)))


def main() -> None:
    rows = read(Path(sys.argv[1]))
    print("| rules of | system prompt | every turn | automatic | chosen |")
    print("|---|---|---|---|---|")
    worse = []
    for rule, fixed, ours in compare(rows, shipped_rules().rules()):
        cells = " | ".join(f"{share:.1%}" for share in (*fixed.values(), ours))
        print(f"| {rule.provider}: `{rule.models[0]}` | {cells} |", flush=True)
        if ours < max(fixed.values()) - 1e-9:
            worse.append(rule.models[0])
    if worse:
        sys.exit(f"a fixed strategy wins under the rules of {', '.join(worse)}")


if __name__ == "__main__":
    main()
