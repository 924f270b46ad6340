"""Marking: a breakpoint in the words of each dialect, put into bytes that stay as they are.

A text becomes a list of one block where a marker has to be carried, which the providers document
as equal. What a marker cannot stand on (an assistant's own words at OpenAI, thinking at Anthropic)
is not marked.
"""

from askonce.prompts.requests.members import (
    Json,
    encoded,
    is_list,
    is_text,
    items,
    listed,
    members,
    text,
    whole,
    with_member,
)
from askonce.prompts.requests.request_parts import RequestPart, RequestParts

_ANTHROPIC_BLOCKS = frozenset(
    {"text", "image", "document", "tool_use", "tool_result", "search_result"}
)
_OPENAI_BLOCKS = frozenset(
    {"text", "image_url", "input_audio", "file", "input_text", "input_image", "input_file"}
)
_TEXT_BLOCK = {"chat": "text", "responses": "input_text", "messages": "text"}


def marker(dialect: str, ttl: str | None) -> tuple[str, bytes]:
    """The member that marks a block; `ttl` where it is not the provider's default one."""
    if dialect == "messages":
        told = {"type": "ephemeral"} | ({} if ttl is None else {"ttl": ttl})
        return "cache_control", encoded(told)
    return "prompt_cache_breakpoint", encoded({"mode": "explicit"})


def mark(anatomy: RequestParts, part: RequestPart, ttl: str | None) -> bool:
    """Mark the end of a part; False where none can stand there."""
    dialect = anatomy.dialect
    name, told = marker(dialect, ttl)
    marked: Json | None
    if part.section == "tools":
        marked = _last_marked(part.raw, name, told, None) if dialect == "messages" else None
    elif dialect == "messages" and part.section == "system":
        marked = _system_marked(part.raw, name, told)
    elif part.role:
        marked = _message_marked(dialect, part.raw, name, told)
    else:
        marked = None
    if marked is None:
        return False
    part.raw = marked
    return True


def can_be_marked(anatomy: RequestParts, part: RequestPart) -> bool:
    """Would `mark` find a place?"""
    before = part.raw
    done = mark(anatomy, part, None)
    part.raw = before
    return done


def _system_marked(raw: Json, name: str, told: bytes) -> bytes | None:
    if is_text(raw):
        return _as_block("text", raw, name, told)
    return _block_marked(raw, name, told, _ANTHROPIC_BLOCKS)


def _message_marked(dialect: str, raw: Json, name: str, told: bytes) -> bytes | None:
    message = members(raw)
    where = "content"
    if dialect == "responses" and message.get("type") not in (None, b'"message"'):
        return None
    content = message.get(where)
    if content is None or name in message:
        return None
    if is_text(content):
        marked = _as_block(_TEXT_BLOCK[dialect], content, name, told)
    elif is_list(content):
        blocks = _ANTHROPIC_BLOCKS if dialect == "messages" else _OPENAI_BLOCKS
        marked = _last_marked(content, name, told, blocks)
    else:
        return None
    return None if marked is None else whole({**message, where: marked})


def _as_block(kind: str, raw: Json, name: str, told: bytes) -> bytes | None:
    """A list of one block. An empty text cannot be marked."""
    if not (text(raw) or "").strip():
        return None
    block = whole({"type": encoded(kind), "text": raw, name: told})
    return b"[" + block + b"]"


def _last_marked(raw: Json, name: str, told: bytes, kinds: frozenset[str] | None) -> bytes | None:
    blocks = items(raw)
    if not blocks:
        return None
    marked = _block_marked(blocks[-1], name, told, kinds)
    return None if marked is None else listed([*blocks[:-1], marked])


def _block_marked(raw: Json, name: str, told: bytes, kinds: frozenset[str] | None) -> bytes | None:
    block = members(raw)
    if name in block:
        return None
    if kinds is not None:
        kind = text(block.get("type"))
        if kind not in kinds:
            return None
        if kind in ("text", "input_text") and not (text(block.get("text")) or "").strip():
            return None
    return with_member(raw, name, told)
