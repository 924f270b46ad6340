"""A request that the cache has understood, with its format, key, directives and verdict."""

import msgspec

from askonce.core.directives import Directives
from askonce.core.models import Call, Key, Verdict
from askonce.core.wire_format import ParsedQuestion, WireFormat


class CacheRequest(msgspec.Struct, frozen=True):
    """A call after steps 1 to 4 of the request path."""

    call: Call
    format: WireFormat
    question: ParsedQuestion
    key: Key
    directives: Directives
    verdict: Verdict
    refreshing: bool = False
    beyond: float = 0.0
    """A refresh accepts only an entry that expires after this time (seconds). Before a refresh
    starts: the expiry of a fresh memory entry that is due for one."""
