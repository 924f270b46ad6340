"""Prompt layouts: prompts in an order that a provider's own cache can read again.

    layout = PromptLayout(static_prefix="You answer for the bank. …", model="gpt-5.6-sol")
    client.chat.completions.create(**layout.build(user_message="How do I change my PIN?"))

`PromptLayout` checks what it is given and decides on markers; `requests/prompt_builder` writes.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from askonce.core.errors import ConfigError
from askonce.prompts.assembly import shipped_rules
from askonce.prompts.provider.rules import ProviderRule, RuleBook
from askonce.prompts.requests.dialects import INSTRUCTION_ROLES, PROVIDERS
from askonce.prompts.requests.prompt_builder import (
    KINDS,
    Kind,
    MarkerLifetimes,
    Prompt,
    PromptBuilder,
    StaticParts,
)

_BYTES_PER_TOKEN = 4


class PromptLayout:
    """Builds prompts whose beginning a provider's own cache can read again.

    The static parts come first and have the same bytes in every call. Cache markers are set only
    where the model's rules allow them and the marked prefix reaches the model's minimum.

    Parameters:
        static_prefix: the text that is the same in every call. Default: none.
        stable: several such texts instead, a system block each. Not together with `static_prefix`.
        tools: the tools of every call, in the dialect's own form; anything that JSON can hold.
            `static_prefix`, `stable` or `tools` must be given.
        dialect: the form of the requests: `chat` (the default) or `responses` for OpenAI,
            `messages` for Anthropic, `gemini` for Gemini, `converse` for Bedrock.
        model: the model's name. Without one (the default) no rule is known: `chat` and `responses`
            get no markers, and the others get them whatever the length.
        provider: whose rules hold, as a name in `askonce/prompts/rules`. Default: the dialect's
            own provider.
        ttl: the lifetime of the marker after the static parts, such as `5m` or `1h`; for the
            dialects `messages` and `converse` only. Default: the provider's.
        slow_ttl: the lifetime of the marker after the slow parts; not longer than `ttl`.
        key: the `prompt_cache_key` of each request; OpenAI's dialects only. Default: none.
        one_shot: whether no later call continues these prompts; OpenAI then does not write their
            ends. Default: False.
        mark: whether to set markers at all. Default: True.
        count_tokens: counts the tokens of a text. Default: a quarter of its UTF-8 bytes.
        rules: the rules of the providers. Default: those that ship with AskOnce.

    Raises:
        ConfigError: for arguments that contradict each other, or that the dialect does not take.
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
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
            raise ConfigError(f"dialect is {dialect!r}; {hint}")
        if static_prefix and stable:
            raise ConfigError("static_prefix and stable were given; put the text into stable")
        texts = _texts("stable", [static_prefix] if static_prefix else stable)
        if not texts and not tools:
            raise ConfigError("nothing is static; give static_prefix, stable or tools")
        self._kind: Kind = dialect
        self._static = StaticParts(model, _encoded_tools(tools), texts)
        self._rule = _rule(rules or shipped_rules(), provider, dialect, model)
        self._ttls = _lifetimes(dialect, self._rule, ttl, slow_ttl)
        self._key = _key(dialect, self._rule, key)
        self._one_shot = one_shot
        self._count = count_tokens or _estimated_tokens
        self._mark = mark
        self._static_tokens = sum(map(self._count, texts))
        if tools:
            self._static_tokens += self._count(self._static.tools.decode())

    def build(
        self,
        dynamic_context: str = "",
        user_message: str | Sequence[Mapping[str, Any]] = "",
        *,
        slow: str | Sequence[str] = (),
        volatile: str | Sequence[str] = (),
        history: Sequence[Mapping[str, Any]] = (),
    ) -> Prompt:
        """Build the prompt of one call.

        Parameters:
            dynamic_context: a text of this call alone; stands before `volatile`. Default: none.
            user_message: the user's message, a text or blocks in the dialect's form. Required.
            slow: texts that change now and then; they follow the static parts. Default: none.
            volatile: texts that change with every call; they stand in the last turn. Default: none.
            history: the turns so far, in the dialect's own form, without instructions.

        Returns:
            The members of the request, in their order; the arguments are not changed.

        Raises:
            ConfigError: for an empty `user_message` and for values of a wrong type.
        """
        if not user_message:
            raise ConfigError("user_message is empty; say what the user asks")
        slow_texts = _texts("slow", _several(slow))
        last_texts = _texts("dynamic_context", _several(dynamic_context))
        last_texts += _texts("volatile", _several(volatile))
        turns = _turns(history)
        lifetimes, reason = self._lifetimes(slow_texts, turns)
        breakpoints = self._rule is not None and self._rule.marker == "openai"
        builder = PromptBuilder(self._kind, self._static, lifetimes, breakpoints=breakpoints)
        prompt = builder.build(slow_texts, turns, last_texts, user_message)
        prompt.reason = reason if not prompt.marked else "ok"
        if breakpoints and self._one_shot and self._mark:
            prompt["prompt_cache_options"] = {"mode": "explicit"}
        if self._key:
            prompt["prompt_cache_key"] = self._key
        return prompt

    def _lifetimes(
        self, slow: Sequence[str], turns: Sequence[Mapping[str, Any]]
    ) -> tuple[MarkerLifetimes, str]:
        """Return which markers to set, and why there is none.

        A marker needs a prefix that is long enough for the model.
        """
        if not self._mark:
            return MarkerLifetimes(), "not-wanted"
        if self._kind == "gemini":
            return MarkerLifetimes(), "automatic"
        if self._kind in ("chat", "responses"):
            if self._rule is None:
                return MarkerLifetimes(), "unknown-model"
            if self._rule.marker != "openai":
                return MarkerLifetimes(), "automatic"
        least = self._rule.min_tokens if self._rule is not None else 0
        slow_tokens = self._static_tokens + sum(map(self._count, slow))
        all_tokens = slow_tokens + sum(self._count(_text(turn)) for turn in turns)
        ttl, slow_ttl = self._ttls
        lifetimes = MarkerLifetimes(
            ttl if self._static_tokens >= least else None,
            slow_ttl if slow_tokens >= least else None,
            "" if all_tokens >= least else None,
        )
        return lifetimes, "too-short" if lifetimes == MarkerLifetimes() else "nothing-to-mark"


