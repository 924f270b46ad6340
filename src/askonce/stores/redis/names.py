"""The names of a store's keys in Redis.

    PREFIX:{NAMESPACE/FORMAT/DIGEST}:e   an entry, sealed; expires with the entry
    PREFIX:{NAMESPACE/FORMAT/DIGEST}:l   the lease of a key: a hash of `fence` and `until`
    PREFIX:{~}:epochs                    the hash of epochs   \\
    PREFIX:{~}:seq                       its latest number     > see `scripts`
    PREFIX:{~}:news                      the change feed      /
    PREFIX:{~}:tallies                   a hash of counters
    PREFIX:{~}:ledger                    a hash of the counters whose names begin with `|`
    PREFIX:{~}:pepper                    32 random bytes

The part in braces decides the slot in a cluster: an entry lives with its lease, and all other keys
live together. Namespace and format are percent-encoded, so no name is ambiguous, and a namespace
cannot close the braces or be a pattern.
"""

import functools
from urllib.parse import quote, unquote

from askonce.core.models import Key


class RedisNames:
    """The names of one store's keys."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._start = f"{prefix}:{{"
        self.home = f"{prefix}:{{~}}:".encode()
        self.epochs = self.home + b"epochs"
        self.seq = self.home + b"seq"
        self.changes = self.home + b"news"
        self.counters = self.home + b"tallies"
        self.ledger = self.home + b"ledger"
        self.pepper = self.home + b"pepper"
        self.index = (self.epochs, self.seq, self.changes)

    def entry(self, key: Key) -> bytes:
        """Return the name of a key's entry."""
        return f"{_stem(self._prefix, key[0], key[1])}{key[2].hex()}}}:e".encode()

    def lease(self, key: Key) -> bytes:
        """Return the name of a key's lease."""
        return self.entry(key)[:-1] + b"l"

    def pattern(self, namespace: str | None) -> bytes:
        """Return the SCAN pattern of a namespace's entries; None means all namespaces."""
        where = "*" if namespace is None else f"{_encoded(namespace)}/*"
        return f"{self._start}{where}}}:e".encode()

    def key(self, name: bytes) -> Key | None:
        """Return the key whose entry has this name; None if it is no entry's name."""
        text = name.decode("ascii", "replace")
        parts = text[len(self._start) : -3].split("/")
        if len(parts) != 3:
            return None
        try:
            namespace, format_ = (unquote(part, errors="surrogatepass") for part in parts[:2])
            key = Key(namespace, format_, bytes.fromhex(parts[2]))
        except ValueError:
            return None
        return key if self.entry(key) == name else None


@functools.lru_cache(maxsize=1024)
def _stem(prefix: str, namespace: str, format_: str) -> str:
    return f"{prefix}:{{{_encoded(namespace)}/{_encoded(format_)}/"


def _encoded(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")
