"""Prompt layouts: prompts that a provider's own cache can read again.

    layout = PromptLayout(static_prefix="You answer for the bank. …", model="gpt-5.6-sol")
    client.chat.completions.create(**layout.build(user_message="How do I change my PIN?"))

A composition root, for one reason: the rules of the providers' caches are files of this package.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from askonce.core.errors import ConfigError
from askonce.prompts.assembly import shipped_rules
from askonce.prompts.provider.rules import ProviderRule, RuleBook
from askonce.prompts.requests.ordering import (
    KINDS,
    Front,
    Kind,
    OrderingMarks,
    Prompt,
    PromptOrdering,
)

_PROVIDERS: dict[str, str] = {
    "chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "gemini",
    "converse": "bedrock",
}  # fmt: skip
_BYTES_PER_TOKEN = 4
_INSTRUCTING = ("system", "developer")


class PromptLayout:
    """The static front of prompts, and where everything else goes.

    `static_prefix` (or several texts, `stable`) and `tools` are the same in every call. `dialect`
    is `chat`, `responses`, `messages` or `gemini`, or `converse` for Bedrock. With a `model`, its
    rules decide whether markers are set at all: never below its minimum, which is compared with
    `count_tokens` of the texts, or with a quarter of their bytes. `ttl` and `slow_ttl` are the
    lifetimes of Anthropic's and Bedrock's markers. `key` is `prompt_cache_key`. With `one_shot`, no
    later call goes on from these prompts, and OpenAI need not write their ends.

    Raises ConfigError for what cannot be meant.
    """

    def __init__(
        self,
        static_prefix: str = "",
        *,
        stable: Sequence[str] = (),
        tools: Sequence[Mapping[str, Any]] = (),
        dialect: Kind = "chat",
        model: str = "",
        provider: str = "",
        ttl: str = "",
        slow_ttl: str = "",
        key: str = "",
        one_shot: bool = False,
        mark: bool = True,
        count_tokens: Callable[[str], int] | None = None,
        rules: RuleBook | None = None,
    ) -> None:
        if dialect not in KINDS:
            near = difflib.get_close_matches(str(dialect), KINDS, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
            raise ConfigError(f"dialect is {dialect!r}; {meant}")
        if static_prefix and stable:
            raise ConfigError("static_prefix and stable were given; put the text into stable")
        texts = _texts("stable", [static_prefix] if static_prefix else stable)
        if not texts and not tools:
            raise ConfigError("nothing is static; give static_prefix, stable or tools")
        self._kind: Kind = dialect
        self._front = Front(model, _frozen(tools), texts)
        book = rules if rules is not None else shipped_rules()
        named = provider or _PROVIDERS[dialect]
        if provider and book.provider(provider) is None:
            raise ConfigError(f"provider is {provider!r}; there are {', '.join(book.providers)}")
        self._rule = book.rule(named, model) if model else None
        self._ttls = _lifetimes(dialect, self._rule, ttl, slow_ttl)
        self._key = _key(dialect, self._rule, key)
        self._one_shot = one_shot
        self._count = count_tokens or _estimated
        self._mark = mark
        self._static_tokens = sum(map(self._count, texts))
        if tools:
            self._static_tokens += self._count(self._front.tools.decode())

    def build(
        self,
        dynamic_context: str = "",
        user_message: str | Sequence[Mapping[str, Any]] = "",
        *,
        slow: str | Sequence[str] = (),
        volatile: str | Sequence[str] = (),
        history: Sequence[Mapping[str, Any]] = (),
    ) -> Prompt:
        """One call's prompt: `slow` parts change now and then, `volatile` ones with every call.

        `history` are the turns so far, in the dialect's own form, `user_message` is a text or a
        list of blocks. `dynamic_context` is one more volatile part.
        """
        if not user_message:
            raise ConfigError("user_message is empty; say what the user asks")
        slowly = _texts("slow", _several(slow))
        late = _texts("volatile", _several(volatile))
        if dynamic_context:
            late = (*_texts("dynamic_context", [dynamic_context]), *late)
        turns = _turns(history)
        marks, reason = self._marks(slowly, turns)
        breakpoints = self._rule is not None and self._rule.marker == "openai"
        laying = PromptOrdering(self._kind, self._front, marks, breakpoints=breakpoints)
        prompt = laying.prompt(slowly, turns, late, user_message)
        prompt.reason = reason if not prompt.marked else "ok"
        if breakpoints and self._one_shot and self._mark:
            prompt["prompt_cache_options"] = {"mode": "explicit"}
        if self._key:
            prompt["prompt_cache_key"] = self._key
        return prompt

    def _marks(
        self, slow: Sequence[str], turns: Sequence[Mapping[str, Any]]
    ) -> tuple[OrderingMarks, str]:
        """Which markers, each only where the prefix is long enough for the model."""
        if not self._mark:
            return OrderingMarks(), "not-wanted"
        if self._kind == "gemini":
            return OrderingMarks(), "automatic"
        if self._kind in ("chat", "responses"):
            if self._rule is None:
                return OrderingMarks(), "unknown-model"
            if self._rule.marker != "openai":
                return OrderingMarks(), "automatic"
        least = self._rule.min_tokens if self._rule is not None else 0
        slowly = self._static_tokens + sum(map(self._count, slow))
        said = slowly + sum(self._count(_text(turn)) for turn in turns)
        stable, later = self._ttls
        marks = OrderingMarks(
            stable if self._static_tokens >= least else None,
            later if slowly >= least else None,
            "" if said >= least else None,
        )
        return marks, "too-short" if marks == OrderingMarks() else "nothing-to-mark"


def _texts(name: str, given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not all(isinstance(text, str) and text for text in given):
        raise ConfigError(f"{name} is not a list of texts; write ['one', 'two']")
    return tuple(given)


def _several(given: str | Sequence[str]) -> Sequence[str]:
    if isinstance(given, str):
        return [given] if given else []
    return given


def _frozen(tools: Sequence[Mapping[str, Any]]) -> bytes:
    """The tools' bytes, once and for all: whatever happens to what was given."""
    if not tools:
        return b""
    if isinstance(tools, Mapping) or not all(isinstance(tool, Mapping) for tool in tools):
        raise ConfigError("tools is not a list of tools as the dialect writes them")
    try:
        return msgspec.json.encode([dict(tool) for tool in tools])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"tools cannot be written as JSON: {error}") from None


