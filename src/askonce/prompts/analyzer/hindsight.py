"""Hindsight: what the best markers would have done for a log, knowing all of it.

Every end of a block is a node of a trie over all requests of a route. Of each node is counted how
often a request came by, and how often an entry there would have been alive, for each lifetime. At
the end the cheapest of all lifetimes, or no entry at all, is taken for each node: more than four
markers in a request are hardly ever needed for that, because one is needed only where paths part.
"""

from array import array
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from askonce.prompts.analyzer.prompt_shapes import PromptShape
from askonce.prompts.provider.rules import ProviderRule

MOST_LIFETIMES = 2


class SeenPrefix(NamedTuple):
    """What was known of a prompt's beginning when it came.

    `blocks` of it had been seen before, last by the prompt `visitor`, at `ts`; `ready` is when an
    entry that was written then could first be read.
    """

    blocks: int
    visitor: int
    ts: float
    ready: float


class Best(NamedTuple):
    """What is read and what is written, by the cost of it, with the best markers, in tokens."""

    read: int
    written: dict[Decimal, int]


class Hindsight:
    """Counts visits of nodes, and takes the best of them at the end."""

    def __init__(self) -> None:
        self._nodes: dict[int, int] = {}
        self._route = array("I")
        self._tokens = array("I")
        self._visits = array("I")
        self._reads = tuple(array("I") for _ in range(MOST_LIFETIMES))
        self._visitor = array("I")
        self._ts = array("d")
        self._ready = array("d")

    def __len__(self) -> int:
        return len(self._nodes)

    def visit(
        self, shape: PromptShape, number: int, route: int, rule: ProviderRule | None
    ) -> SeenPrefix | None:
        """A prompt comes by; what was known of it before, if anything."""
        own = hash(("route", route))
        found = [self._nodes.get(one ^ own) for one in shape.chained]
        known = next((n for n, one in enumerate(found) if one is None), len(found))
        seen = None
        if known:
            node = found[known - 1]
            assert node is not None
            seen = SeenPrefix(known, self._visitor[node], self._ts[node], self._ready[node])
        reached = self._reached(shape, [n for n in found[:known] if n is not None], rule)
        for block, node in enumerate(found):
            if node is None:
                self._nodes[shape.chained[block] ^ own] = len(self._route)
                self._add(shape, block, number, route)
                continue
            self._visits[node] += 1
            self._visitor[node] = number
            for reads, blocks in zip(self._reads, reached, strict=False):
                reads[node] += block < blocks
            if not reached or block >= max(reached):
                self._ready[node] = shape.ready
            self._ts[node] = shape.ts
        return seen

    def _reached(
        self, shape: PromptShape, nodes: list[int], rule: ProviderRule | None
    ) -> list[int]:
        """For each lifetime, how many blocks an entry alive has: the longest that may be one."""
        if rule is None:
            return []
        reached = []
        for life in list(rule.ttls.values())[:MOST_LIFETIMES]:
            blocks = 0
            for block in range(len(nodes) - 1, -1, -1):
                if shape.tokens[block] < rule.min_tokens:
                    break
                node = nodes[block]
                if self._ready[node] <= shape.ts <= self._ts[node] + life.seconds:
                    blocks = block + 1
                    break
            reached.append(blocks)
        return reached

    def _add(self, shape: PromptShape, block: int, number: int, route: int) -> None:
        self._route.append(route)
        self._tokens.append(shape.tokens_of(block))
        self._visits.append(1)
        for reads in self._reads:
            reads.append(0)
        self._visitor.append(number)
        self._ts.append(shape.ts)
        self._ready.append(shape.ready)

    def best(self, rules: list[ProviderRule | None]) -> list[Best]:
        """For each route, by its number, what the best markers would have done."""
        best = [Best(0, {}) for _ in rules]
        for route, tokens, visits, *reads in self._counts():
            rule = rules[route]
            if rule is None or not any(reads):
                continue
            kind, cost = _cheapest(rule, visits, reads)
            if kind:
                read, written = best[route]
                count = reads[kind - 1]
                written[cost] = written.get(cost, 0) + tokens * (visits - count)
                best[route] = Best(read + tokens * count, written)
        return best

    def _counts(self) -> Iterator[tuple[int, ...]]:
        return zip(self._route, self._tokens, self._visits, *self._reads, strict=True)


def _cheapest(rule: ProviderRule, visits: int, reads: list[int]) -> tuple[int, Decimal]:
    """The best lifetime's number, from 1, and what writing for it costs; 0 for none."""
    best, kind, cost = float(visits), 0, Decimal(1)
    for number, (life, count) in enumerate(zip(rule.ttls.values(), reads, strict=False), 1):
        price = (visits - count) * float(life.write) + count * float(rule.read)
        if price < best:
            best, kind, cost = price, number, life.write
    return kind, cost
