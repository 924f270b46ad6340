"""Where two texts differ, and where they agree again."""

from typing import TypeVar

T = TypeVar("T", str, bytes)

_REACH = 2_000
"""Characters after the first difference within which two texts are aligned."""

_AGREED = 24
"""Equal characters from which on two texts agree again."""


def first_difference(a: T, b: T, start: int = 0) -> int:
    """Return the first place at or after `start` where two texts differ, or the shorter's end.

    Both must be equal up to `start`. Python compares slices in C, so bisecting over them is faster
    than any loop over bytes.
    """
    low, high = start, min(len(a), len(b))
    if a[low:high] == b[low:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def shared_end(a: T, b: T, start: int = 0) -> int:
    """Count the bytes that two texts share at their ends, without those before `start`."""
    low, high = 0, min(len(a), len(b)) - start
    if high <= 0:
        return 0
    if a[len(a) - high :] == b[len(b) - high :]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle
    return low


def agree_again(a: str, b: str, start: int) -> tuple[int, int]:
    """Return the ends of the spans that differ: after them, both texts are equal for a while."""
    end = shared_end(a, b, start)
    if end and max(len(a), len(b)) - end - start <= 120:
        return len(a) - end, len(b) - end
    return _nearest_agreement(a, b, start) or (len(a) - end, len(b) - end)


def _nearest_agreement(a: str, b: str, start: int) -> tuple[int, int] | None:
    """Find the first stretch that both texts share, at most `_REACH` after the difference."""
    window = b[start : start + _REACH]
    places: dict[str, int] = {}
    for place in range(len(window) - _AGREED, -1, -1):
        places[window[place : place + _AGREED]] = place
    best: tuple[int, int] | None = None
    for place in range(start, min(len(a), start + _REACH) - _AGREED + 1):
        if best is not None and place - start >= best[0] + best[1]:
            break
        found = places.get(a[place : place + _AGREED])
        if found is not None and (best is None or place - start + found < best[0] + best[1]):
            best = place - start, found
    if best is None:
        return None
    return start + best[0], start + best[1]


def common(a: str, b: str, at_a: int, at_b: int) -> int:
    """Count the characters of the second text that the first has in the same order after `at`."""
    total = 0
    for _ in range(64):
        length = first_difference(a[at_a:], b[at_b:])
        total += length
        at_a, at_b = at_a + length, at_b + length
        if at_a >= len(a) or at_b >= len(b):
            return total
        end = shared_end(a[at_a:], b[at_b:])
        again = (
            None
            if end >= max(len(a) - at_a, len(b) - at_b) - 120
            else _nearest_agreement(a[at_a:], b[at_b:], 0)
        )
        if again is None:
            return total + end
        at_a, at_b = at_a + again[0], at_b + again[1]
    return total + shared_end(a[at_a:], b[at_b:])
