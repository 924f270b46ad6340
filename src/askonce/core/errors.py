"""Everything AskOnce raises, as one tree.

    AskOnceError
    ├── ConfigError        a setting is wrong; the message says which and how to mend it
    ├── CallMalformed      a request body does not have the shape its format requires
    ├── StoreError         a store could not do what it was asked
    │   └── EntryDamaged   stored bytes are not the entry they claim to be
    ├── EmbedderError      an embedder could not turn texts into vectors
    ├── AnswerCut          a provider's answer ended before it was whole
    ├── PatienceOver       a joined call brought no news for longer than its caller waits
    └── CacheClosed        a cache was used after `close`

Errors of the provider's HTTP client are never translated: a caller sees what it would have seen
without a cache.
"""


class AskOnceError(Exception):
    """The root of every error that AskOnce raises itself."""


class ConfigError(AskOnceError):
    """A setting is wrong; the message is one line and says how to mend it."""


class CallMalformed(AskOnceError):
    """A request body is not what its format requires, so nothing can be said about its identity."""


def missing_library(what: str, library: str, extra: str) -> ConfigError:
    """Return the error for a library that `what` needs and that is not installed.

    The message names `extra`, the one extra that brings everything that `what` needs.
    """
    return ConfigError(f"{what} needs {library}; run: pip install 'askonce[{extra}]'")


class StoreError(AskOnceError):
    """A store could not read or write; the call goes on without it."""


class EntryDamaged(StoreError):
    """Stored bytes fail their own check: a miss, never an answer."""


class EmbedderError(AskOnceError):
    """An embedder could not do what it was asked; exact caching goes on without it."""


class AnswerCut(AskOnceError):
    """A provider's answer ended before it was whole."""


class PatienceOver(AskOnceError):
    """A joined call brought no news for longer than this caller waits for an answer."""


class CacheClosed(AskOnceError):
    """The cache was closed before this call."""
