"""Cache markers in the form of each dialect, put into bytes that otherwise stay as they are.

Where a marker has to go on a text, the text becomes a list of one block; the providers document
both as equal. A block that cannot carry a marker (an assistant's own words at OpenAI, thinking at
Anthropic) is not marked.
"""

from askonce.prompts.requests.raw_json import (
    Json,
    append_member,
    encode,
    is_list,
    is_text,
    join_list,
    join_object,
    parse_list,
    parse_object,
    parse_text,
)
from askonce.prompts.requests.request_parts import RequestPart, RequestParts

_ANTHROPIC_BLOCKS = frozenset(
    {"text", "image", "document", "tool_use", "tool_result", "search_result"}
)
_OPENAI_BLOCKS = frozenset(
    {"text", "image_url", "input_audio", "file", "input_text", "input_image", "input_file"}
)
_TEXT_BLOCK = {"chat": "text", "responses": "input_text", "messages": "text"}


def mark(request: RequestParts, part: RequestPart, ttl: str | None) -> bool:
    """Mark the end of a part; return False if it cannot carry a marker.

    `ttl` is the marker's lifetime; None for the provider's default.
    """
    marked = _marked(request.dialect, part, *_marker(request.dialect, ttl))
    if marked is None:
        return False
    part.raw = marked
    return True


def can_be_marked(request: RequestParts, part: RequestPart) -> bool:
    """Return whether `mark` would find a place."""
    return _marked(request.dialect, part, *_marker(request.dialect, None)) is not None


def _marker(dialect: str, ttl: str | None) -> tuple[str, bytes]:
    """Return the name and the value of the member that marks a block."""
    if dialect == "messages":
        value = {"type": "ephemeral"} | ({} if ttl is None else {"ttl": ttl})
        return "cache_control", encode(value)
    return "prompt_cache_breakpoint", encode({"mode": "explicit"})


def _marked(dialect: str, part: RequestPart, name: str, marker: bytes) -> bytes | None:
    if part.section == "tools":
        return _last_marked(part.raw, name, marker, None) if dialect == "messages" else None
    if dialect == "messages" and part.section == "system":
        if is_text(part.raw):
            return _as_block("text", part.raw, name, marker)
        return _block_marked(part.raw, name, marker, _ANTHROPIC_BLOCKS)
    return _message_marked(dialect, part.raw, name, marker) if part.role else None


def _message_marked(dialect: str, raw: Json, name: str, marker: bytes) -> bytes | None:
    message = parse_object(raw)
    if dialect == "responses" and message.get("type") not in (None, b'"message"'):
        return None
    content = message.get("content")
    if content is None or name in message:
        return None
    if is_text(content):
        marked = _as_block(_TEXT_BLOCK[dialect], content, name, marker)
    elif is_list(content):
        blocks = _ANTHROPIC_BLOCKS if dialect == "messages" else _OPENAI_BLOCKS
        marked = _last_marked(content, name, marker, blocks)
    else:
        return None
    return None if marked is None else join_object({**message, "content": marked})


def _as_block(kind: str, raw: Json, name: str, marker: bytes) -> bytes | None:
    """Return a text as a list of one marked block; None for an empty text."""
    if not (parse_text(raw) or "").strip():
        return None
    return join_list([join_object({"type": encode(kind), "text": raw, name: marker})])


def _last_marked(raw: Json, name: str, marker: bytes, kinds: frozenset[str] | None) -> bytes | None:
    blocks = parse_list(raw)
    if not blocks:
        return None
    marked = _block_marked(blocks[-1], name, marker, kinds)
    return None if marked is None else join_list([*blocks[:-1], marked])


def _block_marked(
    raw: Json, name: str, marker: bytes, kinds: frozenset[str] | None
) -> bytes | None:
    block = parse_object(raw)
    if name in block:
        return None
    if kinds is not None:
        kind = parse_text(block.get("type"))
        if kind not in kinds:
            return None
        if kind in ("text", "input_text") and not (parse_text(block.get("text")) or "").strip():
            return None
    return append_member(raw, name, marker)
