"""What a wire format knows: how to read a question, and how to fold and unfold its answers.

Every method is pure. A format is one object without state; a `Folding` is made anew for each
streamed answer.
"""

from typing import Any, Protocol

import msgspec

from askonce.core.models import Reason, Shape, Usage
from askonce.core.sse import SseEvent


class ParsedQuestion(msgspec.Struct, frozen=True):
    """What a format reads out of one request body.

    `asked` is everything that can change the answer, as a tree for `keys.canonical`; `text` is
    the text of the last user turn; `bypass` is why the cache must not be asked, if it must not.
    """

    model: str
    shape: Shape
    asked: dict[str, Any]
    text: str
    sampled: bool  # an explicit temperature above 0
    wants_json: bool
    bypass: Reason | None


class Folding(Protocol):
    """Builds the non-streamed response out of a stream's events, one by one."""

    ended: bool
    """The terminal event was parsed."""

    failed: Reason | None
    """The stream reported an error, or said something that cannot be understood."""

    def feed(self, event: SseEvent) -> None: ...

    def answer(self) -> dict[str, Any]:
        """The whole response as if it had not been streamed; only once `ended` and not `failed`."""


class WireFormat(Protocol):
    name: str

    def recognizes(self, path: str) -> bool:
        """Is this path (without its query) an endpoint of this format?"""

    def read(self, body: Any) -> ParsedQuestion:
        """Read a parsed request body. Raises `CallMalformed` where its types are wrong."""

    def to_upstream(self, body: bytes, question: ParsedQuestion) -> bytes:
        """The body to send: the caller's own bytes wherever nothing has to be added."""

    def fold(self) -> Folding: ...

    def unfold(self, answer: dict[str, Any], shape: Shape) -> list[bytes]:
        """The answer as server-sent events, a frame each, the terminal one included."""

    def show(self, event: SseEvent, shape: Shape) -> bytes | None:
        """An upstream event as a caller of this shape sees it: its own bytes, others, or none."""

    def judge(self, answer: dict[str, Any], *, wants_json: bool) -> Reason | None:
        """Why this answer must not be stored (cut, filtered, refused, empty …), or None."""

    def text(self, answer: dict[str, Any]) -> str:
        """What the answer says, in words."""

    def model(self, answer: dict[str, Any]) -> str: ...

    def usage(self, answer: dict[str, Any]) -> Usage | None: ...

    def error(self, message: str, code: str) -> bytes:
        """A JSON error body as this format's SDKs expect it."""
