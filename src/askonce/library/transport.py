"""The drop-in HTTP transport: any SDK on `httpx` or `httpx2` is cached, streams included.

    OpenAI(http_client=httpx2.Client(transport=CachingTransport(cache)))

One duck-typed class serves both libraries, sync and async: it takes its `Response` and stream
types from the module of the request.
"""

import functools
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from askonce.core.directives import OWN_HEADERS
from askonce.core.directives import parse as parse_directives
from askonce.core.errors import AnswerCut, ConfigError, PatienceOver
from askonce.core.models import Call
from askonce.core.protocols import Response
from askonce.core.request_headers import without_connection_headers
from askonce.core.runtime.threads import run_sync
from askonce.formats import recognize
from askonce.invalidation.cache_groups import INVALIDATION
from askonce.library.cache import AsyncCache, Cache
from askonce.pipeline.entry import apply_cache_groups
from askonce.pipeline.present import Reply, not_cached
from askonce.pipeline.services import Services

if TYPE_CHECKING:
    # A client accepts only a subclass of its own library's transport. Type checkers see a subclass
    # of all four; where one library is not installed, its classes are `Any` to them.
    import httpx
    import httpx2

    class _Transport(  # type: ignore[misc]  # the requests differ; the overloads below take both
        httpx2.BaseTransport,
        httpx2.AsyncBaseTransport,
        httpx.BaseTransport,
        httpx.AsyncBaseTransport,
    ):
        """A transport of both libraries, for sync and for async clients."""

    AnyTransport = (
        httpx2.BaseTransport
        | httpx2.AsyncBaseTransport
        | httpx.BaseTransport
        | httpx.AsyncBaseTransport
    )
else:
    # The clients call methods and check no types, so neither library is imported.
    _Transport = object


class CachingTransport(_Transport):
    """A transport that answers from a cache what it can, and sends on what it cannot.

    One transport serves `httpx2.Client`, `httpx2.AsyncClient` and their namesakes of `httpx`.
    Closing it closes `inner`, never the cache.

    Args:
        cache: The cache to answer from. A `Cache` serves async clients too, and an
            `AsyncCache` serves sync ones.
        inner: The transport that reaches the provider, of the client's library and mode. By
            default the library's own (`HTTPTransport` or `AsyncHTTPTransport`), made at the first
            request.
    """

    def __init__(self, cache: Cache | AsyncCache, inner: "AnyTransport | None" = None) -> None:
        if not isinstance(cache, Cache | AsyncCache):
            raise ConfigError(
                f"a CachingTransport takes a cache, not {cache!r:.60}; write"
                " CachingTransport(Cache('sqlite:answers.db'))"
            )
        self._assembly = cache.assembly
        self._inner: Any = inner
        self._lock = self._assembly.runtimes.sync.lock()

    if not TYPE_CHECKING:  # a type checker names a missing attribute by itself

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"a CachingTransport has no {name!r}: it is no client; write"
                " OpenAI(http_client=httpx2.Client(transport=CachingTransport(cache)))"
            )

    # What `httpx` and `httpx2` call.

    @overload
    def handle_request(self, request: "httpx2.Request") -> "httpx2.Response": ...
    @overload
    def handle_request(self, request: "httpx.Request") -> "httpx.Response": ...
    def handle_request(self, request: Any) -> Any:
        """Answer a request of a sync client, from the cache or through `inner`.

        Args:
            request: A request of either library; its body is read if it may be cached.

        Returns:
            A response of the request's library.

        Raises:
            Exception: What `inner` raises, unchanged.
            ReadTimeout: A joined call did not go on within the request's read timeout.
        """
        lib = _library(request)
        inner = self._to_provider(lib.HTTPTransport)
        if not _is_cached(request):
            if parse_directives(request.headers).only_if_cached:
                reply = not_cached(self._assembly.ledger, request.url.path)
                return _response(lib, reply, "sync")
            return self._invalidating(request, inner.handle_request(request))
        request.read()
        reply = run_sync(
            self._answer(self._assembly.services.sync, request, _SyncUpstream(request, inner))
        )
        return _response(lib, reply, "sync")

    @overload
    async def handle_async_request(self, request: "httpx2.Request") -> "httpx2.Response": ...
    @overload
    async def handle_async_request(self, request: "httpx.Request") -> "httpx.Response": ...
    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request of an async client, from the cache or through `inner`.

        Args:
            request: A request of either library; its body is read if it may be cached.

        Returns:
            A response of the request's library.

        Raises:
            Exception: What `inner` raises, unchanged.
            ReadTimeout: A joined call did not go on within the request's read timeout.
        """
        lib = _library(request)
        inner = self._to_provider(lib.AsyncHTTPTransport)
        if not _is_cached(request):
            if parse_directives(request.headers).only_if_cached:
                reply = not_cached(self._assembly.ledger, request.url.path)
                return _response(lib, reply, "async")
            return self._invalidating(request, await inner.handle_async_request(request))
        await request.aread()
        upstream = _AsyncUpstream(request, inner)
        reply = await self._answer(self._assembly.services.async_, request, upstream)
        return _response(lib, reply, "async")

    def close(self) -> None:
        """Close `inner`, if there is one; the cache stays open."""
        if self._inner is not None:
            self._inner.close()

    async def aclose(self) -> None:
        """Close an async `inner`, if there is one; the cache stays open."""
        if self._inner is not None:
            await self._inner.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    def _to_provider(self, make: Any) -> Any:
        if self._inner is None:
            with self._lock:
                if self._inner is None:
                    self._inner = make()
        return self._inner

    def _invalidating(self, request: Any, response: Any) -> Any:
        """Return a response that the cache ignores, after applying its cache groups."""
        if INVALIDATION in response.headers and not self._assembly.services.closed:
            origin = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
            headers = response.headers.multi_items()
            apply_cache_groups(
                self._assembly.services.sync.context, origin, request.method, headers
            )
        return response

    async def _answer(self, services: Services, request: Any, upstream: Any) -> Reply:
        headers = without_connection_headers(
            {name.lower(): value for name, value in request.headers.items()}
        )
        url = request.url
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        path = url.raw_path.decode("ascii")
        namespace = await self._assembly.namespaces.identify(services.tiers, headers, origin, path)
        patience = request.extensions.get("timeout", {}).get("read")
        call = Call(request.method, origin, path, headers, request.content, namespace, patience)
        try:
            return await services.pipeline.answer(call, upstream)
        except PatienceOver as over:
            raise _library(request).ReadTimeout(str(over), request=request) from over


def _is_cached(request: Any) -> bool:
    """Decide whether to read a request's body; any other request goes to `inner` untouched."""
    return request.method == "POST" and recognize(request.url.path) is not None


