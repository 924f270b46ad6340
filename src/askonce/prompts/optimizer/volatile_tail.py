"""Tailing: declared volatile text is cut out of a request's instructions and said at its end.

Where it goes depends on who reads it: a later developer message at OpenAI, a system message among
the messages where an Anthropic model takes one, else a tagged section of the last user turn.
"""

from fnmatch import fnmatchcase
from typing import Literal

from askonce.prompts.optimizer.volatile_text import Cut, section
from askonce.prompts.requests.members import (
    Json,
    NotUnderstood,
    encoded,
    is_list,
    is_text,
    items,
    listed,
    members,
    text,
    whole,
)
from askonce.prompts.requests.request_parts import RequestPart, RequestParts

Place = Literal["developer", "system", "user"]

# Anthropic's prompt caching page, 2026-11: models that take a system message among the messages.
_TAKE_SYSTEM = ("claude-opus-4-8*", "claude-opus-5*", "claude-fable-5*", "claude-sonnet-5-5*")


def place_of(provider: str, model: str) -> Place:
    """Where a model reads what comes late."""
    if provider in ("openai", "azure"):
        return "developer"
    takes = provider == "anthropic" and any(fnmatchcase(model, one) for one in _TAKE_SYSTEM)
    return "system" if takes else "user"


def cut_out(anatomy: RequestParts, cut: Cut) -> bool:
    """Take volatile spans out of the instructions; did anything change? Raises NotUnderstood."""
    kept = []
    for part in anatomy.system:
        before = len(cut.spans)
        raw = _without(part, cut)
        if len(cut.spans) > before:
            part.raw = raw if raw is not None else b""
        if raw is not None:
            kept.append(part)
    if not cut.spans:
        return False
    if not anatomy.messages or not anatomy.messages[-1].asks:
        raise NotUnderstood("no-tail")
    anatomy.system = kept
    return True


def say_late(anatomy: RequestParts, tail: str, place: Place) -> None:
    """Say at the end what was cut out. Raises NotUnderstood where it finds no place."""
    if not tail:
        return
    if place == "user" or anatomy.dialect == "gemini":
        last = anatomy.messages[-1]
        if last.role not in ("user", ""):
            raise NotUnderstood("no-tail")
        last.raw = _with_section(anatomy, last.raw, section(tail))
        return
    if anatomy.dialect == "responses" and is_text(anatomy.messages[-1].raw):
        only = anatomy.messages[-1]
        only.raw = whole({"role": encoded("user"), "content": only.raw})
    anatomy.tail.append(encoded({"role": place, "content": tail}))


def _without(part: RequestPart, cut: Cut) -> Json | None:
    """A part of the system text without its volatile spans; None where nothing is left of it."""
    if is_text(part.raw):
        return _text_without(part.raw, cut)
    found = members(part.raw)
    if not part.role:
        return _block_without(part.raw, found, cut)
    content = found.get("content")
    if content is not None and is_text(content):
        left = _text_without(content, cut)
        return None if left is None else _replaced(part.raw, found, "content", content, left)
    if content is None or not is_list(content):
        return part.raw
    blocks = items(content)
    lefts = [_block_without(block, members(block), cut) for block in blocks]
    if all(left is block for left, block in zip(lefts, blocks, strict=True)):
        return part.raw
    kept = [left for left in lefts if left is not None]
    return whole({**found, "content": listed(kept)}) if kept else None


def _block_without(raw: Json, found: dict[str, Json], cut: Cut) -> Json | None:
    told = found.get("text")
    if told is None or not is_text(told):
        return raw
    left = _text_without(told, cut)
    return None if left is None else _replaced(raw, found, "text", told, left)


def _text_without(raw: Json, cut: Cut) -> Json | None:
    told = text(raw) or ""
    left = cut.out_of(told)
    if left == told:
        return raw
    return encoded(left) if left.strip() else None


def _replaced(raw: Json, found: dict[str, Json], name: str, before: Json, after: Json) -> Json:
    return raw if after is before else whole({**found, name: after})


def _with_section(anatomy: RequestParts, raw: Json, told: str) -> bytes:
    """A user's turn with one more block at its end."""
    if anatomy.dialect == "gemini":
        found = members(raw)
        parts = [*items(found.get("parts", b"[]")), encoded({"text": told})]
        return whole({**found, "parts": listed(parts)})
    kind = "input_text" if anatomy.dialect == "responses" else "text"
    if is_text(raw):
        raw = whole({"role": encoded("user"), "content": raw})
    found = members(raw)
    content = found.get("content")
    if content is None:
        raise NotUnderstood("no-tail")
    blocks = [encoded({"type": kind, "text": text(content)})]
    if is_list(content):
        blocks = [bytes(block) for block in items(content)]
    elif not is_text(content):
        raise NotUnderstood("no-tail")
    return whole({**found, "content": listed([*blocks, encoded({"type": kind, "text": told})])})
