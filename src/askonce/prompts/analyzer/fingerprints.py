"""The fingerprint of a prompt: what comparing it with others needs, without its text.

The text is stored elsewhere and read only where two prompts differ.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from askonce.prompts.analyzer.trie import BLOCK
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.requests.segments import RenderedPrompt, Segment, SegmentKind
from askonce.prompts.simulator import Breakpoint, SimulatedBlock, SimulatedRequest

_COARSE = 4
"""Nodes of the trie in a piece of a prompt that is read by its longest prefix."""


class BlockPlace(NamedTuple):
    """What a block is and where it stands in its request; `frame` are the bytes before its own."""

    kind: SegmentKind
    role: str
    form: str
    pointer: str
    frame: int


class PromptFingerprint:
    """One prompt of the log, by its blocks.

    line      its line in the log
    ts        when it was sent
    ready     when an entry that it wrote could first be read
    session   its session; None without one
    family    the number of its family
    text      the number of its stored text
    places    the place of each block
    ends      for each block, where it ends in the text
    tokens    for each block, the tokens of the prompt up to its end
    hashes    a hash of each block alone
    chained   for each block, a hash of the prompt up to its end
    """

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
        """Return the number of blocks."""
        return len(self.places)

    def tokens_of(self, block: int) -> int:
        return self.tokens[block] - self.before(block)

    def before(self, block: int) -> int:
        """Return the tokens before a block."""
        return self.tokens[block - 1] if block else 0

    @property
    def total(self) -> int:
        return self.tokens[-1] if self.tokens else 0

    @property
    def head(self) -> int:
        """How many blocks come before the conversation."""
        for block, place in enumerate(self.places):
            if place.kind is SegmentKind.MESSAGE:
                return block
        return len(self.places)


class Fingerprinter:
    """Fills in fingerprints; equal places of several prompts share one object."""

    def __init__(self) -> None:
        self._places: dict[BlockPlace, BlockPlace] = {}

    def fill(
        self,
        prompt: PromptFingerprint,
        segments: Sequence[Segment],
        tokens: Sequence[int],
        scope: str,
    ) -> bytes:
        """Fill in a fingerprint, and return the prompt's text.

        `tokens` are those up to each segment's end; prompts of different scopes share no hashes.
        """
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
            prompt.ends.append(end)
            prompt.tokens.append(total)
            prompt.hashes.append(alone)
            prompt.chained.append(chained)
        prompt.places = tuple(places)
        return b"".join(pieces)


class ComparedPrompt(NamedTuple):
    """One of two compared prompts, with its text."""

    prompt: PromptFingerprint
    text: bytes

    def data(self, block: int) -> bytes:
        """Return a block's own bytes."""
        ends, place = self.prompt.ends, self.prompt.places[block]
        start = (ends[block - 1] if block else 0) + place.frame
        return self.text[start : ends[block]]


def first_change(a: PromptFingerprint, b: PromptFingerprint) -> int:
    """Return the first block in which two prompts differ, or the length of the shorter one."""
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


def shared_after(a: PromptFingerprint, b: PromptFingerprint, start: int) -> int:
    """Count the tokens of the second prompt from a block on whose blocks the first has too."""
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


def simulated_request(
    prompt: PromptFingerprint,
    rendered: RenderedPrompt,
    segments: Sequence[Segment],
    nodes: Sequence[int],
    duration: float | None,
    rule: ProviderRule | None,
) -> SimulatedRequest:
    """Return the request for the simulator, as it was sent, with the client's own markers.

    `nodes` are the trie's: a provider that reads any common prefix finds prefixes within a block.
    """
    breakpoints: tuple[Breakpoint, ...] = ()
    if rule is not None and rule.matching == "prefix":
        blocks = _pieces(prompt, nodes)
    else:
        blocks = [
            SimulatedBlock(
                digest, tokens, one.position, one.endpoint, one.role in ("assistant", "model")
            )
            for digest, tokens, one in zip(prompt.chained, prompt.tokens, segments, strict=True)
        ]
        breakpoints = tuple(
            Breakpoint(index, one.marker)
            for index, one in enumerate(segments)
            if one.marker is not None
        )
    caching, implicit = rendered.caching, None
    if rendered.dialect == "messages":
        implicit = caching.automatic is not None
    elif caching.mode:
        implicit = caching.mode != "explicit"
    ttl = caching.ttl if caching.automatic is None else caching.automatic
    end = None if duration is None else prompt.ts + duration
    return SimulatedRequest(prompt.ts, blocks, breakpoints, implicit, ttl, prompt.ready, end)


def _pieces(prompt: PromptFingerprint, nodes: Sequence[int]) -> list[SimulatedBlock]:
    size = prompt.ends[-1]
    if not size:
        return []
    rate = prompt.total / size
    blocks = [
        SimulatedBlock(nodes[n], round((n + 1) * BLOCK * rate))
        for n in range(_COARSE - 1, len(nodes), _COARSE)
    ]
    # The end has a digest that no piece of a longer prompt has.
    return [*blocks, SimulatedBlock(("end", prompt.chained[-1]), prompt.total)]
