"""Rendering: a request of any of the four dialects as the segments that a prompt cache compares.

A parameter stands before the first part of the prompt that its change loses, so that the stream
alone shows how far two requests agree. Nothing here raises: `RenderedPrompt.doubts` lists what is
not understood.
"""

from collections.abc import Callable, Mapping
from typing import Any

from askonce.prompts.provider.rules import ProviderRule, Section
from askonce.prompts.requests import chat, gemini, messages, responses
from askonce.prompts.requests.reader import PromptReader
from askonce.prompts.requests.segments import (
    CacheRequestMarks,
    RenderedPrompt,
    Segment,
    SegmentKind,
    marker_ttl,
)

_OPENAI: dict[str, Section] = {
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
_INVALIDATORS: dict[str, dict[str, Section]] = {
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
"""The parameters that the prompt depends on where no rule names them."""

_READERS: dict[str, Callable[[PromptReader], None]] = {
    "chat": chat.read,
    "responses": responses.read,
    "messages": messages.read,
    "gemini": gemini.read,
}
_DEEP = "nested too deeply"


def render(
    request: Any, dialect: str, *, rule: ProviderRule | None = None, model: str | None = None
) -> RenderedPrompt:
    """Return the request as the provider's cache sees it.

    Parameters:
        request: the decoded body; anything but an object is in doubt.
        dialect: one of `DIALECTS`; any other is in doubt.
        rule: says which parameters invalidate; without one, the dialect's usual parameters do.
        model: the model's name; by default, the one in the body. Gemini has it in the path.
    """
    read = _READERS.get(dialect)
    named = model if model is not None else _model(request)
    if read is None:
        return RenderedPrompt(dialect, named, (), doubts=(f"/: {dialect!r} is no dialect",))
    if not isinstance(request, dict):
        return RenderedPrompt(dialect, named, (), doubts=("/: the request is not an object",))
    invalidators: Mapping[str, Section] = _INVALIDATORS[dialect]
    if rule is not None and rule.invalidators:
        invalidators = rule.invalidators
    last = rule is not None and rule.instructions_last
    reader = PromptReader(request, named, invalidators, instructions_last=last)
    try:
        read(reader)
    except RecursionError:
        reader.doubt("", _DEEP)
    return RenderedPrompt(
        dialect,
        named,
        tuple(reader.segments) or (Segment(SegmentKind.PARAMETERS, "", b"{}"),),
        _requested_caching(request, dialect),
        tuple(reader.doubts),
    )


def _model(request: Any) -> str:
    return _text(request.get("model")) if isinstance(request, dict) else ""


def _requested_caching(request: dict[str, Any], dialect: str) -> CacheRequestMarks:
    automatic = request.get("cache_control") if dialect == "messages" else None
    options = request.get("prompt_cache_options")
    options = options if isinstance(options, dict) else {}
    return CacheRequestMarks(
        None if automatic is None else marker_ttl(automatic),
        _text(options.get("mode")),
        _text(options.get("ttl")) or _text(request.get("prompt_cache_retention")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
