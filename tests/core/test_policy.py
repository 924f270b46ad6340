"""The limits as tables: may it be asked, what is it good for, may it be stored."""

import pytest

from askonce.core.directives import NONE, Directives
from askonce.core.models import Entry, Key, Reason, Shape
from askonce.core.policy import Life, Limits, is_passing_failure, life_of, may_ask, may_store
from askonce.core.wire_format import ParsedQuestion


def question(*, sampled: bool = False, bypass: Reason | None = None) -> ParsedQuestion:
    return ParsedQuestion("m", Shape(), {}, "text", sampled, False, bypass)


def entry(created: float, ttl: float) -> Entry:
    key = Key("a", "text", bytes(32))
    return Entry(key, b"", 200, (), created, created + ttl, created + ttl)


@pytest.mark.parametrize(
    ("asked", "directives", "limits", "reason"),
    [
        (question(), NONE, Limits(), Reason.OK),
        (question(), Directives(no_cache=True), Limits(), Reason.OK),
        (question(), Directives(no_store=True), Limits(), Reason.NO_STORE),
        (question(), Directives(identity_in_doubt=True), Limits(), Reason.NO_IDENTITY),
        (question(bypass=Reason.AUDIO), NONE, Limits(), Reason.AUDIO),
        (question(sampled=True), NONE, Limits(), Reason.SAMPLING),
        (question(sampled=True), NONE, Limits(pool=1), Reason.OK),
        (question(sampled=True), NONE, Limits(pool=3), Reason.OK),
    ],
)
def test_may_ask(
    asked: ParsedQuestion, directives: Directives, limits: Limits, reason: Reason
) -> None:
    verdict = may_ask(asked, directives, limits)
    assert verdict.reason is reason
    assert verdict.yes == (reason is Reason.OK)


@pytest.mark.parametrize(
    ("age", "directives", "limits", "life"),
    [
        (0, NONE, Limits(), Life.FRESH),
        (59.9, NONE, Limits(), Life.FRESH),
        (60, NONE, Limits(), Life.OVER),
        (60, NONE, Limits(stale_while_revalidate=10), Life.STALE),
        (69.9, NONE, Limits(stale_while_revalidate=10), Life.STALE),
        (70, NONE, Limits(stale_while_revalidate=10), Life.OVER),
        (70, NONE, Limits(stale_while_revalidate=10, stale_if_error=20), Life.IF_ERROR),
        (80, NONE, Limits(stale_while_revalidate=10, stale_if_error=20), Life.OVER),
        (30, Directives(max_age=30), Limits(), Life.FRESH),
        (31, Directives(max_age=30), Limits(stale_if_error=999), Life.OVER),
        # Who asks for a freshness of its own gets nothing stale behind its back.
        (65, Directives(max_age=90), Limits(stale_while_revalidate=10), Life.OVER),
        # Clocks differ a little; what a clock that was ahead has stored is of no known age.
        (-5, NONE, Limits(), Life.FRESH),
        (-50, NONE, Limits(), Life.OVER),
        (-50, NONE, Limits(stale_if_error=1_000), Life.OVER),
    ],
)
def test_life(age: float, directives: Directives, limits: Limits, life: Life) -> None:
    assert life_of(entry(1_000, 60), directives, limits, 1_000 + age) is life
    assert entry(1_000, 60).age(1_000 + age) == pytest.approx(max(0, age))


@pytest.mark.parametrize(
    ("status", "judged", "size", "directives", "limits", "reason"),
    [
        (200, None, 10, NONE, Limits(), Reason.OK),
        (201, None, 10, NONE, Limits(), Reason.OK),
        (304, None, 10, NONE, Limits(), Reason.STATUS),
        (500, Reason.GARBAGE, 10, NONE, Limits(), Reason.STATUS),
        (200, Reason.LENGTH, 10, NONE, Limits(), Reason.LENGTH),
        (200, Reason.LENGTH, 10, NONE, Limits(also_store=frozenset({Reason.LENGTH})), Reason.OK),
        (200, None, 11, NONE, Limits(max_entry=10), Reason.OVER_SIZE),
        (200, None, 10, Directives(ttl=0), Limits(), Reason.TTL_ZERO),
        (200, None, 10, Directives(ttl=5), Limits(ttl=0), Reason.OK),
        (200, None, 10, NONE, Limits(ttl=0), Reason.TTL_ZERO),
        (200, None, 10, Directives(tags_in_doubt=True), Limits(), Reason.BAD_TAGS),
    ],
)
def test_may_store(
    status: int,
    judged: Reason | None,
    size: int,
    directives: Directives,
    limits: Limits,
    reason: Reason,
) -> None:
    verdict = may_store(status, judged, size, directives, limits)
    assert verdict.reason is reason
    assert verdict.yes == (reason is Reason.OK)


def test_passing_failures() -> None:
    assert [s for s in (200, 400, 404, 408, 429, 500, 503, 529) if is_passing_failure(s)] == [
        429,
        500,
        503,
        529,
    ]
