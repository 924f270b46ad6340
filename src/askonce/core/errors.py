"""Every error that AskOnce raises, as one tree:

    AskOnceError
    ├── ConfigError        a setting is wrong; the message says how to mend it
    ├── CallMalformed      a request body does not match its wire format
    ├── StoreError         a store could not read or write
    │   └── EntryDamaged   stored bytes fail their own check
    ├── EmbedderError      an embedder could not turn texts into vectors
    ├── AnswerCut          a provider's answer ended before it was whole
    ├── PatienceOver       a joined call brought no bytes for longer than its caller waits
    └── CacheClosed        a cache was used after `close`

Errors of the provider's HTTP client are never translated: a caller sees the same error as without
a cache.
"""


class AskOnceError(Exception):
    """The root of every error that AskOnce raises itself."""


class ConfigError(AskOnceError):
    """A setting is wrong; the message is one line and says how to mend it."""


class CallMalformed(AskOnceError):
    """A request body does not match its wire format, so it has no key."""


def missing_library(what: str, library: str, extra: str) -> ConfigError:
    """Return the error for a library that is not installed.

    Parameters:
        what: the feature that needs the library; the message begins with it.
        library: the library's name.
        extra: the one extra of AskOnce that installs everything that `what` needs.
    """
    return ConfigError(f"{what} needs {library}; run: pip install 'askonce[{extra}]'")


class StoreError(AskOnceError):
    """A store could not read or write; a call continues without it."""


class EntryDamaged(StoreError):
    """Stored bytes fail their own check, which counts as a miss."""


class EmbedderError(AskOnceError):
    """An embedder could not turn texts into vectors; exact caching continues without it."""


class AnswerCut(AskOnceError):
    """A provider's answer ended before it was whole."""


class PatienceOver(AskOnceError):
    """A joined call brought no bytes for longer than this caller waits."""


class CacheClosed(AskOnceError):
    """A cache was used after `close`."""
