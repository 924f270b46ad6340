"""Families: requests whose tools and instructions are variants of each other, as in one route.

A prompt belongs to the family that shares most of its head, counted in pairs of words without
digits. So a date, a name or one more tool does not start a new family.
"""

import re
from collections import Counter
from itertools import pairwise

from askonce.prompts.requests.segments import Segment, SegmentKind

_WORDS = re.compile(rb"[A-Za-z\x80-\xff_]+")
_DIGITS = re.compile(rb"\d+")
_LONGEST = 40_000  # bytes of a head that are looked at
_ALIKE = 0.4
"""The share of the smaller head from which on two heads are of one family."""

_MOST = 500
"""Families of an endpoint; beyond that, heads are generated each time and form no routes."""

MIXED = -1
"""The family of the heads beyond that, which have nothing in common."""

_FEW = 8  # pairs of words; a head with fewer cannot be classified


class FamilyClassifier:
    """Finds the family of a prompt by its head; families are numbered in the order of the log."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._members: dict[tuple[str, int], list[int]] = {}
        self._sizes: list[int] = []
        self._plain: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def family(self, scope: str, segments: tuple[Segment, ...]) -> int:
        """Return the family of a prompt within a scope, such as one provider's dialect."""
        head = b"\n".join(
            segment.data
            for segment in segments
            if segment.kind in (SegmentKind.TOOL, SegmentKind.SYSTEM)
            or segment.pointer == "/instructions"
        )
        key = hash((scope, head))
        found = self._known.get(key)
        if found is None:
            # Most changes are numbers or contain some.
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
        """Return the family of the heads that are too short to be classified."""
        if scope not in self._plain:
            self._plain[scope] = self._new(set())
        return self._plain[scope]

    def _new(self, pairs: set[int]) -> int:
        self._sizes.append(len(pairs))
        return len(self._sizes) - 1


def _sampled(pairs: set[int]) -> set[int]:
    """Keep some hundreds at most: every fourth or sixteenth pair, the same ones for every head."""
    part = 1
    while len(pairs) > 400:
        part *= 4
        pairs = {one for one in pairs if one % part == 0}
    return pairs
