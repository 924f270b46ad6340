"""Shadow mode: what would have been served is compared with the real answer, behind the caller.

Nothing is served and nobody waits. Candidates are looked for below the threshold too, so that the
statistics say for each similarity how often the answers agreed: what another threshold would do.
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
"""Similarities below this are not looked at."""

_LONGEST: Final = 64 << 10
"""Bytes of an answer; longer ones would take more time to compare than they are worth."""

_PATIENCE: Final = 30.0  # seconds: no caller waits

_decode = msgspec.json.Decoder().decode


async def compare(
    lookup: SemanticLookup,
    asked: Scoped,
    entry: Entry,
    directives: Directives,
    format_: WireFormat | None,
) -> Agreement | None:
    """Compare the answer that just came with the one that would have been served; None if none.

    `format_` is the wire format of the answers; None for plain texts.
    """
    ledger = lookup.tiers.ledger
    threshold = lookup.threshold(directives)
    neighbor = await lookup.find(
        asked,
        entry.key,
        directives,
        threshold=min(FLOOR, threshold),
        patience=_PATIENCE,
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
    would, did = (_said(one, format_) for one in (neighbor.found.entry, entry))
    vectors = [
        await lookup.embedding.vector(text, lookup.tiers.runtime, audits=True)
        for text in (would, did)
    ]
    similarity = None
    if vectors[0] is not None and vectors[1] is not None:
        similarity = cosine(vectors[0], vectors[1])
    return agreement(would, did, similarity)


def _said(entry: Entry, format_: WireFormat | None) -> str:
    if format_ is None:
        return entry.body.decode(errors="replace")
    return format_.text(_decode(entry.body))
