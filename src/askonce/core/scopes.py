"""Scopes: everything that must be equal before two questions may be compared by meaning.

Two questions are comparable only if they differ in nothing but the words of the last user turn:
namespace, format, origin, path, headers, model, system prompt, tools, parameters, earlier turns and
the embedder are equal. A scope is one SHA-256 over the same canonical tree as the key's, so
whatever makes two keys differ makes two scopes differ. It is a required argument of every vector
operation, never a filter. An entry keeps its scope without the embedder (`Entry.scope`), so an
index can be rebuilt for another embedder.
"""

import enum
import fnmatch
import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from askonce.core.keys import CACHE_MARKERS, KeyContext

_VERSION = b"askonce-scope-1"
_SAID_BY_THE_DEVELOPER = frozenset({"system", "developer"})
_OF_A_TEXT = {"type", "text"} | CACHE_MARKERS
_TOOLS = ("tools", "functions", "tool_choice", "function_call", "mcp_servers")
_HOW_LONG_AND_HOW_FREELY = frozenset(
    {
        "frequency_penalty", "max_completion_tokens", "max_tokens", "min_p", "presence_penalty",
        "seed", "temperature", "top_k", "top_p",
    }
)  # fmt: skip


class Scoping(msgspec.Struct, frozen=True, kw_only=True):
    """How much of two questions must be equal.

    Parameters:
        history: `exact` compares all earlier turns, `last_turn` only the developer's messages.
        parameters: `exact` compares all, `free` ignores lengths and sampling.
        models: families of models that may answer for each other, each a tuple of shell patterns.
            Default: none.
        tools: True also compares questions with tools. Default: False, because their answers act.
    """

    history: Literal["exact", "last_turn"] = "exact"
    parameters: Literal["exact", "free"] = "exact"
    models: tuple[tuple[str, ...], ...] = ()
    tools: bool = False


class Incomparable(enum.StrEnum):
    """Why a question is not compared by meaning; the same word everywhere."""

    TOOLS = "tools"
    NOT_TEXT = "not-text"


class Scoped(NamedTuple):
    """A question's scope, and the text that is compared within it."""

    scope: bytes
    text: str


def scoped(
    context: KeyContext, asked: Mapping[str, Any], scoping: Scoping
) -> Scoped | Incomparable:
    """Return the scope of a question, or why it is not compared by meaning.

    Parameters:
        context: where the question is asked.
        asked: the tree that a wire format has read.
        scoping: how much must be equal.
    """
    if not scoping.tools and any(asked.get(name) for name in _TOOLS):
        return Incomparable.TOOLS
    messages = asked.get("messages")
    if type(messages) is not list or not messages:
        return Incomparable.NOT_TEXT
    *earlier, last = messages
    parts = _texts(last)
    if parts is None:
        return Incomparable.NOT_TEXT
    text = "\n".join(parts)
    if not text.strip():
        return Incomparable.NOT_TEXT
    if scoping.history == "last_turn":
        earlier = [one for one in earlier if one.get("role") in _SAID_BY_THE_DEVELOPER]
    # Everything but the words of the last turn counts: its number of parts, a speaker's name.
    frame = {**last, "content": len(parts)}
    rest = {name: value for name, value in asked.items() if name != "messages"}
    if scoping.parameters == "free":
        rest = {name: rest[name] for name in rest if name not in _HOW_LONG_AND_HOW_FREELY}
    rest["model"] = _family(asked.get("model"), scoping.models)
    tree = {"rest": rest, "earlier": earlier, "last": frame, "history": scoping.history}
    return Scoped(_digest(_VERSION, context.key(tree).digest), text)


def scope_of_text(namespace: str, scope: str) -> bytes:
    """Return the scope of plain texts (`cache.get("…", scope=…)`)."""
    return _digest(_VERSION, KeyContext(namespace, "text").key({"scope": scope}).digest)


def compared_by(scope: bytes, embedder: str) -> bytes:
    """Return the scope for the vectors of one embedder."""
    return _digest(scope, embedder.encode(errors="surrogatepass"))


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts])).digest()


def _texts(message: Any) -> list[str] | None:
    """Return the texts of a user's turn; None for another role or for anything but text."""
    if type(message) is not dict or message.get("role") != "user":
        return None
    content = message.get("content")
    if type(content) is str:
        return [content]
    if type(content) is not list:
        return None
    texts = []
    for part in content:
        if type(part) is not dict or part.get("type") != "text":
            return None
        if part.keys() - _OF_A_TEXT or type(part.get("text")) is not str:
            return None  # an unknown member may change the meaning of the text
        texts.append(part["text"])
    return texts


def _family(model: Any, families: tuple[tuple[str, ...], ...]) -> Any:
    """Return the model as it enters the scope: itself, or its family."""
    if type(model) is str:
        for number, patterns in enumerate(families):
            if any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns):
                return {"family": number, "of": list(patterns)}
    return model
