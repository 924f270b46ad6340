"""The usage that providers report, with the same names for all of them.

`read_usage` reads one object; `answer_usage` collects it from a whole answer or the events of a
stream. A number that a body lacks is unknown (None), which is not 0: some providers report cached
tokens only on request. An impossible number (negative, more tokens read than the prompt has) is
unknown too, and named in `faults`. Nothing here raises.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from askonce.core.models import Usage
from askonce.core.sse import Splitter

UNKNOWN_TTL = ""
"""The lifetime of written tokens if the body does not name one."""

_FIELDS = ("usage", "usageMetadata")
"""Members of a response, or of an event of a stream, that report its usage."""


class ReportedUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one call as its provider reported them; None for an unknown number.

    Parameters:
        provider: the provider's name, as configured.
        api: the dialect: `chat`, `responses`, `messages`, `gemini`, `converse` or `ollama`.
        model: the model that answered.
        service_tier: the provider's word for the price class, such as `batch`.
        speed: the provider's word for a faster price class.
        input_total: the whole prompt, cached or not.
        cached_read: the part of the prompt read from the provider's cache.
        writes: tokens written to the provider's cache, by lifetime such as `5m`.
        output_total: the whole answer, including reasoning.
        reasoning: the part of the answer that is hidden reasoning.
        audio_input: the part of the prompt that is audio.
        audio_output: the part of the answer that is audio.
        image_input: the part of the prompt that is images.
        web_searches: how many searches the provider ran.
        faults: impossible numbers, a sentence each.
        raw: the usage object itself.
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
    faults: tuple[str, ...] = ()
    raw: dict[str, Any] = {}

    @property
    def cache_write(self) -> int | None:
        """Tokens written to the provider's cache, for any lifetime."""
        return None if self.writes is None else sum(self.writes.values())

    @property
    def input_uncached(self) -> int | None:
        """Tokens neither read from the provider's cache nor written to it."""
        if self.input_total is None:
            return None
        return self.input_total - (self.cached_read or 0) - (self.cache_write or 0)

    @property
    def kept(self) -> Usage:
        """The usage that an entry keeps, with 0 for an unknown number."""
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
    """Read the usage of a whole response, or of an object that has only its `usage`.

    Parameters:
        body: the parsed response; anything but an object with usage gives None.
        api: the dialect, if known. The members of the body itself take precedence.
        provider: the provider's name, if known: a few count reasoning or lifetimes differently.
    """
    if not isinstance(body, dict):
        return None
    raw = _raw(body)
    if raw is None:
        return None
    counts = _Counts(raw)
    dialect = _dialect(raw, api)
    found = _possible(_READ[dialect](counts, provider.lower()), counts.faults)
    model = body.get("model") or body.get("modelVersion")
    return ReportedUsage(
        provider=provider,
        api=api or dialect,
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


def answer_usage(body: bytes) -> dict[str, Any]:
    """Collect the usage, model and service tier from an answer, whole or as server-sent events.

    Returns an object that `read_usage` reads; empty if the answer reports none. In a stream, later
    events replace what earlier ones reported.
    """
    if body.lstrip()[:1] in (b"{", b"["):
        events = [body]
    else:
        splitter = Splitter()
        events = [event.data for event in [*splitter.feed(body), *splitter.feed(b"\n\n")]]
    collected: dict[str, Any] = {}
    for data in events:
        if not any(field.encode() in data for field in _FIELDS):
            continue
        try:
            found = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        for event in found if isinstance(found, list) else [found]:
            _collect(event, collected)
    return collected


def _collect(event: Any, into: dict[str, Any]) -> None:
    if not isinstance(event, dict):
        return
    for holder in (event, event.get("message"), event.get("response")):
        if not isinstance(holder, dict):
            continue
        for field in _FIELDS:
            if isinstance(usage := holder.get(field), dict):
                known = {name: value for name, value in usage.items() if value is not None}
                merge_members(into.setdefault(field, {}), known)
        for field in ("model", "modelVersion", "service_tier"):
            if isinstance(holder.get(field), str):
                into[field] = holder[field]


def merge_members(into: dict[str, Any], later: Mapping[str, Any]) -> None:
    """Merge the members of a later event; a null never replaces a value."""
    for name, value in later.items():
        if value is not None or name not in into:
            into[name] = value


class _Numbers(NamedTuple):
    input_total: int | None = None
    output: int | None = None
    read: int | None = None
    writes: dict[str, int] | None = None
    reasoning: int | None = None


class _Counts:
    """The numbers of a usage object; an impossible one is None and named in `faults`."""

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
        # No prompt is longer; a larger number is a mistake or an attack.
        if type(value) is int and 0 <= value < 1 << 40:
            return value
        fault = f"{'.'.join(path)}: {str(value)[:40]} is not a count of tokens"
        if fault not in self.faults:
            self.faults.append(fault)
        return None


def _raw(body: dict[str, Any]) -> Mapping[str, Any] | None:
    for name in ("usage", "usageMetadata", "usage_metadata"):
        if isinstance(found := body.get(name), dict):
            return found
    return body if "eval_count" in body or "prompt_eval_count" in body else None


def _dialect(raw: Mapping[str, Any], api: str) -> str:
    """Return the dialect of a usage object by its members, else `api`."""
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


def _chat(counts: _Counts, provider: str) -> _Numbers:
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
    # A relay does not report how long another provider keeps what it wrote.
    ttl = UNKNOWN_TTL if provider == "openrouter" else "30m"
    if output is not None and reasoning and _is_beside(counts, provider, total, output, reasoning):
        output += reasoning
    return _Numbers(total, output, read, None if written is None else {ttl: written}, reasoning)


def _is_beside(
    counts: _Counts, provider: str, total: int | None, output: int, reasoning: int
) -> bool:
    """Whether reasoning tokens are not part of the completion tokens, as with xAI."""
    everything = counts.of("total_tokens")
    if everything is not None and total is not None:
        return everything == total + output + reasoning
    return provider in ("xai", "x-ai", "grok")


def _responses(counts: _Counts, provider: str) -> _Numbers:
    of = counts.of
    written = of("input_tokens_details", "cache_write_tokens")
    split = "cache_write_tokens_details"
    named = {
        ttl: tokens
        for ttl in ("30m", "12h")
        if (tokens := of("input_tokens_details", split, f"ttl_{ttl}_tokens")) is not None
    }
    return _Numbers(
        of("input_tokens"),
        of("output_tokens"),
        of("input_tokens_details", "cached_tokens"),
        _split(counts, written, named, "30m"),
        of("output_tokens_details", "reasoning_tokens"),
    )


def _messages(counts: _Counts, provider: str) -> _Numbers:
    of = counts.of
    read, written = of("cache_read_input_tokens"), of("cache_creation_input_tokens")
    named = {
        ttl: tokens
        for ttl in ("5m", "1h")
        if (tokens := of("cache_creation", f"ephemeral_{ttl}_input_tokens")) is not None
    }
    writes = _split(counts, written, named, "5m")
    rest = of("input_tokens")
    # `input_tokens` excludes tokens read from the cache or written to it.
    total = None if rest is None else rest + (read or 0) + sum((writes or {}).values())
    thinking = of("output_tokens_details", "thinking_tokens")
    return _Numbers(total, of("output_tokens"), read, writes, thinking)


def _converse(counts: _Counts, provider: str) -> _Numbers:
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
    return _Numbers(total, of("outputTokens"), read, writes)


def _gemini(counts: _Counts, provider: str) -> _Numbers:
    def of(name: str) -> int | None:
        found = counts.of(name)
        return found if found is not None else counts.of(_SNAKE[name])

    prompt, thoughts = of("promptTokenCount"), of("thoughtsTokenCount")
    answered = of("candidatesTokenCount")
    total = None if prompt is None else prompt + (of("toolUsePromptTokenCount") or 0)
    known = answered is not None or thoughts is not None
    output = (answered or 0) + (thoughts or 0) if known else None
    return _Numbers(total, output, of("cachedContentTokenCount"), None, thoughts)


_SNAKE = {
    "promptTokenCount": "prompt_token_count",
    "thoughtsTokenCount": "thoughts_token_count",
    "candidatesTokenCount": "candidates_token_count",
    "toolUsePromptTokenCount": "tool_use_prompt_token_count",
    "cachedContentTokenCount": "cached_content_token_count",
}


def _ollama(counts: _Counts, provider: str) -> _Numbers:
    return _Numbers(counts.of("prompt_eval_count"), counts.of("eval_count"))


_READ: dict[str, Callable[[_Counts, str], _Numbers]] = {
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
    """Return written tokens by lifetime; tokens without a named lifetime get the default one."""
    if written is None:
        return named or None
    rest = written - sum(named.values())
    if rest < 0:
        counts.faults.append(f"cache writes: {sum(named.values())} by lifetime, {written} in all")
        return named
    if not named:
        return {default: written}
    return named | {UNKNOWN_TTL: rest} if rest else named


def _possible(found: _Numbers, faults: list[str]) -> _Numbers:
    """Drop parts that are larger than their whole, and name them in `faults`."""
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
