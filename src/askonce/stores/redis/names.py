"""The names that a store's keys have in Redis.

    PREFIX:{NAMESPACE/FORMAT/DIGEST}:e   an entry, sealed; expires with the entry
    PREFIX:{NAMESPACE/FORMAT/DIGEST}:l   the lease of a key: a hash of `fence` and `until`
    PREFIX:{~}:epochs                    the hash of epochs   \\
    PREFIX:{~}:seq                       its latest number     > the books, see `redis_scripts`
    PREFIX:{~}:news                      the stream of changes /
    PREFIX:{~}:tallies                   a hash of counters
    PREFIX:{~}:ledger                    a hash of those whose names begin with `|`
    PREFIX:{~}:pepper                    32 random bytes

What is in braces decides the slot in a cluster: an entry lives with its lease, and all books
together. Namespace and format are percent-encoded, so no name can be read in two ways, and a
namespace cannot close the braces or be a pattern.
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
        self.news = self.home + b"news"
        self.counters = self.home + b"tallies"
        self.ledger = self.home + b"ledger"
        self.pepper = self.home + b"pepper"
        self.ledger_store = (self.epochs, self.seq, self.news)

    def entry(self, key: Key) -> bytes:
        return f"{_stem(self._prefix, key[0], key[1])}{key[2].hex()}}}:e".encode()

    def lease(self, key: Key) -> bytes:
        return self.entry(key)[:-1] + b"l"

    def pattern(self, namespace: str | None) -> bytes:
        """What the names of a namespace's entries look like to SCAN; of all entries for None."""
        where = "*" if namespace is None else f"{_encoded(namespace)}/*"
        return f"{self._start}{where}}}:e".encode()

    def key(self, name: bytes) -> Key | None:
        """The key whose entry has this name, or None if no key's has."""
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
