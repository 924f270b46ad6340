"""How much of a bare server's speed does the gateway keep, when it answers from its cache?

    python -m bench.gateway [--seconds N] [--rounds N]

One worker on one core, 16 keep-alive connections from another core, the same 1 KB question each
time. Each round loads the bare app, the gateway, and the bare app again, so that whatever else
the machine is doing hits both; a round's ratio is taken against the mean of the two. The number
is the median of the rounds. `by processor time` is the same ratio in processor time for each
answer, which other work on the machine cannot change much.
"""

import argparse
import http.client
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench import figures, servers
from bench.figures import Figure
from bench.load import generator, loaded
from bench.questions import HEADERS, PATH, chat
from bench.servers import Server

CONNECTIONS = 16


class Answer(NamedTuple):
    """What a server answered: the headers it is judged by, and its bytes."""

    content_type: str
    cache_status: str
    body: bytes


def measure(seconds: int = 2, rounds: int = 7) -> list[Figure]:
    return [
        _kept("JSON hit", chat("How do I change my PIN?"), 0.7, seconds, rounds),
        _kept("stream replay", chat("Where is my card?", stream=True), 0.5, seconds, rounds),
    ]


def ask(url: str, body: bytes, headers: Mapping[str, str] = HEADERS) -> Answer:
    """Ask once. Raises RuntimeError unless the answer is a whole success."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    try:
        connection.request("POST", PATH, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {content[:500]!r}")
    return Answer(
        response.headers["content-type"], response.headers.get("cache-status", ""), content
    )


def primed(url: str, body: bytes) -> Answer:
    """What the gateway answers once it has the answer in memory."""
    ask(url, body)
    answer = ask(url, body)
    if "detail=memory" not in answer.cache_status:
        raise RuntimeError(f"not a hit: {answer.cache_status}")
    return answer


def _kept(name: str, body: bytes, goal: float, seconds: int, rounds: int) -> Figure:
    core, load_core = servers.cores()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with (
            servers.provider(folder) as provider,
            servers.gateway(folder, provider.url, core) as gateway,
        ):
            answer = primed(gateway.url, body)
            with servers.bare(folder, answer.body, answer.content_type, core) as bare:

                def speed(server: Server) -> tuple[float, float]:
                    return _speed(server, body, seconds, load_core)

                told = [(speed(bare), speed(gateway), speed(bare)) for _ in range(rounds)]
    rates = [2 * ours[0] / (before[0] + after[0]) for before, ours, after in told]
    costs = [(before[1] + after[1]) / 2 / ours[1] for before, ours, after in told if ours[1]]
    detail: dict[str, float | str] = {
        "gateway a second": statistics.median(ours[0] for _, ours, _ in told),
        "bare a second": statistics.median(before[0] for before, _, _ in told),
        "body bytes": len(answer.body),
        "load": generator(),
        "rounds": " ".join(f"{rate:.2f}" for rate in rates),
    }
    if costs:
        detail["by processor time"] = statistics.median(costs)
        detail["gateway us of processor"] = statistics.median(ours[1] for _, ours, _ in told)
    return Figure(
        name=f"gateway: {name}, of a bare ASGI app",
        value=statistics.median(rates),
        unit="x",
        at_least=goal,
        detail=detail,
    )


def _speed(server: Server, body: bytes, seconds: int, core: int | None) -> tuple[float, float]:
    """Answers a second, and microseconds of processor time for each (0 if not known)."""
    before = server.cpu_seconds()
    rate = loaded(
        server.url + PATH, HEADERS, body, seconds=seconds, connections=CONNECTIONS, core=core
    )
    after = server.cpu_seconds()
    used = 0.0 if before is None or after is None else after - before
    return rate.per_second, used * 1e6 / rate.answers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=2, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    chosen = parser.parse_args()
    figures.show(measure(chosen.seconds, chosen.rounds))


if __name__ == "__main__":
    main()
