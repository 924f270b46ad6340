"""Origins: which addresses are a provider's own, and what that means for a call.

A provider's own address answers all callers alike, and keeps nothing about the people behind a key:
there, members that name the end user are not part of the question. Behind any other address may
stand a program that knows its users and their conversations.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from askonce.core.bounded import BoundedMap

OWN_HOSTS = (
    # OpenAI, with its regions.
    "api.openai.com", "*.api.openai.com",
    # Azure OpenAI, in all its clouds.
    "*.openai.azure.com", "*.cognitiveservices.azure.com", "*.services.ai.azure.com",
    "*.openai.azure.us", "*.cognitiveservices.azure.us", "*.services.ai.azure.us",
    # Anthropic.
    "api.anthropic.com",
    # Google: Gemini and Vertex AI, with its regions.
    "generativelanguage.googleapis.com", "aiplatform.googleapis.com",
    "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com",
)  # fmt: skip
"""Hosts of the providers themselves; `*` is one label of the name, or a part of one."""

PRESENTATION: dict[str, frozenset[str]] = {
    # OpenRouter groups calls in its dashboard by these, and sends them to no model.
    "openrouter.ai": frozenset({"session_id", "trace"}),
}
"""Members of a body that a host uses for its own display only; they are not part of a question."""

QUESTION_MEMBERS = frozenset(
    {
        "audio", "functions", "input", "max_tokens", "messages", "modalities", "model",
        "output_config", "output_format", "prediction", "prompt", "response_format", "stream",
        "system", "tool_choice", "tools",
    }
)  # fmt: skip
"""Members that are the question itself: they are meant to differ, and none can be ignored."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MEMOIZED = 1_024
_NONE: frozenset[str] = frozenset()


class OriginTraits(NamedTuple):
    """What an address means for the calls that it answers.

    Parameters:
        is_own: True for a provider's own address.
        presentation: members of a body that are never part of a question there.
    """

    is_own: bool
    presentation: frozenset[str]


OWN = OriginTraits(True, _NONE)
"""A provider's own address."""


class Origins:
    """Says what an address means; safe from several threads.

    Parameters:
        stateless: whether an address counts as a provider's own, by address, perhaps with the
            beginning of a path. The longest one that fits decides, before the table of hosts.
            Default: none.
        ignored: members of a body that are never part of a question. Default: none.
    """

    def __init__(
        self, stateless: Mapping[str, bool] | None = None, ignored: Iterable[str] = ()
    ) -> None:
        self._ignored = frozenset(ignored)
        named = [(normalized(origin), own) for origin, own in (stateless or {}).items()]
        self._stateless = sorted(named, key=lambda one: -len(one[0]))
        self._known: BoundedMap[str, tuple[str, OriginTraits]] = BoundedMap(_MEMOIZED)

    def find(self, origin: str, path: str = "") -> OriginTraits:
        """Return what an address means.

        Parameters:
            origin: the address, such as `https://api.openai.com`.
            path: the path of a call behind it. Default: none.
        """
        known = self._known.get(origin)
        if known is None:
            host = _host(origin)
            own = any(_fits(host, pattern) for pattern in OWN_HOSTS)
            found = OriginTraits(own, PRESENTATION.get(host, _NONE) | self._ignored)
            known = self._known[origin] = (normalized(origin), found)
        start, found = known
        for address, own in self._stateless:
            if f"{start}{path}/".startswith(f"{address}/"):
                return found._replace(is_own=own)
        return found


def normalized(origin: str) -> str:
    """Return an address with its host in lower case, without a default port and a last slash."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return origin
    where = _host(origin)
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        where = f"{where}:{port}"
    return f"{parts.scheme}://{where}{parts.path.rstrip('/')}"


def _host(origin: str) -> str:
    """Return the host of an address in lower case; "" if it has none."""
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _fits(host: str, pattern: str) -> bool:
    """Whether a host has the pattern's labels, one by one."""
    labels, wanted = host.split("."), pattern.split(".")
    return len(labels) == len(wanted) and all(
        len(label) > len(part) - 1 and label.endswith(part[1:])
        if part[:1] == "*"
        else label == part
        for label, part in zip(labels, wanted, strict=True)
    )
