"""Families: requests whose tools and instructions are variants of each other, as one route's are.

A prompt belongs to the family that it shares the most of its head with, counted in pairs of words
in which no digit stands. So a date, a name or one more tool does not found a family of its own.
"""

import re
from collections import Counter
from itertools import pairwise

from askonce.prompts.requests.segments import Kind, Segment

_WORDS = re.compile(rb"[A-Za-z\x80-\xff_]+")
_DIGITS = re.compile(rb"\d+")
_LONGEST = 40_000  # bytes of a head that are looked at
_ALIKE = 0.4
"""From which part of the smaller head on two heads are of one family."""

_MOST = 500
"""How many families an endpoint may have; more are no routes but prompts made up each time."""

MIXED = -1
"""The family of those, which have nothing in common."""

_FEW = 8  # pairs of words that say too little about a head


class Families:
    """Tells which family a head belongs to; families are numbered as they are met."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._members: dict[tuple[str, int], list[int]] = {}
        self._sizes: list[int] = []
        self._plain: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def family(self, scope: str, segments: tuple[Segment, ...]) -> int:
        """The family of a prompt, within a scope (a tenant's requests to one endpoint)."""
        head = b"\n".join(
            segment.data
            for segment in segments
            if segment.kind in (Kind.TOOL, Kind.SYSTEM) or segment.pointer == "/instructions"
        )
        key = hash((scope, head))
        found = self._known.get(key)
        if found is None:
            # Most of what changes is a number or has some in it.
            numberless = hash((scope, _DIGITS.sub(b"0", head)))
            found = self._known.get(numberless)
            if found is None:
                found = self._known[numberless] = self._find(scope, head[:_LONGEST])
            self._known[key] = found
        return found

    def _find(self, scope: str, head: bytes) -> int:
        words = _WORDS.findall(head)
        pairs = _sampled({hash(pair) for pair in pairwise(words)})
        if len(pairs) < _FEW:
            return self._plain_family(scope)
        votes = Counter(one for pair in pairs for one in self._members.get((scope, pair), ()))
        for family, shared in votes.most_common(3):
            if shared >= max(_FEW // 2, _ALIKE * min(len(pairs), self._sizes[family])):
                return family
        count = self._counts[scope] = self._counts.get(scope, 0) + 1
        if count > _MOST:
            return MIXED
        family = self._new(pairs)
        for pair in pairs:
            self._members.setdefault((scope, pair), []).append(family)
        return family

    def _plain_family(self, scope: str) -> int:
        """The family of heads that say too little to be told apart."""
        if scope not in self._plain:
            self._plain[scope] = self._new(set())
        return self._plain[scope]

    def _new(self, pairs: set[int]) -> int:
        self._sizes.append(len(pairs))
        return len(self._sizes) - 1


def _sampled(pairs: set[int]) -> set[int]:
    """At most some hundreds of them: every fourth, or sixteenth, the same ones of every head."""
    part = 1
    while len(pairs) > 400:
        part *= 4
        pairs = {one for one in pairs if one % part == 0}
    return pairs
