"""A relay in front of a server that counts round trips."""

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self


class RoundTripCounter:
    """Relays connections to a server; `count` is how often a client sent and got an answer."""

    def __init__(self, host: str, port: int) -> None:
        self.count = 0
        self._target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(self._target) as server,
            selectors.DefaultSelector() as ready,
        ):
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(end, selectors.EVENT_READ)
            is_waiting = False
            while True:
                for chosen, _ in ready.select():
                    piece = chosen.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not piece:
                        return
                    from_client = chosen.fileobj is client
                    if is_waiting and not from_client:
                        self.count += 1
                    is_waiting = from_client
                    (server if from_client else client).sendall(piece)
