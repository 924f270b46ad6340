"""A pytest plugin for the SDKs' own tests: every client of theirs sends through `CachingTransport`.

`ASKONCE_SDK_MODE` says how. In mode `pass` each request meets an empty cache, so every answer is
the provider's, relayed. In mode `replay` each request that may be cached is sent twice, and the SDK
gets the second answer, which the cache gave.
"""

import os
from types import ModuleType
from typing import Any

import httpx
import httpx2

from askonce import AsyncCache, Cache, CachingTransport

MODE = os.environ["ASKONCE_SDK_MODE"]
CACHED = ("/chat/completions", "/messages")
AGAIN = {"cache-control": "only-if-cached"}


def _may_be_cached(request: Any) -> bool:
    return bool(request.method == "POST" and request.url.path.endswith(CACHED))


def _repeated(lib: ModuleType, request: Any) -> Any:
    return lib.Request(
        request.method,
        request.url,
        headers=[*request.headers.raw, *AGAIN.items()],
        content=request.content,
        extensions=request.extensions,
    )


def _with(lib: ModuleType, response: Any, body: bytes) -> Any:
    return lib.Response(
        response.status_code,
        headers=response.headers.raw,
        stream=lib.ByteStream(body),
        extensions=response.extensions,
    )


def _is_hit(response: Any) -> bool:
    return "askonce; hit" in response.headers.get("cache-status", "")


class _Between:
    """The transport of a client, with a cache of its own for each request."""

    def __init__(self, lib: ModuleType, inner: Any) -> None:
        self._lib = lib
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def handle_request(self, request: Any) -> Any:
        transport = CachingTransport(Cache(), self._inner)
        response = transport.handle_request(request)
        if MODE == "pass" or not _may_be_cached(request) or response.status_code >= 300:
            return response
        body = b"".join(response.iter_raw())
        response.close()
        second = transport.handle_request(_repeated(self._lib, request))
        return second if _is_hit(second) else _with(self._lib, response, body)

    async def handle_async_request(self, request: Any) -> Any:
        transport = CachingTransport(AsyncCache(), self._inner)
        response = await transport.handle_async_request(request)
        if MODE == "pass" or not _may_be_cached(request) or response.status_code >= 300:
            return response
        body = b"".join([piece async for piece in response.aiter_raw()])
        await response.aclose()
        second = await transport.handle_async_request(_repeated(self._lib, request))
        return second if _is_hit(second) else _with(self._lib, response, body)


def _put_between(lib: ModuleType, client: type[Any]) -> None:
    chosen = client._transport_for_url

    def _transport_for_url(self: Any, url: Any) -> Any:
        return _Between(lib, chosen(self, url))

    client._transport_for_url = _transport_for_url


for _lib in (httpx, httpx2):
    _put_between(_lib, _lib.Client)
    _put_between(_lib, _lib.AsyncClient)
