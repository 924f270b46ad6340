"""AskOnce answers a question that was already asked, instead of paying a model again.

from askonce import Cache, CachingTransport

with Cache("sqlite:answers.db") as cache:
    client = OpenAI(http_client=httpx2.Client(transport=CachingTransport(cache)))
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from askonce.core.document_tags import document_tags
    from askonce.core.errors import AskOnceError, CacheClosed, ConfigError, StoreError
    from askonce.core.models import Entry, Key, Outcome, Reason, Usage
    from askonce.core.rules.rules import Rules
    from askonce.invalidation.events import EventResult
    from askonce.invalidation.sources import EventSource
    from askonce.invalidation.sweep import InvalidationResult
    from askonce.invalidation.target import Invalidation
    from askonce.ledger.ledger import Stats
    from askonce.ledger.savings import Savings
    from askonce.ledger.settings import LedgerSettings
    from askonce.library.cache import AsyncCache, Cache
    from askonce.library.transport import CachingTransport
    from askonce.pipeline.texts import Answer
    from askonce.prompts.layout import PromptLayout
    from askonce.prompts.settings import Prompts
    from askonce.semantic.settings import Semantic
    from askonce.stores.tiered.layers import Layer

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AskOnceError",
    "AsyncCache",
    "Cache",
    "CacheClosed",
    "CachingTransport",
    "ConfigError",
    "Entry",
    "EventResult",
    "EventSource",
    "Invalidation",
    "InvalidationResult",
    "Key",
    "Layer",
    "LedgerSettings",
    "Outcome",
    "PromptLayout",
    "Prompts",
    "Reason",
    "Rules",
    "Savings",
    "Semantic",
    "Stats",
    "StoreError",
    "Usage",
    "document_tags",
]

_WHERE = {
    "Answer": "pipeline.texts",
    "AskOnceError": "core.errors",
    "AsyncCache": "library.cache",
    "Reason": "core.models",
    "LedgerSettings": "ledger.settings",
    "Cache": "library.cache",
    "CacheClosed": "core.errors",
    "CachingTransport": "library.transport",
    "ConfigError": "core.errors",
    "Entry": "core.models",
    "EventResult": "invalidation.events",
    "Invalidation": "invalidation.target",
    "InvalidationResult": "invalidation.sweep",
    "Key": "core.models",
    "Layer": "stores.tiered.layers",
    "Outcome": "core.models",
    "PromptLayout": "prompts.layout",
    "Prompts": "prompts.settings",
    "Rules": "core.rules.rules",
    "Savings": "ledger.savings",
    "Semantic": "semantic.settings",
    "EventSource": "invalidation.sources",
    "Stats": "ledger.ledger",
    "StoreError": "core.errors",
    "Usage": "core.models",
    "document_tags": "core.document_tags",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import askonce` costs next to nothing."""
    if name not in _WHERE:
        new = importlib.import_module("askonce.library.moved").new_name(name)
        hint = "" if new is None or name.startswith("__") else f"; it is {new} now"
        raise AttributeError(f"module 'askonce' has no attribute {name!r}{hint}")
    value = getattr(importlib.import_module(f"askonce.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _MovedModules:
    """The last finder of imports: raises an `ImportError` with the new path of a moved module."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Find nothing; Python asks only for modules that no other finder has found."""
        if name.startswith("askonce."):
            new = importlib.import_module("askonce.library.moved").new_name(name)
            if new is not None:
                raise ImportError(f"{name} has moved; import {new} instead", name=name)


sys.meta_path.append(_MovedModules)
