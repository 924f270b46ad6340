"""A prompt of a log as the simulator takes it: its blocks, the client's markers, its lifetimes."""

from typing import Any

from askonce.prompts.analyzer.fingerprints import (
    Fingerprinter,
    PromptFingerprint,
    simulated_request,
)
from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.tokens import DEFAULT_RATE
from askonce.prompts.requests.render import render
from askonce.prompts.simulator import Breakpoint, SimulatedRequest, Simulator

BOOK = load_rules()
OPUS = BOOK.rule("anthropic", "claude-opus-5")
REQUEST: dict[str, Any] = {
    "model": "claude-opus-5",
    "system": [{"type": "text", "text": "x" * 3600, "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "y" * 360}],
}


def sent(request: dict[str, Any], dialect: str, provider: str) -> SimulatedRequest:
    rule = BOOK.rule(provider, request["model"])
    rendered = render(request, dialect, rule=rule)
    prompt = PromptFingerprint(1, 5.0, 6.0, None, 0)
    ends = DEFAULT_RATE.cumulative(len(segment.data) for segment in rendered.segments)
    Fingerprinter().fill(prompt, rendered.segments, ends, "scope")
    return simulated_request(prompt, rendered, rendered.segments, [], None, rule)


def test_a_marker_is_a_breakpoint_after_its_block() -> None:
    request = sent(REQUEST, "messages", "anthropic")

    assert request.breakpoints == (Breakpoint(1, ""),)
    assert request.implicit is False
    assert 1000 <= request.blocks[1].tokens <= 1010
    assert OPUS is not None
    assert Simulator(OPUS).send(request).written == {"5m": request.blocks[1].tokens}


def test_a_marker_at_the_top_level_ends_the_prompt() -> None:
    automatic = REQUEST | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    request = sent(automatic, "messages", "anthropic")

    assert (request.implicit, request.ttl) == (True, "1h")
    # An explicit breakpoint without a lifetime is for 5 minutes, and nothing after it for more.
    assert OPUS is not None
    assert Simulator(OPUS).send(request).written.keys() == {"5m"}


def test_openais_options_are_those_of_the_request() -> None:
    older = {"model": "gpt-5.4", "prompt_cache_retention": "24h", "messages": []}
    assert sent(older, "chat", "openai").ttl == "24h"
    newer = {"model": "gpt-5.6-sol", "prompt_cache_options": {"mode": "explicit"}, "messages": []}
    assert sent(newer, "chat", "openai").implicit is False
