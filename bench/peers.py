"""How much faster than LiteLLM's proxy does the gateway answer from its cache?

    python -m bench.peers [--seconds N] [--rounds N]

Installs `litellm[proxy]` in a virtual environment of its own under `.bench/` (the first time only)
and runs its proxy on one worker with its in-memory cache, in front of the same practice provider
as our gateway. Both are asked the same 1 KB question, once to fill the cache and then by the same
load on 16 connections, in turns, each on the same core.
"""

import argparse
import contextlib
import http.client
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench import figures, servers
from bench.figures import Figure
from bench.gateway import CONNECTIONS, ask, primed
from bench.load import generator, loaded
from bench.questions import HEADERS, PATH, chat
from bench.servers import Server

_HOME = Path(".bench/litellm")
_READY_S = 120


def measure(seconds: int = 5, rounds: int = 3) -> list[Figure]:
    version = installed()
    core, _ = servers.cores()
    key = "sk-" + secrets.token_hex(24)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with (
            servers.provider(folder) as provider,
            servers.gateway(folder, provider.url, core) as ours,
            _litellm(folder, provider.url, key, core) as theirs,
        ):
            headers = {**HEADERS, "authorization": f"Bearer {key}"}
            ready(theirs, headers)
            results = []
            for name, goal, stream in (
                ("JSON hits", 100.0, False),
                ("stream replays", 500.0, True),
            ):
                body = chat(f"How do I change my PIN? {name}", stream=stream)
                primed(ours.url, body)
                cached_by(theirs, provider, body, headers)
                results.append(_times(name, goal, ours, theirs, body, headers, seconds, rounds))
            for figure in results:
                figure.detail["litellm"] = version
            return results


def installed() -> str:
    """Install LiteLLM if it is not there; its version."""
    python = _HOME / "bin" / "python"
    if not python.exists():
        print(f"Installing litellm[proxy] into {_HOME} (once) ...", file=sys.stderr)
        venv.create(_HOME, with_pip=True, clear=True)
    ask_pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    if not (_HOME / "bin" / "litellm").exists():
        subprocess.run([*ask_pip, "install", "--quiet", "litellm[proxy]"], check=True)
    output = subprocess.run(
        [*ask_pip, "show", "litellm"], check=True, capture_output=True, text=True
    ).stdout
    return output.partition("Version: ")[2].partition("\n")[0]


@contextlib.contextmanager
def _litellm(folder: Path, upstream: str, key: str, core: int | None) -> Iterator[Server]:
    port = servers.free_port()
    config = folder / "litellm.yaml"
    config.write_bytes(
        msgspec.json.encode(  # JSON is YAML
            {
                "model_list": [
                    {
                        "model_name": "gpt-4o-mini",
                        "litellm_params": {
                            "model": "openai/gpt-4o-mini",
                            "api_base": f"{upstream}/v1",
                            "api_key": "sk-bench",
                        },
                    }
                ],
                "litellm_settings": {"cache": True, "cache_params": {"type": "local"}},
            }
        )
    )
    # Its own list of prices, so that it fetches none when it starts.
    environment = {
        **os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key,
    }  # fmt: skip
    command = [str(_HOME / "bin" / "litellm"), "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    log = folder / "litellm.log"
    with servers.serving(command, port, log, core, env=environment) as server:
        yield server


def ready(server: Server, headers: Mapping[str, str]) -> None:
    """Wait until the proxy, which listens before that, answers for its health."""
    parts = urlsplit(server.url)
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/health/liveliness", headers=dict(headers))
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the proxy of LiteLLM did not become ready")


def cached_by(server: Server, provider: Server, body: bytes, headers: Mapping[str, str]) -> None:
    """Fill the proxy's cache. Raises RuntimeError if it goes on asking upstream."""
    for _ in range(5):
        before = upstream_calls(provider)
        ask(server.url, body, headers)
        if upstream_calls(provider) == before:
            return
        time.sleep(0.5)  # it stores behind its answer
    raise RuntimeError("LiteLLM asks upstream each time; its cache is not in use")


def upstream_calls(provider: Server) -> int:
    parts = urlsplit(provider.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/practice/calls")
        reply = msgspec.json.decode(connection.getresponse().read())
    total: int = reply["total"]
    return total


def _times(
    name: str,
    goal: float,
    ours: Server,
    theirs: Server,
    body: bytes,
    headers: Mapping[str, str],
    seconds: int,
    rounds: int,
) -> Figure:
    _, core = servers.cores()

    def speed(server: Server, shown: Mapping[str, str]) -> float:
        return loaded(
            server.url + PATH, shown, [body], seconds=seconds, connections=CONNECTIONS, core=core
        ).per_second

    pairs = [(speed(ours, HEADERS), speed(theirs, headers)) for _ in range(rounds)]
    return Figure(
        name=f"gateway: {name} a second, of LiteLLM's proxy",
        value=statistics.median(mine / other for mine, other in pairs),
        unit="x",
        at_least=goal,
        detail={
            "ours a second": statistics.median(mine for mine, _ in pairs),
            "LiteLLM a second": statistics.median(other for _, other in pairs),
            "load": generator(),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    chosen = parser.parse_args()
    results = measure(chosen.seconds, chosen.rounds)
    figures.save(results, Path(".bench/peers.json"))
    figures.show(results)


if __name__ == "__main__":
    main()
