"""A server that runs an ASGI app in a thread of its own, for tests, examples and the demo."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn


class _Server(uvicorn.Server):
    """A uvicorn server that says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def run_quietly(self, listener: socket.socket) -> None:
        # uvicorn exits the process when an app fails to start; a thread just ends.
        with contextlib.suppress(SystemExit):
            self.run([listener])


@contextlib.contextmanager
def running(
    app: Any, port: int = 0, *, host: str = "127.0.0.1", grace_s: int = 1, **settings: Any
) -> Iterator[str]:
    """Serve `app` with its own event loop while the context lasts; yields the base URL.

    Port 0 takes a free one. `grace_s` is how long open calls may go on once the context ends;
    further settings go to `uvicorn.Config`. Raises OSError if the port is taken, RuntimeError
    if the app fails to start.
    """
    listener = socket.create_server((host, port), backlog=2048)
    config = uvicorn.Config(
        app,
        **{
            "log_config": None,
            "log_level": "critical",
            "access_log": False,
            "timeout_graceful_shutdown": grace_s,
            "ws": "none",
            **settings,
        },
    )
    server = _Server(config)
    thread = threading.Thread(
        target=server.run_quietly, args=(listener,), name=f"serving {host}", daemon=True
    )
    with listener:
        base_url = f"http://{host}:{listener.getsockname()[1]}"
        thread.start()
        try:
            while not server.ready.wait(0.05):
                if not thread.is_alive():
                    raise RuntimeError(f"the app did not start on {base_url}")
            yield base_url
        finally:
            server.should_exit = True
            thread.join()
