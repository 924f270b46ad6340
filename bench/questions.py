"""Questions and answers of the sizes that the benchmarks speak of."""

from typing import Any

import msgspec

HEADERS = {
    "content-type": "application/json",
    "authorization": "Bearer sk-bench",
    "user-agent": "OpenAI/Python 3.0.0",
}
PATH = "/v1/chat/completions"
_SYSTEM = (
    "You answer the customers of a bank. Be brief and friendly, never guess, and name the page of "
    "the app where the customer finds what they need. "
)


def chat(
    question: str, *, stream: bool = False, user: str = "00000-00000", size: int = 1024
) -> bytes:
    """A Chat Completions request of exactly `size` bytes.

    `user` is not part of its key, as long as its length stays the same.
    """
    asked: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": question}],
        "temperature": 0,
        "user": user,
    }
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    missing = size - len(msgspec.json.encode(asked))
    asked["messages"][0]["content"] = (_SYSTEM * (missing // len(_SYSTEM) + 1))[:missing]
    return msgspec.json.encode(asked)


def completion(text: str) -> bytes:
    """A Chat Completions answer with this text."""
    return msgspec.json.encode(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 220, "completion_tokens": 90, "total_tokens": 310},
        }
    )
