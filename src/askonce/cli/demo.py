"""`askonce demo`: real questions through a gateway and a practice provider on this machine."""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from askonce.errors import AskOnceError, ConfigError

TRIES = 200
BETWEEN_TRIES_S = 0.05
DRAIN_S = 10


def run(options: argparse.Namespace) -> int:
    try:
        from askonce.practice.demo import main
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the demo needs {error.name}; install it with: pip install 'askonce[demo]'"
        ) from None
    arguments = [f"--requests={options.requests}", f"--concurrency={options.concurrency}"]
    arguments += ["--json"] if options.json else []
    arguments += [f"--picture={options.picture}"] if options.picture else []
    return main(arguments, start_gateway=start_gateway)


@contextlib.contextmanager
def start_gateway(provider_url: str) -> Iterator[str]:
    """A gateway as everybody starts it, `askonce serve`, in front of one provider.

    It is a process of its own with an empty store that goes away afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="askonce-demo-") as folder:
        port = _free_port()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ASKONCE_")}
        environ["ASKONCE_PROVIDERS__OPENAI__BASE_URL"] = provider_url
        environ["ASKONCE_PROVIDERS__ANTHROPIC__BASE_URL"] = provider_url
        complaints = Path(folder, "stderr")
        with complaints.open("wb") as stderr:
            command = [sys.executable, "-m", "askonce.cli", "serve"]
            gateway = subprocess.Popen(  # noqa: S603 - this very program
                [*command, "--host=127.0.0.1", f"--port={port}"],
                cwd=folder,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        try:
            _wait_until_it_answers(gateway, f"http://127.0.0.1:{port}/healthz", complaints)
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


def _wait_until_it_answers(gateway: "subprocess.Popen[bytes]", url: str, complaints: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(TRIES):
        with contextlib.suppress(OSError, HTTPException), opener.open(url, timeout=1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            gateway.wait(BETWEEN_TRIES_S)
            said = complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise AskOnceError(f"the gateway ended: {said[-1] if said else 'without a word'}")
    raise AskOnceError(f"the gateway does not answer at {url}")