def _lifetimes(kind: Kind, rule: ProviderRule | None, ttl: str, slow_ttl: str) -> tuple[str, str]:
    """The markers' lifetimes; providers want the longer ones first."""
    if (ttl or slow_ttl) and kind not in ("messages", "converse"):
        raise ConfigError(f"ttl is Anthropic's and Bedrock's; the dialect is {kind!r}")
    known = {"5m": 300, "1h": 3600}
    if rule is not None:
        known = {name: life.seconds for name, life in rule.ttls.items()}
    for one in filter(None, (ttl, slow_ttl)):
        if one not in known:
            raise ConfigError(f"ttl is {one!r}; there are {', '.join(known)}")
    default = next(iter(known))
    if known[ttl or default] < known[slow_ttl or default]:
        raise ConfigError("slow_ttl is longer than ttl; the longer lifetime has to come first")
    return (ttl, slow_ttl)


def _key(kind: Kind, rule: ProviderRule | None, key: str) -> str:
    takes = rule is None or rule.key_field == "prompt_cache_key"
    if key and (kind not in ("chat", "responses") or not takes):
        raise ConfigError("key is `prompt_cache_key`, which this model's provider does not take")
    return key


def _turns(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    turns = list(history)
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise ConfigError("history is not a list of messages as the dialect writes them")
        if turn.get("role") in _INSTRUCTING:
            raise ConfigError("history holds instructions; put them into stable, slow or volatile")
    return turns


def _text(turn: Mapping[str, Any]) -> str:
    content = turn.get("content")
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()


def _estimated(text: str) -> int:
    return len(text.encode(errors="replace")) // _BYTES_PER_TOKEN
