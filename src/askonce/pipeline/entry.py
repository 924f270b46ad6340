"""Entering: a whole answer becomes an entry, with where it comes from and how long it lives."""

from typing import Any

from askonce.core import policy
from askonce.core.models import Entry, Usage, Verdict
from askonce.core.protocols import Response
from askonce.core.request import CacheRequest
from askonce.invalidation import cache_groups
from askonce.ledger.charges import Charge, charge
from askonce.pipeline.context import Context

_KEPT_HEADERS = frozenset({"content-type", "openai-version", "openai-model"})
_RENAMED_HEADERS = {
    "x-request-id": "askonce-original-request-id",
    "request-id": "askonce-original-request-id",
}


def build_entry(
    context: Context,
    asked: CacheRequest,
    response: Response,
    body: bytes,
    answer: dict[str, Any],
    *,
    epochs: dict[str, int],
    swept: int,
    started: float,
    scope: bytes,
) -> Entry:
    """The entry of an answer: `body` in its normal form, and the same parsed.

    `epochs` and `swept` are of before the question was asked, `started` is the tick of then.
    """
    now = context.runtime.now()
    if response.status >= 400:
        expires = stale_until = now + policy.lifetime_of_refusal(asked.directives, context.limits)
    else:
        expires = now + policy.lifetime(
            asked.directives.ttl, context.limits, asked.key.digest, asked.directives.lives
        )
        stale_until = expires + context.limits.keeps_stale
    usage: Usage | None = asked.format.usage(answer)
    model = asked.format.model(answer) or asked.question.model
    cost = None
    if usage is not None and context.prices is not None:
        with context.boundary.around("price"):
            cost = context.prices.cost(model, asked.call.origin, usage)
    return Entry(
        key=asked.key,
        body=body,
        status=response.status,
        headers=kept_headers(response.headers),
        created=now,
        expires=expires,
        stale_until=stale_until,
        model=model,
        origin=asked.call.origin,
        question=asked.question.text,
        usage=usage,
        cost_usd=cost,
        latency_ms=(context.runtime.monotonic() - started) * 1000,
        tags=tuple(epochs.items()),
        route=asked.call.path.partition("?")[0],
        asked_model=asked.question.model,
        swept=swept,
        scope=scope,
    )


def account_for(
    context: Context,
    asked: CacheRequest,
    entry: Entry | None,
    verdict: Verdict,
    *,
    status: int,
    joined: int,
) -> None:
    """Tell the ledger what an answer that is whole was charged, and that it was stored."""
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
    ledger.paid(entry, now, charged, joined=joined, refreshing=asked.refreshing)
    context.background.flush_ledger()


def kept_headers(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The few response headers that are true of every replay; an allow-list."""
    kept = []
    for name, value in headers:
        lower = name.lower()
        if lower in _KEPT_HEADERS and lower != "content-type":
            kept.append((lower, value))
        elif lower in _RENAMED_HEADERS:
            kept.append((_RENAMED_HEADERS[lower], value))
    if names := cache_groups.named(headers, cache_groups.GROUPS):
        kept.append((cache_groups.GROUPS, cache_groups.serialize(names)))
    return tuple(kept)
