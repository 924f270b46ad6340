"""What can go wrong at a provider, asked for by a model's name.

So an unmodified SDK can ask for any of it: `model="practice-cut"`.
"""

import enum

import msgspec

from askonce.cli.demo.provider.answers import DemoAnswer, DemoQuestion, Finish, answer_to, arguments


class ProviderFault(enum.StrEnum):
    """Each fault and the model name that asks for it."""

    SLOW = "practice-slow"
    """The first byte takes `slow_s` seconds."""
    CUT = "practice-cut"
    """The connection closes half-way: a chunk, or half of the bytes promised, is missing."""
    CUT_QUIET = "practice-cut-quiet"
    """A stream ends half-way, without its terminal event, though HTTP says it is whole."""
    GARBAGE = "practice-garbage"
    """Status 200, and bytes that are not JSON."""
    STALL = "practice-stall"
    """The head of the response, and then nothing, until the caller goes away."""
    STREAM_ERROR = "practice-stream-error"
    """A stream reports an error after some of the answer; a call without stream is answered."""
    TOO_MANY = "practice-429"
    """Status 429 with `Retry-After: 7`."""
    BROKEN = "practice-500"
    """Status 500."""
    BUSY_ONCE = "practice-503-then-ok"
    """Status 503 when a question comes for the first time, an answer ever after."""
    LENGTH = "practice-length"
    """Half of the answer, ended by the token limit."""
    REFUSAL = "practice-refusal"
    """A refusal instead of an answer."""
    FILTER = "practice-filter"
    """Half of the answer, ended by the content filter."""
    EMPTY = "practice-empty"
    """An answer without any text."""
    GZIP = "practice-gzip"
    """Nothing wrong: the response is compressed, streamed or not."""

    @classmethod
    def named(cls, model: str) -> "ProviderFault | None":
        """The fault that a model's name asks for; None for every other model."""
        return _BY_MODEL.get(model)


_BY_MODEL = {fault.value: fault for fault in ProviderFault}

REFUSAL = "I am sorry, but I can't help with that."


def say(asked: DemoQuestion, choice: int) -> DemoAnswer:
    """What the model says: an answer, a call to a tool, or what its fault asks for."""
    if asked.tool is not None and "call the tool" in asked.question.lower():
        return DemoAnswer(arguments(asked.tool, asked.question), Finish.TOOL, asked.tool.name)
    text = answer_to(asked.question, choice)
    if asked.wants_json:
        text = msgspec.json.encode({"answer": text}).decode()
    half = text[: len(text) // 2]
    match ProviderFault.named(asked.model):
        case ProviderFault.LENGTH:
            return DemoAnswer(half, Finish.LENGTH)
        case ProviderFault.FILTER:
            return DemoAnswer(half, Finish.FILTER)
        case ProviderFault.REFUSAL:
            return DemoAnswer(REFUSAL, Finish.REFUSAL)
        case ProviderFault.EMPTY:
            return DemoAnswer("")
    return DemoAnswer(text)
