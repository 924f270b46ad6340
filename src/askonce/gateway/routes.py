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


_DOT_SEGMENT = re.compile(rb"(?:^|/|%2f)(?:\.|%2e){1,2}(?:/|%2f|$)", re.IGNORECASE)


def has_dot_segments(path: bytes) -> bool:
    """Has the path a `.` or `..` segment, written plainly or percent-encoded?"""
    # A fast check first: every call comes through here.
    return (b"." in path or b"%" in path) and _DOT_SEGMENT.search(path) is not None


class Routes:
    """The route table: `/{provider}/…` for each provider, `/v1/…` for OpenAI and Anthropic."""

    def __init__(self, settings: Settings) -> None:
        self._providers = {name.encode(): p for name, p in settings.providers.items()}
        self._openai = settings.provider_for("openai")
        self._anthropic = settings.provider_for("anthropic")

    def route(self, path: bytes, headers: Mapping[bytes, bytes]) -> ProviderRoute | None:
        """Return the route of a request; None if no provider is configured for it."""
        if path.startswith(b"/v1/"):
            # Both have `/v1/models` and `/v1/files`; Anthropic's SDKs always send this header.
            theirs = path.startswith(b"/v1/messages") or b"anthropic-version" in headers
            provider = self._anthropic if theirs else self._openai
            return None if provider is None else ProviderRoute(provider, path)
        name, slash, rest = path[1:].partition(b"/")
        named = self._providers.get(name)
        return None if named is None or not slash else ProviderRoute(named, b"/" + rest)