def _rule(book: RuleBook, provider: str, kind: Kind, model: str) -> ProviderRule | None:
    if provider and book.provider(provider) is None:
        raise ConfigError(f"provider is {provider!r}; there are {', '.join(book.providers)}")
    return book.rule(provider or PROVIDERS[kind], model) if model else None


def _texts(name: str, given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not all(isinstance(text, str) and text for text in given):
        raise ConfigError(f"{name} is not a list of texts; write ['one', 'two']")
    return tuple(given)


def _several(given: str | Sequence[str]) -> Sequence[str]:
    if isinstance(given, str):
        return [given] if given else []
    return given


def _encoded_tools(tools: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode the tools once, so that later changes of the argument do not matter."""
    if not tools:
        return b""
    if isinstance(tools, Mapping) or not all(isinstance(tool, Mapping) for tool in tools):
        raise ConfigError("tools is not a list of tools as the dialect writes them")
    try:
        return msgspec.json.encode([dict(tool) for tool in tools])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"tools cannot be written as JSON: {error}") from None


def _lifetimes(kind: Kind, rule: ProviderRule | None, ttl: str, slow_ttl: str) -> tuple[str, str]:
    """Return the markers' lifetimes; providers want the longer one first."""
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
        if turn.get("role") in INSTRUCTION_ROLES:
            raise ConfigError("history holds instructions; put them into stable, slow or volatile")
    return turns


def _text(turn: Mapping[str, Any]) -> str:
    content = turn.get("content")
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()


def _estimated_tokens(text: str) -> int:
    return len(text.encode(errors="replace")) // _BYTES_PER_TOKEN
