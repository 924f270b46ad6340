"""The limits: what may be read, what may be served, what may be stored. Pure decisions."""

import enum
import math
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from askonce.core import document_tags, printers, values
from askonce.core.directives import MAX_TAGS, Directives
from askonce.core.models import Entry, Reason, Verdict
from askonce.core.rules.rules import NO_RULING, Ruling
from askonce.core.settings_table import PositiveBytes, Seconds, SettingKind
from askonce.core.wire_format import ParsedQuestion


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide; durations in seconds, sizes in bytes.

    `pool` is how many samples of a sampled question (explicit temperature above 0) are kept:
    0 bypasses such calls, 1 reuses one answer, k cycles through k of them.
    `also_store` names reasons (`length`, `refusal`) that do not keep an answer out.
    `refresh_ahead` is XFetch's beta, see `is_due`; `jitter` the part of a life that may be cut
    off. `negative_ttl` is how long a provider's refusal is kept. `expire_on` says what of an
    answer makes older ones to the same model name worthless. `document_fields` are where a
    request names the documents that its answer is made from.
    """

    ttl: Annotated[Seconds, "how long an answer is fresh"] = 86_400.0
    stale_while_revalidate: Annotated[
        Seconds, "then: how long it is served while a refresh runs in the background"
    ] = 0.0
    stale_if_error: Annotated[Seconds, "then: how long it is served if the provider fails"] = 0.0
    refresh_ahead: Annotated[
        float,
        SettingKind(values.beta),
        "1: refresh popular answers shortly before they expire",
    ] = 0.0
    jitter: Annotated[
        float,
        SettingKind(values.fraction, printers.fraction),
        '"10%": shorten lifetimes by up to this share, each by its own part',
    ] = 0.0
    negative_ttl: Annotated[Seconds, "how long a provider's error for a wrong question is kept"] = (
        0.0
    )
    expire_on: Annotated[
        Literal["model", "fingerprint", "never"],
        'a new model behind a name ends older answers; or "fingerprint", "never"',
    ] = "model"
    pool: Annotated[
        int,
        SettingKind(values.sampling, printers.sampling),
        'temperature above 0: ask every time; or "reuse", "pool:3"',
    ] = msgspec.field(default=0, name="sampling")
    max_entry: Annotated[PositiveBytes, "larger answers are not stored"] = 8 * 1024 * 1024
    max_question: int = 16 * 1024 * 1024
    also_store: Annotated[
        frozenset[Reason],
        SettingKind(values.reasons, sorted),
        '"length", "refusal": store answers that end that way too',
    ] = frozenset()
    document_fields: tuple[document_tags.Path, ...] = ()

    @property
    def keeps_stale(self) -> float:
        """How long past its life an entry can still be of use."""
        return max(self.stale_while_revalidate, self.stale_if_error)


class Life(enum.Enum):
    """What an entry is good for, for this caller, now."""

    FRESH = enum.auto()
    STALE = enum.auto()  # serve, and refresh behind
    IF_ERROR = enum.auto()  # only if the provider fails
    OVER = enum.auto()
    OTHER_TAGS = enum.auto()  # an invalidation that this caller counts on would miss it


_YES = Verdict(True, Reason.OK)
_LATEST_DRAW = 53 * math.log(2)  # -ln of the smallest number above 0 that is ever drawn
REFUSALS = frozenset({400, 404, 405, 410, 413, 414, 415, 422, 451})
"""What a provider says to the same question again; never what is about a caller or a moment."""
MAX_REFUSAL = 64 * 1024  # bytes


def ruled(directives: Directives, ruling: Ruling) -> Directives:
    """A caller's wishes under what the rules say of the question.

    Tags add up; the rules' lifetime is a bound, which the caller may only shorten.
    """
    if ruling is NO_RULING:
        return directives
    tags = directives.tags
    if ruling.tags:
        tags = document_tags.expand({*tags, *ruling.tags})
    in_doubt = directives.tags_in_doubt or ruling.tags_in_doubt or len(tags) > MAX_TAGS
    return msgspec.structs.replace(
        directives,
        tags=tags[:MAX_TAGS],
        tags_in_doubt=in_doubt,
        lives=ruling.ttl,
        never=ruling.reason,
    )


def may_ask(question: ParsedQuestion, directives: Directives, limits: Limits) -> Verdict:
    """May the cache take part in this call at all: be read, be joined, be written?"""
    if directives.identity_in_doubt:
        return Verdict(False, Reason.NO_IDENTITY)
    if question.bypass is not None:
        return Verdict(False, question.bypass)
    if directives.no_store:
        return Verdict(False, Reason.NO_STORE)
    if directives.never is not None:
        return Verdict(False, directives.never)
    if question.sampled and limits.pool == 0:
        return Verdict(False, Reason.SAMPLING)
    return _YES


def life_of(entry: Entry, directives: Directives, limits: Limits, now: float) -> Life:
    """What a found entry is good for. Reading never extends it."""
    if directives.tags and not carries(entry, directives.tags):
        return Life.OTHER_TAGS
    if directives.lives is not None:
        entry = bounded(entry, directives)
    if directives.max_age is not None and now - entry.created > directives.max_age:
        return Life.OVER
    if now < entry.expires:
        return Life.FRESH
    if entry.is_refusal:
        return Life.OVER  # once a refusal is over, only the provider knows
    over = now - entry.expires
    if directives.max_age is None and over < limits.stale_while_revalidate:
        return Life.STALE
    return Life.IF_ERROR if over < limits.stale_if_error else Life.OVER


def carries(entry: Entry, tags: tuple[str, ...]) -> bool:
    """Does an entry carry all of these tags?"""
    if not tags:
        return True
    found = 0
    # Mostly it was stored for such a caller, and has them in the same order.
    for tag, _ in entry.tags:
        if tag == tags[found]:
            found += 1
            if found == len(tags):
                return True
    carried = dict(entry.tags)
    return all(tag in carried for tag in tags)


def bounded(entry: Entry, directives: Directives) -> Entry:
    """The entry with the end that the rules give it, if that comes before its own."""
    if directives.lives is None or entry.created + directives.lives >= entry.expires:
        return entry
    return msgspec.structs.replace(entry, expires=entry.created + directives.lives)


def united(directives: Directives, other: Entry | None) -> tuple[str, ...]:
    """The tags of a new answer, where there is one that could not serve for lack of tags.

    Both sets, so that callers with other tags need not take turns at asking the provider.
    """
    if other is None:
        return directives.tags
    tags = document_tags.joined(directives.tags, (tag for tag, _ in other.tags))
    return tags if len(tags) <= MAX_TAGS else directives.tags


def is_passing_failure(status: int) -> bool:
    """May a stale entry stand in for this answer of the provider?"""
    return status == 429 or status >= 500


def time_to_live(directives: Directives, limits: Limits) -> float:
    """How long a new answer is fresh. A caller's wish replaces the default, a rule's lifetime
    does too, and nobody prolongs the latter."""
    lives = directives.lives
    if lives is None:
        return limits.ttl if directives.ttl is None else directives.ttl
    return lives if directives.ttl is None else min(lives, directives.ttl)


def is_due(entry: Entry, beta: float, now: float, chance: Callable[[], float]) -> bool:
    """Should a fresh entry be refreshed ahead of its end, by whoever just found it?

    XFetch: every reader tosses for itself, and the odds rise towards the end and with the time
    that the answer took, so that one of many readers goes early and no lock is needed. `beta` 1 is
    optimal; more is earlier. `chance` gives numbers above 0 and up to 1, and is not asked far
    from the end. Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede
    Prevention, VLDB 2015.
    """
    reach = beta * entry.latency_ms / 1000
    left = entry.expires - now
    if left > reach * _LATEST_DRAW or reach <= 0 or entry.is_refusal:
        return False
    return left <= -reach * math.log(chance())


def jittered(ttl: float, digest: bytes, jitter: float) -> float:
    """A life shortened by up to `jitter` of it; how much, the key's digest says.

    So entries that were made at one time do not end at one time, and each ends when it says.
    """
    return ttl * (1 - jitter * int.from_bytes(digest[:8]) / 2**64) if jitter else ttl


def lifetime(
    wished: float | None, limits: Limits, digest: bytes, lives: float | None = None
) -> float:
    """How long an entry is fresh. What was wished for is taken at its word, up to what the rules
    allow (`lives`)."""
    if wished is None:
        return jittered(limits.ttl if lives is None else lives, digest, limits.jitter)
    return wished if lives is None else min(wished, lives)


def lifetime_of_refusal(directives: Directives, limits: Limits) -> float:
    return min(time_to_live(directives, limits), limits.negative_ttl)


def may_store_refusal(
    status: int, answer: object, size: int, directives: Directives, limits: Limits
) -> Verdict:
    """May this refusal of the provider be kept for a while? `answer` is its body, parsed."""
    if limits.negative_ttl <= 0 or status not in REFUSALS:
        return Verdict(False, Reason.STATUS)
    if not isinstance(answer, dict) or not answer.get("error"):
        return Verdict(False, Reason.STATUS)
    if size > min(MAX_REFUSAL, limits.max_entry):
        return Verdict(False, Reason.OVER_SIZE)
    if directives.tags_in_doubt:
        return Verdict(False, Reason.BAD_TAGS)
    return _YES if time_to_live(directives, limits) > 0 else Verdict(False, Reason.TTL_ZERO)


def may_put(directives: Directives, limits: Limits) -> Verdict:
    """May an answer that a program brings itself be stored?"""
    if directives.never is not None:
        return Verdict(False, directives.never)
    if directives.tags_in_doubt:
        return Verdict(False, Reason.BAD_TAGS)
    return _YES if time_to_live(directives, limits) > 0 else Verdict(False, Reason.TTL_ZERO)


def may_store(
    status: int, judged: Reason | None, size: int, directives: Directives, limits: Limits
) -> Verdict:
    """May this answer be stored? `judged` is what its format found wrong with it."""
    if not 200 <= status < 300:
        return Verdict(False, Reason.STATUS)
    if judged is not None and judged not in limits.also_store:
        return Verdict(False, judged)
    if size > limits.max_entry:
        return Verdict(False, Reason.OVER_SIZE)
    if directives.tags_in_doubt:
        return Verdict(False, Reason.BAD_TAGS)
    if time_to_live(directives, limits) <= 0:
        return Verdict(False, Reason.TTL_ZERO)
    return _YES
