"""Draws that a seed decides: the same on every machine, in every version of Python.

The generator is SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014). It is good enough to draw a stream, and for no secret.
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
    """One row of draws; two rows with the same seed are the same."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def bits(self) -> int:
        """64 bits."""
        self._state = (self._state + _STEP) & _MASK
        return _mixed(self._state)

    def share(self) -> float:
        """A number of [0, 1), each as likely as another."""
        return (self.bits() >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        """A whole number of [0, limit); uneven by less than `limit` in 2^64."""
        return self.bits() * limit >> 64

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """The things in an order of which each is as likely as another (Fisher and Yates)."""
        order = list(things)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order


def share_of(seed: int, index: int) -> float:
    """The draw of one index, of [0, 1). It does not depend on what was drawn before."""
    return Draws(_mixed((seed + _STEP) & _MASK) + index * _STEP).share()
