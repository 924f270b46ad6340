"""The policy: pure decisions about what may be read, served and stored, and for how long."""

import enum
import math
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from askonce.core import document_tags, printers, values
from askonce.core.directives import MAX_TAGS, Directives
from askonce.core.models import CLOCK_SKEW_S, Entry, Reason, Verdict
from askonce.core.rules.ruleset import NO_RULING, Ruling
from askonce.core.settings_table import PositiveBytes, Seconds, SettingKind
from askonce.core.wire_format import ParsedQuestion


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the policy depends on. Durations are in seconds, sizes in bytes.

    Parameters:
        ttl: how long an answer is fresh, unless a caller or a rule says otherwise.
        stale_while_revalidate: how long after its expiry an entry is served while it is refreshed.
        stale_if_error: how long after its expiry an entry replaces a failing provider.
        pool: how many samples of a question with a temperature above 0 are kept: 0 bypasses such
            calls, 1 reuses one answer, k cycles through k of them.
        max_entry: the largest body that is stored.
        max_question: the largest body that is looked up.
        also_store: reasons (`length`, `refusal`, `hosted-tool`) that do not keep an answer out.
        refresh_ahead: XFetch's beta, see `is_due`; 0 never refreshes ahead.
        jitter: the part of a lifetime that may be cut off, from 0 to 0.9.
        negative_ttl: how long a provider's error answer is kept; 0 keeps none.
        validate: `schema` keeps out JSON that violates the schema that was asked for, and tool
            calls that do not fit the offered tool; `json` only JSON that is not well-formed.
        expire_on: which change of a model's answers expires older ones.
        document_fields: the paths to the documents that a request names.
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
    validate: Annotated[
        Literal["schema", "json"],
        'JSON must fit its schema, and calls their tools; or "json": only be well-formed',
    ] = "schema"
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
        '"length", "refusal", "hosted-tool": store answers of these kinds too',
    ] = frozenset()
    document_fields: tuple[document_tags.Path, ...] = ()

    @property
    def keeps_stale(self) -> float:
        """How long after its expiry an entry may still be served."""
        return max(self.stale_while_revalidate, self.stale_if_error)


class Life(enum.Enum):
    """How an entry may be used for this caller, now."""

    FRESH = enum.auto()
    STALE = enum.auto()  # serve, and refresh in the background
    IF_ERROR = enum.auto()  # only if the provider fails
    OVER = enum.auto()
    OTHER_TAGS = enum.auto()  # it lacks a tag of this caller


_YES = Verdict(True, Reason.OK)
_LATEST_DRAW = 53 * math.log(2)  # -ln of the smallest number above 0 that is ever drawn
WHOLE = frozenset({200, 201})
"""Statuses of a whole answer. Others of 2xx say that it is a part (206), not made yet (202), from
another hand (203) or none."""
REFUSALS = frozenset({400, 404, 405, 410, 413, 414, 415, 422, 451})
"""Statuses that a provider repeats for the same question, at any time and for any caller."""
MAX_REFUSAL = 64 * 1024  # bytes


def ruled(directives: Directives, ruling: Ruling) -> Directives:
    """Return a caller's directives combined with what the rules say about its question.

    Tags add up; the rules' lifetime is an upper bound.
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
        also_store=ruling.also_store,
    )


def may_ask(question: ParsedQuestion, directives: Directives, limits: Limits) -> Verdict:
    """Decide whether the cache takes part in this call: is read, joined or written."""
    if directives.identity_in_doubt:
        return Verdict(False, Reason.NO_IDENTITY)
    if question.bypass is not None and not is_overruled(question.bypass, directives, limits):
        return Verdict(False, question.bypass)
    if directives.no_store:
        return Verdict(False, Reason.NO_STORE)
    if directives.never is not None:
        return Verdict(False, directives.never)
    if question.sampled and limits.pool == 0:
        return Verdict(False, Reason.SAMPLING)
    return _YES


def is_overruled(reason: Reason, directives: Directives, limits: Limits) -> bool:
    """Whether a setting or a rule overrules a reason against the cache."""
    return reason in limits.also_store or reason in directives.also_store


def life_of(entry: Entry, directives: Directives, limits: Limits, now: float) -> Life:
    """Return how a found entry may be used. Reading never extends its life."""
    if directives.tags and not carries(entry, directives.tags):
        return Life.OTHER_TAGS
    if entry.created - now > CLOCK_SKEW_S:
        return Life.OVER
    if directives.lives is not None:
        entry = bounded(entry, directives)
    if directives.max_age is not None and now - entry.created > directives.max_age:
        return Life.OVER
    if directives.min_fresh and entry.expires - now < directives.min_fresh:
        return Life.OVER
    if now < entry.expires:
        return Life.FRESH
    if entry.is_refusal:
        return Life.OVER  # an expired error answer is never served stale
    over = now - entry.expires
    if directives.max_age is None and over < limits.stale_while_revalidate:
        return Life.STALE
    return Life.IF_ERROR if over < limits.stale_if_error else Life.OVER


def carries(entry: Entry, tags: tuple[str, ...]) -> bool:
    """Whether an entry carries all of these tags."""
    if not tags:
        return True
    found = 0
    # The fast path: an entry stored for such a caller has them in the same order.
    for tag, _ in entry.tags:
        if tag == tags[found]:
            found += 1
            if found == len(tags):
                return True
    carried = dict(entry.tags)
    return all(tag in carried for tag in tags)


def bounded(entry: Entry, directives: Directives) -> Entry:
    """Return the entry with the rules' expiry, if that is earlier than its own."""
    if directives.lives is None or entry.created + directives.lives >= entry.expires:
        return entry
    return msgspec.structs.replace(entry, expires=entry.created + directives.lives)


