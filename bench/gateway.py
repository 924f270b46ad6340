"""How much of a bare server's speed does the gateway keep, when it answers from its cache?

    python -m bench.gateway [--seconds N] [--rounds N]

One worker on one core, 16 keep-alive connections from another core, the same 1 KB question each
time. Each round loads the bare app, the gateway and the bare app again; the round's ratio is taken
against the mean of the two, and the number is the median of the rounds. A round counts only if
each server kept its core busy: otherwise something else on the machine set the pace. Where no
round counts, the number is the ratio of the processor time that an answer took, which other work
changes little; it is shown beside the other in any case.

The bare app runs on uvicorn as it comes. The gateway's own server is uvicorn too, with the head and
the body of a response joined into one write; `of bare on our server` is the ratio, in processor
time, to the bare app on that.
"""

import argparse
import http.client
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench import figures, servers
from bench.figures import Figure
from bench.load import generator, loaded
from bench.questions import HEADERS, PATH, chat
from bench.servers import Server

CONNECTIONS = 16
_BUSY = 0.9


class Answer(NamedTuple):
    """What a server answered: the headers it is judged by, and its bytes."""

    content_type: str
    cache_status: str
    body: bytes


class Speed(NamedTuple):
    """Answers a second, processor time for each, and the share of the time the core was busy."""

    per_second: float
    cpu_us: float
    busy: float


def measure(seconds: float = 2, rounds: int = 7) -> list[Figure]:
    core, _ = servers.cores()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with (
            servers.provider(folder) as provider,
            servers.gateway(folder, provider.url, core) as gateway,
        ):

            def kept(name: str, body: bytes, goal: float) -> Figure:
                return _kept(name, body, goal, folder, gateway, seconds, rounds)

            return [
                kept("JSON hit", chat("How do I change my PIN?"), 0.7),
                kept("stream replay", chat("Where is my card?", stream=True), 0.5),
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


class Round(NamedTuple):
    """The same load on three servers, one after the other."""

    before: Speed
    ours: Speed
    after: Speed
    joined: Speed

    @property
    def counts(self) -> bool:
        return all(speed.busy > _BUSY for speed in self)

    @property
    def rate(self) -> float:
        return 2 * self.ours.per_second / (self.before.per_second + self.after.per_second)

    @property
    def cost(self) -> float:
        return (self.before.cpu_us + self.after.cpu_us) / 2 / self.ours.cpu_us


def _kept(
    name: str, body: bytes, goal: float, folder: Path, gateway: Server, seconds: float, rounds: int
) -> Figure:
    core, load_core = servers.cores()

    def speed(server: Server) -> Speed:
        return speed_of(server, [body], seconds, load_core)

    answer = primed(gateway.url, body)
    said = (answer.body, answer.content_type, core)
    with (
        servers.bare(folder, *said) as bare,
        servers.bare(folder, *said, joined=True) as joined,
    ):
        loads = [
            Round(speed(bare), speed(gateway), speed(bare), speed(joined)) for _ in range(rounds)
        ]
    return figure(f"{name}, of a bare ASGI app", goal, loads, {"body bytes": len(answer.body)})


def figure(
    name: str, goal: float, rounds: list[Round], detail: Mapping[str, float | str]
) -> Figure:
    """Summarize the rounds in one figure, with `detail` beside it."""
    counted = [each for each in rounds if each.counts]
    costs = statistics.median(each.cost for each in rounds)
    shown = counted or rounds
    return Figure(
        name=f"gateway: {name}",
        value=statistics.median(each.rate for each in counted) if counted else costs,
        unit="x",
        at_least=goal,
        detail={
            "by": f"answers a second, {len(counted)} of {len(rounds)} rounds"
            if counted
            else "processor time: no round was undisturbed",
            "by processor time": costs,
            "of bare on our server": statistics.median(
                e.joined.cpu_us / e.ours.cpu_us for e in shown
            ),
            "gateway a second": statistics.median(each.ours.per_second for each in shown),
            "bare a second": statistics.median(each.before.per_second for each in shown),
            "gateway us of processor": statistics.median(each.ours.cpu_us for each in shown),
            **detail,
            "load": generator(),
        },
    )


def speed_of(server: Server, bodies: Sequence[bytes], seconds: float, core: int | None) -> Speed:
    """Load a server from this core, with these questions in turn."""
    before = server.cpu_seconds()
    rate = loaded(
        server.url + PATH, HEADERS, bodies, seconds=seconds, connections=CONNECTIONS, core=core
    )
    used = server.cpu_seconds() - before
    return Speed(rate.per_second, used * 1e6 / rate.answers, used / rate.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=2, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    chosen = parser.parse_args()
    figures.show(measure(chosen.seconds, chosen.rounds))


if __name__ == "__main__":
    main()
