"""Choosing: which ends of a prompt are worth a marker, by what they are expected to cost.

The costs are those of `planning`, in input tokens; what is compared with is the request as it
came. That is no cache at all where a provider caches on request only, and a write at the end of
the prompt where it caches by itself.
"""

from collections.abc import Mapping, Sequence

import msgspec

from askonce.prompts.anatomy import Boundary
from askonce.prompts.provider_rules import Lifetime, Rule
from askonce.prompts.sightings import Sighting

_LEAST_GAIN = 1.0
"""Tokens; whatever wins less is not worth a marker."""


class Choice(msgspec.Struct, frozen=True):
    """Markers by boundary, and `explicit` where the provider is to end no entry by itself.

    `saves` is expected, in input tokens; `write` is the dearest write among the markers.
    """

    marked: tuple[tuple[Boundary, str], ...] = ()
    explicit: bool = False
    saves: float = 0.0
    write: float = 1.0
    because: str = "ok"


class _Way(msgspec.Struct, frozen=True):
    cost: float
    chosen: tuple[tuple[int, str], ...] = ()


def choose(
    seen: Sequence[Sighting],
    rule: Rule,
    ttls: Mapping[str, Lifetime],
    tokens: int,
    per_token: float,
    least: float,
    *,
    implicit: bool,
    known: bool,
) -> Choice:
    """The markers with the lowest expected cost; `implicit` where the provider marks the end.

    `per_token` are bytes; no prefix of less than `least` bytes is marked.

    As long as next to nothing is known of a route, nothing is.
    """
    if not known:
        return Choice(because="not-seen-before")
    able = [one for one in seen if one.boundary.size >= least]
    lengths = [one.boundary.size / per_token for one in able]
    way = _best(able, lengths, tokens, rule, ttls)
    before = float(tokens)
    ends = [at for at, one in enumerate(able) if one.boundary.kind == "end"]
    if implicit and ends:
        name = next(iter(ttls))
        before = _cost(able, lengths, tokens, rule, ttls, [(ends[0], name)])
    saves = before - way.cost
    if saves < _LEAST_GAIN and not way.chosen:
        return Choice(because="not-worth-it")
    chosen = _filled_up(able, way.chosen, rule.max_writes)
    by_itself = implicit and any(at in ends for at, _ in chosen)
    marked = tuple(
        [(able[at].boundary, ttl) for at, ttl in chosen if not by_itself or at not in ends]
    )
    return Choice(
        marked,
        implicit and not by_itself,
        max(saves, 0.0),
        max([float(ttls[ttl].write) for _, ttl in marked], default=1.0),
    )


def _best(
    able: Sequence[Sighting],
    lengths: Sequence[float],
    tokens: float,
    rule: Rule,
    ttls: Mapping[str, Lifetime],
) -> _Way:
    """Dynamic programming over the boundaries; lifetimes never grow along the prompt."""
    names = sorted(ttls, key=lambda name: -ttls[name].seconds)
    best = _Way(tokens)
    # By the last boundary and lifetime: the cheapest way to be there, without what follows.
    before: dict[tuple[int, int], _Way] = {(-1, 0): _Way(0.0)}
    for _ in range(rule.max_writes):
        here: dict[tuple[int, int], _Way] = {}
        for (last, longest), way in before.items():
            start = lengths[last] if last >= 0 else 0.0
            for at in range(last + 1, len(able)):
                for rank in range(longest, len(names)):
                    name = names[rank]
                    cost = way.cost + (lengths[at] - start) * _price(able[at], rule, ttls[name])
                    held = here.get((at, rank))
                    if held is None or cost < held.cost:
                        here[at, rank] = _Way(cost, (*way.chosen, (at, name)))
        for (at, _), way in here.items():
            if way.cost + tokens - lengths[at] < best.cost:
                best = _Way(way.cost + tokens - lengths[at], way.chosen)
        before = here
    return best


def _filled_up(
    able: Sequence[Sighting], chosen: Sequence[tuple[int, str]], most: int
) -> list[tuple[int, str]]:
    """The markers, with those in front of them that cost nothing: a shorter prefix is alive at
    least as often, and is all there is for a call that goes on otherwise."""
    filled = list(chosen)
    for at in reversed(range(len(able))):
        behind = [ttl for other, ttl in filled if other > at]
        if behind and len(filled) < most and all(other != at for other, _ in filled):
            filled = sorted([*filled, (at, behind[0])])
    return filled


def _cost(
    able: Sequence[Sighting],
    lengths: Sequence[float],
    tokens: float,
    rule: Rule,
    ttls: Mapping[str, Lifetime],
    chosen: Sequence[tuple[int, str]],
) -> float:
    cost, start = 0.0, 0.0
    for at, name in chosen:
        cost += (lengths[at] - start) * _price(able[at], rule, ttls[name])
        start = lengths[at]
    return cost + tokens - start


def _price(one: Sighting, rule: Rule, life: Lifetime) -> float:
    """What a token of a marked prefix is expected to cost."""
    chance = one.chances[float(life.seconds)]
    return chance * float(rule.read) + (1 - chance) * float(life.write)
