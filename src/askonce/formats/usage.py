"""What providers report of a call, in the same words for all of them.

What a body does not say is unknown (None), which is not 0: some engines report tokens read from a
cache only when they are told to. A number that cannot be (negative, more read than there was) is
unknown too, and named in `faults`; nothing here raises.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from askonce.core.models import Usage

UNKNOWN_TTL = ""
"""The lifetime of tokens that were written for one that the body does not name."""


class ReportedUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one call as its provider reported them.

    `input_total` is the whole prompt, `writes` are tokens written to the provider's cache by the
    lifetime they were written for. `is_estimated` says that a number was not reported but counted
    from what arrived; `is_complete` is False for a stream that was cut. `raw` is the body's own.
    """

    provider: str = ""
    api: str = ""
    model: str = ""
    service_tier: str = ""
    speed: str = ""
    input_total: int | None = None
    cached_read: int | None = None
    writes: dict[str, int] | None = None
    output_total: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    web_searches: int | None = None
    is_complete: bool = True
    is_estimated: bool = False
    faults: tuple[str, ...] = ()
    raw: dict[str, Any] = {}

    @property
    def cache_write(self) -> int | None:
        return None if self.writes is None else sum(self.writes.values())

    @property
    def input_uncached(self) -> int | None:
        """Tokens neither read from the provider's cache nor written to it."""
        if self.input_total is None:
            return None
        return self.input_total - (self.cached_read or 0) - (self.cache_write or 0)

    @property
    def is_batch(self) -> bool:
        return self.service_tier == "batch"

    @property
    def kept(self) -> Usage:
        """What an entry keeps of it, with 0 for what is not known."""
        writes, read, written = self.writes or {}, self.cached_read or 0, self.cache_write or 0
        return Usage(
            input_tokens=read + written if self.input_total is None else self.input_total,
            output_tokens=self.output_total or 0,
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=self.reasoning or 0,
            cache_write_1h_tokens=writes.get("1h", 0),
            cache_write_12h_tokens=writes.get("12h", 0),
        )


def read_usage(body: Any, api: str = "", provider: str = "") -> ReportedUsage | None:
    """The usage of a whole response, or of an object that has only its `usage`; None without one.

    `api` is the dialect (also `converse` and `ollama`); where the body speaks another one, the
    body is believed.
    """
    if not isinstance(body, dict):
        return None
    raw = _raw(body)
    if raw is None:
        return None
    counts = _Counts(raw)
    spoken = _spoken(raw, api)
    found = _READ[spoken](counts, provider.lower())
    found = _possible(found, counts.faults)
    model = body.get("model") or body.get("modelVersion")
    return ReportedUsage(
        provider=provider,
        api=api or spoken,
        model=model if isinstance(model, str) else "",
        service_tier=_word(raw, body, "service_tier", "serviceTier", "trafficType"),
        speed=_word(raw, body, "speed"),
        input_total=found.input_total,
        cached_read=found.read,
        writes=found.writes,
        output_total=found.output,
        reasoning=found.reasoning,
        audio_input=counts.of("prompt_tokens_details", "audio_tokens"),
        audio_output=counts.of("completion_tokens_details", "audio_tokens"),
        image_input=counts.of("prompt_tokens_details", "image_tokens"),
        web_searches=counts.of("server_tool_use", "web_search_requests"),
        faults=tuple(counts.faults),
        raw=dict(raw),
    )


class _Found(NamedTuple):
    input_total: int | None = None
    output: int | None = None
    read: int | None = None
    writes: dict[str, int] | None = None
    reasoning: int | None = None


