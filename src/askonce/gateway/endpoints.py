"""The endpoints of a provider's API: cached, or passed through unchanged."""

import functools
from collections.abc import Coroutine, Mapping
from typing import Any

import httpx2

from askonce.config.settings import Settings
from askonce.core.directives import parse as parse_directives
from askonce.core.errors import AnswerCut
from askonce.core.models import Call, Outcome, Reason
from askonce.core.runtime.event_loop import run_unless
from askonce.core.runtime.interface import Event
from askonce.formats import BY_NAME
from askonce.gateway.admin import AdminEndpoints
from askonce.gateway.messages import (
    CallerGone,
    RawHeaders,
    Receive,
    Scope,
    Sender,
    TooLarge,
    body_pieces,
    encoded,
    gone,
    headers_of,
    whole_body,
)
from askonce.gateway.metrics import Latencies
from askonce.gateway.request_recorder import RequestLog, RequestRecorder, api_of, recorded
from askonce.gateway.route_cache import CachedRoute
from askonce.gateway.routes import ProviderRoute, origin_of
from askonce.gateway.upstreams import (
    CallerUpstream,
    UpstreamConnections,
    forwarded_headers,
    received_headers,
    with_credential,
)
from askonce.gateway.uvicorn_protocol import EMPTY_QUERY
from askonce.library.cache import AsyncCache
from askonce.pipeline.entry import apply_cache_groups
from askonce.pipeline.present import Reply, cache_status, not_cached, relayed_headers

_FORMATS = {"openai": BY_NAME["openai_chat"], "anthropic": BY_NAME["anthropic_messages"]}


