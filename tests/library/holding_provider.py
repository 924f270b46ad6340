"""The practice provider, made to stop at a point of its response until a test lets it go on."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from askonce.cli.demo.provider.provider import DemoProvider, Message, Receive, Scope, Send


class Hold:
    """A response that the provider holds back half-way until a test releases it."""

    def __init__(self, after: int | None) -> None:
        self.reached = threading.Event()
        """The provider has come this far and waits."""
        self.gone = threading.Event()
        """The caller closed the connection while it waited."""
        self._after = after
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened = asyncio.Event()
        self._is_open = threading.Event()

    def open(self) -> None:
        self._is_open.set()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._opened.set)

    def around(self, receive: Receive, send: Send) -> Send:
        sent = 0

        async def send_or_wait(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.body":
                sent += 1
                last = not message.get("more_body")
                if last if self._after is None else sent > self._after:
                    await self._wait(receive)
            await send(message)

        return send_or_wait

    async def _wait(self, receive: Receive) -> None:
        if self._is_open.is_set():
            return
        self._loop = asyncio.get_running_loop()
        self.reached.set()
        opened = asyncio.ensure_future(self._opened.wait())
        gone = asyncio.ensure_future(receive())
        await asyncio.wait([opened, gone], return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.gone.set()
        opened.cancel()
        gone.cancel()


class HoldingProvider(DemoProvider):
    """The practice provider, which can be made to stop at a point of its response."""

    def __init__(self) -> None:
        super().__init__(first_byte_ms=(0, 0), word_ms=0)
        self._hold: Hold | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._hold is not None:
            send = self._hold.around(receive, send)
        await super().__call__(scope, receive, send)

    @contextlib.contextmanager
    def holding(self, *, after: int | None) -> Iterator[Hold]:
        """Hold responses back after so many pieces of the body; None is before their end."""
        self._hold = hold = Hold(after)
        try:
            yield hold
        finally:
            self._hold = None
            hold.open()
