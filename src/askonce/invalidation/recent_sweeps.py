"""Recent sweeps: the sweeps that this process knows, and the answers that arrive too late for them.

An entry carries the number of the last sweep before its request was made. If a sweep with a higher
number names the entry, it came after the request, so the answer must not be stored. The numbers are
epochs of one hidden tag in the authority (the most shared store), and another hidden tag announces
each sweep (`target.py`). So stores need to know nothing about sweeps: the code that stores or finds
an answer checks it here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from askonce.core.errors import ConfigError
from askonce.core.models import Entry
from askonce.invalidation import cache_groups
from askonce.invalidation.target import HIDDEN, Compile, Invalidation, Matcher

UNKNOWN = -1
"""The number in an answer whose request was made while the authority was down."""

_MAX_KNOWN = 1_024
_RECENT_S = 60.0
"""How long entries found in a store are compared with a sweep, in seconds.

A store is scanned twice; by the second scan, writes in flight at the first have arrived or never
will."""


class Sweep(NamedTuple):
    """One sweep: its number, the entries that it names, and when this process received it.

    `may_name` matches questions in flight whose answers the sweep may name.
    """

    number: int
    names: Matcher
    received: float
    may_name: Matcher


class RecentSweeps:
    """The sweeps that this process knows; safe from any thread.

    `number` is the number of the last sweep, None until the authority has answered.

    Parameters:
        compile_: Compiles RE2 patterns.
        monotonic: A clock that never goes back, in seconds.
        lock: Guards the state.
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
        self._floor = 0  # some sweeps up to this number are not known
        # Not a BoundedMap: a forgotten sweep raises the floor.
        self._known: dict[str, Sweep] = {}
        self._own: list[str] = []
        self._recent: tuple[Sweep, ...] = ()
        self._recent_until = 0.0

    def begin(self, number: int) -> None:
        """Start over: sweeps up to this number may be unknown here."""
        with self._lock:
            self._floor = self.number = number

    def next_number(self) -> int:
        """Return the number of a new sweep that no other process takes part in."""
        with self._lock:
            self.number = (self.number or 0) + 1
            return self.number

    @contextmanager
    def announcing(self, tags: Sequence[str]) -> Iterator[None]:
        """Mark these announcements as this process's own: `merge` does not report them."""
        with self._lock:
            self._own += tags
        try:
            yield
        finally:
            with self._lock:
                for tag in tags:
                    self._own.remove(tag)

    def merge(self, epochs: Mapping[str, int]) -> list[Matcher]:
        """Add the sweeps among these epochs of tags; return the matchers of others' new sweeps."""
        hidden = {
            tag: epoch
            for tag, epoch in epochs.items()
            if tag.startswith(HIDDEN) and Invalidation.reminded(tag) is None
        }
        fresh: list[Matcher] = []
        for tag, number in hidden.items():
            announced = Invalidation.announced(tag)
            if announced is None:
                continue
            names, may_name = self._matcher(announced), self._question_matcher(announced)
            with self._lock:
                known = self._known.pop(tag, None)
                if known is not None and known.number >= number:
                    self._known[tag] = known
                else:
                    self._known[tag] = Sweep(number, names, self._monotonic(), may_name)
                    if tag not in self._own:
                        fresh.append(names)
        if hidden:
            with self._lock:
                self._update(max(hidden.values()))
        return fresh

    def apply_reminders(self, epochs: Mapping[str, int]) -> list[str]:
        """Keep the sweeps recent that the reminders among these epochs name.

        Returns the announcement tags of those that this process does not know.
        """
        tags = [tag for tag in map(Invalidation.reminded, epochs) if tag is not None]
        missed: list[str] = []
        with self._lock:
            for tag in tags:
                known = self._known.pop(tag, None)
                if known is not None and known.number >= self._floor:
                    self._known[tag] = known._replace(received=self._monotonic())
                else:
                    missed.append(tag)
            if tags:
                self._update(0)
        return missed

    def matchers_of(self, epochs: Mapping[str, int]) -> list[Matcher]:
        """Return the matchers of all sweeps among these epochs of tags, known or not."""
        announced = [Invalidation.announced(tag) for tag in epochs]
        return [self._matcher(one) for one in announced if one is not None]

    @property
    def recent(self) -> bool:
        """Is any sweep recent?"""
        return bool(self._recent) and bool(self._current())

    def late(self, entry: Entry) -> bool:
        """Was this answer's request made before a sweep that names it, or may name it?"""
        number = self.number
        if number is None or entry.swept >= number:
            return False
        with self._lock:
            known = tuple(self._known.values())
        return entry.swept < self._floor or _is_named(entry, known)

    def hides(self, entry: Entry) -> bool:
        """Does a recent sweep name this entry, although a process stored it?"""
        return bool(self._recent) and _is_named(entry, self._current())

    def latest(self, question: Entry) -> int:
        """Return the number of the last recent sweep that may name a question, 0 without one.

        A request made after that sweep must not share the answer of a request made before it.
        """
        if not self._recent:
            return 0
        return max(
            (sweep.number for sweep in self._current() if sweep.may_name(question)), default=0
        )

    def _current(self) -> tuple[Sweep, ...]:
        if self._monotonic() > self._recent_until:
            with self._lock:
                self._update(0)
        return self._recent

    def _update(self, number: int) -> None:
        """Forget the oldest sweeps and find the recent ones; the caller holds the lock."""
        self.number = max(self.number or 0, number)
        while len(self._known) > _MAX_KNOWN:
            oldest = self._known.pop(next(iter(self._known)))
            self._floor = max(self._floor, oldest.number)
        since = self._monotonic() - _RECENT_S
        self._recent = tuple([sweep for sweep in self._known.values() if sweep.received > since])
        self._recent_until = _RECENT_S + min(
            (sweep.received for sweep in self._recent), default=0.0
        )

    def _question_matcher(self, announced: Invalidation) -> Matcher:
        names = self._matcher(announced.of_questions)
        if not announced.of_groups:
            return names
        # An answer gets its groups when it arrives, but only those of its own provider.
        return lambda entry: any(cache_groups.is_of(tag, entry.origin) for tag in announced.tags)

    def _matcher(self, announced: Invalidation) -> Matcher:
        try:
            return announced.matcher(self._compile)
        except ConfigError:
            # A process of a newer version announced it: match everything.
            return Invalidation().matcher(self._compile)


def _is_named(entry: Entry, sweeps: tuple[Sweep, ...]) -> bool:
    return any(sweep.number > entry.swept and sweep.names(entry) for sweep in sweeps)
