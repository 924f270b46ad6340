"""A share of counted things with its 95 % interval.

The interval is Wilson's score interval without a continuity correction (E. B. Wilson, JASA 22,
1927). Its coverage is near 95 % on average for every size, also where nothing or everything was
counted; Newcombe (Statistics in Medicine 17, 1998) and Brown, Cai and DasGupta (Statistical
Science 16, 2001) recommend it. Clopper and Pearson's interval covers at least 95 % for every
share, and is wider than necessary. Shares of one run are compared here, so the true width matters
more than the guarantee. Things are counted as if they were independent of each other.
"""

import math

import msgspec

Z_95 = 1.959963984540054
"""The quantile of the normal distribution that leaves 2.5 % on each side."""


class Share(msgspec.Struct, frozen=True):
    """`count` of `total` things; `rate`, `low` and `high` are fractions, not percents.

    With a total of zero there is no rate, and the interval is all of [0, 1].
    """

    count: int
    total: int
    rate: float | None
    low: float
    high: float


def share(count: int, total: int) -> Share:
    """Return a share with its 95 % interval. `ValueError` unless 0 <= count <= total."""
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no share")
    if not total:
        return Share(0, 0, None, 0.0, 1.0)
    low, high = wilson(count, total)
    return Share(count, total, count / total, low, high)


def wilson(count: int, total: int, *, z: float = Z_95) -> tuple[float, float]:
    """Return both ends of Wilson's interval, within [0, 1] and around `count / total`."""
    rate, square = count / total, z * z
    center = (rate + square / (2 * total)) / (1 + square / total)
    spread = rate * (1 - rate) / total + square / (4 * total * total)
    half = z * math.sqrt(spread) / (1 + square / total)
    # At the ends the interval touches the rate, which rounding must not push out of it.
    low = 0.0 if not count else min(max(center - half, 0.0), rate)
    high = 1.0 if count == total else max(min(center + half, 1.0), rate)
    return low, high
