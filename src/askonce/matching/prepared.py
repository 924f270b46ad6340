"""Questions read lately: a popular entry's question is not read anew for each one that asks."""

import functools
from typing import Final

from askonce.matching.text import Text, prepare

_MOST: Final = 512
"""A text that was read takes some 8 KB, so these take 4 MiB at most."""

_CHARACTERS: Final = 1_000
"""A longer one is read each time, so that the texts of all together stay small."""


class Prepared:
    """`prepare`, with the last few results. Any number of threads may share one.

    It is found by the text itself, not by an entry's key: it cannot be out of date, and holds
    nothing that says whose question it was.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._prepare = functools.lru_cache(most)(prepare)  # it has a lock of its own

    def text(self, question: str) -> Text:
        return self._prepare(question) if len(question) <= _CHARACTERS else prepare(question)

    def clear(self) -> None:
        """Forget all of them: after questions were erased."""
        self._prepare.cache_clear()