class _Counts:
    """The numbers of a usage object; impossible ones are None, and named."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.faults: list[str] = []

    def of(self, *path: str) -> int | None:
        value: Any = self.raw
        for name in path:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        # No prompt is longer than this; a number beyond it is a mistake or an attack.
        if type(value) is int and 0 <= value < 1 << 40:
            return value
        fault = f"{'.'.join(path)}: {str(value)[:40]} is no count of tokens"
        if fault not in self.faults:
            self.faults.append(fault)
        return None


def _raw(body: dict[str, Any]) -> Mapping[str, Any] | None:
    for name in ("usage", "usageMetadata", "usage_metadata"):
        if isinstance(found := body.get(name), dict):
            return found
    return body if "eval_count" in body or "prompt_eval_count" in body else None


def _spoken(raw: Mapping[str, Any], api: str) -> str:
    """The dialect of a usage object: what its members say, else what was claimed."""
    if "prompt_tokens" in raw or "completion_tokens" in raw:
        return "chat"
    if "promptTokenCount" in raw or "totalTokenCount" in raw or "prompt_token_count" in raw:
        return "gemini"
    if "inputTokens" in raw:
        return "converse"
    if "eval_count" in raw or "prompt_eval_count" in raw:
        return "ollama"
    if "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw:
        return "messages"
    if "input_tokens_details" in raw:
        return "responses"
    return api if api in _READ else "responses"


def _chat(counts: _Counts, provider: str) -> _Found:
    of = counts.of
    total, output = of("prompt_tokens"), of("completion_tokens")
    reasoning = of("completion_tokens_details", "reasoning_tokens")
    read = of("prompt_cache_hit_tokens")
    if read is None:
        read = of("prompt_tokens_details", "cached_tokens")
    missed = of("prompt_cache_miss_tokens")
    if None not in (total, read, missed) and (read or 0) + (missed or 0) != total:
        counts.faults.append(f"prompt_tokens: {total} is not {read} hit and {missed} missed")
    written = of("prompt_tokens_details", "cache_write_tokens")
    # A relay does not say for how long another provider keeps what it wrote.
    ttl = UNKNOWN_TTL if provider == "openrouter" else "30m"
    if output is not None and reasoning and _is_beside(counts, provider, total, output, reasoning):
        output += reasoning
    return _Found(total, output, read, None if written is None else {ttl: written}, reasoning)


def _is_beside(
    counts: _Counts, provider: str, total: int | None, output: int, reasoning: int
) -> bool:
    """Are the reasoning tokens not among those of the completion, as at xAI?"""
    all_of_them = counts.of("total_tokens")
    if all_of_them is not None and total is not None:
        return all_of_them == total + output + reasoning
    return provider in ("xai", "x-ai", "grok")


def _responses(counts: _Counts, provider: str) -> _Found:
    of = counts.of
    written = of("input_tokens_details", "cache_write_tokens")
    split = "cache_write_tokens_details"
    named = {
        ttl: tokens
        for ttl in ("30m", "12h")
        if (tokens := of("input_tokens_details", split, f"ttl_{ttl}_tokens")) is not None
    }
    return _Found(
        of("input_tokens"),
        of("output_tokens"),
        of("input_tokens_details", "cached_tokens"),
        _split(counts, written, named, "30m"),
        of("output_tokens_details", "reasoning_tokens"),
    )


def _messages(counts: _Counts, provider: str) -> _Found:
    of = counts.of
    read, written = of("cache_read_input_tokens"), of("cache_creation_input_tokens")
    named = {
        ttl: tokens
        for ttl in ("5m", "1h")
        if (tokens := of("cache_creation", f"ephemeral_{ttl}_input_tokens")) is not None
    }
    writes = _split(counts, written, named, "5m")
    rest = of("input_tokens")
    # The provider counts only what its cache neither gave nor took.
    total = None if rest is None else rest + (read or 0) + sum((writes or {}).values())
    thinking = of("output_tokens_details", "thinking_tokens")
    return _Found(total, of("output_tokens"), read, writes, thinking)


def _converse(counts: _Counts, provider: str) -> _Found:
    of = counts.of
    read, written = of("cacheReadInputTokens"), of("cacheWriteInputTokens")
    named: dict[str, int] = {}
    details = counts.raw.get("cacheDetails")
    for one in details if isinstance(details, list) else ():
        ttl = one.get("ttl") if isinstance(one, dict) else None
        tokens = _Counts(one).of("inputTokens") if isinstance(one, dict) else None
        if isinstance(ttl, str) and tokens is not None:
            named[ttl] = named.get(ttl, 0) + tokens
    writes = _split(counts, written, named, "5m")
    rest = of("inputTokens")
    total = None if rest is None else rest + (read or 0) + sum((writes or {}).values())
    return _Found(total, of("outputTokens"), read, writes)


def _gemini(counts: _Counts, provider: str) -> _Found:
    def of(name: str) -> int | None:
        found = counts.of(name)
        return found if found is not None else counts.of(_SNAKE[name])

    prompt, thoughts = of("promptTokenCount"), of("thoughtsTokenCount")
    answered = of("candidatesTokenCount")
    total = None if prompt is None else prompt + (of("toolUsePromptTokenCount") or 0)
    known = answered is not None or thoughts is not None
    output = (answered or 0) + (thoughts or 0) if known else None
    return _Found(total, output, of("cachedContentTokenCount"), None, thoughts)


_SNAKE = {
    "promptTokenCount": "prompt_token_count",
    "thoughtsTokenCount": "thoughts_token_count",
    "candidatesTokenCount": "candidates_token_count",
    "toolUsePromptTokenCount": "tool_use_prompt_token_count",
    "cachedContentTokenCount": "cached_content_token_count",
}


def _ollama(counts: _Counts, provider: str) -> _Found:
    return _Found(counts.of("prompt_eval_count"), counts.of("eval_count"))


_READ: dict[str, Callable[[_Counts, str], _Found]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
    "gemini": _gemini,
    "converse": _converse,
    "ollama": _ollama,
}


def _split(
    counts: _Counts, written: int | None, named: dict[str, int], default: str
) -> dict[str, int] | None:
    """Tokens written by lifetime: those named, and what is left of all for the default one."""
    if written is None:
        return named or None
    rest = written - sum(named.values())
    if rest < 0:
        counts.faults.append(f"cache writes: {sum(named.values())} by lifetime, {written} in all")
        return named
    if not named:
        return {default: written}
    return named | {UNKNOWN_TTL: rest} if rest else named


def _possible(found: _Found, faults: list[str]) -> _Found:
    """The same without parts that are more than their whole."""
    whole = found.input_total
    if whole is not None and (found.read or 0) + sum((found.writes or {}).values()) > whole:
        faults.append(f"cached tokens: {found.read} read and {found.writes} of {whole} in all")
        found = found._replace(read=None, writes=None)
    if found.output is not None and (found.reasoning or 0) > found.output:
        faults.append(f"reasoning: {found.reasoning} of {found.output} in all")
        found = found._replace(reasoning=None)
    return found


def _word(raw: Mapping[str, Any], body: Mapping[str, Any], *names: str) -> str:
    for name in names:
        for holder in (raw, body):
            if isinstance(word := holder.get(name), str):
                return word
    return ""
