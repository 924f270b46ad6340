"""Findings: one for each cause on each route, with how often it occurred and what it cost."""

from collections import Counter
from decimal import Decimal

import msgspec

from askonce.prompts.analyzer.causes import FIXES, Cause

_AROUND = 40  # characters of an excerpt on each side of a difference
_LONGEST = 160
_LINES = 10


class Excerpt(msgspec.Struct, frozen=True):
    """The text of both requests where they differ, and their lines in the log."""

    before: str
    after: str
    line: int
    earlier_line: int


class LossEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One request that lost something, and why."""

    cause: Cause
    confidence: float
    pointer: str
    lost: int
    line: int
    earlier_line: int = 0
    a: str = ""
    b: str = ""
    at: int = 0
    byte: int = 0
    token: int = 0
    write: Decimal = Decimal(1)
    cachable: bool = True


class Finding:
    """All events of one cause on one route."""

    def __init__(self, cause: Cause, route: int) -> None:
        self.cause = cause
        self.route = route
        self.count = 0
        self.lost = 0
        self.weight = Decimal(0)
        """Tokens lost, each times its price beyond the price of reading it."""
        self.confidence = 0.0
        self.pointers: Counter[str] = Counter()
        self.lines: list[int] = []
        self.example: LossEvent | None = None

    def add(self, event: LossEvent, read: Decimal) -> None:
        lost = event.lost if event.cachable else 0
        self.count += 1
        self.lost += lost
        self.weight += lost * (event.write - read)
        self.confidence += event.confidence
        if len(self.pointers) < 1000 or event.pointer in self.pointers:
            self.pointers[event.pointer] += 1
        if len(self.lines) < _LINES:
            self.lines.append(event.line)
        if self.example is None or (event.cachable, event.lost) > (
            self.example.cachable,
            self.example.lost,
        ):
            self.example = event

    @property
    def fix(self) -> str:
        return FIXES[self.cause]

    @property
    def mean_confidence(self) -> float:
        return round(self.confidence / self.count, 2) if self.count else 0.0

    @property
    def excerpt(self) -> Excerpt:
        event = self.example
        assert event is not None
        return Excerpt(
            excerpt(event.a, event.at), excerpt(event.b, event.at), event.line, event.earlier_line
        )


def excerpt(text: str, at: int) -> str:
    """Return some characters before and after a place."""
    start, end = max(0, at - _AROUND), min(len(text), at + _LONGEST - _AROUND)
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
