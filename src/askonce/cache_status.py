"""The response headers that explain an answer: `Cache-Status` (RFC 9211) and `Age`."""

from askonce.records import Because, Outcome

HITS = frozenset(
    {Outcome.HIT_MEMORY, Outcome.HIT_SHARED, Outcome.HIT_SEMANTIC, Outcome.JOINED, Outcome.STALE}
)


def cache_status(
    outcome: Outcome,
    because: Because = Because.OK,
    *,
    ttl: float | None = None,
    stored: bool = False,
    layer: str = "",
    similarity: float | None = None,
) -> str:
    """The header's value; `ttl` in seconds, negative once an answer is stale.

    `layer` names the layer below memory that had the answer, `similarity` is the cosine to the
    question that it answered, where that was another one.
    """
    if outcome in HITS:
        life = "" if ttl is None else f"; ttl={int(ttl)}"
        where = f"; layer={layer}" if layer else ""
        near = "" if similarity is None else f"; similarity={min(similarity, 1.0):.3f}"
        return f"askonce; hit{life}; detail={outcome}{where}{near}"
    forward = "bypass" if outcome is Outcome.BYPASS else "miss"
    return f"askonce; fwd={forward}{'; stored' if stored else ''}; detail={because.value}"
