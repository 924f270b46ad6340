"""Judges answers of Chat Completions: which are whole, and which must not be stored.

Providers with a compatible API write a whole answer in many shapes: content as parts, calls without
a type, an ID or arguments, arguments as an object, finish reasons of their own. All of them are
kept as they came. An answer with any other shape is garbage, as unfolding does not know it.
"""

from types import NoneType
from typing import Any

from askonce.core.models import Reason
from askonce.formats.finish_reasons import unfit
from askonce.formats.json_values import is_json
from askonce.formats.openai_chat_stream import CALLS, kind_of_call
from askonce.formats.provider_search import judged_with_search

_BEFORE_EMPTY = frozenset({Reason.LENGTH, Reason.REFUSAL, Reason.FILTERED, Reason.PAUSED})
"""Reasons that say more about an answer without content than that it is empty."""

_LIFTED = frozenset({Reason.LENGTH, Reason.REFUSAL})
"""Reasons that a setting can lift; a reason that none can lift goes first."""


def judge(answer: dict[str, Any], *, wants_json: bool) -> Reason | None:
    """Return why an answer must not be stored; None if it may.

    Parameters:
        answer: the parsed response.
        wants_json: whether the caller asked for JSON.
    """
    if answer.get("error") is not None or answer.get("object") == "error":
        return Reason.STREAM_ERROR
    choices = answer.get("choices")
    if choices is None or choices == []:
        return Reason.EMPTY
    if type(choices) is not list or type(answer.get("usage")) not in (dict, NoneType):
        return Reason.GARBAGE
    if type(answer.get("model")) not in (str, NoneType):
        return Reason.GARBAGE
    if not all(_is_choice(choice) for choice in choices):
        return Reason.GARBAGE
    judged = [_judge_choice(choice, wants_json) for choice in choices]
    reasons = sorted((each for each in judged if each is not None), key=_LIFTED.__contains__)
    return judged_with_search(answer, reasons[0] if reasons else None)


def content_text(message: dict[str, Any]) -> str:
    """Return the text of a message, which may be the texts of its parts."""
    content = message.get("content")
    if type(content) is not list:
        return content or ""
    return "".join([part["text"] for part in content if part["type"] == "text"])


def _is_choice(choice: Any) -> bool:
    """Whether every part of a choice has a type that unfolding knows."""
    if type(choice) is not dict or type(choice.get("index")) not in (int, NoneType):
        return False
    message, logprobs = choice.get("message"), choice.get("logprobs")
    if (
        type(message) is not dict
        or type(logprobs) not in (dict, NoneType)
        or type(choice.get("finish_reason")) not in (str, NoneType)
    ):
        return False
    if not all(type(message.get(name)) in (str, NoneType) for name in ("role", "refusal")):
        return False
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    return (
        _is_content(message.get("content"))
        and all(type(tokens) in (list, NoneType) for tokens in (logprobs or {}).values())
        and type(calls) in (list, NoneType)
        and all(_is_tool_call(call) for call in calls or ())
        and (legacy is None or _is_named(legacy, "arguments"))
    )


def _is_content(content: Any) -> bool:
    """Whether a content is a text or a list of parts, as some providers send it."""
    if type(content) is not list:
        return type(content) in (str, NoneType)
    return all(
        type(part) is dict
        and type(part.get("type")) is str
        and (part["type"] != "text" or type(part.get("text")) is str)
        for part in content
    )


def _is_tool_call(call: Any) -> bool:
    """Whether a call names a tool; its type, ID and arguments may be absent."""
    if type(call) is not dict or type(call.get("id")) not in (str, NoneType):
        return False
    if type(call.get("type")) not in (str, NoneType) or (kind := kind_of_call(call)) not in CALLS:
        return False
    return _is_named(call.get(kind), CALLS[kind])


def _is_named(called: Any, argument: str) -> bool:
    return (
        type(called) is dict
        and type(called.get("name")) is str
        and type(called.get(argument)) in (str, dict, NoneType)
    )


def _judge_choice(choice: dict[str, Any], wants_json: bool) -> Reason | None:
    message, finish = choice["message"], unfit(choice.get("finish_reason"))
    text, calls = content_text(message), message.get("tool_calls")
    legacy = message.get("function_call")
    if finish is not Reason.FILTERED and message.get("refusal"):
        return Reason.REFUSAL
    if finish in _BEFORE_EMPTY:
        return finish
    if not text and not message.get("content") and not calls and legacy is None:
        return Reason.EMPTY
    if finish is not None:
        return finish
    if wants_json and text and not is_json(text):
        return Reason.NOT_JSON
    arguments = [
        call["function"].get("arguments")
        for call in calls or ()
        if kind_of_call(call) == "function"
    ]
    if legacy is not None:
        arguments.append(legacy.get("arguments"))
    # Calls without arguments come without them, or with an empty text.
    texts = [each for each in arguments if type(each) is str and each.strip()]
    return None if all(map(is_json, texts)) else Reason.BAD_TOOL_CALL
