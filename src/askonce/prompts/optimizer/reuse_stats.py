"""Sightings: how often prefixes come again, online, in a bounded memory.

Two things are learned, both as moving averages. Of each prefix: the share of its sightings whose
last one was less than a lifetime ago. And of each route the same for prefixes of a kind, which is
what is expected of one that nobody has seen; for the end of a prompt it is how often a
conversation goes on. Time is a parameter.
"""

from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from askonce.prompts.optimizer.continuation_stats import ContinuationStats
from askonce.prompts.provider.tokens import BYTES_PER_TOKEN
from askonce.prompts.requests.request_parts import PartBoundary

_SLOWEST = 0.05
"""The weight of the newest sighting, once there were twenty."""

_PRIOR = 1.0
"""How many sightings the route's own experience counts for."""

_MOST_BYTES_PER_TOKEN = 4.5
"""Of prose; what is longer than a minimum by this is hardly shorter than it in truth."""

_WINDOW = 50
_LEAN = 2.0
_NOTED = 32
_REST_S = 24 * 3600.0

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A dict that forgets what was not used for longest, beyond so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def get(self, key: K) -> V | None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._kept[key] = found
        return found

    def put(self, key: K, value: V) -> V:
        self._kept.pop(key, None)
        self._kept[key] = value
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return value


class Average:
    """A share that newer observations weigh more in, exact while there are few."""

    __slots__ = ("count", "rate")

    def __init__(self) -> None:
        self.count = 0
        self.rate = 0.0

    def add(self, observed: float) -> None:
        self.count += 1
        self.rate += (observed - self.rate) * max(1.0 / self.count, _SLOWEST)

    def towards(self, expected: float) -> float:
        """The rate, drawn to what is expected as long as there is little of it."""
        count = min(self.count, 1 / _SLOWEST)
        return (count * self.rate + _PRIOR * expected) / (count + _PRIOR)


class _Prefix:
    """One prefix: when it was seen last, and how often in time, for each lifetime.

    `stage` is how far its conversation had come where a prompt ended here; None where none did.
    """

    __slots__ = ("again", "last", "stage")

    def __init__(self) -> None:
        self.last: float | None = None
        self.stage: int | None = None
        self.again: dict[float, Average] = {}

    def see(self, lifetime: float, alive: bool, expected: float) -> float:
        """Take in one sighting; how likely the next one finds it alive."""
        average = self.again.get(lifetime)
        if average is None:
            average = self.again[lifetime] = Average()
            if self.last is not None:
                average.add(0.0)  # the first time, when nobody looked
        average.add(1.0 if alive else 0.0)
        return average.towards(expected) if self.stage is None else max(average.rate, expected)

    def alive(self, now: float, lifetime: float) -> bool:
        return self.last is not None and now - self.last < lifetime


