"""Scopes: what must be equal before two questions may be compared at all.

Two questions are only ever compared by meaning if they are equal in everything but the words of
the last user turn: namespace, format, place, headers, model, system prompt, tools, parameters,
earlier turns, and the embedder that compares them. All of that is one SHA-256, over the same
canonical tree that the key is made of, so what makes two keys differ makes two scopes differ.
A scope is a required argument of every operation on vectors, never a filter. An entry keeps its
scope without the embedder (`Entry.scope`), so an index can be made anew for another embedder.
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
    """What of a question must be equal, where less than everything will do.

    `history`: `exact`, all earlier turns; `last_turn`, the developer's messages alone.
    `parameters`: `exact`, or `free` for lengths and sampling. `models` are families of models, as
    shell patterns, that may answer for each other. Questions with `tools` are left alone unless
    this says otherwise: their answers do something.
    """

    history: Literal["exact", "last_turn"] = "exact"
    parameters: Literal["exact", "free"] = "exact"
    models: tuple[tuple[str, ...], ...] = ()
    tools: bool = False


class Incomparable(enum.StrEnum):
    """Why a question is not compared by meaning; one word, the same everywhere."""

    TOOLS = "tools"
    NOT_TEXT = "not-text"


class Scoped(NamedTuple):
    """A question's scope, and the words that are compared within it."""

    scope: bytes
    text: str


def scoped(place: KeyContext, asked: Mapping[str, Any], scoping: Scoping) -> Scoped | Incomparable:
    """The scope of a question asked at a place, or why it cannot be compared by meaning.

    `asked` is the tree that a format has read.
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
    # Of the last turn all but its words counts: how many parts it has, a speaker's name.
    frame = {**last, "content": len(parts)}
    rest = {name: value for name, value in asked.items() if name != "messages"}
    if scoping.parameters == "free":
        rest = {name: rest[name] for name in rest if name not in _HOW_LONG_AND_HOW_FREELY}
    rest["model"] = _family(asked.get("model"), scoping.models)
    tree = {"rest": rest, "earlier": earlier, "last": frame, "history": scoping.history}
    return Scoped(_digest(_VERSION, place.key(tree).digest), text)


def scope_of_text(namespace: str, scope: str) -> bytes:
    """The scope of plain texts (`cache.get("…", scope=…)`)."""
    return _digest(_VERSION, KeyContext(namespace, "text").key({"scope": scope}).digest)


def compared_by(scope: bytes, embedder: str) -> bytes:
    """A scope as the vectors of one embedder know it."""
    return _digest(scope, embedder.encode(errors="surrogatepass"))


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts])).digest()


def _texts(message: Any) -> list[str] | None:
    """The texts of a user's turn; None if it is somebody else's or holds anything but text."""
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
            return None  # something that we do not understand goes with these words
        texts.append(part["text"])
    return texts


def _family(model: Any, families: tuple[tuple[str, ...], ...]) -> Any:
    """What stands for the model in the scope: itself, or the family that it belongs to."""
    if type(model) is str:
        for number, patterns in enumerate(families):
            if any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns):
                return {"family": number, "of": list(patterns)}
    return model
