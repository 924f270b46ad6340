"""The words of a member's name, however it is written: `search_options`, `searchOptions`."""

import itertools
import re

from askonce.core.bounded import BoundedMap

PROTOCOL_MEMBERS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "n",
        "output_config", "output_format", "parallel_tool_calls", "prediction", "presence_penalty",
        "reasoning_effort", "response_format", "seed", "stop", "stop_sequences", "stream",
        "stream_options", "system", "temperature", "thinking", "tool_choice", "tools", "top_k",
        "top_logprobs", "top_p", "user",
    }
)  # fmt: skip
"""Members of the protocols whose names say nothing of lookups or conversations.

Some of them hold a caller's own text or JSON, in which no name means anything."""

LONGEST = 128
"""Characters of a name that is looked at; a longer one is no name of a protocol."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_known: BoundedMap[str, tuple[str, ...]] = BoundedMap(4_096)


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case; none for a name that is too long.

    Parameters:
        name: a member's name in snake, camel or kebab case.
    """
    if len(name) > LONGEST:
        return ()
    words = _known.get(name)
    if words is None:
        words = _known[name] = tuple([word.lower() for word in _WORD.findall(name)])
    return words


def has_pair(words: tuple[str, ...], pairs: frozenset[tuple[str, str]]) -> bool:
    """Whether two neighboring words are one of the pairs.

    Parameters:
        words: the words of a name.
        pairs: pairs of words in lower case.
    """
    return any(pair in pairs for pair in itertools.pairwise(words))
