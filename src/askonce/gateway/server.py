"""The server of the gateway: builds the application from the settings, and runs it."""

import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta

import uvicorn

from askonce import __version__
from askonce.config.settings import Settings
from askonce.core.errors import ConfigError
from askonce.gateway.app import GatewayApp
from askonce.gateway.upstreams import UpstreamConnections
from askonce.gateway.uvicorn_protocol import Protocol
from askonce.ledger.prices import GenaiPrices
from askonce.library.cache import AsyncCache
from askonce.semantic.embedders.open_embedder import is_installed
from askonce.semantic.settings import OFF, Semantic

_log = logging.getLogger("askonce.gateway")


def build(settings: Settings, *, clock: Callable[[], float] | None = None) -> GatewayApp:
    """Build the ASGI application that these settings describe.

    `clock` returns seconds since the Unix epoch; the system's clock by default.
    """
    tenants = {key: tenant.name for tenant in settings.tenants.values() for key in tenant.keys}
    prices = GenaiPrices()
    prices.load()  # takes 250 ms, which no caller should wait for
    cache = AsyncCache(
        layers=settings.layers,
        limits=settings.limits,
        rules=settings.rules,
        semantic=_semantic(settings),
        prompts=settings.prompts,
        sources=settings.sources,
        consistency=settings.cache.sharing.consistency,
        lease=timedelta(seconds=settings.cache.sharing.lease),
        lease_wait=timedelta(seconds=settings.cache.sharing.lease_wait),
        eviction=settings.memory.eviction,
        audit=settings.admin.audit,
        tenants=tenants,
        clock=clock,
        prices=prices,
        bookkeeping=settings.ledger,
        ignore_members=settings.keys.ignore_members,
        ignore_headers=settings.keys.ignore_headers,
        credentials=settings.keys.credentials,
        stateless={
            provider.base_url: provider.stateless
            for provider in settings.providers.values()
            if provider.stateless is not None
        },
        response_cache_control={
            provider.base_url: provider.response_cache_control
            for provider in settings.providers.values()
        },
    )
    connections = UpstreamConnections(
        settings.gateway.connect_timeout.total_seconds(),
        settings.gateway.read_timeout.total_seconds(),
    )
    return GatewayApp(settings, cache, connections, __version__)


def _semantic(settings: Settings) -> Semantic:
    """Return the semantic settings; off if they are defaults and the libraries are missing.

    A gateway without the libraries starts all the same, and logs that once.
    """
    given = settings.semantic
    if "semantic.mode" not in settings.origins and not is_installed(given.embedder):
        _log.info("semantic matching is off: pip install 'askonce[semantic]' to measure it")
        return OFF
    return given


def server(settings: Settings, *, clock: Callable[[], float] | None = None) -> "GatewayServer":
    """Build the HTTP server around the application, not yet running."""
    config = uvicorn.Config(
        build(settings, clock=clock),
        http=Protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level=logging.WARNING,
        server_header=False,
        proxy_headers=False,  # the gateway does not use the caller's address
        timeout_graceful_shutdown=max(1, round(settings.gateway.drain.total_seconds())),
    )
    return GatewayServer(config)


class GatewayServer(uvicorn.Server):
    """A server that calls `ready` once it answers, after it has installed its signal handlers."""

    ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()


def listen(settings: Settings) -> socket.socket:
    """Open the socket that the settings name. Raises `ConfigError` if that fails."""
    host, port = settings.gateway.host, settings.gateway.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); choose another "
            "[gateway] port, or stop the program that uses it"
        ) from None


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda url: None) -> None:
    """Run the gateway until a signal stops it; it finishes streams in flight first.

    `ready` receives the gateway's URL as soon as it answers. Raises `ConfigError`.
    """
    running = server(settings)
    # Modules and price lists are permanent: exclude them from garbage collection.
    gc.collect()
    gc.freeze()
    with listen(settings) as listening:
        host, port = listening.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        running.ready = lambda: ready(url)
        with _sigterm_is_no_failure():
            running.run(sockets=[listening])


@contextlib.contextmanager
def _sigterm_is_no_failure() -> Iterator[None]:
    """Ignore the signal that uvicorn raises again after it stopped: exit 0 after a clean stop."""
    before = signal.signal(signal.SIGTERM, lambda signum, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
