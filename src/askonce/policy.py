"""The limits: what may be read, what may be served, what may be stored. Pure decisions."""

import enum

import msgspec

from askonce.directives import Directives
from askonce.formats.contract import Question
from askonce.records import Because, Entry, Verdict


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide; durations in seconds, sizes in bytes.

    `pool` is how many samples of a sampled question (explicit temperature above 0) are kept:
    0 bypasses such calls, 1 reuses one answer, k cycles through k of them.
    `also_store` names reasons (`length`, `refusal`) that do not keep an answer out.
    """

    ttl: float = 86_400.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    pool: int = 0
    max_entry: int = 8 * 1024 * 1024
    max_question: int = 16 * 1024 * 1024
    also_store: frozenset[Because] = frozenset()

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


_YES = Verdict(True, Because.OK)


def may_ask(question: Question, wishes: Directives, limits: Limits) -> Verdict:
    """May the cache take part in this call at all: be read, be joined, be written?"""
    if wishes.identity_in_doubt:
        return Verdict(False, Because.NO_IDENTITY)
    if question.bypass is not None:
        return Verdict(False, question.bypass)
    if wishes.no_store:
        return Verdict(False, Because.NO_STORE)
    if question.sampled and limits.pool == 0:
        return Verdict(False, Because.SAMPLING)
    return _YES


def life_of(entry: Entry, wishes: Directives, limits: Limits, now: float) -> Life:
    """What a found entry is good for. Reading never extends it."""
    if wishes.max_age is not None and now - entry.created > wishes.max_age:
        return Life.OVER
    if now < entry.expires:
        return Life.FRESH
    over = now - entry.expires
    if wishes.max_age is None and over < limits.stale_while_revalidate:
        return Life.STALE
    return Life.IF_ERROR if over < limits.stale_if_error else Life.OVER


def is_passing_failure(status: int) -> bool:
    """May a stale entry stand in for this answer of the provider?"""
    return status == 429 or status >= 500


def time_to_live(wishes: Directives, limits: Limits) -> float:
    return limits.ttl if wishes.ttl is None else wishes.ttl


def may_store(
    status: int, judged: Because | None, size: int, wishes: Directives, limits: Limits
) -> Verdict:
    """May this answer be stored? `judged` is what its format found wrong with it."""
    if not 200 <= status < 300:
        return Verdict(False, Because.STATUS)
    if judged is not None and judged not in limits.also_store:
        return Verdict(False, judged)
    if size > limits.max_entry:
        return Verdict(False, Because.OVER_SIZE)
    if wishes.tags_in_doubt:
        return Verdict(False, Because.BAD_TAGS)
    if time_to_live(wishes, limits) <= 0:
        return Verdict(False, Because.TTL_ZERO)
    return _YES
