"""Estimates of tokens without a tokenizer: from bytes, calibrated by reported usage.

Not all models have a public tokenizer, and the public ones have to be downloaded. The bytes per
token depend on the model and on its texts, so calls with reported usage calibrate the others.
"""

from collections.abc import Iterable

import msgspec

BYTES_PER_TOKEN = 3.6
"""For English prose and code, over the public tokenizers; the default for an unknown model."""

_LEAST_BYTES, _MOST_BYTES = 1.0, 12.0
"""A report of fewer or more bytes per token is a mistake."""


class TokenRate(msgspec.Struct, frozen=True):
    """How many bytes a token of a model has."""

    bytes_per_token: float = BYTES_PER_TOKEN

    def tokens(self, size: int) -> int:
        """Estimate the tokens of so many bytes; at least 1 for any bytes."""
        return max(1, round(size / self.bytes_per_token)) if size else 0

    def cumulative(self, sizes: Iterable[int]) -> list[int]:
        """Estimate the tokens up to the end of each part, from the parts' bytes."""
        total, ends = 0, []
        for size in sizes:
            total += size
            ends.append(self.tokens(total))
        return ends


DEFAULT_RATE = TokenRate()


class TokenRates:
    """Learns each model's bytes per token from calls whose usage was reported.

    Least squares through zero over tokens = bytes / rate, as sums, so that calls take no memory.

    Parameters:
        most: how many models to learn; further models get the default rate.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._sums: dict[str, list[float]] = {}

    def observe(self, model: str, size: int, tokens: int | None) -> bool:
        """Add a prompt of so many bytes and tokens; return False if the report is unusable."""
        if not tokens or size <= 0 or not _LEAST_BYTES <= size / tokens <= _MOST_BYTES:
            return False
        sums = self._sums.get(model)
        if sums is None:
            if len(self._sums) >= self._most:
                return False
            sums = self._sums[model] = [0.0, 0.0]
        sums[0] += float(size) * tokens
        sums[1] += float(size) * size
        return True

    def rate(self, model: str) -> TokenRate:
        sums = self._sums.get(model)
        return DEFAULT_RATE if sums is None else TokenRate(sums[1] / sums[0])
