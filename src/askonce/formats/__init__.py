"""The wire formats that AskOnce understands: how to read a request, and how to judge, fold and
unfold its answer.

Each format is one object that implements `core.wire_format.WireFormat`; its streams are in the
module beside it, and `usage` reads what any provider reports of tokens. Everything is pure. All
packages but `core` and `ledger` may import it. Start with `core.wire_format`, then `openai_chat`.
"""

from askonce.core.wire_format import WireFormat
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES
from askonce.formats.openai_chat import OPENAI_CHAT

FORMATS: tuple[WireFormat, ...] = (OPENAI_CHAT, ANTHROPIC_MESSAGES)
BY_NAME = {known.name: known for known in FORMATS}


def recognize(path: str) -> WireFormat | None:
    """Return the format of an endpoint's path (without its query); None if it is unknown."""
    for known in FORMATS:
        if known.recognizes(path):
            return known
    return None
