"""From a whole answer to an entry: is it good, may it be stored, how long does it live.

Steps 10, 11 and 13 of the request pipeline, apart from the input and output in `fetch.py`.
"""

from typing import Any, NamedTuple

import msgspec

from askonce.core import policy
from askonce.core.content_encoding import codings_of
from askonce.core.models import Entry, Reason, Usage, Verdict
from askonce.core.policy import Life
from askonce.core.protocols import Response
from askonce.core.request import CacheRequest
from askonce.core.response_headers import cleaned
from askonce.invalidation import cache_groups
from askonce.ledger.prices import Charge, charge
from askonce.pipeline.context import Context
from askonce.stores.tiered.tiers import TierHit

_GROUP_FIELDS = (cache_groups.GROUPS, cache_groups.INVALIDATION)
_RENAMED_HEADERS = {
    "x-request-id": "askonce-original-request-id",
    "request-id": "askonce-original-request-id",
}
_decode = msgspec.json.Decoder().decode
_KEPT_HEADERS = {"openai-version", "openai-model"}


class Provenance(NamedTuple):
    """What was known before the provider was asked.

    `epochs` of the answer's tags, None if they could not be read; `swept`, the number of the last
    sweep; `started`, the tick in seconds; `scope` of the question, empty if it is not compared.
    """

    epochs: dict[str, int] | None
    swept: int = 0
    started: float = 0.0
    scope: bytes = b""


def parsed(body: bytes) -> Any:
    """Parse an answer; None if it is no JSON."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def judge(context: Context, request: CacheRequest, answer: Any) -> Reason | None:
    """Return why a parsed answer is not worth storing; None if it is."""
    judged: Reason | None = Reason.GARBAGE
    with context.boundary.around("judge"):
        if isinstance(answer, dict):
            judged = request.format.judge(answer, wants_json=request.question.wants_json)
    return judged


async def may_store(
    context: Context,
    request: CacheRequest,
    response: Response,
    judged: Reason | None,
    answer: Any,
    size: int,
    provenance: Provenance,
) -> tuple[Verdict, Provenance]:
    """Decide whether to store a whole answer; return the provenance with its cache groups.

    Args:
        context: What all requests of the mode share.
        request: The question.
        response: The provider's response.
        judged: Why the answer is not worth storing; None if it is.
        answer: The parsed answer.
        size: The size of the answer in its normal form, in bytes.
        provenance: What was known before the provider was asked.
    """
    status, limits = response.status, context.limits
    verdict = policy.may_store(status, judged, size, request.directives, limits)
    if verdict.reason is Reason.STATUS:
        verdict = await _may_keep_refusal(context, request, status, answer, size)
    if verdict.yes:
        control, tiers = context.response_cache_control, context.tiers
        forbidden: Reason | None = None
        with context.boundary.around("cache-control"):
            forbidden = await control.forbids(tiers, request.call, response)
        if forbidden is not None:
            return Verdict(False, forbidden), provenance
        grouped = await _with_groups(context, request, response, provenance)
        if grouped is None:
            return Verdict(False, Reason.BAD_TAGS), provenance
        provenance = grouped
    return verdict, provenance


def build_entry(
    context: Context,
    request: CacheRequest,
    response: Response,
    body: bytes,
    answer: dict[str, Any],
    provenance: Provenance,
) -> Entry | None:
    """Build the entry of an answer; None without epochs: no invalidation could reach it.

    `body` is the answer in its normal form, `answer` the same parsed.
    """
    if provenance.epochs is None:
        return None
    limits, directives, call = context.limits, request.directives, request.call
    now = context.runtime.now()
    if response.status >= 400:
        expires = stale_until = now + policy.lifetime_of_refusal(directives, limits)
    else:
        digest = request.key.digest
        expires = now + policy.lifetime(directives.ttl, limits, digest, directives.lives)
        stale_until = expires + limits.keeps_stale
    usage: Usage | None = request.format.usage(answer)
    model = request.format.model(answer) or request.question.model
    cost = None
    if usage is not None and context.prices is not None:
        with context.boundary.around("price"):
            cost = context.prices.cost(model, call.origin, usage)
    return Entry(
        key=request.key,
        body=body,
        status=response.status,
        headers=kept_headers(response.headers),
        created=now,
        expires=expires,
        stale_until=stale_until,
        model=model,
        origin=call.origin,
        question=request.question.text,
        usage=usage,
        cost_usd=cost,
        latency_ms=(context.runtime.monotonic() - provenance.started) * 1000,
        tags=tuple(provenance.epochs.items()),
        route=call.path.partition("?")[0],
        asked_model=request.question.model,
        swept=provenance.swept,
        scope=provenance.scope,
    )


async def _may_keep_refusal(
    context: Context, request: CacheRequest, status: int, answer: Any, size: int
) -> Verdict:
    """Decide whether to store a provider's refusal; it never replaces a usable answer."""
    if codings_of(request.call.headers):
        return Verdict(False, Reason.STATUS)  # the encoding may be what the provider refuses
    verdict = policy.may_store_refusal(status, answer, size, request.directives, context.limits)
    if verdict.yes and await context.tiers.has_answer(request.key):
        return Verdict(False, Reason.STATUS)
    return verdict