def _library(request: Any) -> ModuleType:
    """Return the module of the request's library, `httpx` or `httpx2`."""
    return sys.modules[type(request).__module__.partition(".")[0]]


def _outgoing(request: Any, body: bytes, *, raw: bool) -> Any:
    """Copy the caller's request with this body; without `raw`, ask for no content encoding."""
    dropped = {*OWN_HEADERS, "content-length", "transfer-encoding"}
    headers = [(n, v) for n, v in request.headers.multi_items() if n.lower() not in dropped]
    if not raw:
        headers = [(n, v) for n, v in headers if n.lower() != "accept-encoding"]
        headers.append(("accept-encoding", "identity"))
    return _library(request).Request(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


def _is_read(response: Any) -> bool:
    """Whether a response was read already: by a mock, a recorder or another cache in `inner`."""
    return bool(response.is_stream_consumed) and response.is_closed


def _headers(response: Any, *, as_read: bool) -> list[tuple[str, str]]:
    """Return a response's headers; those that a decoded body no longer has are left out."""
    headers: list[tuple[str, str]] = response.headers.multi_items()
    # A library that cannot decode an encoding leaves the body as it came.
    if not as_read or type(response._get_content_decoder()).__name__ == "IdentityDecoder":
        return headers
    return [(name, value) for name, value in headers if name.lower() not in _OF_RAW_BODY]


_OF_RAW_BODY = frozenset({"content-encoding", "content-length"})


class _SyncUpstream:
    def __init__(self, request: Any, inner: Any) -> None:
        self._request = request
        self._inner = inner

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        response = self._inner.handle_request(_outgoing(self._request, body, raw=raw))
        as_read = raw and _is_read(response)
        pieces = response.iter_raw() if raw and not as_read else response.iter_bytes()
        return _SyncResponse(response, pieces, as_read=as_read)


class _SyncResponse:
    """A provider's answer on its way to a sync client."""

    def __init__(self, response: Any, pieces: Iterator[bytes], *, as_read: bool) -> None:
        self.status: int = response.status_code
        self.headers = _headers(response, as_read=as_read)
        self._response = response
        self._pieces = pieces

    async def next(self) -> bytes | None:
        return next(self._pieces, None)

    async def close(self) -> None:
        self._response.close()


class _AsyncUpstream:
    def __init__(self, request: Any, inner: Any) -> None:
        self._request = request
        self._inner = inner

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        outgoing = _outgoing(self._request, body, raw=raw)
        response = await self._inner.handle_async_request(outgoing)
        as_read = raw and _is_read(response)
        pieces = response.aiter_raw() if raw and not as_read else response.aiter_bytes()
        return _AsyncResponse(response, pieces, as_read=as_read)


class _AsyncResponse:
    """A provider's answer on its way to an async client."""

    def __init__(self, response: Any, pieces: AsyncIterator[bytes], *, as_read: bool) -> None:
        self.status: int = response.status_code
        self.headers = _headers(response, as_read=as_read)
        self._response = response
        self._pieces = pieces

    async def next(self) -> bytes | None:
        return await anext(self._pieces, None)

    async def close(self) -> None:
        await self._response.aclose()


def _response(lib: ModuleType, reply: Reply, mode: str) -> Any:
    """Make a response of the caller's own library."""
    # As bytes, because the libraries would encode a text as ASCII.
    headers = [(name.encode("ascii"), value.encode()) for name, value in reply.headers]
    if reply.body is not None:
        return lib.Response(reply.status, headers=headers, content=reply.body)
    return lib.Response(reply.status, headers=headers, stream=_streams(lib)[mode](reply))


@functools.cache
def _streams(lib: Any) -> Mapping[str, Any]:
    """Make the stream types of a library; its client accepts no others."""

    class SyncStream(lib.SyncByteStream):  # type: ignore[misc]
        def __init__(self, reply: Reply) -> None:
            self._reply = reply

        def __iter__(self) -> Iterator[bytes]:
            try:
                while (piece := run_sync(self._reply.next())) is not None:
                    yield piece
            except AnswerCut as cut:
                raise lib.ReadError(str(cut)) from cut
            except PatienceOver as over:
                raise lib.ReadTimeout(str(over)) from over

        def close(self) -> None:
            run_sync(self._reply.close())

    class AsyncStream(lib.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, reply: Reply) -> None:
            self._reply = reply

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                while (piece := await self._reply.next()) is not None:
                    yield piece
            except AnswerCut as cut:
                raise lib.ReadError(str(cut)) from cut
            except PatienceOver as over:
                raise lib.ReadTimeout(str(over)) from over

        async def aclose(self) -> None:
            await self._reply.close()

    return {"sync": SyncStream, "async": AsyncStream}
