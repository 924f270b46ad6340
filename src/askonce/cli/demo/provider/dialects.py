"""What a wire format must be able to say for the demo provider to speak it."""

from collections.abc import Sequence
from typing import Protocol

from askonce.cli.demo.provider.answers import DemoAnswer, DemoQuestion

Headers = list[tuple[str, str]]

GARBAGE = b'{"id": "practice", "cho\xff\xfe<html><body>502 Bad Gateway</body></html>'
GARBAGE_FRAMES = [b"data: " + GARBAGE + b"\n\n", b"data: nothing of this is JSON\n\n"]


class Dialect(Protocol):
    """One wire format, from the provider's side."""

    path: str

    def read(self, body: bytes) -> DemoQuestion:
        """Read a request body.

        Raises `msgspec.MsgspecError` or UnicodeDecodeError where it is not a request.
        """

    def whole(self, asked: DemoQuestion, answers: Sequence[DemoAnswer]) -> bytes:
        """The response body of a call that is not streamed."""

    def frames(self, asked: DemoQuestion, answers: Sequence[DemoAnswer]) -> list[bytes]:
        """The server-sent events of a streamed call, the terminal one last."""

    def error(self, status: int, message: str) -> bytes:
        """The body of an error response."""

    def error_frame(self) -> bytes:
        """The server-sent event that reports an error in the middle of a stream."""

    def headers(self, took_ms: float) -> Headers:
        """The headers that a provider of this format adds to every response."""
