"""The four dialects that prompts are read in, and what holds for each."""

from typing import Literal

Dialect = Literal["chat", "responses", "messages", "gemini"]
"""OpenAI's Chat Completions and Responses, Anthropic's Messages, Gemini's generateContent."""

DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages", "gemini")

PROVIDERS: dict[str, str] = {
    "chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "gemini",
    "converse": "bedrock",
}  # fmt: skip
"""Whose rules hold for a dialect where no provider is named; `converse` is only written."""

INSTRUCTION_ROLES = frozenset({"system", "developer"})
"""The roles of messages that instruct the model."""
