"""A fault proxy: a TCP relay that delays, cuts, resets and freezes what goes through it."""

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

_CHUNK = 65_536
_TURN = 0.05  # how long a pump waits before it looks at the switches again


class FaultProxy:
    """Relays to one address; its switches may be thrown at any time and hold for all connections.

    `latency` delays every piece, in seconds. `frozen` passes nothing on and answers nothing, as a
    half-open connection does. `down` resets every connection, old and new. `chaos` is the share
    of replies that go wrong: delayed, cut inside, or reset.
    """

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        self.latency = 0.0
        self.chaos = 0.0
        self.faults = 0
        self._target = (host, port)
        self._random = random.Random(seed)
        self._flowing = threading.Event()
        self._flowing.set()
        self._down = False
        self._closed = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection, and each new one until `mend`."""
        self._down = True
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)

    def mend(self) -> None:
        self._down = False

    def close(self) -> None:
        self._closed = True
        self.thaw()
        # Wakes `accept`, which closing alone does not.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in list(self._threads):
            thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads = [old for old in self._threads if old.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                if self._down:
                    raise ConnectionError
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                _abort(client)
                continue
            pair = (client, server)
            for end in pair:
                end.settimeout(_TURN)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.add(pair)
            self._start(lambda pair=pair: self._pump(pair, pair[0], pair[1]))  # type: ignore[misc]
            self._start(lambda pair=pair: self._pump(pair, pair[1], pair[0]))  # type: ignore[misc]

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket
    ) -> None:
        try:
            while not self._down:
                try:
                    piece = source.recv(_CHUNK)
                except TimeoutError:
                    continue
                if not piece:
                    break
                if source is pair[1] and self._random.random() < self.chaos:
                    self.faults += 1
                    kind = self._random.choice(["late", "cut", "reset"])
                    if kind == "late":
                        threading.Event().wait(self._random.random() * 0.5)
                    else:
                        if kind == "cut" and len(piece) > 1:
                            sink.sendall(piece[: self._random.randrange(1, len(piece))])
                        break
                if self.latency:
                    threading.Event().wait(self.latency)
                self._flowing.wait()
                sink.settimeout(5)
                sink.sendall(piece)
                sink.settimeout(_TURN)
        except OSError:
            pass
        self._reset(pair)

    def _reset(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            _abort(end)


def _abort(end: socket.socket) -> None:
    """Close so that the other side sees a reset."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
