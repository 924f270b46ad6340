"""The volatile tail: volatile spans move from a request's instructions to its end.

Their place depends on the model: a later developer message at OpenAI, a system message among the
messages where an Anthropic model takes one, else a tagged section of the user's last turn.
"""

from fnmatch import fnmatchcase
from typing import Literal

from askonce.prompts.optimizer.volatile_spans import VolatileSpans
from askonce.prompts.requests.raw_json import (
    Json,
    NotUnderstood,
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

TailRole = Literal["developer", "system", "user"]

# Anthropic's prompt caching page, 2026-11: models that take a system message among the messages.
_TAKE_SYSTEM = ("claude-opus-4-8*", "claude-opus-5*", "claude-fable-5*", "claude-sonnet-5-5*")


def tail_role(provider: str, model: str) -> TailRole:
    """Return the role under which a model reads the volatile tail."""
    if provider in ("openai", "azure"):
        return "developer"
    takes = provider == "anthropic" and any(fnmatchcase(model, one) for one in _TAKE_SYSTEM)
    return "system" if takes else "user"


def remove_spans(request: RequestParts, volatile: VolatileSpans) -> bool:
    """Remove volatile spans from the instructions; return whether there were any.

    Raises NotUnderstood for unmatched tags, and if the request has no turn to append a tail to.
    """
    kept = []
    for part in request.system:
        before = len(volatile.spans)
        raw = _without_spans(part, volatile)
        if len(volatile.spans) > before:
            part.raw = raw if raw is not None else b""
        if raw is not None:
            kept.append(part)
    if not volatile.spans:
        return False
    if not request.messages or not request.messages[-1].awaits_answer:
        raise NotUnderstood("no-tail")
    request.system = kept
    return True


def append_tail(request: RequestParts, tail: str, role: TailRole) -> None:
    """Append the removed spans to the request. Raises NotUnderstood if there is no place."""
    if not tail:
        return
    if role == "user" or request.dialect == "gemini":
        last = request.messages[-1]
        if last.role not in ("user", ""):
            raise NotUnderstood("no-tail")
        last.raw = _with_block(request, last.raw, f"<context>\n{tail}\n</context>")
        return
    if request.dialect == "responses" and is_text(request.messages[-1].raw):
        only = request.messages[-1]
        only.raw = join_object({"role": encode("user"), "content": only.raw})
    request.tail.append(encode({"role": role, "content": tail}))


def _without_spans(part: RequestPart, volatile: VolatileSpans) -> Json | None:
    """Return a part of the system text without its spans; None if nothing is left of it."""
    if is_text(part.raw):
        return _text_without(part.raw, volatile)
    message = parse_object(part.raw)
    if not part.role:
        return _block_without(part.raw, message, volatile)
    content = message.get("content")
    if content is not None and is_text(content):
        left = _text_without(content, volatile)
        return None if left is None else _replaced(part.raw, message, "content", content, left)
    if content is None or not is_list(content):
        return part.raw
    blocks = parse_list(content)
    changed = [_block_without(block, parse_object(block), volatile) for block in blocks]
    if all(new is block for new, block in zip(changed, blocks, strict=True)):
        return part.raw
    kept = [block for block in changed if block is not None]
    return join_object({**message, "content": join_list(kept)}) if kept else None


def _block_without(raw: Json, block: dict[str, Json], volatile: VolatileSpans) -> Json | None:
    text = block.get("text")
    if text is None or not is_text(text):
        return raw
    left = _text_without(text, volatile)
    return None if left is None else _replaced(raw, block, "text", text, left)


def _text_without(raw: Json, volatile: VolatileSpans) -> Json | None:
    text = parse_text(raw) or ""
    left = volatile.remove_from(text)
    if left == text:
        return raw
    return encode(left) if left.strip() else None


def _replaced(raw: Json, found: dict[str, Json], name: str, before: Json, after: Json) -> Json:
    return raw if after is before else join_object({**found, name: after})


def _with_block(request: RequestParts, raw: Json, text: str) -> bytes:
    """Return a turn of the user with one more block of text at its end."""
    if request.dialect == "gemini":
        turn = parse_object(raw)
        parts = [*parse_list(turn.get("parts", b"[]")), encode({"text": text})]
        return join_object({**turn, "parts": join_list(parts)})
    kind = "input_text" if request.dialect == "responses" else "text"
    if is_text(raw):
        raw = join_object({"role": encode("user"), "content": raw})
    turn = parse_object(raw)
    content = turn.get("content")
    if content is not None and is_list(content):
        blocks = [bytes(block) for block in parse_list(content)]
    elif content is not None and is_text(content):
        blocks = [encode({"type": kind, "text": parse_text(content)})]
    else:
        raise NotUnderstood("no-tail")
    return join_object(
        {**turn, "content": join_list([*blocks, encode({"type": kind, "text": text})])}
    )
