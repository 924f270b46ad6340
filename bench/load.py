"""Load: requests sent in turn, over keep-alive connections, as fast as answers come.

`wrk` makes it where that is installed, for it takes the least time of its own; otherwise a small
generator of ours does, in a process of its own.

    python -m bench.load HOST PORT CONNECTIONS SECONDS < REQUESTS

REQUESTS is a list of requests in JSON, each byte of them a character.
"""

import asyncio
import contextlib
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

from bench.servers import on_core


class Rate(NamedTuple):
    """Answers that came back, all of them status 200, and how long that took."""

    answers: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def generator() -> str:
    return "wrk" if shutil.which("wrk") else "asyncio"


def loaded(
    url: str,
    headers: Mapping[str, str],
    bodies: Sequence[bytes],
    *,
    seconds: float,
    connections: int,
    core: int | None,
) -> Rate:
    """Load a server with these bodies in turn. Raises RuntimeError if any answer failed."""
    make = _with_wrk if shutil.which("wrk") else _with_asyncio
    with on_core(core):
        rate = make(url, headers, bodies, seconds, connections)
    if not rate.answers:
        raise RuntimeError(f"{url} answered nothing")
    return rate


# The requests are made before the load begins, so that taking the next one costs next to nothing.
_IN_TURN = """
local requests, turn = {}, 0
function init()
  for place, body in ipairs(bodies) do requests[place] = wrk.format(nil, nil, nil, body) end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
"""


def _with_wrk(
    url: str, headers: Mapping[str, str], bodies: Sequence[bytes], seconds: float, connections: int
) -> Rate:
    lines = ['wrk.method = "POST"']
    lines += [f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in headers.items()]
    if len(bodies) == 1:
        lines.append(f"wrk.body = {_lua(bodies[0].decode())}")
    else:
        literals = ",\n".join(_lua(body.decode()) for body in bodies)
        lines += [f"local bodies = {{{literals}}}", _IN_TURN]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        command = [
            "wrk", "--threads", "1", "--connections", str(connections),
            "--duration", f"{math.ceil(seconds)}s", "--timeout", "30s",
            "--script", script.name, url,
        ]  # fmt: skip
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"answers failed:\n{output}")
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", output)
    if found is None:
        raise RuntimeError(f"wrk said something new:\n{output}")
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0}[found[3]]
    return Rate(int(found[1]), float(found[2]) * unit)


def _lua(text: str) -> str:
    """The text as a literal of Lua, which knows JSON's escapes of ASCII but no `\\u`."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("only printable ASCII can be sent with wrk")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _with_asyncio(
    url: str, headers: Mapping[str, str], bodies: Sequence[bytes], seconds: float, connections: int
) -> Rate:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines)
    requests = [
        f"{head}\r\ncontent-length: {len(body)}\r\n\r\n{body.decode('latin-1')}" for body in bodies
    ]
    command = [sys.executable, "-m", "bench.load", str(parts.hostname), str(parts.port)]
    command += [str(connections), str(seconds)]
    given = json.dumps(requests).encode()
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"answers failed:\n{done.stderr.decode()}")
    return Rate(*json.loads(done.stdout))


class _Connection(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it was answered."""

    def __init__(self, requests: Iterator[bytes], failed: "asyncio.Future[None]") -> None:
        self.answers = 0
        self._requests = requests
        self._failed = failed
        self._came = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by their methods, not by their type.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._came = self._came + data if self._came else data
        if not _is_whole(self._came):
            return
        if not self._came.startswith(b"HTTP/1.1 200"):
            self._fail(self._came[:200].decode("latin-1"))
        self.answers += 1
        self._came = b""
        self._transport.write(next(self._requests))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("a connection was closed")

    def _fail(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(RuntimeError(why))


def _is_whole(response: bytes) -> bool:
    end = response.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = response[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return response.endswith(b"\r\n0\r\n\r\n")
    return len(response) >= end + 4 + int(head[at + 17 :].partition(b"\r\n")[0])


async def _load(
    host: str, port: int, connections: int, seconds: float, requests: Sequence[bytes]
) -> Rate:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    in_turn = itertools.cycle(requests)
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Connection(in_turn, failed), host, port)
        for _ in range(connections)
    ]
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(failed), seconds)
    rate = Rate(sum(protocol.answers for _, protocol in made), time.perf_counter() - began)
    for transport, _ in made:
        transport.abort()
    return rate


def main() -> None:
    host, port, connections, seconds = sys.argv[1:]
    requests = [request.encode("latin-1") for request in json.load(sys.stdin)]
    story = _load(host, int(port), int(connections), float(seconds), requests)
    # What closing the connections does to them is not a failure any more.
    print(json.dumps(uvloop.run(story)))


if __name__ == "__main__":
    main()
