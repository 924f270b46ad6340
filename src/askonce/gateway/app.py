"""The gateway's ASGI application: finds the endpoint of each request."""

from askonce.config.settings import Settings
from askonce.core.runtime.event_loop import run_every
from askonce.core.runtime.interface import Task
from askonce.formats import recognize
from askonce.gateway.admin import AdminEndpoints
from askonce.gateway.endpoints import Endpoints
from askonce.gateway.messages import Receive, Scope, Send, Sender, headers_of
from askonce.gateway.metrics import Latencies, metrics, plain_stats
from askonce.gateway.request_recorder import RequestLog
from askonce.gateway.route_cache import RouteCache, RouteSignature
from askonce.gateway.routes import Routes, has_dot_segments
from askonce.gateway.savings import SavingsEndpoint
from askonce.gateway.token_verifier import TokenVerifier
from askonce.gateway.upstreams import UpstreamConnections
from askonce.library.cache import AsyncCache

_FLUSH_SECONDS = 1.0
_NO_WEBSOCKETS = "AskOnce does not carry websockets; connect to the provider directly"


class GatewayApp:
    """The ASGI application.

    Parameters:
        settings: The settings of the gateway.
        cache: The cache; the application closes it.
        connections: The connections to providers; the application closes them.
        version: The version that `/healthz` shows.
    """

    def __init__(
        self, settings: Settings, cache: AsyncCache, connections: UpstreamConnections, version: str
    ) -> None:
        self._cache = cache
        self._assembly = cache.assembly
        self._connections = connections
        self._version = version
        verifier = None
        if settings.jwt is not None:
            verifier = TokenVerifier(settings.jwt, cache.assembly.runtimes.async_)
        self._routes = Routes(settings)
        self._route_cache = RouteCache(cache.assembly, verifier)
        self._admin = AdminEndpoints(settings, cache.assembly)
        self._savings = SavingsEndpoint(cache.assembly, self._admin)
        self._latencies = Latencies()
        self._log = RequestLog(settings.log, cache.assembly.ledger, cache.assembly.runtimes.async_)
        self._endpoints = Endpoints(
            settings, cache, connections, self._latencies, self._log, self._admin
        )
        self._names = ", ".join(f"/{name}/…" for name in settings.providers)
        self._flushing: Task | None = None
        self._own = {
            b"/healthz": self._healthz,
            b"/metrics": self._metrics,
            b"/askonce/stats": self._stats,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, Sender(send))
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": _NO_WEBSOCKETS})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        runtime = self._assembly.services.async_.context.runtime
        self._flushing = runtime.start(lambda: run_every(_FLUSH_SECONDS, self._flush))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._flushing.cancel()
        await self._connections.close()
        await self._cache.aclose()
        self._log.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _flush(self) -> None:
        if not self._assembly.services.closed:
            tiers = self._assembly.services.async_.tiers
            await self._assembly.ledger_service.flush(tiers)
            tiers.probe_if_due()

    async def _http(self, scope: Scope, receive: Receive, send: Sender) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        own = self._own.get(path)
        if own is not None and scope["method"] in ("GET", "HEAD"):
            await own(send)
            return
        endpoint = self._savings if path == b"/askonce/savings" else self._admin.endpoints.get(path)
        if endpoint is not None:
            await endpoint(scope, receive, send)
            return
        headers = headers_of(scope)
        signature, route = self._route_cache.find(path, scope, headers)
        if route is not None and scope["method"] == "POST":
            await self._endpoints.cached(scope, receive, send, route, headers)
            return
        await self._route(scope, receive, send, headers, path, signature)

    async def _route(
        self,
        scope: Scope,
        receive: Receive,
        send: Sender,
        headers: dict[bytes, bytes],
        path: bytes,
        signature: RouteSignature,
    ) -> None:
        """Find the route of a request that is not in the route cache."""
        if self._admin.carries_token(scope["headers"], scope.get("query_string", b"")):
            await self._admin.refuse_token(send)
            return
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            await send.refuse(501, "websocket", _NO_WEBSOCKETS)
            return
        if has_dot_segments(path):
            # A server that resolves them could leave the provider's path prefix.
            await send.refuse(
                400, "dot-segments", "the path has a `.` or `..` segment; write it out"
            )
            return
        route = self._routes.route(path, headers)
        if route is None and (foreign := self._routes.foreign(path)) is not None:
            where = (
                f"this is a path of {foreign.name}; configure a provider with base_url ="
                f' "{foreign.base_url}" and use its address here, /PROVIDER{path.decode("latin-1")}'
            )
            await send.refuse(404, "no-route", where)
        elif route is None:
            where = f"nothing is served here; providers answer on /v1/… and {self._names}"
            await send.refuse(404, "no-route", where)
        elif scope["method"] == "POST" and recognize(route.path.decode("latin-1")) is not None:
            cached = await self._route_cache.add(signature, route, headers)
            await self._endpoints.cached(scope, receive, send, cached, headers)
        else:
            await self._endpoints.passthrough(scope, receive, send, route)

    async def _healthz(self, send: Sender) -> None:
        """Answer 200 even if a layer is down: the cache answers calls without it."""
        states = self._assembly.stack.states()
        sources = self._assembly.invalidation.sources()
        well = self._assembly.stack.is_coherent and all(
            state == "closed" for state in states.values()
        )
        well = well and "down" not in sources.values()
        if self._assembly.semantic is not None:
            well = well and {*self._assembly.semantic.states.values()} <= {"closed", "starting"}
        status = "ok" if well else "degraded"
        health: dict[str, object] = {"status": status, "version": self._version, "layers": states}
        if self._assembly.semantic is not None:
            health["semantic"] = self._assembly.semantic.states
        if sources:
            health["sources"] = sources
        await send.json(200, health)

    async def _metrics(self, send: Sender) -> None:
        assembly = self._assembly
        gauges = {
            "memory_bytes": ("Bytes that memory holds.", assembly.memory.used_bytes),
            "coherent": (
                "Whether this process receives the invalidations of others in time.",
                int(assembly.stack.is_coherent),
            ),
            "flights": (
                "Questions that are being asked upstream now.",
                len(assembly.services.async_.context.flights),
            ),
        }
        stats, money = assembly.stats(), assembly.ledger.money()
        body = metrics(stats, self._latencies, gauges, assembly.invalidation.sources(), money)
        kind = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
        await send.whole(200, kind, body)

    async def _stats(self, send: Sender) -> None:
        counters = await self._assembly.ledger_service.flush(self._assembly.services.async_.tiers)
        await send.json(200, plain_stats(self._assembly.stats(counters)))
