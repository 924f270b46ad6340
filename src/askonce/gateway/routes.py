"""Routes: the provider of a path. Upstream addresses come only from the configuration."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from askonce.config.settings import Provider, Settings


class ProviderRoute(NamedTuple):
    """A provider, and the path of the request to it, without the query."""

    provider: Provider
    path: bytes


class Origin(NamedTuple):
    """A provider's address in parts, so that no path can change its host."""

    scheme: str
    host: str
    port: int | None
    prefix: bytes


def origin_of(provider: Provider) -> Origin:
    """Return the address of a provider in parts."""
    parts = urlsplit(provider.base_url)
    return Origin(parts.scheme, parts.hostname or "", parts.port, parts.path.rstrip("/").encode())


# Some servers also take a backslash for a slash, drop what follows a semicolon, or decode twice.
_SLASH = rb"(?:[/\\]|%(?:25)*(?:2f|5c))"
_DOTS = rb"(?:\.|%(?:25)*2e){1,2}"
_PARAMETER = rb"(?:(?:;|%(?:25)*3b)[^/\\]*?)?"
_DOT_SEGMENT = re.compile(
    rb"(?:^|%b)%b%b(?:%b|$)" % (_SLASH, _DOTS, _PARAMETER, _SLASH), re.IGNORECASE
)


def has_dot_segments(path: bytes) -> bool:
    """Has the path a `.` or `..` segment, in any spelling that some server takes for one?"""
    # A fast check first: every call comes through here.
    return (b"." in path or b"%" in path) and _DOT_SEGMENT.search(path) is not None


class ForeignApi(NamedTuple):
    """The API of a provider whose paths have no place at the gateway's root.

    Parameters:
        name: what it is called.
        base_url: the address that its provider is configured with.
    """

    name: str
    base_url: str


_AZURE = ForeignApi("Azure OpenAI", "https://NAME.openai.azure.com")
_GEMINI = ForeignApi("Gemini", "https://generativelanguage.googleapis.com")
_FOREIGN = (
    (re.compile(rb"/openai/deployments(?:/|$)"), _AZURE),
    # By their verbs: the name of a fine-tuned model of OpenAI has colons too.
    (
        re.compile(
            rb"/v1/.+:(?:(?:batch|stream|bidi)?generateContent|(?:compute|count)Tokens|"
            rb"(?:asyncBatch|batch)?embedContents?|generateAnswer|(?:stream)?rawPredict|"
            rb"(?:serverStreaming)?predict(?:LongRunning)?)$",
            re.IGNORECASE,
        ),
        _GEMINI,
    ),
    (re.compile(rb"/v1(?:alpha|beta)[0-9]*/"), _GEMINI),
    (
        re.compile(rb"/v1/projects/"),
        ForeignApi("Vertex AI", "https://REGION-aiplatform.googleapis.com"),
    ),
    (
        re.compile(rb"/model/[^/]+/(?:converse|invoke)"),
        ForeignApi("Amazon Bedrock", "https://bedrock-runtime.REGION.amazonaws.com"),
    ),
    (
        re.compile(rb"/api/(?:chat|generate|embed|embeddings|tags|show|ps|pull|version)$"),
        ForeignApi("Ollama", "http://localhost:11434"),
    ),
    (re.compile(rb"/v2/(?:chat|embed|rerank)$"), ForeignApi("Cohere", "https://api.cohere.com")),
)
"""Paths of other providers' APIs, as their clients send them to the root of an address."""

_AZURE_HOST = re.compile(r"\.azure\.(?:com|us|cn)$")


class Routes:
    """The route table: `/{provider}/…` for each provider, `/v1/…` for OpenAI and Anthropic."""

    def __init__(self, settings: Settings) -> None:
        self._providers = {name.encode(): p for name, p in settings.providers.items()}
        self._openai = settings.provider_for("openai")
        self._anthropic = settings.provider_for("anthropic")

    def route(self, path: bytes, headers: Mapping[bytes, bytes]) -> ProviderRoute | None:
        """Return the route of a request; None if no provider is configured for it.

        A path of another provider's API has none either, so that no key goes to a provider that
        it was not meant for: see `foreign`.
        """
        if self.foreign(path) is not None:
            return None
        if self._is_azure(path):
            return ProviderRoute(self._providers[b"openai"], path)
        if path.startswith(b"/v1/"):
            # Both have `/v1/models` and `/v1/files`; Anthropic's SDKs always send this header.
            theirs = path.startswith(b"/v1/messages") or b"anthropic-version" in headers
            provider = self._anthropic if theirs else self._openai
            return None if provider is None else ProviderRoute(provider, path)
        name, slash, rest = path[1:].partition(b"/")
        named = self._providers.get(name)
        return None if named is None or not slash else ProviderRoute(named, b"/" + rest)

    def foreign(self, path: bytes) -> ForeignApi | None:
        """Return the API whose path stands at the gateway's root; None for a path of ours."""
        for pattern, api in _FOREIGN:
            if pattern.match(path) and not (api is _AZURE and self._is_azure(path)):
                # A provider may have such a name, as `api` or `model`.
                name = path[1:].partition(b"/")[0]
                is_own = name in self._providers and api is not _AZURE
                return None if is_own else api
        return None

    def _is_azure(self, path: bytes) -> bool:
        """Whether a provider named `openai` stands for Azure OpenAI, whose paths begin alike."""
        named = self._providers.get(b"openai")
        host = "" if named is None else urlsplit(named.base_url).hostname or ""
        return path.startswith(b"/openai/") and _AZURE_HOST.search(host) is not None
