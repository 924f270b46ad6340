"""A prompt of a log as little as comparing it with others needs: its blocks' places and hashes.

The text itself is kept elsewhere and looked at only where two prompts part.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from askonce.prompts.requests.segments import Kind, Segment


class BlockPlace(NamedTuple):
    """What a block is and where it stands in its request."""

    kind: Kind
    role: str
    form: str
    pointer: str
    frame: int  # bytes before its own


class PromptShape:
    """One prompt. Of each block: its place, where it ends in the text, how many tokens the prompt
    has up to there, a hash of it alone, and one of everything up to its end."""

    __slots__ = (
        "chained", "ends", "family", "hashes", "line", "places", "ready", "session",
        "text", "tokens", "ts",
    )  # fmt: skip

    def __init__(
        self, line: int, ts: float, ready: float, session: str | None, family: int
    ) -> None:
        self.family = family
        self.line = line
        self.ts = ts
        self.ready = ready
        self.session = session
        self.text = -1
        self.places: tuple[BlockPlace, ...] = ()
        self.ends = array("Q")
        self.tokens = array("Q")
        self.hashes = array("q")
        self.chained = array("q")

    def __len__(self) -> int:
        return len(self.places)

    def tokens_of(self, block: int) -> int:
        return self.tokens[block] - (self.tokens[block - 1] if block else 0)

    def before(self, block: int) -> int:
        """Tokens before a block."""
        return self.tokens[block - 1] if block else 0

    @property
    def total(self) -> int:
        return self.tokens[-1] if self.tokens else 0

    @property
    def head(self) -> int:
        """How many blocks come before the conversation."""
        for block, place in enumerate(self.places):
            if place.kind is Kind.MESSAGE:
                return block
        return len(self.places)


class PromptShaper:
    """Makes shapes; the same place of another prompt is the same object."""

    def __init__(self) -> None:
        self._places: dict[BlockPlace, BlockPlace] = {}

    def shape(
        self, shape: PromptShape, segments: Sequence[Segment], tokens: Sequence[int], scope: str
    ) -> bytes:
        """Fill in a shape; `tokens` are those up to each block's end. Returns the text."""
        pieces: list[bytes] = []
        places: list[BlockPlace] = []
        chained, end = hash(scope), 0
        for segment, total in zip(segments, tokens, strict=True):
            frame = segment.frame
            place = BlockPlace(
                segment.kind, segment.role, segment.form, segment.pointer, len(frame)
            )
            places.append(self._places.setdefault(place, place))
            pieces += (frame, segment.data)
            end += len(frame) + len(segment.data)
            alone = hash((frame, segment.data))
            chained = hash((chained, alone))
            shape.ends.append(end)
            shape.tokens.append(total)
            shape.hashes.append(alone)
            shape.chained.append(chained)
        shape.places = tuple(places)
        return b"".join(pieces)


class Side(NamedTuple):
    """One of two prompts that are compared, with its text."""

    shape: PromptShape
    text: bytes

    def data(self, block: int) -> bytes:
        """A block's own bytes."""
        ends, place = self.shape.ends, self.shape.places[block]
        start = (ends[block - 1] if block else 0) + place.frame
        return self.text[start : ends[block]]

    def start(self, block: int) -> int:
        """Where a block's own bytes begin in the text."""
        ends = self.shape.ends
        return (ends[block - 1] if block else 0) + self.shape.places[block].frame


def first_change(a: PromptShape, b: PromptShape) -> int:
    """The first block in which two prompts differ, or how many the shorter one has."""
    low, high = 0, min(len(a), len(b))
    if a.chained[:high] == b.chained[:high]:
        return high
    while low < high:
        middle = (low + high) // 2
        if a.chained[middle] == b.chained[middle]:
            low = middle + 1
        else:
            high = middle
    return low


def recovered(a: PromptShape, b: PromptShape, start: int) -> int:
    """Tokens of the second prompt, from a block on, that the first has as well from there on."""
    left: dict[int, int] = {}
    for one in a.hashes[start:]:
        left[one] = left.get(one, 0) + 1
    tokens = 0
    for block in range(start, len(b)):
        count = left.get(b.hashes[block], 0)
        if count:
            left[b.hashes[block]] = count - 1
            tokens += b.tokens_of(block)
    return tokens
