"""What the demo provider says: text made from the question, the same every time.

Two questions never get the same text: each answer ends in a reference number taken from the
question's SHA-256. So a caller who knows the question knows the only right answer.
"""

import enum
import hashlib
import re
from typing import Any

import msgspec

OPENINGS = (
    "Thank you for asking about {topic}; here is what you can do about it right away.",
    "I am sorry for the trouble with {topic}. Let us go through it together, step by step.",
    "Good question. Many of our customers write to us about {topic}, and it is soon settled.",
    "Happy to help with {topic}. In nearly all cases it takes no more than a few minutes.",
)
ADVICE = (
    "Open the app, choose your profile in the upper corner and look at the newest entry there.",
    "Please check that your personal details are up to date, because a mismatch holds things up.",
    "Payments made on a weekend or a public holiday are settled on the next working day.",
    "If the status still says pending after two working days, send us a message from the app.",
    "There is no charge for this on any of our plans, and nothing changes for your account.",
    "Keep the receipt at hand: our team may ask for the date and the amount.",
    "You can also freeze the card with one tap and unfreeze it whenever you like.",
    "Should you see an error, close the app, update it and try once more.",
)
CLOSINGS = (
    "Write back at any time, we answer day and night. Your reference is {reference}.",
    "We will keep an eye on it from our side. Your reference is {reference}.",
    "If anything stays unclear, quote the reference {reference} and we will pick it up.",
)
_DULL = set(
    """
    a about am an and any are as at be been but by can could did do does for from get had has have
    how i if in is it its just me my need of on or please so some still that the their them there
    they this to want was what when where which who why will with would you your
    """.split()  # noqa: SIM905 - prose reads better than a list of sixty strings
)
_WORD = re.compile(r"[\w']+")
_PIECE = re.compile(r"(?:\s*\S+){1,3}\s*")


class Finish(enum.Enum):
    """Why an answer ended; each dialect has its own word for it."""

    STOP = "stop"
    TOOL = "tool"
    LENGTH = "length"
    REFUSAL = "refusal"
    FILTER = "filter"


class DemoTool(msgspec.Struct, frozen=True):
    """A tool as the caller described it: its name and the JSON Schema of its arguments."""

    name: str
    schema: dict[str, Any]


class DemoQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo provider reads out of a request, in any dialect."""

    model: str
    question: str
    input_tokens: int
    stream: bool = False
    usage: bool = False
    choices: int = 1
    thinking: bool = False
    wants_json: bool = False
    tool: DemoTool | None = None


class DemoAnswer(msgspec.Struct, frozen=True):
    """What the demo provider says: text, or the arguments of a call to `tool`."""

    text: str
    finish: Finish = Finish.STOP
    tool: str | None = None

    @property
    def tokens(self) -> int:
        return tokens(self.text)


def digest(question: str) -> bytes:
    """The 32 bytes that every pseudo-random choice about a question is taken from."""
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()


def topic(question: str) -> str:
    """The question's telling words, at most six of them."""
    words = [word for word in _WORD.findall(question) if word.lower() not in _DULL]
    return " ".join(word[:24] for word in words[:6]) or "your request"


def answer_to(question: str, choice: int = 0) -> str:
    """The text the demo provider answers a question with: a helpful 40 to 120 words."""
    chosen = digest(f"{choice}:{question}" if choice else question)
    order = sorted(range(len(ADVICE)), key=lambda index: chosen[index])
    advice = [ADVICE[index] for index in order[: 3 + chosen[8] % 3]]
    opening = OPENINGS[chosen[9] % len(OPENINGS)].format(topic=topic(question))
    closing = CLOSINGS[chosen[10] % len(CLOSINGS)].format(reference=chosen[11:16].hex().upper())
    return " ".join([opening, *advice, closing])


def thoughts_on(question: str) -> str:
    """The thinking shown before an answer, where thinking is asked for."""
    return f"The customer asks about {topic(question)}. A short list of steps will serve best."


def tokens(text: str) -> int:
    """About how many tokens a text has: one for every four characters."""
    return -(-len(text) // 4)


def pieces(text: str) -> list[str]:
    """The text as a stream shows it, three words at a time; joined, they are the text."""
    return _PIECE.findall(text)


def arguments(tool: DemoTool, question: str) -> str:
    """The arguments of a tool call, as JSON: one value for each property of the tool's schema."""
    values: dict[str, Any] = {
        "string": topic(question),
        "integer": digest(question)[0],
        "number": digest(question)[0] / 4,
        "boolean": True,
        "array": [],
        "object": {},
    }
    properties: dict[str, Any] = tool.schema.get("properties") or {}
    kinds = {name: schema.get("type") for name, schema in properties.items()}
    return msgspec.json.encode({name: values.get(str(k)) for name, k in kinds.items()}).decode()


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or its parts of type `text`."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def last_question(messages: list[dict[str, Any]]) -> str:
    """The text of the last user turn that has any."""
    turns = (text_of(turn.get("content")) for turn in reversed(messages) if turn["role"] == "user")
    return next((text for text in turns if text), "")