async def _with_groups(
    context: Context, request: CacheRequest, response: Response, provenance: Provenance
) -> Provenance | None:
    """Add the cache groups that the provider's response names, as tags; None for wrong names.

    Their epochs are from now, later than the question. That is safe: the invalidation of a group
    is announced as a sweep, and a sweep counts from before the question.
    """
    if not _has_groups(response.headers) or provenance.epochs is None:
        return provenance
    names = cache_groups.named(response.headers, cache_groups.GROUPS)
    if not names:
        return provenance
    tags = cache_groups.tags(request.call.origin, names)
    if tags is None:
        return None
    epochs = await context.tiers.capture(tags)
    return provenance._replace(epochs=None if epochs is None else {**epochs, **provenance.epochs})


def life_of(context: Context, entry: Entry, request: CacheRequest) -> Life:
    """Classify an entry's age for this request: fresh, stale, over and so on."""
    return policy.life_of(entry, request.directives, context.limits, context.runtime.now())


async def find_best(context: Context, request: CacheRequest, beyond: float) -> TierHit | None:
    """Find the best entry of all tiers; a fresh one expires after `beyond` (seconds)."""
    tags = request.directives.tags
    found = await context.tiers.recall(request.key)
    if (
        found is not None
        and found.entry.expires > beyond
        and life_of(context, found.entry, request) is Life.FRESH
    ):
        return found
    below = await context.tiers.read(request.key, beyond, tags)
    if below is None or found is None:
        return below or found
    lacks_tags = bool(tags) and not policy.carries(found.entry, tags)
    if lacks_tags and policy.carries(below.entry, tags):
        return below
    return below if below.entry.expires > found.entry.expires else found


def is_due(context: Context, entry: Entry, request: CacheRequest) -> bool:
    """Decide whether to refresh this fresh entry ahead of its expiry."""
    beta = context.limits.refresh_ahead
    if beta <= 0:
        return False
    entry = policy.bounded(entry, request.directives)
    return policy.is_due(entry, beta, context.runtime.now(), context.runtime.random)


def apply_cache_groups(
    context: Context, origin: str, method: str, headers: list[tuple[str, str]]
) -> None:
    """Invalidate, in the background, the groups that a provider's response invalidates."""
    if not _has_groups(headers):
        return
    with context.boundary.around("groups"):
        named = cache_groups.invalidated(origin, method, headers)
        if named is not None:
            context.background.sweep(named, f"provider:{cache_groups.host_of(origin)}")


def account_for(
    context: Context,
    request: CacheRequest,
    entry: Entry | None,
    verdict: Verdict,
    *,
    status: int,
    joined: int,
) -> None:
    """Enter a whole answer into the ledger: its charge, and whether it was stored."""
    ledger, now = context.ledger, context.runtime.now()
    if entry is not None and verdict.yes:
        ledger.kept(entry, now)
    if not 200 <= status < 300:
        return
    if entry is None:
        ledger.unread(now)
        return
    charged = Charge(entry.cost_usd)
    with context.boundary.around("price"):
        charged = charge(context.prices, entry.model, entry.origin, entry.usage, entry.cost_usd)
    ledger.paid(entry, now, charged, joined=joined, refreshing=request.refreshing)
    if context.background.is_flush_due():
        context.background.flush_ledger()


def kept_headers(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Select the few response headers that hold for every replay; an allow-list."""
    kept = []
    for name, value in headers:
        lower = name.lower()
        if lower in _KEPT_HEADERS:
            kept.append((lower, cleaned(value)))
        elif lower in _RENAMED_HEADERS:
            kept.append((_RENAMED_HEADERS[lower], cleaned(value)))
    if _has_groups(headers) and (names := cache_groups.named(headers, cache_groups.GROUPS)):
        kept.append((cache_groups.GROUPS, cleaned(cache_groups.serialize(names))))
    return tuple(kept)


def _has_groups(headers: list[tuple[str, str]]) -> bool:
    """Look for fields of cache groups; most responses have none."""
    return any(name.lower() in _GROUP_FIELDS for name, _ in headers)
