"""The epoch table of a memory: the epoch of each tag that was ever bumped, in bounded bytes."""

from collections.abc import Iterable

from askonce.stores.memory.weight import DICT_SLOT_BYTES, NUMBER_BYTES, text_bytes


class EpochTable:
    """Epochs by tag. Bumps take the next number of one sequence.

    A full table is emptied. From then on a tag that is not in it has an epoch higher than any ever
    given out: every tagged entry from before becomes unreadable, and no invalidation is undone.
    That is why this is no `BoundedMap`: forgetting one tag alone would revive its old entries.
    """

    __slots__ = ("_default", "_epochs", "_highest", "_limit", "bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = 0
        self._limit = limit_bytes
        self._epochs: dict[str, int] = {}
        self._default = 0
        self._highest = 0

    def epoch(self, tag: str) -> int:
        return self._epochs.get(tag, self._default)

    def are_current(self, tags: Iterable[tuple[str, int]]) -> bool:
        """Does every tag still have this epoch?"""
        for tag, epoch in tags:  # noqa: SIM110 - a generator would double the time of a tagged hit
            if self._epochs.get(tag, self._default) != epoch:
                return False
        return True

    def bump(self, tags: Iterable[str]) -> None:
        epoch = self._highest + 1
        for tag in tags:
            self.raise_to(tag, epoch)

    def raise_to(self, tag: str, epoch: int) -> None:
        """Raise a tag's epoch; a lower one changes nothing, because changes arrive in any order."""
        if epoch <= self.epoch(tag):
            return
        if tag not in self._epochs:
            self.bytes += DICT_SLOT_BYTES + text_bytes(tag) + NUMBER_BYTES
        self._epochs[tag] = epoch
        self._highest = max(self._highest, epoch)
        if self.bytes > self._limit:
            # In this order, so that a reader without the lock sees no tag at its old epoch 0.
            self._default = self._highest = self._highest + 1
            self._epochs = {}
            self.bytes = 0
