"""Sweeps: what was swept lately, as this process knows it, and which answers come too late for it.

An entry carries the number of the last sweep before its question was asked. A sweep with a higher
number that names the entry came after the question, so the answer must not be kept. Numbers are the
epochs of one hidden tag in the authority, and every sweep is announced by another hidden tag that
says what it sweeps (`invalidation.py`). So no store has to know anything about sweeps: whoever
keeps an answer, and whoever finds one, looks here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from askonce.core.errors import ConfigError
from askonce.core.models import Entry
from askonce.invalidation import cache_groups
from askonce.invalidation.target import HIDDEN, Compile, Invalidation, Names

UNKNOWN = -1
"""The number in an answer that was asked for when nobody could say what was swept."""

_KNOWN = 1_024
_LATELY = 60.0
"""Seconds for which what is found in a store is compared with a sweep. A store is looked through
twice, the second time when what was under way at the first has arrived or never will."""


class Sweep(NamedTuple):
    """One sweep: its number, what it names, and when this process heard of it."""

    number: int
    names: Names
    heard: float
    may_name: Names
    """What it may name of questions that are not answered yet."""


class RecentSweeps:
    """What this process knows of sweeps. Safe from any thread; `monotonic` is in seconds.

    `number` is that of the last sweep, None as long as nobody could say.
    """

    def __init__(
        self,
        compile_: Compile,
        *,
        monotonic: Callable[[], float],
        lock: AbstractContextManager[Any],
    ) -> None:
        self.number: int | None = None
        self._compile = compile_
        self._monotonic = monotonic
        self._lock = lock
        self._floor = 0  # of what was swept up to here, not all is known
        self._known: dict[str, Sweep] = {}
        self._own: list[str] = []
        self._lately: tuple[Sweep, ...] = ()
        self._stale_at = 0.0

    def begin(self, number: int) -> None:
        """Sweeps up to this number may have been missed."""
        with self._lock:
            self._floor = self.number = number

    def next_number(self) -> int:
        """The number of a sweep that no other process hears of."""
        with self._lock:
            self.number = (self.number or 0) + 1
            return self.number

    @contextmanager
    def announcing(self, tags: Sequence[str]) -> Iterator[None]:
        """While this process announces a sweep itself, to hear of it from others is no news."""
        with self._lock:
            self._own += tags
        try:
            yield
        finally:
            with self._lock:
                for tag in tags:
                    self._own.remove(tag)

    def hear(self, epochs: Mapping[str, int]) -> list[Names]:
        """Take in the sweeps among these epochs of tags; what others name that is new here."""
        told = {
            tag: epoch
            for tag, epoch in epochs.items()
            if tag.startswith(HIDDEN) and Invalidation.reminded(tag) is None
        }
        fresh: list[Names] = []
        for tag, number in told.items():
            announced = Invalidation.announced(tag)
            if announced is None:
                continue
            names, may_name = self._names(announced), self._names_questions(announced)
            with self._lock:
                known = self._known.pop(tag, None)
                if known is not None and known.number >= number:
                    self._known[tag] = known
                else:
                    self._known[tag] = Sweep(number, names, self._monotonic(), may_name)
                    if tag not in self._own:
                        fresh.append(names)
        if told:
            with self._lock:
                self._take_stock(max(told.values()))
        return fresh

    def reminded(self, epochs: Mapping[str, int]) -> list[str]:
        """Of the sweeps that go on, as the reminders among these epochs of tags say, the tags that
        announced those which this process has not heard of. The others stay recent."""
        tags = [tag for tag in map(Invalidation.reminded, epochs) if tag is not None]
        missed: list[str] = []
        with self._lock:
            for tag in tags:
                known = self._known.pop(tag, None)
                if known is not None and known.number >= self._floor:
                    self._known[tag] = known._replace(heard=self._monotonic())
                else:
                    missed.append(tag)
            if tags:
                self._take_stock(0)
        return missed

    def named_by(self, epochs: Mapping[str, int]) -> list[Names]:
        """What the sweeps among these epochs of tags name, whether they are known or not."""
        told = [Invalidation.announced(tag) for tag in epochs]
        return [self._names(announced) for announced in told if announced is not None]

    @property
    def recent(self) -> bool:
        """Was anything swept lately?"""
        return bool(self._lately) and bool(self._recent())

    def late(self, entry: Entry) -> bool:
        """Was this answer's question asked before a sweep that names it, or may have?"""
        number = self.number
        if number is None or entry.swept >= number:
            return False
        with self._lock:
            known = tuple(self._known.values())
        return entry.swept < self._floor or self._after(entry, known)

    def hides(self, entry: Entry) -> bool:
        """Does a sweep of the last minute name this entry, which somebody kept all the same?"""
        return bool(self._lately) and self._after(entry, self._recent())

    def latest(self, question: Entry) -> int:
        """The number of the last recent sweep that names a question; 0 without one.

        Who asks after it must not share an answer with who asked before.
        """
        if not self._lately:
            return 0
        return max((one.number for one in self._recent() if one.may_name(question)), default=0)

    def _after(self, entry: Entry, sweeps: tuple[Sweep, ...]) -> bool:
        return any(one.number > entry.swept and one.names(entry) for one in sweeps)

    def _recent(self) -> tuple[Sweep, ...]:
        if self._monotonic() > self._stale_at:
            with self._lock:
                self._take_stock(0)
        return self._lately

    def _take_stock(self, number: int) -> None:
        """Under the guard: forget what is known for too long, and see what is recent."""
        self.number = max(self.number or 0, number)
        while len(self._known) > _KNOWN:
            oldest = self._known.pop(next(iter(self._known)))
            self._floor = max(self._floor, oldest.number)
        since = self._monotonic() - _LATELY
        self._lately = tuple([one for one in self._known.values() if one.heard > since])
        self._stale_at = min((one.heard for one in self._lately), default=0.0) + _LATELY

    def _names_questions(self, announced: Invalidation) -> Names:
        names = self._names(announced.of_questions)
        if not announced.of_groups:
            return names
        # An answer gets its groups when it arrives, but only those of its own provider.
        return lambda entry: any(cache_groups.is_of(tag, entry.origin) for tag in announced.tags)

    def _names(self, announced: Invalidation) -> Names:
        try:
            return announced.matcher(self._compile)
        except ConfigError:
            # Announced by a process that knows more than this one.
            return Invalidation().matcher(self._compile)
