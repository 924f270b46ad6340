"""Choices: which ends of a prompt are worth a marker, by what they are expected to cost.

The costs are those of `planning`, in input tokens; what is compared with is the request as it
came. That is no cache at all where a provider caches on request only, and a write at the end of
the prompt where it caches by itself.
"""

from collections.abc import Mapping, Sequence

import msgspec

from askonce.prompts.optimizer.breakpoint_plan import expected_cost, plan
from askonce.prompts.optimizer.reuse_stats import PrefixReuse
from askonce.prompts.provider.rules import Lifetime, ProviderRule
from askonce.prompts.requests.request_parts import PartBoundary
from askonce.prompts.simulator import Mark

_LEAST_GAIN = 1.0
"""Tokens; whatever wins less is not worth a marker."""


class Choice(msgspec.Struct, frozen=True):
    """Markers by boundary, and `explicit` where the provider is to end no entry by itself.

    `saves` is expected, in input tokens; `write` is the dearest write among the markers.
    """

    marked: tuple[tuple[PartBoundary, str], ...] = ()
    explicit: bool = False
    saves: float = 0.0
    write: float = 1.0
    reason: str = "ok"


def choose(
    seen: Sequence[PrefixReuse],
    rule: ProviderRule,
    ttls: Mapping[str, Lifetime],
    tokens: int,
    per_token: float,
    least: float,
    *,
    implicit: bool,
    known: bool,
) -> Choice:
    """The markers with the lowest expected cost; `implicit` where the provider marks the end.

    `per_token` are bytes; no prefix of less than `least` bytes is marked. As long as next to
    nothing is known of a route, nothing is.
    """
    if not known:
        return Choice(reason="not-seen-before")
    lengths = [*(round(one.boundary.size / per_token) for one in seen), tokens]
    alive = {
        name: [*(one.chances[float(life.seconds)] for one in seen), 0.0]
        for name, life in ttls.items()
    }
    able = [at for at, one in enumerate(seen) if one.boundary.size >= least]
    planned = plan(lengths, alive, rule, candidates=able)
    before = planned.uncached
    ends = [at for at in able if seen[at].boundary.kind == "end"]
    if implicit and ends:
        before = expected_cost(lengths, alive, [Mark(ends[0], next(iter(ttls)))], rule)
    saves = before - planned.cost
    if saves < _LEAST_GAIN and not planned.marks:
        return Choice(reason="not-worth-it")
    marks = _filled_up(able, planned.marks, rule.max_writes)
    by_itself = implicit and any(mark.after in ends for mark in marks)
    own = [mark for mark in marks if not by_itself or mark.after not in ends]
    return Choice(
        tuple([(seen[mark.after].boundary, mark.ttl) for mark in own]),
        implicit and not by_itself,
        max(saves, 0.0),
        max([float(ttls[mark.ttl].write) for mark in own], default=1.0),
    )


def _filled_up(able: Sequence[int], marks: Sequence[Mark], most: int) -> list[Mark]:
    """The markers, with those in front of them that cost nothing: a shorter prefix is alive at
    least as often, and is all there is for a call that goes on otherwise."""
    filled = list(marks)
    for at in reversed(able):
        later = [mark.ttl for mark in filled if mark.after > at]
        if later and len(filled) < most and all(mark.after != at for mark in filled):
            filled = sorted([*filled, Mark(at, later[0])], key=lambda mark: mark.after)
    return filled
