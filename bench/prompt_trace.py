"""What do markers win on real conversations? The optimizer's choice beside fixed strategies.

    python -m bench.prompt_trace ../shared/data/kimi_conversation_trace.jsonl.gz

The trace says for each request when it came, how many tokens it had, and which blocks of 512 tokens
its prompt consists of, by hash. A block that is equal up to its end has the same hash, so that
prefixes can be compared. The first block stands for the system prompt, and the last whole one for
the end of the request. Each request is given to the simulator of a provider's rules, as each
strategy would have sent it; the optimizer knows nothing but what came before. What is said is the
share of the input's price that is saved; below zero, it cost more than sending it plain.
"""

import gzip
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from askonce.prompts.assembly import shipped_rules
from askonce.prompts.optimizer.breakpoints import choose
from askonce.prompts.optimizer.reuse_stats import ReuseStats
from askonce.prompts.provider.rules import Lifetime, ProviderRule
from askonce.prompts.requests.request_parts import PartBoundary
from askonce.prompts.simulator import Mark, SimulatedBlock, SimulatedRequest, Simulator

_BLOCK = 512
_BYTES_PER_TOKEN = 4


class Row(NamedTuple):
    """One request of the trace."""

    at: float
    tokens: int
    blocks: list[SimulatedBlock]

    @property
    def end(self) -> int:
        """The block that it ends with, of those that another request can have."""
        return max(len(self.blocks) - 2, 0)


Strategy = Callable[[Row], tuple[tuple[Mark, ...], bool | None]]
"""The marks of a request, and whether the provider may end an entry by itself."""


def read(path: Path) -> list[Row]:
    with gzip.open(path, "rt") as lines:
        rows = [_row(json.loads(line)) for line in lines]
    return sorted(rows, key=lambda row: row.at)


def _row(line: Mapping[str, Any]) -> Row:
    names, tokens = line["hash_ids"], line["input_length"]
    blocks = []
    for at, name in enumerate(names):
        last = at == len(names) - 1
        # What follows a block that is not full is never the same again.
        digest = (name, last and tokens % _BLOCK > 0)
        ends = min((at + 1) * _BLOCK, tokens)
        blocks.append(SimulatedBlock(digest, ends, at, is_endpoint=not last or len(names) == 1))
    return Row(line["timestamp"] / 1000, tokens, blocks)


def saved(rows: Sequence[Row], rule: ProviderRule, strategy: Strategy) -> float:
    """The share of the input's price that a strategy saves under a rule."""
    simulator, cost = Simulator(rule), Decimal(0)
    for row in rows:
        marks, implicit = strategy(row)
        cost += simulator.ask(SimulatedRequest(row.at, row.blocks, marks, implicit)).cost(rule)
    return 1 - float(cost) / sum(row.tokens for row in rows)


def strategies(rule: ProviderRule) -> dict[str, Strategy]:
    own = None if rule.automatic in ("always", "default") else False
    explicit = False if rule.max_writes else None
    by_itself = rule.automatic == "default"

    def system(row: Row) -> tuple[tuple[Mark, ...], bool | None]:
        return (Mark(0),), explicit

    def turns(row: Row) -> tuple[tuple[Mark, ...], bool | None]:
        return (Mark(0),) if by_itself else (Mark(0), Mark(row.end)), own

    def automatic(row: Row) -> tuple[tuple[Mark, ...], bool | None]:
        return () if by_itself or not rule.max_writes else (Mark(row.end),), own

    return {"system prompt": system, "every turn": turns, "automatic": automatic}


def chosen(rule: ProviderRule) -> Strategy:
    """The optimizer, which sees the trace for the first time."""
    sightings = ReuseStats()
    route = sightings.route("trace")
    implicit = rule.automatic == "default"
    ttls = _lifetimes(rule)
    lifetimes = [float(life.seconds) for life in ttls.values()]

    def choice(row: Row) -> tuple[tuple[Mark, ...], bool | None]:
        found = list(_boundaries(row))
        seen = sightings.see(route, found, lifetimes, row.at, ends_are_written=implicit)
        if not rule.max_writes:
            return (), None
        least = float(rule.min_tokens * _BYTES_PER_TOKEN)
        made = choose(
            seen,
            rule,
            ttls,
            row.tokens,
            _BYTES_PER_TOKEN,
            least,
            implicit=implicit,
            known=route.calls > 1,
        )
        marks = tuple(Mark(boundary.at, ttl) for boundary, ttl in made.marked)
        return marks, implicit and not made.explicit

    return choice


def _lifetimes(rule: ProviderRule) -> dict[str, Lifetime]:
    """Those that a marker can ask for; OpenAI's is one for the whole request."""
    if rule.automatic == "default":
        return {rule.default_ttl: rule.ttls[rule.default_ttl]}
    return dict(rule.ttls)


def _boundaries(row: Row) -> Iterator[PartBoundary]:
    for at, block in enumerate(row.blocks[: row.end + 1]):
        kind = "system" if at == 0 else "end" if at == row.end else "turn"
        name = repr(block.digest).encode()
        yield PartBoundary(kind, str(at), block.tokens * _BYTES_PER_TOKEN, name, at)  # type: ignore[arg-type]


def main() -> None:
    rows = read(Path(sys.argv[1]))
    shown: set[tuple[object, ...]] = set()
    print("| rules of | system prompt | every turn | automatic | chosen |")
    print("|---|---|---|---|---|")
    worse = []
    for rule in shipped_rules().rules():
        same = (rule.matching, rule.automatic, rule.min_tokens, rule.read, rule.quantum)
        if (*same, tuple(rule.ttls.items())) in shown:
            continue
        shown.add((*same, tuple(rule.ttls.items())))
        fixed = {name: saved(rows, rule, one) for name, one in strategies(rule).items()}
        ours = saved(rows, rule, chosen(rule))
        cells = " | ".join(f"{share:.1%}" for share in (*fixed.values(), ours))
        print(f"| {rule.provider}: `{rule.models[0]}` | {cells} |", flush=True)
        if ours < max(fixed.values()) - 1e-9:
            worse.append(rule.models[0])
    if worse:
        sys.exit(f"a fixed strategy wins under the rules of {', '.join(worse)}")


if __name__ == "__main__":
    main()
