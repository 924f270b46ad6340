"""Anthropic Messages as the demo provider speaks it."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from askonce.cli.demo.provider.answers import (
    DemoAnswer,
    DemoQuestion,
    DemoTool,
    Finish,
    last_question,
    pieces,
    text_of,
    thoughts_on,
    tokens,
)
from askonce.cli.demo.provider.dialects import Headers

FINISH = {
    Finish.STOP: "end_turn",
    Finish.TOOL: "tool_use",
    Finish.LENGTH: "max_tokens",
    Finish.REFUSAL: "refusal",
    Finish.FILTER: "refusal",
}
ERROR_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class MessagesBody(msgspec.Struct):
    model: str
    messages: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    max_tokens: Annotated[int, msgspec.Meta(ge=0)]
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    thinking: dict[str, Any] | None = None


class Messages:
    """The dialect of `POST /v1/messages`."""

    path = "/v1/messages"

    def read(self, body: bytes) -> DemoQuestion:
        request = msgspec.json.decode(body, type=MessagesBody)
        if not all(isinstance(turn.get("role"), str) for turn in request.messages):
            raise msgspec.ValidationError("every message needs a `role`")
        prompt = tokens(text_of(request.system))
        prompt += sum(4 + tokens(text_of(turn.get("content"))) for turn in request.messages)
        answered_tool = _answers_tool(request.messages[-1])
        return DemoQuestion(
            model=request.model,
            question=last_question(request.messages),
            input_tokens=prompt,
            stream=bool(request.stream),
            thinking=(request.thinking or {}).get("type") in ("enabled", "adaptive"),
            tool=None if answered_tool else _first_tool(request.tools),
        )

    def whole(self, asked: DemoQuestion, answers: Sequence[DemoAnswer]) -> bytes:
        answer = answers[0]
        message = _message(asked)
        message |= {
            "content": _blocks(asked, answer),
            "stop_reason": FINISH[answer.finish],
            "usage": _usage(asked, _output_tokens(asked, answer)),
        }
        return msgspec.json.encode(message)

    def frames(self, asked: DemoQuestion, answers: Sequence[DemoAnswer]) -> list[bytes]:
        answer = answers[0]
        frames = [_frame({"type": "message_start", "message": _message(asked)})]
        for index, block in enumerate(_blocks(asked, answer)):
            frames += [_frame({**event, "index": index}) for event in _block_events(block)]
            if index == 0:
                frames.insert(2, _frame({"type": "ping"}))
        stop = {"stop_reason": FINISH[answer.finish], "stop_sequence": None}
        usage = {"output_tokens": _output_tokens(asked, answer)}
        frames.append(_frame({"type": "message_delta", "delta": stop, "usage": usage}))
        frames.append(_frame({"type": "message_stop"}))
        return frames

    def error(self, status: int, message: str) -> bytes:
        return msgspec.json.encode(_error(ERROR_TYPES.get(status, "api_error"), message))

    def error_frame(self) -> bytes:
        return _frame(_error("overloaded_error", "Overloaded"))

    def headers(self, took_ms: float) -> Headers:
        return [
            ("request-id", f"req_{secrets.token_hex(12)}"),
            ("anthropic-organization-id", "practice"),
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", str(3_000 + secrets.randbelow(999))),
            ("anthropic-ratelimit-tokens-limit", "400000"),
            ("server-timing", f"practice;dur={round(took_ms)}"),
            ("set-cookie", f"_cfuvid={secrets.token_urlsafe(16)}; Path=/; HttpOnly"),
        ]


def _answers_tool(turn: dict[str, Any]) -> bool:
    content = turn.get("content")
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") == "tool_result" for part in parts)


def _first_tool(tools: list[dict[str, Any]] | None) -> DemoTool | None:
    own = [tool for tool in tools or [] if isinstance(tool.get("input_schema"), dict)]
    return DemoTool(str(own[0].get("name")), own[0]["input_schema"]) if own else None


def _message(asked: DemoQuestion) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(asked, 1),
    }


def _blocks(asked: DemoQuestion, answer: DemoAnswer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if asked.thinking:
        thoughts = thoughts_on(asked.question)
        signature = secrets.token_urlsafe(48)
        blocks.append({"type": "thinking", "thinking": thoughts, "signature": signature})
    if answer.tool is not None:
        arguments = msgspec.json.decode(answer.text)
        identity = f"toolu_{secrets.token_hex(12)}"
        block = {"type": "tool_use", "id": identity, "name": answer.tool, "input": arguments}
        blocks.append(block)
    elif answer.text:
        blocks.append({"type": "text", "text": answer.text})
    return blocks


def _block_events(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One content block as a stream shows it: its start without content, its deltas, its stop."""
    start = dict(block)
    deltas: list[dict[str, Any]] = []
    if block["type"] == "thinking":
        start |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] == "tool_use":
        start |= {"input": {}}
        text = msgspec.json.encode(block["input"]).decode()
        cuts = range(0, len(text), 8)
        deltas = [{"type": "input_json_delta", "partial_json": text[c : c + 8]} for c in cuts]
    else:
        start |= {"text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    yield {"type": "content_block_start", "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "delta": delta}
    yield {"type": "content_block_stop"}


def _output_tokens(asked: DemoQuestion, answer: DemoAnswer) -> int:
    return answer.tokens + (tokens(thoughts_on(asked.question)) if asked.thinking else 0)


def _usage(asked: DemoQuestion, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": asked.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _error(kind: str, message: str) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": f"req_{secrets.token_hex(12)}",
    }


def _frame(event: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), msgspec.json.encode(event))
