"""Who asks: members of a body that name the end user or a conversation.

At a provider's own address the end user changes no answer, so the formats leave these members out
of the question. Behind any other address may stand a program that knows its users: there they
count. A conversation that such a program keeps is state: the same body has another answer a turn
later, so the call bypasses the cache.
"""

import enum
import itertools
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from askonce.core.bounded import BoundedMap
from askonce.core.keys import Opaque
from askonce.core.models import Reason
from askonce.core.origins import OriginTraits
from askonce.core.wire_format import ParsedQuestion
from askonce.formats.member_names import LONGEST, PROTOCOL_MEMBERS, words_of

END_USER = frozenset({"metadata", "safety_identifier", "user", "user_profile_id"})
"""Members that name who asks. They count everywhere but at the providers' own addresses."""

CONVERSATION_NOUNS = frozenset(
    {
        "chat", "checkpoint", "context", "continuation", "conv", "conversation", "convo", "dialog",
        "dialogue", "discussion", "history", "interaction", "memory", "session", "state", "thread",
        "transcript",
    }
)  # fmt: skip
"""Words for a conversation. With one of `REFERENCE_WORDS` behind it, a member refers to one."""

REFERENCE_WORDS = frozenset(
    {
        "cursor", "guid", "handle", "hash", "id", "identifier", "ids", "key", "name",
        "ref", "reference", "sid", "state", "token", "ts", "uid", "uuid",
    }
)  # fmt: skip
"""Words for a reference."""

EARLIER_WORDS = frozenset({"continue", "last", "parent", "previous", "prior", "resume"})
"""Words for what came before, as in `previous_response_id`."""

TURN_NOUNS = frozenset(
    {"answer", "completion", "event", "from", "id", "message", "msg", "response", "run", "turn"}
)
"""Words for one turn; with one of `EARLIER_WORDS` before it, a member continues a conversation."""

# A `context` may be the text itself, as Ollama's is; so may these others.
_ALONE = CONVERSATION_NOUNS - {"checkpoint", "context", "history", "state", "transcript"}
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
    # A rule may overrule a lookup, but never a conversation.
    if question.bypass in (None, Reason.HOSTED_TOOL) and _names_conversation(
        body, origin.presentation, path
    ):
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
    if name in PROTOCOL_MEMBERS or value is None or value is False:
        return False
    if len(name) > LONGEST:
        return False
    kind = _kinds.get(name)
    if kind is None:
        kind = _kinds[name] = _kind(_split(words_of(name)))
    return kind is _Kind.REFERENCE or (kind is _Kind.NOUN and type(value) is not list)


class _Kind(enum.Enum):
    """What a member's name says of a conversation."""

    NOTHING = enum.auto()
    REFERENCE = enum.auto()
    NOUN = enum.auto()


_kinds: BoundedMap[str, _Kind] = BoundedMap(4_096)


def _kind(words: tuple[str, ...]) -> _Kind:
    pairs = list(itertools.pairwise(words))
    if any(word in CONVERSATION_NOUNS and after in REFERENCE_WORDS for word, after in pairs):
        return _Kind.REFERENCE
    if not words or words[0] in _COUNTS:
        return _Kind.NOTHING
    if words[-1] in _ALONE or "session" in words:
        return _Kind.NOUN
    if any(word in EARLIER_WORDS and after in TURN_NOUNS for word, after in pairs):
        return _Kind.NOUN
    return _Kind.NOTHING


def _split(words: tuple[str, ...]) -> tuple[str, ...]:
    """Split words that are written in one, such as `sessionid`."""
    found: list[str] = []
    for word in words:
        for end in ("uuid", "sid", "id"):
            if word.endswith(end) and word[: -len(end)] in CONVERSATION_NOUNS:
                found += (word[: -len(end)], end)
                break
        else:
            found.append(word)
    return tuple(found)
