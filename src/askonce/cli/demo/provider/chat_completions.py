"""OpenAI Chat Completions as the demo provider speaks it."""

import itertools
import secrets
import time
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
    tokens,
)
from askonce.cli.demo.provider.dialects import Headers

FINISH = {
    Finish.STOP: "stop",
    Finish.TOOL: "tool_calls",
    Finish.LENGTH: "length",
    Finish.REFUSAL: "stop",
    Finish.FILTER: "content_filter",
}
ERROR_TYPES = {400: "invalid_request_error", 404: "invalid_request_error", 429: "requests"}


class ChatBody(msgspec.Struct):
    model: str
    messages: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=16)] | None = None
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None


class ChatCompletions:
    """The dialect of `POST /v1/chat/completions`."""

    path = "/v1/chat/completions"

    def read(self, body: bytes) -> DemoQuestion:
        request = msgspec.json.decode(body, type=ChatBody)
        if not all(isinstance(turn.get("role"), str) for turn in request.messages):
            raise msgspec.ValidationError("every message needs a `role`")
        question = last_question(request.messages)
        answered_tool = request.messages[-1]["role"] == "tool"
        kind = (request.response_format or {}).get("type", "text")
        return DemoQuestion(
            model=request.model,
            question=question,
            input_tokens=sum(4 + tokens(text_of(m.get("content"))) for m in request.messages),
            stream=bool(request.stream),
            usage=bool((request.stream_options or {}).get("include_usage")),
            choices=request.n or 1,
            wants_json=kind != "text",
            tool=None if answered_tool else _first_tool(request.tools),
        )

    def whole(self, asked: DemoQuestion, answers: Sequence[DemoAnswer]) -> bytes:
        choices = [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": None,
                "finish_reason": FINISH[answer.finish],
            }
            for index, answer in enumerate(answers)
        ]
        head = _head(asked, "chat.completion")
        return msgspec.json.encode({**head, "choices": choices, "usage": _usage(asked, answers)})

    def frames(self, asked: DemoQuestion, answers: Sequence[DemoAnswer]) -> list[bytes]:
        head = _head(asked, "chat.completion.chunk")
        if asked.usage:
            head["usage"] = None
        # Choices take turns, so that a reader which mixes them up is found out.
        turns = itertools.zip_longest(*map(_deltas, answers))
        chunks = [
            {**head, "choices": [_choice(index, delta, None)]}
            for turn in turns
            for index, delta in enumerate(turn)
            if delta is not None
        ]
        chunks += [
            {**head, "choices": [_choice(index, {}, FINISH[answer.finish])]}
            for index, answer in enumerate(answers)
        ]
        if asked.usage:
            chunks.append({**head, "choices": [], "usage": _usage(asked, answers)})
        return [_frame(msgspec.json.encode(chunk)) for chunk in chunks] + [_frame(b"[DONE]")]

    def error(self, status: int, message: str) -> bytes:
        return msgspec.json.encode({"error": _error(ERROR_TYPES.get(status), message, None)})

    def error_frame(self) -> bytes:
        error = _error("server_error", "The model stopped in the middle of it.", "server_error")
        return _frame(msgspec.json.encode({"error": error}))

    def headers(self, took_ms: float) -> Headers:
        return [
            ("x-request-id", f"req_{secrets.token_hex(16)}"),
            ("openai-organization", "practice"),
            ("openai-version", "2020-10-01"),
            ("openai-processing-ms", str(round(took_ms))),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "6ms"),
            ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-tokens", str(1_900_000 + secrets.randbelow(99_999))),
            ("set-cookie", f"__cf_bm={secrets.token_urlsafe(16)}; Path=/; HttpOnly"),
        ]


def _first_tool(tools: list[dict[str, Any]] | None) -> DemoTool | None:
    functions = [tool["function"] for tool in tools or [] if isinstance(tool.get("function"), dict)]
    if not functions:
        return None
    parameters = functions[0].get("parameters")
    schema = parameters if isinstance(parameters, dict) else {}
    return DemoTool(str(functions[0].get("name")), schema)


def _head(asked: DemoQuestion, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{secrets.token_hex(14)}",
        "object": kind,
        "created": int(time.time()),
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": "fp_practice01",
    }


def _message(answer: DemoAnswer) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text,
        "refusal": None,
        "annotations": [],
    }
    if answer.finish is Finish.REFUSAL:
        message |= {"content": None, "refusal": answer.text}
    if answer.tool is not None:
        message |= {"content": None, "tool_calls": [_tool_call(answer.tool, answer.text)]}
    return message


def _tool_call(name: str, arguments: str) -> dict[str, Any]:
    return {
        "id": f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _deltas(answer: DemoAnswer) -> Iterator[dict[str, Any]]:
    role = {"role": "assistant", "refusal": None}
    if answer.tool is not None:
        yield {**role, "content": None}
        yield {"tool_calls": [{"index": 0, **_tool_call(answer.tool, "")}]}
        for start in range(0, len(answer.text), 8):
            part = {"arguments": answer.text[start : start + 8]}
            yield {"tool_calls": [{"index": 0, "function": part}]}
    elif answer.finish is Finish.REFUSAL:
        yield {**role, "content": None}
        yield from ({"refusal": piece} for piece in pieces(answer.text))
    else:
        yield {**role, "content": ""}
        yield from ({"content": piece} for piece in pieces(answer.text))


def _choice(index: int, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _usage(asked: DemoQuestion, answers: Sequence[DemoAnswer]) -> dict[str, Any]:
    output_tokens = sum(answer.tokens for answer in answers)
    return {
        "prompt_tokens": asked.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": asked.input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _error(kind: str | None, message: str, code: str | None) -> dict[str, Any]:
    return {"message": message, "type": kind or "server_error", "param": None, "code": code}


def _frame(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
