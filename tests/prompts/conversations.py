"""Conversations that no dialect has a part in, and the request that each dialect makes of one."""

import copy
import functools
import json
import random
from dataclasses import dataclass, field
from typing import Any

DIALECTS = ("chat", "responses", "messages", "gemini")
PROVIDERS = {"chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "gemini"}
MODELS = {
    "chat": "gpt-5.4",
    "responses": "gpt-5.4",
    "messages": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-pro",
}
_LIST = """
    account address agent amount answer article balance basket billing branch budget cancel card
    carrier catalog center change charge claim client code color company complaint contract copy
    coupon courier credit customer damage delay delivery deposit detail discount document duty
    email exchange expense express factory fee field file fraud freight gift goods guarantee guide
    handling holiday invoice item label ledger letter limit list loan location loss manager market
    member message method money notice number offer office order owner package partner payment
    period permit phone plan point policy port post premium price product profit promise proof
    purchase quality quantity quote rate reason receipt record refund region repair report request
    result return review risk route sale sample schedule seller service shipment shop signature
    size stock store supply survey system tariff tax team term ticket title total trade transfer
    unit value vendor visit volume voucher warehouse warranty weight window wire work yard zone
    """
_WORDS = _LIST.split()


@dataclass
class Turn:
    """One message. `calls` are tool calls by name, with their arguments as JSON text."""

    role: str  # user, assistant
    text: str
    image: str = ""  # base64
    image_url: str = ""
    thought: str = ""
    call: tuple[str, str] | None = None
    result: str = ""


@dataclass
class Prompt:
    """A prompt; `more` are members of the request that only its dialect knows."""

    dialect: str
    system: str
    tools: list[dict[str, Any]]
    turns: list[Turn]
    model: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    marked: str = "automatic"  # none, automatic, system, last

    def copy(self) -> "Prompt":
        return copy.deepcopy(self)

    def body(self) -> dict[str, Any]:
        built: dict[str, Any] = globals()[f"_{self.dialect}"](self)
        return {"model": self.model or MODELS[self.dialect], **built, **self.more}

    @property
    def system_pointer(self) -> str:
        return {
            "chat": "/messages/0/content",
            "responses": "/instructions",
            "messages": "/system/0",
            "gemini": "/systemInstruction/parts/0",
        }[self.dialect]


def words(seed: object, count: int) -> str:
    """Sentences of such words, the same for the same seed."""
    return _words(str(seed), count)


@functools.cache
def _words(seed: str, count: int) -> str:
    # Kept: a thousand prompts have the same instructions, and every worker makes them all.
    chance = random.Random(seed)
    said, left = [], count
    while left > 0:
        sentence = [chance.choice(_WORDS) for _ in range(min(left, chance.randint(6, 14)))]
        left -= len(sentence)
        said.append(" ".join(sentence).capitalize() + ".")
    return " ".join(said)


def tool(name: str, seed: object) -> dict[str, Any]:
    chance = random.Random(f"{seed} {name}")
    properties = {
        word: {"type": "string", "description": words(f"{seed} {name} {word}", 10)}
        for word in chance.sample(_WORDS, 5)
    }
    return {
        "name": name,
        "description": words(f"{seed} {name}", 30),
        "schema": {"type": "object", "properties": properties, "required": list(properties)[:2]},
    }


def prompt(dialect: str, seed: object, *, turns: int = 1, system: int = 2600) -> Prompt:
    """A prompt of a support desk, with tools and so many questions, all but the last answered."""
    said = []
    for number in range(turns):
        said.append(Turn("user", f"Question {number}: {words((seed, 'q', number), 60)}"))
        if number < turns - 1:
            said.append(Turn("assistant", f"Answer {number}: {words((seed, 'a', number), 120)}"))
    return Prompt(
        dialect,
        f"You answer for a support desk. {words('support desk', system)}",
        [tool(name, "desk") for name in ("find_order", "refund", "track", "escalate", "search")],
        said,
    )


def _chat(prompt: Prompt) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    if prompt.system:
        messages.append({"role": "system", "content": prompt.system})
    for number, turn in enumerate(prompt.turns):
        content: Any = turn.text
        parts: list[dict[str, Any]] = []
        if turn.thought:
            parts.append({"type": "thinking", "thinking": turn.thought})
        if turn.image or turn.image_url:
            url = turn.image_url or f"data:image/png;base64,{turn.image}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        if parts:
            content = [*parts, {"type": "text", "text": turn.text}]
        message: dict[str, Any] = {"role": turn.role, "content": content}
        if turn.call:
            name, arguments = turn.call
            function = {"name": name, "arguments": arguments}
            message["tool_calls"] = [
                {"id": f"call_{number}", "type": "function", "function": function}
            ]
        messages.append(message)
        if turn.call:
            result = {"role": "tool", "tool_call_id": f"call_{number}", "content": turn.result}
            messages.append(result)
    functions = [
        {"name": t["name"], "description": t["description"], "parameters": t["schema"]}
        for t in prompt.tools
    ]
    tools = [{"type": "function", "function": one} for one in functions]
    return {**({"tools": tools} if tools else {}), "messages": messages}


def _responses(prompt: Prompt) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for number, turn in enumerate(prompt.turns):
        kind = "output_text" if turn.role == "assistant" else "input_text"
        content: Any = turn.text
        if turn.image or turn.image_url:
            url = turn.image_url or f"data:image/png;base64,{turn.image}"
            image = {"type": "input_image", "image_url": url}
            content = [image, {"type": kind, "text": turn.text}]
        if turn.thought:
            summary = [{"type": "summary_text", "text": turn.thought}]
            items.append({"type": "reasoning", "id": f"rs_{number}", "summary": summary})
        items.append({"role": turn.role, "content": content})
        if turn.call:
            name, arguments = turn.call
            call = {"type": "function_call", "call_id": f"call_{number}", "name": name}
            items.append({**call, "arguments": arguments})
            result = {"type": "function_call_output", "call_id": f"call_{number}"}
            items.append({**result, "output": turn.result})
    tools = [
        {
            "type": "function",
            "name": t["name"],
            "description": t["description"],
            "parameters": t["schema"],
        }
        for t in prompt.tools
    ]
    return {"tools": tools, "instructions": prompt.system, "input": items}


def _messages(prompt: Prompt) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for number, turn in enumerate(prompt.turns):
        blocks: list[dict[str, Any]] = []
        if turn.thought:
            blocks.append({"type": "thinking", "thinking": turn.thought, "signature": "s"})
        if turn.image:
            source = {"type": "base64", "media_type": "image/png", "data": turn.image}
            blocks.append({"type": "image", "source": source})
        if turn.image_url:
            blocks.append({"type": "image", "source": {"type": "url", "url": turn.image_url}})
        blocks.append({"type": "text", "text": turn.text})
        if turn.call:
            name, arguments = turn.call
            call = {"type": "tool_use", "id": f"toolu_{number}", "name": name}
            blocks.append({**call, "input": json.loads(arguments)})
        messages.append({"role": turn.role, "content": blocks})
        if turn.call:
            result = {"type": "tool_result", "tool_use_id": f"toolu_{number}"}
            messages.append({"role": "user", "content": [{**result, "content": turn.result}]})
    mark = {"cache_control": {"type": "ephemeral"}}
    system: dict[str, Any] = {"type": "text", "text": prompt.system}
    if prompt.marked in ("automatic", "system"):
        system |= mark
    if prompt.marked == "last" and messages:
        messages[-1]["content"][-1] |= mark
    tools = [
        {"name": t["name"], "description": t["description"], "input_schema": t["schema"]}
        for t in prompt.tools
    ]
    body = {"max_tokens": 900, "tools": tools, "system": [system], "messages": messages}
    return {**body, **mark} if prompt.marked == "automatic" else body


def _gemini(prompt: Prompt) -> dict[str, Any]:
    contents: list[dict[str, Any]] = []
    for turn in prompt.turns:
        parts: list[dict[str, Any]] = []
        if turn.thought:
            parts.append({"text": turn.thought, "thought": True})
        if turn.image:
            parts.append({"inlineData": {"mimeType": "image/png", "data": turn.image}})
        if turn.image_url:
            parts.append({"fileData": {"mimeType": "image/png", "fileUri": turn.image_url}})
        parts.append({"text": turn.text})
        role = "model" if turn.role == "assistant" else "user"
        if turn.call:
            name, arguments = turn.call
            parts.append({"functionCall": {"name": name, "args": json.loads(arguments)}})
        contents.append({"role": role, "parts": parts})
        if turn.call:
            answered = {"name": turn.call[0], "response": {"result": turn.result}}
            contents.append({"role": "user", "parts": [{"functionResponse": answered}]})
    declared = [
        {"name": t["name"], "description": t["description"], "parameters": t["schema"]}
        for t in prompt.tools
    ]
    return {
        "systemInstruction": {"parts": [{"text": prompt.system}]},
        "tools": [{"functionDeclarations": declared}],
        "contents": contents,
    }