class RouteReuse:
    """What is known of the calls of one sender to one model.

    `bytes_per_token` follows what the provider counts, `pace` is the seconds between two calls.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.talks = ContinuationStats()
        self._expected: dict[tuple[str, float], Average] = {}
        self.bytes_per_token = BYTES_PER_TOKEN
        self.pace: float | None = None
        self._last: float | None = None
        self._counted = False
        self._window = [0, 0.0]
        self._resting_until = 0.0

    def call(self, now: float) -> None:
        self.calls += 1
        if self._last is not None:
            gap = max(now - self._last, 1e-3)
            self.pace = gap if self.pace is None else self.pace + _SLOWEST * (gap - self.pace)
        self._last = now

    def chance(self, boundary: PartBoundary, stage: int, lifetime: float, lean: float) -> float:
        """What is expected of a prefix that nothing is known of itself."""
        if boundary.kind in ("turn", "end"):
            return self.talks.chance(stage, lifetime, lean)
        known = self._expected.get((_kind(boundary), lifetime))
        return 0.0 if known is None else known.rate

    def learn(self, boundary: PartBoundary, lifetime: float, *, again: bool) -> None:
        kind = (_kind(boundary), lifetime)
        self._expected.setdefault(kind, Average()).add(1.0 if again else 0.0)

    def counted(self, size_bytes: int, tokens: int) -> None:
        """The provider counted so many tokens in a prompt of so many bytes."""
        if tokens > 0 and 1.0 <= size_bytes / tokens <= 12.0:
            weight = 0.2 if self._counted else 1.0
            self._counted = True
            self.bytes_per_token += weight * (size_bytes / tokens - self.bytes_per_token)

    def paid(self, won: float, now: float) -> None:
        """A marked call won so many tokens' worth by its markers, or lost them.

        After 50 that lost together, the route is left alone for a day.
        """
        self._window[0] += 1
        self._window[1] += won
        if self._window[0] >= _WINDOW:
            if self._window[1] < 0:
                self.rest(now)
            self._window = [0, 0.0]

    def rest(self, now: float) -> None:
        self._resting_until = now + _REST_S

    def bytes_of(self, tokens: int) -> float:
        """What is this long has that many tokens, to be on the safe side."""
        return tokens * (self.bytes_per_token if self._counted else _MOST_BYTES_PER_TOKEN)

    def rests(self, now: float) -> bool:
        return now < self._resting_until


class PrefixReuse(NamedTuple):
    """A boundary, and by lifetime the chance that a call finds its prefix alive."""

    boundary: PartBoundary
    chances: dict[float, float]


class ReuseStats:
    """Prefixes and routes seen lately."""

    def __init__(self, prefixes: int = 65_536, routes: int = 1_024) -> None:
        self._prefixes: Recent[bytes, _Prefix] = Recent(prefixes)
        self._routes: Recent[Hashable, RouteReuse] = Recent(routes)

    def __len__(self) -> int:
        return len(self._prefixes)

    def route(self, name: Hashable) -> RouteReuse:
        return self._routes.get(name) or self._routes.put(name, RouteReuse())

    def see(
        self,
        route: RouteReuse,
        found: Sequence[PartBoundary],
        lifetimes: Sequence[float],
        now: float,
        *,
        ends_are_written: bool,
    ) -> list[PrefixReuse]:
        """Take in a prompt's boundaries: those worth a look, and how likely each is alive.

        Of the turns only the end is worth one, the last that was seen before, and the last that
        was an end before. The chances
        never grow along the prompt. In doubt about the end, they lean to sending the request as it
        came: `ends_are_written` says whether the provider would write the end by itself.
        """
        route.call(now)
        lean = _LEAN if ends_are_written else -_LEAN
        worth = self._worth(found)
        self._note(found, now)
        stage = self._stage(route, worth, lifetimes, now)
        seen = []
        lowest = dict.fromkeys(lifetimes, 1.0)
        for boundary in worth:
            prefix = self._prefixes.get(boundary.digest)
            if prefix is None:
                prefix = self._prefixes.put(boundary.digest, _Prefix())
            if boundary.kind == "end":
                prefix.stage = stage
            chances = {}
            for lifetime in lifetimes:
                alive = prefix.alive(now, lifetime)
                chance = prefix.see(lifetime, alive, route.chance(boundary, stage, lifetime, lean))
                if boundary.kind in ("tools", "system"):
                    route.learn(boundary, lifetime, again=alive)
                lowest[lifetime] = chances[lifetime] = min(lowest[lifetime], chance)
            seen.append(PrefixReuse(boundary, chances))
            prefix.last = now
        route.talks.end(stage, now)
        return seen

    def _stage(
        self,
        route: RouteReuse,
        worth: Sequence[PartBoundary],
        lifetimes: Sequence[float],
        now: float,
    ) -> int:
        """How far this conversation has come; an end that is sent again is where it was."""
        for boundary in reversed(worth):
            prefix = self._prefixes.get(boundary.digest)
            if boundary.kind not in ("turn", "end") or prefix is None or prefix.stage is None:
                continue
            if prefix.last is not None:
                route.talks.goes_on(prefix.stage, now - prefix.last, lifetimes)
            return prefix.stage if boundary.kind == "end" else prefix.stage + 1
        return 0

    def _worth(self, found: Sequence[PartBoundary]) -> list[PartBoundary]:
        system = [one for one in found if one.kind == "system"]
        few = {id(one) for one in (*system[:3], *system[-1:])}
        worth = [one for one in found if one.kind == "tools" or id(one) in few]
        turns: list[PartBoundary] = []
        for one in reversed(found):
            prefix = self._prefixes.get(one.digest) if one.kind == "turn" else None
            if prefix is None or (turns and prefix.stage is None):
                continue
            turns.append(one)
            if prefix.stage is not None:
                break
        return [*worth, *reversed(turns), *(one for one in found if one.kind == "end")]

    def _note(self, found: Sequence[PartBoundary], now: float) -> None:
        """Others may go on from any turn of this prompt, and not from its end."""
        # Those further in front were noted when the conversation was shorter.
        for one in found[-_NOTED:]:
            if one.kind == "turn" and one.digest not in self._prefixes:
                self._prefixes.put(one.digest, _Prefix()).last = now


def _kind(boundary: PartBoundary) -> str:
    """What a prefix is compared with as long as little is known of itself."""
    return f"{boundary.kind}/{min(boundary.at, 3)}"
