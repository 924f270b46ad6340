"""Which parameter made two prompts differ."""

from collections.abc import Mapping
from typing import Any

import msgspec

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.prompt_shapes import Side
from askonce.prompts.requests.segments import Kind

_CAUSES = {
    "model": Cause.MODEL,
    "service_tier": Cause.SERVICE_TIER,
    "serviceTier": Cause.SERVICE_TIER,
    "reasoning.effort": Cause.EFFORT,
    "reasoning_effort": Cause.EFFORT,
    "output_config.effort": Cause.EFFORT,
    "verbosity": Cause.VERBOSITY,
    "text.verbosity": Cause.VERBOSITY,
    "response_format": Cause.FORMAT,
    "text.format": Cause.FORMAT,
    "output_config.format": Cause.FORMAT,
    "tool_choice": Cause.TOOL_CHOICE,
    "toolConfig": Cause.TOOL_CHOICE,
    "tool_config": Cause.TOOL_CHOICE,
    "thinking": Cause.THINKING,
    "prompt_cache_key": Cause.CACHE_KEY,
    "images": Cause.IMAGE_CHANGED,
}


def changed_parameter(a: Side, b: Side) -> tuple[Cause, str, str, str] | None:
    """The cause, the parameter's pointer and both its values; None if no parameter differs."""
    found_a, found_b = _parameters(a), _parameters(b)
    names = [name for name in {**found_a, **found_b} if _differ(found_a, found_b, name)]
    if not names:
        return None
    order = list(_CAUSES)
    name = min(names, key=lambda one: order.index(one) if one in _CAUSES else len(order))
    cause = _CAUSES.get(name, Cause.PARAMETER)
    value_a, value_b = found_a.get(name), found_b.get(name)
    if value_a == value_b:
        cause = Cause.KEY_ORDER  # the same members in another order
    pointer = "" if name == "images" else "/" + name.replace(".", "/")
    return cause, pointer, _shown(value_a), _shown(value_b)


def _differ(a: Mapping[str, Any], b: Mapping[str, Any], name: str) -> bool:
    # As bytes: the order of members counts.
    return _shown(a.get(name)) != _shown(b.get(name))


def _shown(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _parameters(side: Side) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block, place in enumerate(side.shape.places):
        if place.kind is Kind.PARAMETERS:
            found |= msgspec.json.decode(side.data(block))
    return found
