"""The reader of questions: from a call's bytes to its question, as its provider sees it."""

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from askonce.core.content_encoding import codings_of
from askonce.core.errors import CallMalformed
from askonce.core.keys import exact_number
from askonce.core.models import Call, Reason
from askonce.core.origins import Origins
from askonce.core.wire_format import ParsedQuestion, WireFormat
from askonce.formats.content_decoding import decoded
from askonce.formats.end_user import as_seen_at

_decode = msgspec.json.Decoder(float_hook=exact_number).decode
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)/")


class ReadQuestion(NamedTuple):
    """A call's body as JSON, and its question."""

    body: dict[str, Any]
    question: ParsedQuestion


class QuestionReader:
    """Reads the questions of calls; both modes share it.

    Args:
        largest: The largest body, in bytes, also once it is decoded.
        origins: Says which addresses are the providers' own.
    """

    def __init__(self, largest: int, origins: Origins) -> None:
        self._largest = largest
        self._origins = origins

    def read(self, call: Call, known: WireFormat) -> ReadQuestion | Reason:
        """Return a call's question, or the reason why it has none."""
        raw: bytes | Reason = call.body
        if len(call.body) > self._largest:
            return Reason.TOO_LARGE
        if codings := codings_of(call.headers):
            raw = decoded(call.body, codings, self._largest)
        if isinstance(raw, Reason):
            return raw
        try:
            body = _with_model(_decode(raw), call.path)
            question = known.read(body)
        except (msgspec.MsgspecError, ValueError, CallMalformed, RecursionError):
            return Reason.MALFORMED
        seen = as_seen_at(self._origins.find(call.origin, call.path), question, body, call.path)
        return ReadQuestion(body, seen)


def _with_model(body: Any, path: str) -> Any:
    """Add the model that Azure's path names, where the body names none."""
    if type(body) is dict and body.get("model") is None:
        deployment = _DEPLOYMENT.search(path.partition("?")[0])
        if deployment is not None:
            return {**body, "model": unquote(deployment[1])}
    return body
