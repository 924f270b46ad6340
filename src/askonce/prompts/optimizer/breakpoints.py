"""Which ends of a prompt get a marker, by their expected cost.

`breakpoint_plan` computes the costs, in input tokens. They are compared with the request as it
came: without any cache where a provider caches on request only, with a write at the end of the
prompt where it caches by itself.
"""

from collections.abc import Mapping, Sequence

import msgspec

from askonce.prompts.optimizer.breakpoint_plan import expected_cost, plan
from askonce.prompts.optimizer.reuse_stats import PrefixReuse
from askonce.prompts.provider.rules import Lifetime, ProviderRule
from askonce.prompts.requests.request_parts import PrefixBoundary
from askonce.prompts.simulator import Breakpoint

_LEAST_GAIN = 1.0
"""Tokens; a smaller gain is not worth a marker."""


class MarkerChoice(msgspec.Struct, frozen=True):
    """The markers to set in a request.

    marked    each boundary to mark, with the lifetime to ask for
    explicit  the request asks the provider to end no entry by itself
    saves     the expected savings, in input tokens
    write     the highest write price among the markers, as a multiple of the input price
    reason    `ok`, or why there is no marker
    """

    marked: tuple[tuple[PrefixBoundary, str], ...] = ()
    explicit: bool = False
    saves: float = 0.0
    write: float = 1.0
    reason: str = "ok"


class PromptSize(msgspec.Struct, frozen=True):
    """How long a prompt is.

    tokens     an estimate for all of it
    per_token  bytes per token
    least      bytes; no shorter prefix is marked
    """

    tokens: int
    per_token: float
    least: float


def choose(
    seen: Sequence[PrefixReuse],
    rule: ProviderRule,
    ttls: Mapping[str, Lifetime],
    size: PromptSize,
    *,
    implicit: bool,
    known: bool,
) -> MarkerChoice:
    """Choose the markers with the lowest expected cost.

    `ttls` are the lifetimes to choose from. `implicit` says that the provider marks the end by
    itself, `known` that the route has been seen before; without that, nothing is marked.
    """
    if not known:
        return MarkerChoice(reason="not-seen-before")
    lengths = [*(round(one.boundary.size / size.per_token) for one in seen), size.tokens]
    alive = {
        name: [*(one.chances[float(life.seconds)] for one in seen), 0.0]
        for name, life in ttls.items()
    }
    able = [at for at, one in enumerate(seen) if one.boundary.size >= size.least]
    planned = plan(lengths, alive, rule, candidates=able)
    before = planned.uncached
    ends = [at for at in able if seen[at].boundary.kind == "end"]
    if implicit and ends:
        before = expected_cost(lengths, alive, [Breakpoint(ends[0], next(iter(ttls)))], rule)
    saves = before - planned.cost
    if saves < _LEAST_GAIN and not planned.breakpoints:
        return MarkerChoice(reason="not-worth-it")
    chosen = _filled_up(able, planned.breakpoints, rule.max_writes)
    by_itself = implicit and any(one.after in ends for one in chosen)
    own = [one for one in chosen if not by_itself or one.after not in ends]
    return MarkerChoice(
        tuple([(seen[one.after].boundary, one.ttl) for one in own]),
        implicit and not by_itself,
        max(saves, 0.0),
        max([float(ttls[one.ttl].write) for one in own], default=1.0),
    )


def _filled_up(able: Sequence[int], chosen: Sequence[Breakpoint], most: int) -> list[Breakpoint]:
    """Add breakpoints before the chosen ones while they are free.

    A shorter prefix is alive at least as often, and helps a call that continues differently.
    """
    filled = list(chosen)
    for at in reversed(able):
        later = [one.ttl for one in filled if one.after > at]
        if later and len(filled) < most and all(one.after != at for one in filled):
            filled = sorted([*filled, Breakpoint(at, later[0])], key=lambda one: one.after)
    return filled
