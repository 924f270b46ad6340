"""The gateway's two doors to a provider: through the cache, and past it."""

import functools
from collections.abc import Coroutine, Mapping
from typing import Any

import httpx2

from askonce.config.settings import Settings
from askonce.core.errors import AnswerCut
from askonce.core.identity import CREDENTIALS, bare
from askonce.core.models import Call, Outcome, Reason
from askonce.core.runtime.event_loop import run_unless
from askonce.core.runtime.interface import Event
from askonce.formats import BY_NAME
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
from askonce.gateway.request_recorder import RequestLog, RequestRecorder, api_of, taped
from askonce.gateway.route_cache import CachedRoute
from askonce.gateway.routes import ProviderRoute, origin_of
from askonce.gateway.upstreams import Asker, UpstreamConnections, arrived, onward, with_credential
from askonce.library.cache import AsyncCache
from askonce.pipeline.entry import apply_cache_groups
from askonce.pipeline.present import Reply, cache_status, relayed_headers

_FORMATS = {"openai": BY_NAME["openai_chat"], "anthropic": BY_NAME["anthropic_messages"]}


class Endpoints:
    """Answers one request each, for the provider that a route named."""

    def __init__(
        self,
        settings: Settings,
        cache: AsyncCache,
        connections: UpstreamConnections,
        latencies: Latencies,
        log: RequestLog,
    ) -> None:
        self._log = log
        self._max_body = settings.gateway.max_body
        self._assembly = cache.assembly
        self._in_time = functools.partial(
            cache.assembly.runtimes.async_.with_timeout,
            settings.gateway.read_timeout.total_seconds(),
        )
        self._connections = connections
        self._latencies = latencies
        self._origins = {name: origin_of(p) for name, p in settings.providers.items()}
        self._upstream_keys = {
            key: tenant.upstream_key
            for tenant in settings.tenants.values()
            for key in tenant.keys
            if tenant.upstream_key is not None
        }

    async def through(
        self,
        scope: Scope,
        receive: Receive,
        send: Sender,
        address: CachedRoute,
        shown: Mapping[bytes, bytes],
    ) -> None:
        """An endpoint of a known format: the one request path."""
        runtime = self._assembly.runtimes.async_
        began = runtime.monotonic()
        try:
            declared = shown.get(b"content-length", b"")
            body = await whole_body(receive, declared, self._max_body, self._in_time)
        except TooLarge:
            limit = f"the body is longer than {self._max_body} bytes ([gateway] max_body)"
            await send.refuse(413, Reason.TOO_LARGE, limit)
            return
        except TimeoutError:
            await send.refuse(408, "slow-body", "the body did not arrive in time")
            return
        except CallerGone:
            return
        mode = self._assembly.services.async_
        route, path, path_text, headers, namespace = address
        call = Call("POST", route.provider.base_url, path_text, headers, body, namespace)
        found = mode.pipeline.at_once(call)
        if isinstance(found, Reply):
            self._latencies.add(found.outcome, runtime.monotonic() - began)
            await send.whole(found.status, encoded(found.headers), found.body or b"")
            return
        asker = Asker(
            self._connections,
            self._origins[route.provider.name],
            path,
            self._credited(scope["headers"]),
            lambda: self._log.tape(path_text, route.provider, namespace, shown),
        )

        async def answer() -> None:
            reply = await mode.pipeline.go_on(call, found, asker)
            self._latencies.add(reply.outcome, runtime.monotonic() - began)
            await send.relay(reply)

        await self._unless_gone(send, route, answer(), receive)

    async def past(
        self, scope: Scope, receive: Receive, send: Sender, route: ProviderRoute
    ) -> None:
        """Everything else: the bytes as they are, both ways."""
        shown: RawHeaders = scope["headers"]
        sized = [(name, value) for name, value in shown if name == b"content-length"]
        has_body = bool(sized) or any(name == b"transfer-encoding" for name, _ in shown)
        ended = self._assembly.runtimes.async_.event() if has_body else None
        headers = onward(self._credited(shown), keep_encoding=True) + sized
        origin = self._origins[route.provider.name]
        path = _with_query(route.path, scope)
        tape = await self._tape(scope, route)

        async def pass_on() -> None:
            self._assembly.ledger.answered(Outcome.BYPASS, Reason.UNKNOWN_ROUTE)
            self._assembly.ledger.asked_upstream()
            body = None if ended is None else taped(body_pieces(receive, ended), tape)
            response = await self._connections.send(scope["method"], origin, path, headers, body)
            try:
                answered = arrived(response)
                if tape is not None:
                    tape.begin(response.status_code, dict(answered))
                context, base_url = self._assembly.services.async_.context, route.provider.base_url
                apply_cache_groups(context, base_url, scope["method"], answered)
                status = cache_status(Outcome.BYPASS, Reason.UNKNOWN_ROUTE)
                kept = relayed_headers(answered, status, raw=True)
                kept += [(n, v) for n, v in answered if n == "content-length"]
                await send.head(response.status_code, encoded(kept))
                async for piece in taped(response.aiter_raw(), tape, asked=False):
                    await send.piece(piece)
                await send.end()
            finally:
                if tape is not None:
                    tape.end()
                await response.aclose()

        await self._unless_gone(send, route, pass_on(), receive, ended)

    async def _tape(self, scope: Scope, route: ProviderRoute) -> RequestRecorder | None:
        """What logs a request of a dialect that is passed on; None where there is no log."""
        path = route.path.decode("latin-1")
        if not self._log.is_on or scope["method"] != "POST" or api_of(path) is None:
            return None
        shown = headers_of(scope)
        named = {n.decode("latin-1"): value.decode("latin-1") for n, value in shown.items()}
        tenant = await self._assembly.identify(self._assembly.services.async_.tiers, named)
        return self._log.tape(path, route.provider, tenant, shown)

    async def _unless_gone(
        self,
        send: Sender,
        route: ProviderRoute,
        work: Coroutine[Any, Any, None],
        receive: Receive,
        after: Event | None = None,
    ) -> None:
        """Do the work unless the caller goes away; a provider out of reach is one clear error."""
        try:
            await run_unless(functools.partial(gone, receive, after), work)
        except CallerGone:
            return
        except httpx2.TimeoutException:
            status, code, what = 504, "upstream-timeout", "did not answer in time"
        except httpx2.LocalProtocolError:
            status, code = 400, "not-http"
            what = "cannot be asked like that: the path or a header is not valid HTTP"
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

    def _credited(self, headers: RawHeaders) -> RawHeaders:
        """The headers with the tenant's own upstream key, where it has one."""
        if self._upstream_keys:
            for name, value in headers:
                if name.decode("latin-1") in CREDENTIALS:
                    key = self._upstream_keys.get(bare(value.decode("latin-1")))
                    if key is not None:
                        return with_credential(headers, key)
        return headers


def _with_query(path: bytes, scope: Scope) -> bytes:
    query: bytes = scope.get("query_string", b"")
    return path + b"?" + query if query else path
