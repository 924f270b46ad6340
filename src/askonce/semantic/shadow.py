"""Shadow mode: compares the real answer with the one that would have been served.

It serves nothing and runs in the background. It also looks below the threshold, so that the
statistics show for each similarity how often the answers agreed, and what another threshold would
do.
"""

from typing import Final

import msgspec

from askonce.core.directives import Directives
from askonce.core.models import Entry
from askonce.core.scopes import Scoped
from askonce.core.wire_format import WireFormat
from askonce.semantic.agreement import Agreement, agreement
from askonce.semantic.embedding import cosine
from askonce.semantic.lookup import SemanticHit, SemanticLookup

FLOOR: Final = 0.80
"""The lowest similarity that is compared."""

_LONGEST: Final = 64 << 10
"""Bytes of an answer; comparing a longer one would take too much time."""

_TIMEOUT: Final = 30.0  # seconds: no caller waits

_decode = msgspec.json.Decoder().decode


async def compare(
    lookup: SemanticLookup,
    asked: Scoped,
    entry: Entry,
    directives: Directives,
    format_: WireFormat | None,
) -> Agreement | None:
    """Compare a new answer with the one that would have been served, and count the outcome.

    Returns None if nothing would have been served. `format_` is the wire format of the answers,
    None for plain text.
    """
    ledger = lookup.tiers.ledger
    threshold = lookup.threshold(directives)
    neighbor = await lookup.find(
        asked,
        entry.key,
        directives,
        threshold=min(FLOOR, threshold),
        timeout=_TIMEOUT,
        quiet=True,
    )
    if neighbor is None:
        ledger.semantic("shadow:none")
        return None
    found = await _agreement(lookup, neighbor, entry, format_)
    band = min(99, int(neighbor.similarity * 100))
    ledger.semantic(f"shadow:0.{band:02d}:{found.value}")
    if neighbor.similarity < threshold:
        ledger.semantic("shadow:none")
        return None
    ledger.semantic(f"shadow:{found.value}")
    return found


async def _agreement(
    lookup: SemanticLookup, neighbor: SemanticHit, entry: Entry, format_: WireFormat | None
) -> Agreement:
    if max(len(neighbor.found.entry.body), len(entry.body)) > _LONGEST:
        return Agreement.UNCLEAR
    served, real = (_answer_text(one, format_) for one in (neighbor.found.entry, entry))
    vectors = [
        await lookup.embedding.vector(text, lookup.tiers.runtime, audits=True)
        for text in (served, real)
    ]
    similarity = None
    if vectors[0] is not None and vectors[1] is not None:
        similarity = cosine(vectors[0], vectors[1])
    return agreement(served, real, similarity)


def _answer_text(entry: Entry, format_: WireFormat | None) -> str:
    if format_ is None:
        return entry.body.decode(errors="replace")
    return format_.text(_decode(entry.body))
