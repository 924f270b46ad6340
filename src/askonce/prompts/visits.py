"""Visits: how often a prefix is asked for again while a provider would still have it.

For each prefix it is remembered when it was last seen and which of its visits came soon enough
after the one before. Most prefixes are new when the question is whether to pay for writing them,
so what prefixes like them did answers for them: those seen as often so far, as near to the
end of their prompt, and behind a beginning that was as well known.

A visit of a minute ago that nobody followed may still be followed. So shares are not counted but
estimated step by step of age, out of the visits that reached each step (the actuarial estimate,
Cutler and Ederer 1958). Time is whatever the caller passes; memory is bounded.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Mapping, Sequence

_STEPS = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 14_400.0)
"""Ages in seconds between which a visit is as likely to be followed at any moment."""

_OWN_WEIGHT = 4.0
"""How many visits of its own a prefix needs to count as much as all those like it."""

_PRIOR_VISITS = 20.0
"""How many visits of a kind are worth as much as what visits of the next coarser kind did."""

_HALVE_AT = 50_000.0
"""Visits of one kind after which older ones count for less and less."""

_MANY, _MANY_LED, _MOST_LONG = 4, 6, 8

Kind = tuple[int, ...]


class _Seen:
    """One prefix: when it was seen, how often, which visits came in time, what kind it was."""

    __slots__ = ("at", "came", "count", "kind")

    def __init__(self, at: float, count: int, kind: Kind, came: list[int]) -> None:
        self.at = at
        self.count = count
        self.kind = kind
        self.came = came


class _Tally:
    """Visits of one kind at each step of age: how many reached it, how many were followed in it."""

    __slots__ = ("followed", "reached")

    def __init__(self, steps: int) -> None:
        self.reached = [0.0] * (steps + 1)
        self.followed = [0.0] * steps

    def halve(self) -> None:
        self.reached = [one / 2 for one in self.reached]
        self.followed = [one / 2 for one in self.followed]

    def hazards(self, expected: Sequence[float], weight: float) -> list[float]:
        """The share of those that reach each step that is followed in it.

        What is expected counts as if so many visits had told it.
        """
        found = []
        for step, share in enumerate(expected):
            reached, followed = self.reached[step], self.followed[step]
            # Those still in this step were at risk for half of it.
            waiting = max(reached - followed - self.reached[step + 1], 0.0)
            at_risk = reached - waiting / 2 + weight
            found.append(min((followed + weight * share) / at_risk, 1.0))
        return found


class Visits:
    """The visits of one route's prefixes, for lifetimes given in seconds by name.

    `expected` is the share of visits that is followed in time before anything is known.
    """

    def __init__(
        self, lifetimes: Mapping[str, float], *, expected: float = 0.2, most: int = 200_000
    ) -> None:
        self._names = tuple(lifetimes)
        self._seconds = tuple(lifetimes.values())
        longest = max(self._seconds, default=0.0)
        steps = {step for step in _STEPS if step < longest} | set(self._seconds)
        self._steps = tuple(sorted(steps))
        self._ends = tuple(self._steps.index(seconds) for seconds in self._seconds)
        self._expected = expected
        self._most = most
        self._seen: dict[Hashable, _Seen] = {}
        self._tallies: dict[Kind, _Tally] = {}
        self._levels: dict[Kind, list[_Tally]] = {}
        self._shares: dict[Kind, list[float]] = {}
        self._waiting: tuple[deque[tuple[Hashable, _Seen]], ...] = tuple(
            deque() for _ in self._steps
        )

    def __len__(self) -> int:
        return len(self._seen)

    def visit(self, digests: Sequence[Hashable], at: float) -> None:
        """A request with these prefixes, the shortest first, came at this time."""
        self._grow_older(at)
        last, lead = len(digests) - 1, self._lead(digests)
        for number, digest in enumerate(digests):
            before = self._seen.pop(digest, None)  # put back at the end: the oldest stands first
            if before is None:
                count, came = 1, [0] * len(self._seconds)
            else:
                count, came = before.count + 1, self._follow(before, at)
            kind = _kind(count, last - number, lead, last)
            for tally in self._tallies_of(kind):
                tally.reached[0] += 1
                if tally.reached[0] > _HALVE_AT:
                    tally.halve()
            seen = self._seen[digest] = _Seen(at, count, kind, came)
            self._waiting[0].append((digest, seen))
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]

    def followed(self, digests: Sequence[Hashable]) -> dict[str, list[float]]:
        """For a request that comes now: the share of visits like it that is followed in time.

        By the name of a lifetime, one number for each prefix, none larger than the one before.
        The request itself must not have been counted by `visit` yet.
        """
        last, lead = len(digests) - 1, self._lead(digests)
        highest = [1.0] * len(self._seconds)
        shares: list[list[float]] = [[] for _ in self._seconds]
        for number, digest in enumerate(digests):
            seen = self._seen.get(digest)
            count = 1 if seen is None else seen.count + 1
            alike = self._alike(_kind(count, last - number, lead, last))
            for which, end in enumerate(self._ends):
                share = alike[end]
                if seen is not None and seen.count > 1:
                    own = seen.came[which] / (seen.count - 1)
                    weight = (seen.count - 1) / (seen.count - 1 + _OWN_WEIGHT)
                    share = own * weight + share * (1 - weight)
                highest[which] = min(highest[which], share)
                shares[which].append(highest[which])
        return dict(zip(self._names, shares, strict=True))

    def last_seen(self, digest: Hashable) -> float | None:
        seen = self._seen.get(digest)
        return None if seen is None else seen.at

    def _lead(self, digests: Sequence[Hashable]) -> int:
        """How often the deepest known prefix was seen, in steps: what kind of request this is.

        A system prompt has led many requests, and what follows it is new; an earlier turn of this
        conversation has led one or two.
        """
        for digest in reversed(digests):
            if (seen := self._seen.get(digest)) is not None:
                return min(seen.count.bit_length(), _MANY_LED)
        return 0

    def _tallies_of(self, kind: Kind) -> list[_Tally]:
        """Of a kind and of the coarser ones that it is part of, the coarsest first."""
        found = self._levels.get(kind)
        if found is None:
            found = self._levels[kind] = [
                self._tallies.setdefault(kind[:length], _Tally(len(self._steps)))
                for length in range(1, len(kind) + 1)
            ]
        return found

    def _alike(self, kind: Kind) -> list[float]:
        """By step of age, which share of such visits is followed up to its end."""
        shares = self._shares.get(kind)
        if shares is None:
            hazards = [self._expected / len(self._steps)] * len(self._steps)
            for tally in self._tallies_of(kind):
                hazards = tally.hazards(hazards, _PRIOR_VISITS)
            left, shares = 1.0, []
            for hazard in hazards:
                left *= 1.0 - hazard
                shares.append(1.0 - left)
            self._shares[kind] = shares
        return shares

    def _follow(self, before: _Seen, at: float) -> list[int]:
        """A prefix is visited again; for which lifetimes that was in time adds up in `came`."""
        gap = at - before.at
        step = bisect_right(self._steps, gap)
        if step < len(self._steps):
            for tally in self._tallies_of(before.kind):
                tally.followed[step] += 1
        came = before.came
        for which, seconds in enumerate(self._seconds):
            if gap < seconds:
                came[which] += 1
        return came

    def _grow_older(self, now: float) -> None:
        """Visits that nobody followed reach their next step of age."""
        for step, queue in enumerate(self._waiting):
            seconds = self._steps[step]
            while queue and now - queue[0][1].at >= seconds:
                digest, seen = queue.popleft()
                if self._seen.get(digest) is not seen:
                    continue  # followed, or forgotten
                for tally in self._tallies_of(seen.kind):
                    tally.reached[step + 1] += 1
                if step + 1 < len(self._waiting):
                    self._waiting[step + 1].append((digest, seen))
        self._shares.clear()


def _kind(count: int, from_end: int, lead: int, length: int) -> Kind:
    """Seen how often, how near to the end of the prompt, in which kind of prompt; in few steps."""
    near = 3 if from_end > 3 else (0, 1, 2, 2)[from_end]
    return (min(count, _MANY), near, lead, min(length.bit_length(), _MOST_LONG))
