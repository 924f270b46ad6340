"""Gateways that a command asks: the running one, or one that it starts for its own time."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

import msgspec

from askonce.config.settings import Gateway, Settings
from askonce.core.errors import AskOnceError, StoreError
from askonce.ledger.ledger import Stats
from askonce.stores.tiered.layers import MEMORY

TRIES = 200
BETWEEN_TRIES_S = 0.05
DRAIN_S = 10
PATIENCE_S = 1.0
MOST_BYTES = 1 << 20


@contextlib.contextmanager
def running_gateway(settings: Settings, config: str | None) -> Iterator[str]:
    """Yield the address of the gateway of these settings; start it if none runs."""
    if ask_gateway(settings.gateway) is not None:
        yield gateway_url(settings.gateway)
        return
    if settings.shared_url == MEMORY:
        raise StoreError("the store is memory: and no gateway runs; its answers would be lost")
    arguments = ["--config", config] if config else []
    with started_gateway(str(Path.cwd()), os.environ, arguments) as url:
        yield url


@contextlib.contextmanager
def started_gateway(
    folder: str, environ: Mapping[str, str], arguments: Sequence[str] = ()
) -> Iterator[str]:
    """Run `askonce serve` in a process of its own; yield its address."""
    port = _free_port()
    with tempfile.TemporaryFile() as complaints:
        command = [sys.executable, "-m", "askonce.cli", "serve", *arguments]
        gateway = subprocess.Popen(  # noqa: S603 - this very program
            [*command, "--host=127.0.0.1", f"--port={port}"],
            cwd=folder,
            env=dict(environ),
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )
        try:
            if not _answers(gateway, f"http://127.0.0.1:{port}/healthz"):
                complaints.seek(0)
                said = complaints.read().decode("utf-8", "replace").strip().splitlines()
                raise AskOnceError(f"the gateway ended: {said[-1] if said else 'without a word'}")
            yield f"http://127.0.0.1:{port}"
        finally:
            gateway.terminate()
            try:
                gateway.wait(DRAIN_S)
            except subprocess.TimeoutExpired:
                gateway.kill()
                gateway.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(gateway: "subprocess.Popen[bytes]", url: str) -> bool:
    """Wait for its first answer; return False if it ended instead."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(TRIES):
        with contextlib.suppress(OSError, HTTPException), opener.open(url, timeout=1):
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            gateway.wait(BETWEEN_TRIES_S)
            return False
    raise AskOnceError(f"the gateway does not answer at {url}")


def ask_gateway(gateway: Gateway) -> Stats | None:
    """Return the stats of a running gateway; None if none answers, or another server does."""
    # The gateway is on this machine: ignore a proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{gateway_url(gateway)}/askonce/stats"
    try:
        with opener.open(url, timeout=PATIENCE_S) as response:
            answer = json.loads(response.read(MOST_BYTES))
        if not isinstance(answer, dict) or "calls" not in answer:
            return None
        return msgspec.convert(answer, Stats, strict=False)
    except (OSError, HTTPException, ValueError):
        return None


def gateway_url(gateway: Gateway) -> str:
    """Return the address of the gateway of these settings, as seen from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gateway.host, gateway.host)  # noqa: S104
    return f"http://[{host}]:{gateway.port}" if ":" in host else f"http://{host}:{gateway.port}"
