"""The gateway: the cache behind an HTTP address that any language can call.

A composition root: it builds the application out of the settings and runs it.
"""

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
    """The ASGI application that these settings describe; `clock` gives seconds since the epoch."""
    tenants = {key: tenant.name for tenant in settings.tenants.values() for key in tenant.keys}
    prices = GenaiPrices()
    prices.load()  # a quarter of a second that no caller should wait for
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
    )
    connections = UpstreamConnections(
        settings.gateway.connect_timeout.total_seconds(),
        settings.gateway.read_timeout.total_seconds(),
    )
    return GatewayApp(settings, cache, connections, __version__)


def _semantic(settings: Settings) -> Semantic:
    """How questions are matched by meaning: as the settings say.

    Where they say nothing, only what is installed is measured: a gateway without the libraries
    starts all the same, and says so once.
    """
    given = settings.semantic
    if "semantic.mode" not in settings.origins and not is_installed(given.embedder):
        _log.info("semantic matching is off: pip install 'askonce[semantic]' to measure it")
        return OFF
    return given


def server(settings: Settings, *, clock: Callable[[], float] | None = None) -> "GatewayServer":
    """The HTTP server around the application, not yet running."""
    config = uvicorn.Config(
        build(settings, clock=clock),
        http=Protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level=logging.WARNING,
        server_header=False,
        proxy_headers=False,  # nothing here asks for the caller's address
        timeout_graceful_shutdown=max(1, round(settings.gateway.drain.total_seconds())),
    )
    return GatewayServer(config)


class GatewayServer(uvicorn.Server):
    """A server that says when it answers, which is after it has taken over the signals."""

    ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()


def listen(settings: Settings) -> socket.socket:
    """The socket that the settings name. Raises `ConfigError` if it cannot be had."""
    host, port = settings.gateway.host, settings.gateway.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); choose another "
            "[gateway] port, or stop what uses it"
        ) from None


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda url: None) -> None:
    """Run the gateway until it is told to stop; streams in flight are finished first.

    `ready` hears the gateway's address as soon as it answers. Raises `ConfigError`.
    """
    running = server(settings)
    # Modules and price lists stay for good: the collector need not look through them again.
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
    """uvicorn sends itself the signal that stopped it once more; after a clean stop, exit 0."""
    before = signal.signal(signal.SIGTERM, lambda signum, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
