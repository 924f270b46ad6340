"""The order of words in two texts: where they differ, and whether a part only moved."""

from collections import Counter
from collections.abc import Sequence

from askonce.semantic.guards.lexicon.english import COORDINATORS

_REACH = 6
_MAX_MOVED = 40


def shared(a: Sequence[str], b: Sequence[str]) -> tuple[list[str], list[str]]:
    """Keep in both sequences the words that both have, each as often as both have it."""
    counts = Counter(a) & Counter(b)
    return _limited(a, counts), _limited(b, counts)


def _limited(words: Sequence[str], counts: Counter[str]) -> list[str]:
    left = dict(counts)
    kept = []
    for word in words:
        if left.get(word, 0) > 0:
            left[word] -= 1
            kept.append(word)
    return kept


def is_exchanged(a: Sequence[str], b: Sequence[str]) -> bool:
    """Return whether parts of two sequences of the same words changed places around a middle.

    "Can a bad person become good" is not "Can a good person become bad". One part that moved as
    a whole (a phrase put first or last) is no exchange, and neither is a list in another order.
    """
    start, end_a, end_b = difference(a, b)
    if start is None:
        return False
    first, second = a[start:end_a], b[start:end_b]
    return not _is_rotated(first, second)


def difference(a: Sequence[str], b: Sequence[str]) -> tuple[int | None, int, int]:
    """Return where the differing part starts, and where it ends in each; None where equal."""
    start = 0
    shorter = min(len(a), len(b))
    while start < shorter and a[start] == b[start]:
        start += 1
    if start == len(a) == len(b):
        return None, 0, 0
    ends = 0
    while ends < shorter - start and a[-1 - ends] == b[-1 - ends]:
        ends += 1
    return start, len(a) - ends, len(b) - ends


def _is_rotated(first: Sequence[str], second: Sequence[str]) -> bool:
    """Return whether moving one end of the part to the other end makes the two equal."""
    size = len(first)
    if size != len(second) or size > _MAX_MOVED:
        return False
    return any(
        first[cut:] == second[: size - cut] and first[:cut] == second[size - cut :]
        for cut in range(1, size)
    )


def is_list_reordered(a: Sequence[str], b: Sequence[str]) -> bool:
    """Return whether only the order of a list differs: "tea or coffee", "coffee or tea"."""
    start, end_a, end_b = difference(a, b)
    if start is None:
        return True
    if end_a - start > _MAX_MOVED or end_b - start > _MAX_MOVED:
        return False
    for left in range(min(_REACH, start) + 1):
        for right in range(min(_REACH, len(a) - end_a) + 1):
            first = _items(a[start - left : end_a + right])
            if len(first) > 1 and first == _items(b[start - left : end_b + right]):
                return True
    return False


def _items(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the parts between coordinators, sorted; none where a part is empty."""
    items: list[tuple[str, ...]] = []
    item: list[str] = []
    for word in words:
        if word in COORDINATORS:
            if item:
                items.append(tuple(item))
            item = []
        else:
            item.append(word)
    if not item:
        return []
    items.append(tuple(item))
    return sorted(items)
