"""The Lua scripts of the Redis store: the steps that must be atomic.

The folder `lua` has their parts; a comment in each names its keys and arguments.

The epoch index is three keys of one slot: the hash of epochs, `seq`, and the stream of changes.
The hash has the fields

    base    the epoch of every tag that was never bumped
    last    the number of the latest change
    run     the run of the server (its `run_id`) under which the hash was last known to be right
    t:TAG   the epoch of a tag that was bumped

`seq` repeats `last`: one MGET with an entry shows a reader whether its cached epochs still hold.
Every change (a bump, a removal, a new index) takes the next number and is appended to the stream
with the number before it: a reader that finds the chain broken has lost changes.

Numbers are microseconds since the Unix epoch, by the server's clock, and at least one more than
any number known. So an index that was lost (flushed, evicted, restored from an old snapshot, held
by a replica that lagged behind) begins again above every epoch that was ever given out, and two
histories of one index never share a number.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from askonce.stores.redis.connections import pack

_FOLDER = Path(__file__).with_name("lua")


class Script:
    """A Lua script, called by its digest, or by its text if the server does not know it yet.

    Parameters:
        parts: the names of the files in `lua` that make up the script, in order.
    """

    def __init__(self, *parts: str) -> None:
        text = "".join((_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
        self._text = text
        # Redis names a script by its SHA-1.
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def by_digest(self, keys: Sequence[bytes], *args: bytes | str | int) -> bytes:
        return pack("EVALSHA", self._digest, len(keys), *keys, *args)

    def by_text(self, keys: Sequence[bytes], *args: bytes | str | int) -> bytes:
        return pack("EVAL", self._text, len(keys), *keys, *args)


VERIFY = Script("clock", "index", "verify")
"""The first command on every new connection: after a restart or a failover, start a new index.

The server may have come back with an older index, and with entries that were invalid. Every script
that reads or changes the index checks this again, because a connection may live from its server's
time as a replica to its time as a master.
"""

EPOCHS = Script("clock", "index", "epochs")
CHANGE = Script("clock", "index", "change")
LEARN = Script("clock", "index", "learn")
WRITE = Script("clock", "write")
LEASE = Script("clock", "fence", "lease")
RENEW = Script("clock", "fence", "renew")
RELEASE = Script("clock", "fence", "release")
ADD = Script("add")
REGISTER_VECTOR = Script("register_vector")
FORGET_VECTORS = Script("forget_vectors")
