"""Counting tokens without a tokenizer: bytes, by what usage that was reported says of a model.

Nobody publishes the tokenizers of all models, and those that exist have to be downloaded. How
many bytes a token has is a property of the model and of the text it is given, so the calls that
did report their usage calibrate the others. Whatever comes from here is an estimate.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

BYTES_PER_TOKEN = 3.6
"""English prose and code, over the public tokenizers, where nothing is known of a model."""

_LEAST_BYTES, _MOST_BYTES = 1.0, 12.0
"""A token of fewer or more bytes than this is a mistake of whoever reported it."""


class TokenRate(msgspec.Struct, frozen=True):
    """How many tokens a model makes of bytes; `samples` calls have told it."""

    bytes_per_token: float = BYTES_PER_TOKEN
    samples: int = 0

    @property
    def is_calibrated(self) -> bool:
        return self.samples > 0

    def tokens(self, size: int) -> int:
        """An estimate for so many bytes; never 0 for something."""
        return max(1, round(size / self.bytes_per_token)) if size else 0

    def cumulative(self, sizes: Iterable[int]) -> list[int]:
        """The tokens up to the end of each part, out of the parts' bytes."""
        total, ends = 0, []
        for size in sizes:
            total += size
            ends.append(self.tokens(total))
        return ends


DEFAULT_RATE = TokenRate()


class TokenCounter:
    """Learns for each model, from calls whose usage was reported, how long its tokens are.

    Least squares through zero over tokens = bytes / rate, as sums, so that it takes no memory
    per call. Models beyond `most` share the default rate.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._sums: dict[str, list[float]] = {}

    def learn(self, model: str, size: int, tokens: int | None) -> bool:
        """A prompt of so many bytes was so many tokens; False where that cannot be."""
        if not tokens or size <= 0 or not _LEAST_BYTES <= size / tokens <= _MOST_BYTES:
            return False
        sums = self._sums.get(model)
        if sums is None:
            if len(self._sums) >= self._most:
                return False
            sums = self._sums[model] = [0.0, 0.0, 0]
        sums[0] += float(size) * tokens
        sums[1] += float(size) * size
        sums[2] += 1
        return True

    def rate(self, model: str) -> TokenRate:
        sums = self._sums.get(model)
        return DEFAULT_RATE if sums is None else TokenRate(sums[1] / sums[0], int(sums[2]))

    def error(self, model: str, calls: Sequence[tuple[int, int]]) -> float:
        """The mean part by which the rate misses these calls' tokens, given with their bytes."""
        rate = self.rate(model)
        missed = [abs(rate.tokens(size) - tokens) / tokens for size, tokens in calls if tokens]
        return sum(missed) / len(missed) if missed else 0.0


def size_of(segments: Iterable[Any]) -> int:
    """The bytes of a prompt's segments that become tokens."""
    return sum(len(one.data) for one in segments)
