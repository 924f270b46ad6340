"""Asks: a prompt of a log as the simulator wants it, by the hashes that the analyzer has anyway."""

from collections.abc import Sequence

from askonce.prompts.analyzer.prompt_shapes import PromptShape
from askonce.prompts.analyzer.trie import BLOCK
from askonce.prompts.provider.rules import ProviderRule
from askonce.prompts.requests.segments import Rendered, Segment
from askonce.prompts.simulator import Mark, SimulatedBlock, SimulatedRequest

_COARSE = 4  # nodes of the trie in a piece of a prompt that is read by its longest prefix


def ask_of_shape(
    shape: PromptShape,
    rendered: Rendered,
    segments: Sequence[Segment],
    nodes: Sequence[int],
    duration: float | None,
    rule: ProviderRule | None,
) -> SimulatedRequest:
    """The request. A provider that reads any common prefix sees pieces within its blocks too."""
    answers = ("assistant", "model")
    marks: tuple[Mark, ...] = ()
    if rule is not None and rule.matching == "prefix":
        blocks = _pieces(shape, nodes)
    else:
        blocks = [
            SimulatedBlock(digest, tokens, one.position, one.endpoint, one.role in answers)
            for digest, tokens, one in zip(shape.chained, shape.tokens, segments, strict=True)
        ]
        marks = tuple(
            Mark(index, one.marker.ttl)
            for index, one in enumerate(segments)
            if one.marker is not None
        )
    asked, implicit = rendered.asked, None
    if rendered.dialect == "messages":
        implicit = asked.automatic is not None
    elif asked.mode:
        implicit = asked.mode != "explicit"
    ttl = asked.automatic.ttl if asked.automatic is not None else asked.ttl
    end = None if duration is None else shape.ts + duration
    return SimulatedRequest(shape.ts, blocks, marks, implicit, ttl, shape.ready, end)


def _pieces(shape: PromptShape, nodes: Sequence[int]) -> list[SimulatedBlock]:
    size = shape.ends[-1]
    if not size:
        return []
    rate = shape.total / size
    blocks = [
        SimulatedBlock(nodes[n], round((n + 1) * BLOCK * rate))
        for n in range(_COARSE - 1, len(nodes), _COARSE)
    ]
    # A digest of its own, which no piece of a longer prompt has.
    return [*blocks, SimulatedBlock(("end", shape.chained[-1]), shape.total)]
