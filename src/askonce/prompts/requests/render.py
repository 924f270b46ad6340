"""Rendering: a request of any of four dialects as the segments that a prompt cache compares.

`chat` is OpenAI's Chat Completions, `responses` its Responses, `messages` Anthropic's Messages and
`gemini` generateContent. A parameter stands before the first part of the prompt that its change
loses, so that the stream alone says how far two requests agree. Nothing here raises: what is not
understood is named in `Rendered.doubts`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from askonce.prompts.provider.rules import ProviderRule, Tier
from askonce.prompts.requests import chat, gemini, messages, responses
from askonce.prompts.requests.reader import PromptReading
from askonce.prompts.requests.segments import (
    Kind,
    Rendered,
    RequestedCaching,
    Segment,
    SegmentMarker,
    marker_of,
)

DIALECTS = ("chat", "responses", "messages", "gemini")

_OPENAI: dict[str, Tier] = {
    "model": "tools",
    "parallel_tool_calls": "tools",
    "response_format": "tools",
    "text.format": "tools",
    "reasoning_effort": "tools",
    "reasoning.effort": "tools",
    "verbosity": "tools",
    "text.verbosity": "tools",
    "context_management": "tools",
    "service_tier": "tools",
}
_INVALIDATORS: dict[str, dict[str, Tier]] = {
    "chat": _OPENAI,
    "responses": _OPENAI,
    "messages": {
        "model": "tools",
        "web_search": "system",
        "citations": "system",
        "speed": "system",
        "tool_choice": "messages",
        "images": "messages",
        "thinking": "messages",
        "output_config.effort": "messages",
    },
    "gemini": {"model": "tools", "cachedContent": "tools", "toolConfig": "messages"},
}
"""What the prompt depends on where no rule says it."""

_READ: dict[str, Callable[[PromptReading], None]] = {
    "chat": chat.read,
    "responses": responses.read,
    "messages": messages.read,
    "gemini": gemini.read,
}
_DEEP = "nested too deeply"


def render(
    request: Any, dialect: str, *, rule: ProviderRule | None = None, model: str | None = None
) -> Rendered:
    """What the provider's cache sees of this request.

    `rule` says what invalidates; without one the dialect's usual parameters do. `model` is the
    one in the path, for `gemini`.
    """
    known = _READ.get(dialect)
    named = model if model is not None else _model(request)
    if known is None:
        return Rendered(dialect, named, (), doubts=(f"/: {dialect!r} is no dialect",))
    if not isinstance(request, dict):
        return Rendered(dialect, named, (), doubts=("/: the request is not an object",))
    invalidators: Mapping[str, Tier] = _INVALIDATORS[dialect]
    if rule is not None and rule.invalidators:
        invalidators = rule.invalidators
    last = rule is not None and rule.instructions_last
    reading = PromptReading(request, named, invalidators, instructions_last=last)
    try:
        known(reading)
    except RecursionError:
        reading.writer.doubt("", _DEEP)
    writer = reading.writer
    key_field = rule.key_field if rule is not None else ""
    return Rendered(
        dialect,
        named,
        tuple(writer.segments) or (Segment(Kind.PARAMETERS, "", b"{}"),),
        _asked(request, dialect, key_field),
        tuple(writer.doubts),
    )


def _model(request: Any) -> str:
    model = request.get("model") if isinstance(request, dict) else None
    return model if isinstance(model, str) else ""


def _asked(request: dict[str, Any], dialect: str, key_field: str) -> RequestedCaching:
    automatic: SegmentMarker | None = None
    if dialect == "messages" and request.get("cache_control") is not None:
        automatic = marker_of("cache_control", request["cache_control"], "/cache_control")
    options = request.get("prompt_cache_options")
    options = options if isinstance(options, dict) else {}
    key = request.get(key_field or "prompt_cache_key")
    ttl = _word(options.get("ttl")) or _word(request.get("prompt_cache_retention"))
    return RequestedCaching(automatic, _word(options.get("mode")), ttl, _word(key))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
