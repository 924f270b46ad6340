"""Signs in an answer that the provider searched for it: such an answer is another one tomorrow.

Providers show a search under many names, so the rule is about words. A member whose name says
search (`web_search`, `search_results`, `groundingMetadata`, `executed_tools`) is a sign unless it
is empty, zero or off. A list of citations, annotations, sources or references is a sign if an item
holds the address of a page; citations of what the request itself carried are none. Texts, tool
arguments and log probabilities are the model's words, and nothing in them is a sign.
"""

import enum
import functools
from typing import Any

from askonce.core.models import Reason
from askonce.formats.member_names import words_of

SEARCH_WORDS = (
    "brows", "crawl", "grounding", "retriev", "search",
)  # fmt: skip
"""Beginnings of words in a member's name that say that the provider searched."""

SEARCH_NAMES = frozenset(
    {
        "executed_tools", "server_side_tool_usage", "server_side_tool_usage_details",
        "server_tool_use", "tool_usage", "tool_usage_details", "tool_uses", "url_context",
        "url_context_metadata", "vertex_ai_url_context_metadata",
    }
)  # fmt: skip
"""Names of members that say the same without such a word."""

SOURCE_WORDS = ("annotation", "citation", "reference", "source")
"""Beginnings of words in the names of members that list where something stands."""

OF_THE_REQUEST = frozenset(
    {
        "char_location", "page_location", "content_block_location", "search_result_location",
        "document", "file", "file_citation", "file_path", "tool",
    }
)  # fmt: skip
"""Types of citations and annotations that are about what the request carried: its documents, files
and the results of the caller's own tools."""

_OWN_WORDS = frozenset(
    {
        "arguments", "audio", "cited_text", "encrypted_content", "function", "function_call",
        "input", "logprobs", "parsed", "text", "tool_calls",
    }
)  # fmt: skip
"""Members that hold the model's words or the caller's own JSON."""

_COUNTED = frozenset({"citation", "citations", "sources"})
"""Words in the names of numbers that count what a search found."""

_OFF = frozenset({"", "disabled", "false", "no", "none", "null", "off"})
_DEEPEST = 12


_FOR_GOOD = {Reason.LENGTH: Reason.CUT_SHORT, Reason.REFUSAL: Reason.FILTERED}
"""What a reason that a setting can lift becomes if the answer shows a search as well: a setting
that allows one of them does not allow both."""


def judged_with_search(answer: dict[str, Any], judged: Reason | None) -> Reason | None:
    """Return why an answer must not be stored, as judged or because it shows a search.

    Parameters:
        answer: the parsed answer, of a known shape.
        judged: why it must not be stored otherwise; None if it may.
    """
    if judged is not None and judged not in _FOR_GOOD:
        return judged
    if not shows_search(answer):
        return judged
    return Reason.HOSTED_TOOL if judged is None else _FOR_GOOD[judged]


def shows_search(answer: Any, depth: int = 0) -> bool:
    """Whether an answer shows that its provider searched.

    Parameters:
        answer: a parsed answer, or any part of it.
        depth: how deep in the answer this part is. Default: it is the answer itself.
    """
    if depth > _DEEPEST:
        return False
    if type(answer) is list:
        return any(shows_search(item, depth + 1) for item in answer)
    if type(answer) is not dict:
        return False
    kind = answer.get("type")
    if type(kind) is str and (kind in OF_THE_REQUEST or _is_hosted(kind)):
        return kind not in OF_THE_REQUEST
    for name, value in answer.items():
        if not value:
            continue
        sign = _sign(name)
        if sign is _Sign.SEARCH:
            if _is_shown(value):
                return True
        elif sign is _Sign.NOTHING:
            if type(value) in (dict, list) and shows_search(value, depth + 1):
                return True
        elif sign is not _Sign.OWN_WORDS:
            counted = sign is _Sign.COUNTED and type(value) in (int, float)
            if counted or _names_a_page(value):
                return True
    return False


class _Sign(enum.Enum):
    """What the name of a member says."""

    NOTHING = enum.auto()
    OWN_WORDS = enum.auto()
    SEARCH = enum.auto()
    SOURCE = enum.auto()
    COUNTED = enum.auto()


@functools.lru_cache(maxsize=4096)
def _sign(name: str) -> _Sign:
    if name in _OWN_WORDS:
        return _Sign.OWN_WORDS
    words = words_of(name)
    if _is_search(words):
        return _Sign.SEARCH
    if not any(word.startswith(SOURCE_WORDS) for word in words):
        return _Sign.NOTHING
    return _Sign.SOURCE if _COUNTED.isdisjoint(words) else _Sign.COUNTED


@functools.lru_cache(maxsize=1024)
def _is_hosted(kind: str) -> bool:
    """Whether a block of this type comes from a tool that the provider runs."""
    hosted = kind.endswith(("_tool_result", "server_tool_use", "mcp_tool_use"))
    return hosted or _is_search(words_of(kind))


def _is_search(words: tuple[str, ...]) -> bool:
    return "_".join(words) in SEARCH_NAMES or any(word.startswith(SEARCH_WORDS) for word in words)


def _is_shown(value: Any, depth: int = 0) -> bool:
    """Whether a member that is about a search says that there was one."""
    kind = type(value)
    if kind is str:
        return value.strip().lower() not in _OFF
    if depth > _DEEPEST or not value:
        return bool(value)
    if kind is dict:
        if any(_is_off(value[name]) for name in ("enable", "enabled", "mode") if name in value):
            return False
        return any(_is_shown(each, depth + 1) for each in value.values())
    if kind is list:
        return any(_is_shown(each, depth + 1) for each in value)
    return True


def _is_off(value: Any) -> bool:
    return not value or (type(value) is str and value.strip().lower() in _OFF)


def _names_a_page(value: Any, depth: int = 0) -> bool:
    """Whether sources name the address of a page, apart from those that the request carried."""
    if depth > _DEEPEST:
        return False
    if type(value) is str:
        return value[:8].lower().startswith(("http://", "https://")) and " " not in value
    if type(value) is list:
        return any(_names_a_page(each, depth + 1) for each in value)
    if type(value) is not dict:
        return False
    kind = value.get("type")
    if type(kind) is str and (kind in OF_THE_REQUEST or _is_search(words_of(kind))):
        return kind not in OF_THE_REQUEST
    return any(
        _names_a_page(each, depth + 1) for name, each in value.items() if name not in _OWN_WORDS
    )
