"""The wire format protocol: how to read a question, and how to judge, fold and unfold its answer.

Every method is pure. A format is one stateless object; each streamed answer has its own
`AnswerFold`.
"""

from typing import Any, NamedTuple, Protocol

import msgspec

from askonce.core.models import Reason, Shape, Usage
from askonce.core.sse import SseEvent


class ParsedQuestion(msgspec.Struct, frozen=True):
    """A request body as its format reads it.

    Parameters:
        model: the model asked for.
        shape: how the caller wants the answer presented.
        asked: everything that can change the answer, as a tree for `keys.canonical`.
        text: the text of the last user turn.
        sampled: True for an explicit temperature above 0.
        wants_json: True if the answer has to be JSON.
        bypass: why the cache must not take part; None if it may.
        choices: how many answers are asked for. Default: 1.
    """

    model: str
    shape: Shape
    asked: dict[str, Any]
    text: str
    sampled: bool
    wants_json: bool
    bypass: Reason | None
    choices: int = 1


class OfferedTool(NamedTuple):
    """A tool that a request offers to the model.

    Parameters:
        schema: the schema of its arguments, an object or a boolean; None if there is none.
        strict: whether the provider promises arguments that fit the whole schema.
    """

    schema: Any
    strict: bool


class ExpectedAnswer(NamedTuple):
    """What a request expects of the form of its answer.

    Parameters:
        schema: the schema of the JSON that it wants, an object or a boolean; None if it wants text.
        tools: the offered tools by name.
        any_tool: True if tools without a name are offered too, so that a call may have any name.
    """

    schema: Any
    tools: dict[str, OfferedTool]
    any_tool: bool


class ToolCall(NamedTuple):
    """A call of a tool in an answer.

    Parameters:
        name: the tool's name.
        arguments: a text with JSON, or a value; None and "" mean none.
        is_text: True for a tool that takes free text. Default: False.
    """

    name: str
    arguments: Any
    is_text: bool = False


class AnswerParts(NamedTuple):
    """What of an answer has a form.

    Parameters:
        documents: the texts that are JSON if JSON was wanted, one for each choice; not those beside
            tool calls.
        calls: the tool calls of all choices.
    """

    documents: list[str]
    calls: list[ToolCall]


class AnswerFold(Protocol):
    """Builds the non-streamed response from a stream's events."""

    ended: bool
    """Whether the answer is whole: its terminal event was parsed, or its body ended after it."""

    failed: Reason | None
    """The reason if the stream reported an error or cannot be understood; None otherwise."""

    def feed(self, event: SseEvent) -> None:
        """Add one event."""

    def finish(self) -> None:
        """Note that the body ended by its framing.

        An answer that says why it ended is whole then, even without the terminal event.
        """

    def answer(self) -> dict[str, Any]:
        """Return the response as if it had not been streamed; only if `ended` and not `failed`."""


class WireFormat(Protocol):
    """How one API writes its requests and answers."""

    name: str
    """The format's name in keys, headers and metrics, such as `openai_chat`."""

    def recognizes(self, path: str) -> bool:
        """Whether a path (without its query) is an endpoint of this format."""

    def read(self, body: Any) -> ParsedQuestion:
        """Read a parsed request body. Raises `CallMalformed` if a member has a wrong type."""

    def to_upstream(self, body: bytes, question: ParsedQuestion) -> bytes:
        """Return the body to send: the caller's own bytes, unless something must be added."""

    def fold(self, question: ParsedQuestion | None = None) -> AnswerFold:
        """Return a new folding for one streamed answer.

        Parameters:
            question: the question that it answers. Default: unknown.
        """

    def unfold(self, answer: dict[str, Any], shape: Shape) -> list[bytes]:
        """Return the answer as frames of server-sent events, including the terminal one.

        Parameters:
            answer: the non-streamed response.
            shape: how the caller wants it presented.
        """

    def show(self, event: SseEvent, shape: Shape) -> bytes | None:
        """Return the bytes of an upstream event for a caller of this shape; None to drop it."""

    def judge(self, answer: dict[str, Any], *, wants_json: bool) -> Reason | None:
        """Return why an answer must not be stored (cut, filtered, refused …); None if it may.

        Parameters:
            answer: the non-streamed response.
            wants_json: whether the caller asked for JSON.
        """

    def expected(self, body: Any) -> ExpectedAnswer:
        """Return what a request says about the form of its answer.

        Parameters:
            body: the parsed request body, as `read` accepts it.
        """

    def parts(self, answer: dict[str, Any]) -> AnswerParts:
        """Return the documents and tool calls of an answer that `judge` has nothing against.

        Parameters:
            answer: the non-streamed response.
        """

    def text(self, answer: dict[str, Any]) -> str:
        """Return the text of the answer."""

    def model(self, answer: dict[str, Any]) -> str:
        """Return the model that answered; "" if the answer names none."""

    def usage(self, answer: dict[str, Any]) -> Usage | None:
        """Return the tokens of the answer; None if it reports none."""

    def error(self, message: str, code: str) -> bytes:
        """Return a JSON error body as this format's SDKs expect it."""