class Endpoints:
    """Answers requests to the provider of a route."""

    def __init__(
        self,
        settings: Settings,
        cache: AsyncCache,
        connections: UpstreamConnections,
        latencies: Latencies,
        log: RequestLog,
        admin: AdminEndpoints,
    ) -> None:
        self._admin = admin
        self._log = log
        self._max_body = settings.gateway.max_body
        self._assembly = cache.assembly
        self._kinds = cache.assembly.settings.kinds
        self._in_time = functools.partial(
            cache.assembly.runtimes.async_.with_timeout,
            settings.gateway.read_timeout.total_seconds(),
        )
        self._connections = connections
        self._latencies = latencies
        self._origins = {name: origin_of(p) for name, p in settings.providers.items()}
        self._upstream_keys = {
            tenant.name: tenant.upstream_key
            for tenant in settings.tenants.values()
            if tenant.upstream_key is not None
        }

    async def cached(
        self,
        scope: Scope,
        receive: Receive,
        send: Sender,
        cached: CachedRoute,
        request_headers: Mapping[bytes, bytes],
    ) -> None:
        """Answer a request in a known wire format with the request pipeline."""
        runtime = self._assembly.runtimes.async_
        began = runtime.monotonic()
        body = await self._body(receive, send, request_headers)
        if body is None:
            return
        mode = self._assembly.services.async_
        route, path, path_text, headers, namespace, _ = cached
        call = Call("POST", route.provider.base_url, path_text, headers, body, namespace)
        found = mode.pipeline.at_once(call)
        if isinstance(found, Reply):
            self._latencies.add(found.outcome, runtime.monotonic() - began)
            await send.whole(found.status, encoded(found.headers), found.body or b"")
            return
        if self._admin.carries_token(scope["headers"], scope.get("query_string", b"")):
            await self._admin.refuse_token(send)
            return
        upstream = CallerUpstream(
            self._connections,
            self._origins[route.provider.name],
            path,
            self._credited(scope["headers"], namespace),
            lambda: self._log.recorder(path_text, route.provider, namespace, request_headers),
        )

        async def answer() -> None:
            reply = await mode.pipeline.go_on(call, found, upstream)
            self._latencies.add(reply.outcome, runtime.monotonic() - began)
            await send.relay(reply)

        await self._unless_gone(send, route, answer(), receive)

    async def _body(
        self, receive: Receive, send: Sender, headers: Mapping[bytes, bytes]
    ) -> bytes | None:
        """Return the body of a request; None if it was refused or the caller is gone."""
        try:
            declared = headers.get(b"content-length", b"")
            return await whole_body(receive, declared, self._max_body, self._in_time)
        except TooLarge:
            limit = f"the body is longer than {self._max_body} bytes ([gateway] max_body)"
            await send.refuse(413, Reason.TOO_LARGE, limit)
        except TimeoutError:
            await send.refuse(408, "slow-body", "the body did not arrive in time")
        except CallerGone:
            pass
        return None

    async def passthrough(
        self, scope: Scope, receive: Receive, send: Sender, route: ProviderRoute
    ) -> None:
        """Pass any other request through, unless it said `only-if-cached`."""
        if parse_directives(_as_text(headers_of(scope))).only_if_cached:
            path_text = route.path.decode("latin-1")
            await send.relay(not_cached(self._assembly.ledger, path_text))
        else:
            await self._forward(scope, receive, send, route)

    async def _forward(
        self, scope: Scope, receive: Receive, send: Sender, route: ProviderRoute
    ) -> None:
        """Relay a request to its provider and the response to its caller, byte for byte."""
        request_headers: RawHeaders = scope["headers"]
        sized = [(name, value) for name, value in request_headers if name == b"content-length"]
        has_body = bool(sized) or any(name == b"transfer-encoding" for name, _ in request_headers)
        ended = self._assembly.runtimes.async_.event() if has_body else None
        path = _with_query(route.path, scope)
        namespace = await self._namespace(scope, route, path)
        credited = self._credited(request_headers, namespace)
        headers = forwarded_headers(credited, keep_encoding=True) + sized
        origin = self._origins[route.provider.name]
        recorder = self._recorder(scope, route, namespace)

        async def pass_on() -> None:
            self._assembly.ledger.answered(Outcome.BYPASS, Reason.UNKNOWN_ROUTE)
            self._assembly.ledger.asked_upstream()
            body = None if ended is None else recorded(body_pieces(receive, ended), recorder)
            response = await self._connections.send(scope["method"], origin, path, headers, body)
            try:
                answered = received_headers(response)
                if recorder is not None:
                    recorder.begin(response.status_code, dict(answered))
                context, base_url = self._assembly.services.async_.context, route.provider.base_url
                apply_cache_groups(context, base_url, scope["method"], answered)
                status = cache_status(Outcome.BYPASS, Reason.UNKNOWN_ROUTE)
                kept = relayed_headers(answered, status, raw=True)
                kept += [(n, v) for n, v in answered if n == "content-length"]
                await send.head(response.status_code, encoded(kept))
                async for piece in recorded(response.aiter_raw(), recorder, request=False):
                    await send.piece(piece)
                await send.end()
            finally:
                if recorder is not None:
                    recorder.end()
                await response.aclose()

        await self._unless_gone(send, route, pass_on(), receive, ended)

    async def _namespace(self, scope: Scope, route: ProviderRoute, path: bytes) -> str | None:
        """Return the namespace of a request that is passed through, if anything depends on it."""
        if not self._upstream_keys and not self._log.is_on:
            return None
        headers = _as_text(headers_of(scope))
        tiers, origin = self._assembly.services.async_.tiers, route.provider.base_url
        namespaces = self._assembly.namespaces
        return await namespaces.identify(tiers, headers, origin, path.decode("latin-1"))

    def _recorder(
        self, scope: Scope, route: ProviderRoute, namespace: str | None
    ) -> RequestRecorder | None:
        """Return what logs a request that is passed through; None without a log of it."""
        path = route.path.decode("latin-1")
        if not self._log.is_on or scope["method"] != "POST" or api_of(path) is None:
            return None
        return self._log.recorder(path, route.provider, namespace, headers_of(scope))

    async def _unless_gone(
        self,
        send: Sender,
        route: ProviderRoute,
        work: Coroutine[Any, Any, None],
        receive: Receive,
        after: Event | None = None,
    ) -> None:
        """Do the work unless the caller goes away; turn a broken connection into one error."""
        try:
            await run_unless(functools.partial(gone, receive, after), work)
        except CallerGone:
            return
        except httpx2.TimeoutException:
            status, code, what = 504, "upstream-timeout", "did not answer in time"
        except httpx2.LocalProtocolError:
            status, code = 400, "not-http"
            what = "cannot receive this request: the path or a header is not valid HTTP"
        except (httpx2.HTTPError, AnswerCut):
            status, code = 502, "upstream-unreachable"
            what = "cannot be reached, or broke off its answer"
        else:
            return
        if send.started:
            # Too late for a status: leaving the response unfinished makes the server cut it off.
            return
        message = f"the provider {route.provider.name!r} {what}"
        error = _FORMATS[route.provider.format].error(message, code)
        await send.whole(status, [(b"content-type", b"application/json")], error)

    def _credited(self, headers: RawHeaders, namespace: str | None) -> RawHeaders:
        """Return the headers with the upstream key of the caller's tenant, if it has one.

        A caller who shows another credential beside a tenant's key is not that tenant.
        """
        key = self._upstream_keys.get(namespace) if namespace is not None else None
        return headers if key is None else with_credential(headers, key, self._kinds)


def _as_text(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}


def _with_query(path: bytes, scope: Scope) -> bytes:
    query: bytes = scope.get("query_string", b"")
    return path + b"?" + query if query or EMPTY_QUERY in scope else path
