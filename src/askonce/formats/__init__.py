"""The wire formats that AskOnce understands, and how a route names one."""

from askonce.core.wire_format import WireFormat
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES
from askonce.formats.openai_chat import OPENAI_CHAT

FORMATS: tuple[WireFormat, ...] = (OPENAI_CHAT, ANTHROPIC_MESSAGES)
BY_NAME = {known.name: known for known in FORMATS}


def recognize(path: str) -> WireFormat | None:
    """The format of an endpoint's path (without its query), or None where there is none."""
    for known in FORMATS:
        if known.recognizes(path):
            return known
    return None
