"""Choosing breakpoints as requests come: what is believed alive is read, what will be is written.

A chooser looks at one route under one rule. It learns from every request, marked or not, and
believes of the provider's cache what the rules make of the requests that it was told were sent.
"""

from collections.abc import Sequence

from askonce.prompts.planning import Plan, plan
from askonce.prompts.provider_rules import Rule
from askonce.prompts.simulating import Ask, Block, Fate, Simulator
from askonce.prompts.visits import Visits

_TRUST = 0.8
"""What part of an estimate counts for a prefix never seen before.

It is made out of what others did, and acted on where it is highest, which is where it is most
likely too high; and providers lose entries that nobody has read yet.
"""


class Chooser:
    """Chooses breakpoints for the requests of one route, in the order of their time.

    First `choose`, then `sent` with what really went out; a request that goes out as it came is
    told to `sent` too. Not safe for several threads at once.
    """

    def __init__(self, rule: Rule, *, dialect: str = "", most: int = 200_000) -> None:
        self._rule = rule
        self._dialect = dialect
        self._visits = Visits(
            {
                name: float(life.seconds)
                for name, life in rule.ttls.items()
                if not (dialect and life.dialects) or dialect in life.dialects
            },
            most=most,
        )
        self._cache = Simulator(rule)

    def choose(
        self,
        blocks: Sequence[Block],
        at: float,
        *,
        candidates: Sequence[int] | None = None,
        most: int | None = None,
    ) -> Plan:
        """The breakpoints that are expected to cost the least, now and for what follows.

        `candidates` are the blocks that may carry one, in order; `most` is how many are free.
        """
        tokens = [block.tokens for block in blocks]
        if not self._rule.max_writes:
            whole = float(tokens[-1]) if tokens else 0.0
            return Plan((), whole, whole)
        digests = [block.digest for block in blocks]
        followed = self._visits.followed(digests)
        new = [
            index for index, digest in enumerate(digests) if self._visits.last_seen(digest) is None
        ]
        for shares in followed.values():
            for index in new:
                shares[index] *= _TRUST
        alive, kept = self._deepest_alive(blocks, at)
        for name, shares in followed.items():
            # To ask for a longer lifetime than it was written for would write it anew.
            if self._rule.ttls[name].seconds <= kept:
                shares[: alive + 1] = [1.0] * (alive + 1)
        return plan(
            tokens,
            followed,
            self._rule,
            candidates=candidates,
            most=most,
            dialect=self._dialect,
        )

    def sent(self, ask: Ask) -> Fate:
        """What was sent, and what the rules make of it."""
        fate = self._cache.ask(ask)
        self._visits.visit([block.digest for block in ask.blocks], ask.at)
        return fate

    def _deepest_alive(self, blocks: Sequence[Block], at: float) -> tuple[int, float]:
        """The last block up to which the cache is believed to have the prompt, and for how long.

        In seconds after each use; -1 and 0 where it has nothing.
        """
        for index in range(len(blocks) - 1, -1, -1):
            if blocks[index].tokens < self._rule.min_tokens:
                break
            if kept := self._cache.readable(blocks[index].digest, at):
                return index, kept
        return -1, 0.0
