"""AskOnce answers a question that was already asked, instead of paying a model again.

from askonce import Cache, CachingTransport

with Cache("sqlite:answers.db") as cache:
    client = OpenAI(http_client=httpx2.Client(transport=CachingTransport(cache)))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from askonce.accounting import Stats
    from askonce.bookkeeping import Bookkeeping
    from askonce.cache import AsyncCache, Cache
    from askonce.documents import document_tags
    from askonce.errors import AskOnceError, CacheClosed, ConfigError, StoreError
    from askonce.events import Happened
    from askonce.invalidation import Invalidation
    from askonce.layers import Layer
    from askonce.layouts import PromptLayout
    from askonce.prompts.settings import Prompts
    from askonce.records import Because, Entry, Key, Outcome, Usage
    from askonce.rules import Rules
    from askonce.savings import Savings
    from askonce.semantic import Semantic
    from askonce.sources import Source
    from askonce.texts import Answer
    from askonce.transport import CachingTransport

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AskOnceError",
    "AsyncCache",
    "Because",
    "Bookkeeping",
    "Cache",
    "CacheClosed",
    "CachingTransport",
    "ConfigError",
    "Entry",
    "Happened",
    "Invalidation",
    "Key",
    "Layer",
    "Outcome",
    "PromptLayout",
    "Prompts",
    "Rules",
    "Savings",
    "Semantic",
    "Source",
    "Stats",
    "StoreError",
    "Usage",
    "document_tags",
]

_WHERE = {
    "Answer": "texts",
    "AskOnceError": "errors",
    "AsyncCache": "cache",
    "Because": "records",
    "Bookkeeping": "bookkeeping",
    "Cache": "cache",
    "CacheClosed": "errors",
    "CachingTransport": "transport",
    "ConfigError": "errors",
    "Entry": "records",
    "Happened": "events",
    "Invalidation": "invalidation",
    "Key": "records",
    "Layer": "layers",
    "Outcome": "records",
    "PromptLayout": "layouts",
    "Prompts": "prompts.settings",
    "Rules": "rules",
    "Savings": "savings",
    "Semantic": "semantic",
    "Source": "sources",
    "Stats": "accounting",
    "StoreError": "errors",
    "Usage": "records",
    "document_tags": "documents",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import askonce` costs next to nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module 'askonce' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"askonce.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
