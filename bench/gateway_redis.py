"""How much of a bare server's speed does the gateway keep, when it answers out of Redis?

    python -m bench.gateway_redis [--seconds N] [--rounds N]

The method is `bench.gateway`'s: one worker on one core, the same load on each server in turn. The
bare app awaits one `GET` of redis-py's (asyncio, pooled, RESP3, hiredis) before each answer, of the
values that the gateway itself reads. The gateway's memory holds a few entries and hundreds of
questions take turns, so that memory is always cold and no two callers ask the same at a time.
Redis shares the core that the load comes from. The gateway's own metrics say how many of the
answers came out of Redis.
"""

import argparse
import http.client
import re
import tempfile
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from tests.fixtures.redis_servers import RedisServer

from bench import figures, servers
from bench.figures import Figure
from bench.gateway import Answer, Round, Speed, ask, figure, speed_of
from bench.questions import chat
from bench.servers import Server

QUESTIONS = 512
_MEMORY = "64 KiB"  # the entries of about 20 answers
_STORED_WITHIN_S = 30.0
_COUNTER = re.compile(r'(?m)^askonce_(calls_total|layer_hits_total)\{\w+="(\w+)"\} (\d+)$')
_SHARE = 0.95


def measure(seconds: float = 2, rounds: int = 7) -> list[Figure]:
    """Raises RuntimeError where too few answers came out of Redis for the number to mean much."""
    core, load_core = servers.cores()
    bodies = [chat(f"How do I change PIN {number}?") for number in range(QUESTIONS)]

    def speed(server: Server) -> Speed:
        return speed_of(server, bodies, seconds, load_core)

    with tempfile.TemporaryDirectory() as made, closing(RedisServer()) as redis:
        folder = Path(made)
        with servers.on_core(load_core):
            redis.start()
        store = f"redis://127.0.0.1:{redis.port}/0"
        with (
            servers.provider(folder) as provider,
            servers.gateway(folder, provider.url, core, store=store, memory=_MEMORY) as gateway,
        ):
            names = _stored(gateway, redis, bodies)
            answer = _out_of_redis(gateway, bodies)
            said = (answer.body, answer.content_type, core)
            getting = (redis.port, names)
            with (
                servers.bare(folder, *said, getting=getting) as bare,
                servers.bare(folder, *said, joined=True, getting=getting) as joined,
            ):
                before = _counted(gateway)
                measured = [
                    Round(speed(bare), speed(gateway), speed(bare), speed(joined))
                    for _ in range(rounds)
                ]
                share = _share(before, _counted(gateway))
    if share < _SHARE:
        raise RuntimeError(f"only {share:.1%} of the answers came out of Redis")
    detail = {
        "questions in turn": QUESTIONS,
        "% of answers with layer=redis": share * 100,
        "body bytes": len(answer.body),
    }
    return [
        figure("hit in Redis, memory cold, of a bare ASGI app with a GET", 0.6, measured, detail)
    ]


def _stored(gateway: Server, redis: RedisServer, bodies: list[bytes]) -> list[bytes]:
    """Have every question's answer stored; the names that Redis keeps them under."""
    for body in bodies:
        ask(gateway.url, body)
    until = time.monotonic() + _STORED_WITHIN_S
    with redis.client() as client:
        while True:
            names: list[bytes] = list(client.scan_iter("askonce:*}:e", count=1000))
            if len(names) == len(bodies):
                return names
            if time.monotonic() > until:
                raise RuntimeError(f"{len(names)} of {len(bodies)} answers were stored in Redis")
            time.sleep(0.05)


def _out_of_redis(gateway: Server, bodies: list[bytes]) -> Answer:
    """The last of one answer to each question, which prove to come out of Redis."""
    for body in bodies:
        answer = ask(gateway.url, body)
    if "layer=redis" not in answer.cache_status:
        raise RuntimeError(f"not out of Redis: {answer.cache_status}")
    return answer


def _counted(gateway: Server) -> dict[str, int]:
    """How many calls the gateway answered with each outcome, and out of each layer."""
    parts = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    with closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return {f"{name} {label}": int(count) for name, label, count in _COUNTER.findall(text)}


def _share(before: dict[str, int], after: dict[str, int]) -> float:
    """The share of the calls between the two that Redis had the answer of."""
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    calls = sum(count for name, count in more.items() if name.startswith("calls_total"))
    return more.get("layer_hits_total redis", 0) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=2, help="of each load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    chosen = parser.parse_args()
    figures.show(measure(chosen.seconds, chosen.rounds))


if __name__ == "__main__":
    main()
