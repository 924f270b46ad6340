"""Random numbers from a seed: the same on every machine and in every version of Python.

The generator is SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014). It is good enough for a stream of questions, not for secrets.
"""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_STEP = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def _mixed(state: int) -> int:
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
    return state ^ (state >> 31)


class Draws:
    """A sequence of draws; the same seed gives the same sequence."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def bits(self) -> int:
        """Draw 64 bits."""
        self._state = (self._state + _STEP) & _MASK
        return _mixed(self._state)

    def share(self) -> float:
        """Draw a number of [0, 1) uniformly."""
        return (self.bits() >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        """Draw an integer of [0, limit), uniform up to an error below `limit` / 2^64."""
        return self.bits() * limit >> 64

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """Return the things in a uniformly random order (Fisher and Yates)."""
        order = list(things)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order


def share_of(seed: int, index: int) -> float:
    """Draw a number of [0, 1) for one index, independent of all earlier draws."""
    return Draws(_mixed((seed + _STEP) & _MASK) + index * _STEP).share()
