"""Reuse statistics: how often prefixes are sent again, learned online in a bounded memory.

Both statistics are moving averages. For each prefix: the share of its sightings that came less than
a lifetime after the one before. For each route: the same share over all prefixes of a kind, which
is the expectation for a prefix that is new; for the end of a prompt that is how often conversations
continue. Time is a parameter, in seconds.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from askonce.core.bounded import BoundedMap
from askonce.prompts.optimizer.continuation_stats import ContinuationStats
from askonce.prompts.provider.tokens import BYTES_PER_TOKEN
from askonce.prompts.requests.request_parts import PrefixBoundary

_SLOWEST = 0.05
"""The weight of the newest observation, once there were twenty."""

_PRIOR = 1.0
"""How many observations the route's own average counts for."""

_MOST_BYTES_PER_TOKEN = 4.5
"""Conservative bytes per token for prose until the provider has counted some."""

_WINDOW = 50
_ERRORS = 2.0
_REMEMBERED_TURNS = 32
_PAUSE_SECONDS = 24 * 3600.0


class MovingAverage:
    """A share in which newer observations weigh more; exact while there are few."""

    __slots__ = ("count", "rate")

    def __init__(self) -> None:
        self.count = 0
        self.rate = 0.0

    def add(self, observed: float) -> None:
        self.count += 1
        self.rate += (observed - self.rate) * max(1.0 / self.count, _SLOWEST)

    def towards(self, expected: float) -> float:
        """Return the rate, drawn towards an expectation while there are few observations."""
        count = min(self.count, 1 / _SLOWEST)
        return (count * self.rate + _PRIOR * expected) / (count + _PRIOR)


class _Prefix:
    """One prefix: when it was seen last, and how often in time, for each lifetime.

    `stage` is the stage of the conversation whose prompt ended here; None if no prompt did.
    """

    __slots__ = ("last", "reused", "stage")

    def __init__(self) -> None:
        self.last: float | None = None
        self.stage: int | None = None
        self.reused: dict[float, MovingAverage] = {}

    def observe(self, lifetime: float, alive: bool, expected: float) -> float:
        """Add one sighting; return how likely the next one finds the prefix alive."""
        average = self.reused.get(lifetime)
        if average is None:
            average = self.reused[lifetime] = MovingAverage()
            if self.last is not None:
                average.add(0.0)  # the first sighting, which was only noted
        average.add(1.0 if alive else 0.0)
        return average.towards(expected) if self.stage is None else max(average.rate, expected)

    def is_alive(self, now: float, lifetime: float) -> bool:
        return self.last is not None and now - self.last < lifetime


class RouteReuse:
    """What is known of the calls of one sender to one model.

    `bytes_per_token` follows the provider's counts; `pace` is the seconds between two calls.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.continuations = ContinuationStats()
        self._expected: dict[tuple[str, float], MovingAverage] = {}
        self.bytes_per_token = BYTES_PER_TOKEN
        self.pace: float | None = None
        self._last: float | None = None
        self._is_calibrated = False
        self._window = [0, 0.0]
        self._paused_until = 0.0

    def add_call(self, now: float) -> None:
        self.calls += 1
        if self._last is not None:
            gap = max(now - self._last, 1e-3)
            self.pace = gap if self.pace is None else self.pace + _SLOWEST * (gap - self.pace)
        self._last = now

    def chance(self, boundary: PrefixBoundary, stage: int, lifetime: float, errors: float) -> float:
        """Estimate how likely a new prefix is sent again within a lifetime."""
        if boundary.kind in ("turn", "end"):
            return self.continuations.chance(stage, lifetime, errors)
        known = self._expected.get((_kind(boundary), lifetime))
        return 0.0 if known is None else known.rate

    def observe(self, boundary: PrefixBoundary, lifetime: float, *, alive: bool) -> None:
        """Add a sighting to the average of the boundary's kind."""
        kind = (_kind(boundary), lifetime)
        self._expected.setdefault(kind, MovingAverage()).add(1.0 if alive else 0.0)

    def calibrate(self, size_bytes: int, tokens: int) -> None:
        """Add the provider's count of tokens in a prompt of so many bytes."""
        if tokens > 0 and 1.0 <= size_bytes / tokens <= 12.0:
            weight = 0.2 if self._is_calibrated else 1.0
            self._is_calibrated = True
            self.bytes_per_token += weight * (size_bytes / tokens - self.bytes_per_token)

    def add_savings(self, tokens: float, now: float) -> None:
        """Add what the markers of a call saved, in input tokens; negative if they cost more.

        After 50 calls that lost together, the route is paused for a day.
        """
        self._window[0] += 1
        self._window[1] += tokens
        if self._window[0] >= _WINDOW:
            if self._window[1] < 0:
                self.pause(now)
            self._window = [0, 0.0]

    def pause(self, now: float) -> None:
        """Leave the route's requests as they are for a day."""
        self._paused_until = now + _PAUSE_SECONDS

    def is_paused(self, now: float) -> bool:
        return now < self._paused_until

    def bytes_of(self, tokens: int) -> float:
        """Return from how many bytes on a prompt surely has that many tokens."""
        return tokens * (self.bytes_per_token if self._is_calibrated else _MOST_BYTES_PER_TOKEN)