def united(directives: Directives, other: Entry | None) -> tuple[str, ...]:
    """Return the tags of a new answer that replaces one with other tags.

    It carries both sets, so callers with different tags do not replace each other's answers.
    """
    if other is None:
        return directives.tags
    tags = document_tags.joined(directives.tags, (tag for tag, _ in other.tags))
    return tags if len(tags) <= MAX_TAGS else directives.tags


def is_passing_failure(status: int) -> bool:
    """Whether a stale entry may replace a provider's answer with this status."""
    return status == 429 or status >= 500


def time_to_live(directives: Directives, limits: Limits) -> float:
    """Return how many seconds a new answer is fresh.

    A caller's TTL overrides the default; a rule's TTL is an upper bound.
    """
    lives = directives.lives
    if lives is None:
        return limits.ttl if directives.ttl is None else directives.ttl
    return lives if directives.ttl is None else min(lives, directives.ttl)


def is_due(entry: Entry, beta: float, now: float, chance: Callable[[], float]) -> bool:
    """Whether the reader of a fresh entry should refresh it before it expires (XFetch).

    Every reader draws for itself. The probability rises towards the expiry and with the time that
    the answer took, so one of many readers refreshes early and no lock is needed. Vattani,
    Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015.

    Parameters:
        entry: the entry that was read.
        beta: 1 is optimal, more is earlier, 0 is never.
        now: seconds since the Unix epoch.
        chance: returns random numbers above 0 and up to 1; not called far from the expiry.
    """
    reach = beta * entry.latency_ms / 1000
    left = entry.expires - now
    if left > reach * _LATEST_DRAW or reach <= 0 or entry.is_refusal:
        return False
    return left <= -reach * math.log(chance())


def jittered(ttl: float, digest: bytes, jitter: float) -> float:
    """Return a lifetime shortened by up to the part `jitter` of it.

    The key's digest decides how much, so entries stored at the same time expire at different times,
    and each always at the same one.
    """
    return ttl * (1 - jitter * int.from_bytes(digest[:8]) / 2**64) if jitter else ttl


def lifetime(ttl: float | None, limits: Limits, digest: bytes, lives: float | None = None) -> float:
    """Return how many seconds an entry is fresh.

    Parameters:
        ttl: the caller's TTL, which is not jittered; None for the default.
        limits: the settings.
        digest: the key's digest, which decides the jitter.
        lives: the rules' upper bound; None for none.
    """
    if ttl is None:
        return jittered(limits.ttl if lives is None else lives, digest, limits.jitter)
    return ttl if lives is None else min(ttl, lives)


def lifetime_of_refusal(directives: Directives, limits: Limits) -> float:
    """Return how many seconds a provider's error answer is kept."""
    return min(time_to_live(directives, limits), limits.negative_ttl)


def may_store_refusal(
    status: int, answer: object, size: int, directives: Directives, limits: Limits
) -> Verdict:
    """Decide whether a provider's error answer is kept; `answer` is its parsed body."""
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
    """Decide whether an answer that a program stores itself may be stored."""
    if directives.never is not None:
        return Verdict(False, directives.never)
    if directives.tags_in_doubt:
        return Verdict(False, Reason.BAD_TAGS)
    return _YES if time_to_live(directives, limits) > 0 else Verdict(False, Reason.TTL_ZERO)


def may_store(
    status: int, judged: Reason | None, size: int, directives: Directives, limits: Limits
) -> Verdict:
    """Decide whether an answer is stored; `judged` is the format's reason against it, if any."""
    if status not in WHOLE:
        return Verdict(False, Reason.STATUS)
    if judged is not None and not is_overruled(judged, directives, limits):
        return Verdict(False, judged)
    if size > limits.max_entry:
        return Verdict(False, Reason.OVER_SIZE)
    if directives.tags_in_doubt:
        return Verdict(False, Reason.BAD_TAGS)
    if time_to_live(directives, limits) <= 0:
        return Verdict(False, Reason.TTL_ZERO)
    return _YES
