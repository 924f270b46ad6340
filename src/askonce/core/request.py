"""The cache request: a call with its format, key, directives and verdict."""

import msgspec

from askonce.core.content_encoding import codings_of
from askonce.core.directives import Directives
from askonce.core.models import Call, Key, Verdict
from askonce.core.wire_format import ParsedQuestion, WireFormat


class CacheRequest(msgspec.Struct, frozen=True):
    """A call after steps 1 to 4 of the request path.

    Parameters:
        call: the call as received.
        format: its wire format.
        question: what the format has read.
        key: the key of the question.
        directives: the caller's directives, combined with the rules.
        verdict: whether the cache takes part, and why not.
        refreshing: True for a refresh in the background. Default: False.
        beyond: a refresh accepts only an entry that expires after this time (seconds since the
            Unix epoch). Before a refresh starts: the expiry of a fresh memory entry that is due
            for one. Default: 0.
    """

    call: Call
    format: WireFormat
    question: ParsedQuestion
    key: Key
    directives: Directives
    verdict: Verdict
    refreshing: bool = False
    beyond: float = 0.0

    def outgoing_body(self) -> bytes:
        """Return the body to send to the provider; a compressed one goes on as it came."""
        if codings_of(self.call.headers):
            return self.call.body
        return self.format.to_upstream(self.call.body, self.question)
