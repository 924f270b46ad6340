"""Who asks: members of a body that name the end user or a conversation.

At a provider's own address the end user changes no answer, so the formats leave these members out
of the question. Behind any other address may stand a program that knows its users: there they
count. A conversation that such a program keeps is state: the same body has another answer a turn
later, so the call bypasses the cache.
"""

import itertools
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from askonce.core.keys import Opaque
from askonce.core.models import Reason
from askonce.core.origins import OriginTraits
from askonce.core.wire_format import ParsedQuestion
from askonce.formats.member_names import words_of

END_USER = frozenset({"metadata", "safety_identifier", "user", "user_profile_id"})
"""Members that name who asks. They count everywhere but at the providers' own addresses."""

CONVERSATION_NOUNS = frozenset(
    {
        "chat", "context", "conv", "conversation", "convo", "dialog", "dialogue", "discussion",
        "interaction", "memory", "session", "thread",
    }
)  # fmt: skip
"""Words for a conversation. With one of `REFERENCE_WORDS` behind it, a member refers to one."""

REFERENCE_WORDS = frozenset(
    {
        "code", "cursor", "guid", "handle", "hash", "id", "identifier", "ids", "key", "name",
        "number", "ref", "reference", "state", "token", "uid", "uuid",
    }
)  # fmt: skip
"""Words for a reference."""

EARLIER_WORDS = frozenset({"continue", "last", "parent", "previous", "prior", "resume"})
"""Words for what came before, as in `previous_response_id`."""

TURN_NOUNS = frozenset(
    {"answer", "completion", "event", "from", "id", "message", "msg", "response", "run", "turn"}
)
"""Words for one turn; with one of `EARLIER_WORDS` before it, a member continues a conversation."""

_ALONE = CONVERSATION_NOUNS - {"context"}  # a `context` may be the text itself, as Ollama's is
_COUNTS = frozenset({"count", "max", "min", "multi", "n", "num", "number", "per"})


def as_seen_at(
    origin: OriginTraits, question: ParsedQuestion, body: dict[str, Any], path: str
) -> ParsedQuestion:
    """Return a question as the provider at this address sees it.

    Parameters:
        origin: what the address means.
        question: what the format has read; its tree may be changed.
        body: the parsed body.
        path: the path of the call with its query.
    """
    asked = question.asked
    for name in origin.presentation & asked.keys():
        del asked[name]
    if origin.is_own:
        return question
    for name in (END_USER - origin.presentation) & body.keys():
        value = body[name]
        asked[name] = Opaque(value) if isinstance(value, dict | list) else value
    if question.bypass is None and _names_conversation(body, origin.presentation, path):
        return msgspec.structs.replace(question, bypass=Reason.SERVER_STATE)
    return question


def _names_conversation(body: dict[str, Any], presentation: frozenset[str], path: str) -> bool:
    if any(
        refers_to_conversation(name, value)
        for name, value in body.items()
        if name not in presentation
    ):
        return True
    query = path.partition("?")[2]
    return bool(query) and any(
        refers_to_conversation(name, value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    )


def refers_to_conversation(name: str, value: Any) -> bool:
    """Whether a member refers to a conversation that the provider keeps.

    Parameters:
        name: the member's name, in any case.
        value: its value; null and false refer to nothing, and a list is the text itself.
    """
    if value is None or value is False:
        return False
    words = _split(words_of(name))
    if not words:
        return False
    if any(
        word in CONVERSATION_NOUNS and after in REFERENCE_WORDS
        for word, after in itertools.pairwise(words)
    ):
        return True
    if type(value) is list:
        return False
    if "session" in words and words[0] not in _COUNTS:
        return True
    if words[-1] in _ALONE and words[0] not in _COUNTS:
        return True
    return any(
        word in EARLIER_WORDS and after in TURN_NOUNS for word, after in itertools.pairwise(words)
    )


def _split(words: tuple[str, ...]) -> tuple[str, ...]:
    """Split words that are written in one, such as `sessionid`."""
    found: list[str] = []
    for word in words:
        for end in ("uuid", "id"):
            if word.endswith(end) and word[: -len(end)] in CONVERSATION_NOUNS:
                found += (word[: -len(end)], end)
                break
        else:
            found.append(word)
    return tuple(found)