class PrefixReuse(NamedTuple):
    """A boundary, and for each lifetime the chance that a call finds its prefix alive."""

    boundary: PrefixBoundary
    chances: dict[float, float]


class ReuseStats:
    """The prefixes and routes that were seen lately.

    Parameters:
        prefixes: how many prefixes to remember.
        routes: how many routes to remember.
    """

    def __init__(self, prefixes: int = 65_536, routes: int = 1_024) -> None:
        self._prefixes: BoundedMap[bytes, _Prefix] = BoundedMap(prefixes)
        self._routes: BoundedMap[Hashable, RouteReuse] = BoundedMap(routes)

    def __len__(self) -> int:
        return len(self._prefixes)

    def route(self, name: Hashable) -> RouteReuse:
        """Return the statistics of a route; a new route has none yet."""
        return self._routes.get(name) or self._routes.setdefault(name, RouteReuse())

    def observe(
        self,
        route: RouteReuse,
        found: Sequence[PrefixBoundary],
        lifetimes: Sequence[float],
        now: float,
        *,
        ends_are_written: bool,
    ) -> list[PrefixReuse]:
        """Add a prompt; return the boundaries to consider and how likely each is alive.

        The chances never rise along the prompt. An uncertain end counts in favor of sending the
        request as it came: `ends_are_written` says whether the provider writes it by itself.
        """
        route.add_call(now)
        errors = _ERRORS if ends_are_written else -_ERRORS
        considered = self._considered(found)
        self._remember_turns(found, now)
        stage = self._stage(route, considered, lifetimes, now)
        seen = []
        lowest = dict.fromkeys(lifetimes, 1.0)
        for boundary in considered:
            prefix = self._prefixes.get(boundary.digest)
            if prefix is None:
                prefix = self._prefixes[boundary.digest] = _Prefix()
            if boundary.kind == "end":
                prefix.stage = stage
            chances = {}
            for lifetime in lifetimes:
                alive = prefix.is_alive(now, lifetime)
                expected = route.chance(boundary, stage, lifetime, errors)
                chance = prefix.observe(lifetime, alive, expected)
                if boundary.kind in ("tools", "system"):
                    route.observe(boundary, lifetime, alive=alive)
                lowest[lifetime] = chances[lifetime] = min(lowest[lifetime], chance)
            seen.append(PrefixReuse(boundary, chances))
            prefix.last = now
        route.continuations.add_end(stage, now)
        return seen

    def _stage(
        self,
        route: RouteReuse,
        considered: Sequence[PrefixBoundary],
        lifetimes: Sequence[float],
        now: float,
    ) -> int:
        """Return the stage of this conversation; an end that is sent again keeps its stage."""
        for boundary in reversed(considered):
            prefix = self._prefixes.get(boundary.digest)
            if boundary.kind not in ("turn", "end") or prefix is None or prefix.stage is None:
                continue
            if prefix.last is not None:
                route.continuations.add_continuation(prefix.stage, now - prefix.last, lifetimes)
            return prefix.stage if boundary.kind == "end" else prefix.stage + 1
        return 0

    def _considered(self, found: Sequence[PrefixBoundary]) -> list[PrefixBoundary]:
        """Choose boundaries: the tools, up to four of the system parts, and up to three turns.

        The turns are the end, the last turn that was seen before, and the last one that was an
        end before.
        """
        system = [one for one in found if one.kind == "system"]
        few = {id(one) for one in (*system[:3], *system[-1:])}
        considered = [one for one in found if one.kind == "tools" or id(one) in few]
        turns: list[PrefixBoundary] = []
        for one in reversed(found):
            prefix = self._prefixes.get(one.digest) if one.kind == "turn" else None
            if prefix is None or (turns and prefix.stage is None):
                continue
            turns.append(one)
            if prefix.stage is not None:
                break
        return [*considered, *reversed(turns), *(one for one in found if one.kind == "end")]

    def _remember_turns(self, found: Sequence[PrefixBoundary], now: float) -> None:
        """Note the latest turns: another call may continue from any of them."""
        # Earlier turns were noted when the conversation was shorter.
        for one in found[-_REMEMBERED_TURNS:]:
            if one.kind == "turn" and one.digest not in self._prefixes:
                prefix = self._prefixes[one.digest] = _Prefix()
                prefix.last = now


def _kind(boundary: PrefixBoundary) -> str:
    """Return the group of prefixes whose average is expected of this one while it is new."""
    return f"{boundary.kind}/{min(boundary.at, 3)}"
