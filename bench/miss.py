"""What does the gateway add to the provider's first byte, when it has no answer?

    python -m bench.miss [--pairs N]

Pairs of calls, one straight to the practice provider (which answers at once) and one through the
gateway, each a question that was never asked before, over a keep-alive connection each. Measured
is the time from sending the request to the first byte of the answer's body; the number is the
median of the pairs' differences.
"""

import argparse
import http.client
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench import figures, servers
from bench.figures import Figure, percentile
from bench.questions import HEADERS, PATH, chat
from bench.servers import Server

_WARM_UP = 50


def measure(pairs: int = 1_000) -> list[Figure]:
    core, other_core = servers.cores()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with (
            servers.provider(folder, other_core) as provider,
            servers.gateway(folder, provider.url, core) as gateway,
        ):
            return [
                _added("JSON", provider, gateway, pairs, stream=False),
                _added("stream", provider, gateway, pairs, stream=True),
            ]


def _added(name: str, provider: Server, gateway: Server, pairs: int, *, stream: bool) -> Figure:
    straight, through = _connection(provider.url), _connection(gateway.url)
    took = []
    for number in range(_WARM_UP + pairs):
        body = chat(f"{name} question number {number:06}", stream=stream)
        took.append((_first_byte_ms(straight, body), _first_byte_ms(through, body)))
    straight.close()
    through.close()
    took = took[_WARM_UP:]
    added = [theirs - ours for ours, theirs in took]
    return Figure(
        name=f"gateway: a miss adds to the first byte, {name}",
        value=statistics.median(added),
        unit="ms",
        at_most=2,
        detail={
            "p99 ms": percentile(added, 99),
            "provider alone ms": statistics.median(ours for ours, _ in took),
            "pairs": pairs,
        },
    )


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)


def _first_byte_ms(connection: http.client.HTTPConnection, body: bytes) -> float:
    began = time.perf_counter()
    connection.request("POST", PATH, body, HEADERS)
    response = connection.getresponse()
    first = response.read(1)
    took = (time.perf_counter() - began) * 1000
    response.read()
    if response.status != 200 or not first:
        raise RuntimeError(f"status {response.status}")
    status = response.headers.get("cache-status")
    if status is not None and "fwd=miss" not in status:
        raise RuntimeError(f"not a miss: {status}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000, help="(%(default)s)")
    figures.show(measure(parser.parse_args().pairs))


if __name__ == "__main__":
    main()
