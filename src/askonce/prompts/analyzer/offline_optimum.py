"""The offline optimum: what the best markers would have done for a log, knowing all of it.

Every end of a block is a node of a trie over all requests of a route. Each node counts the requests
that visit it, and how often they would have found a live entry there, for each lifetime. At the end
each node gets the cheapest lifetime, or no entry. A request hardly ever needs more than four
markers for that, because it needs one only where the paths of prompts part.
"""

from array import array
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from askonce.prompts.analyzer.fingerprints import PromptFingerprint
from askonce.prompts.provider.rules import ProviderRule

MOST_LIFETIMES = 2


class SeenPrefix(NamedTuple):
    """The beginning of a prompt that had been seen before.

    blocks   its length
    visitor  the number of the last prompt that began with it
    ts       when that prompt was sent
    ready    when an entry that it wrote could first be read
    """

    blocks: int
    visitor: int
    ts: float
    ready: float


class OptimalTokens(NamedTuple):
    """The tokens read and, by the price of writing, the tokens written with the best markers."""

    read: int
    written: dict[Decimal, int]


class OfflineOptimum:
    """Counts the visits of each node, and computes the optimum at the end."""

    def __init__(self) -> None:
        self._nodes: dict[int, int] = {}
        self._route = array("I")
        self._tokens = array("I")
        self._visits = array("I")
        self._reads = tuple(array("I") for _ in range(MOST_LIFETIMES))
        self._visitor = array("I")
        self._ts = array("d")
        self._ready = array("d")

    def visit(
        self, prompt: PromptFingerprint, number: int, route: int, rule: ProviderRule | None
    ) -> SeenPrefix | None:
        """Add a prompt; return its beginning that had been seen before, None without one."""
        own = hash(("route", route))
        found = [self._nodes.get(one ^ own) for one in prompt.chained]
        known = next((n for n, one in enumerate(found) if one is None), len(found))
        seen = None
        if known:
            node = found[known - 1]
            assert node is not None
            seen = SeenPrefix(known, self._visitor[node], self._ts[node], self._ready[node])
        reached = self._reached(prompt, [n for n in found[:known] if n is not None], rule)
        for block, node in enumerate(found):
            if node is None:
                self._nodes[prompt.chained[block] ^ own] = len(self._route)
                self._add(prompt, block, number, route)
                continue
            self._visits[node] += 1
            self._visitor[node] = number
            for reads, blocks in zip(self._reads, reached, strict=False):
                reads[node] += block < blocks
            if not reached or block >= max(reached):
                self._ready[node] = prompt.ready
            self._ts[node] = prompt.ts
        return seen

    def _reached(
        self, prompt: PromptFingerprint, nodes: list[int], rule: ProviderRule | None
    ) -> list[int]:
        """Return, for each lifetime, how many blocks the longest live entry would have."""
        if rule is None:
            return []
        reached = []
        for life in list(rule.ttls.values())[:MOST_LIFETIMES]:
            blocks = 0
            for block in range(len(nodes) - 1, -1, -1):
                if prompt.tokens[block] < rule.min_tokens:
                    break
                node = nodes[block]
                if self._ready[node] <= prompt.ts <= self._ts[node] + life.seconds:
                    blocks = block + 1
                    break
            reached.append(blocks)
        return reached

    def _add(self, prompt: PromptFingerprint, block: int, number: int, route: int) -> None:
        self._route.append(route)
        self._tokens.append(prompt.tokens_of(block))
        self._visits.append(1)
        for reads in self._reads:
            reads.append(0)
        self._visitor.append(number)
        self._ts.append(prompt.ts)
        self._ready.append(prompt.ready)

    def compute(self, rules: list[ProviderRule | None]) -> list[OptimalTokens]:
        """Return the optimum of each route; `rules` are the routes' rules, by their number."""
        best = [OptimalTokens(0, {}) for _ in rules]
        for route, tokens, visits, *reads in self._counts():
            rule = rules[route]
            if rule is None or not any(reads):
                continue
            kind, cost = _cheapest(rule, visits, reads)
            if kind:
                read, written = best[route]
                count = reads[kind - 1]
                written[cost] = written.get(cost, 0) + tokens * (visits - count)
                best[route] = OptimalTokens(read + tokens * count, written)
        return best

    def _counts(self) -> Iterator[tuple[int, ...]]:
        return zip(self._route, self._tokens, self._visits, *self._reads, strict=True)


def _cheapest(rule: ProviderRule, visits: int, reads: list[int]) -> tuple[int, Decimal]:
    """Return the number of the cheapest lifetime, from 1, and its write price; 0 for none."""
    best, kind, cost = float(visits), 0, Decimal(1)
    for number, (life, count) in enumerate(zip(rule.ttls.values(), reads, strict=False), 1):
        price = (visits - count) * float(life.write) + count * float(rule.read)
        if price < best:
            best, kind, cost = price, number, life.write
    return kind, cost
