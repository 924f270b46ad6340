"""Servers in processes of their own, each on one core, for as long as they are measured."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_PATIENCE_S = 120.0


class Server(NamedTuple):
    """A running server: its address, and the process that it is."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """The processor's time that it has used so far."""
        stat = Path(f"/proc/{self.pid}/stat")
        if not stat.exists():
            clock = ["ps", "-o", "time=", "-p", str(self.pid)]
            output = subprocess.run(clock, capture_output=True, text=True, check=True).stdout
            minutes, _, seconds = output.strip().rpartition(":")
            return int(minutes.rpartition(":")[2]) * 60 + float(seconds)
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int | None, int | None]:
    """A core for the server and another for its load; None where that cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    ours = sorted(os.sched_getaffinity(0))
    return (ours[0], ours[-1]) if len(ours) > 1 else (None, None)


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes started in this context run on one core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, core: int | None, **settings: Any
) -> Iterator[Server]:
    """Run a server until the context ends. Raises RuntimeError if it does not begin to listen."""
    with log.open("wb") as out:
        with on_core(core):
            process = subprocess.Popen(command, stdout=out, stderr=out, **settings)
        try:
            _wait_for(port, process, log)
            yield Server(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def provider(folder: Path, core: int | None = None, latency: str = "0") -> Iterator[Server]:
    """The practice provider."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "askonce.cli.demo.provider",
        "--port",
        str(port),
        "--latency",
        latency,
    ]
    with serving(command, port, folder / "provider.log", core) as server:
        yield server


@contextlib.contextmanager
def gateway(
    folder: Path,
    upstream: str,
    core: int | None = None,
    *,
    store: str | None = None,
    memory: str = "256 MiB",
) -> Iterator[Server]:
    """The gateway as `askonce serve` runs it, before one provider, on SQLite or on `store`."""
    port = free_port()
    config = folder / "askonce.toml"
    kept = store or f"sqlite:{folder / 'bench.db'}"
    config.write_text(
        f"[gateway]\nport = {port}\n"
        f'[store]\nurl = "{kept}"\n'
        f'[memory]\nsize = "{memory}"\n'
        f'[providers.openai]\nbase_url = "{upstream}"\nformat = "openai"\n'
    )
    command = [sys.executable, "-m", "askonce.cli", "serve", "--config", str(config)]
    with serving(command, port, folder / "gateway.log", core, env=environment()) as server:
        yield server


@contextlib.contextmanager
def bare(
    folder: Path,
    body: bytes,
    content_type: str,
    core: int | None,
    *,
    joined: bool = False,
    getting: tuple[int, Sequence[bytes]] | None = None,
) -> Iterator[Server]:
    """The bare app, answering this body; with `joined`, on the gateway's own server.

    With `getting`, a port of Redis and names, it gets the value of one of them before each answer.
    """
    port = free_port()
    answer = folder / f"bare-{port}"
    answer.write_bytes(body)
    command = [sys.executable, "-m", "bench.bare", str(port), str(answer), content_type]
    command += ["--joined"] if joined else []
    if getting is not None:
        redis_port, names = getting
        listed = folder / f"bare-{port}.names"
        listed.write_bytes(b"\n".join(names))
        command += ["--redis", str(redis_port), "--names", str(listed)]
    with serving(command, port, folder / f"bare-{port}.log", core) as server:
        yield server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def environment() -> Mapping[str, str]:
    """Our environment, without gateway settings that the caller may have exported."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ASKONCE_")}


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    output = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{process.args!r} did not begin to listen:\n{output}")
