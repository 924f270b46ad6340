"""AskOnce answers a question that was already asked, instead of paying a model again.

from askonce import Cache, CachingTransport

with Cache("sqlite:answers.db") as cache:
    client = OpenAI(http_client=httpx2.Client(transport=CachingTransport(cache)))
"""

from askonce.accounting import Stats
from askonce.cache import AsyncCache, Cache
from askonce.errors import AskOnceError, CacheClosed, ConfigError, StoreError
from askonce.records import Because, Entry, Key, Outcome, Usage
from askonce.texts import Answer
from askonce.transport import CachingTransport

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AskOnceError",
    "AsyncCache",
    "Because",
    "Cache",
    "CacheClosed",
    "CachingTransport",
    "ConfigError",
    "Entry",
    "Key",
    "Outcome",
    "Stats",
    "StoreError",
    "Usage",
]
