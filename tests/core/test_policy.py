"""The limits as tables: may it be asked, what is it good for, may it be stored."""

import pytest

from askonce.core.directives import NONE, Directives
from askonce.core.models import Because, Entry, Key, Shape
from askonce.core.policy import Life, Limits, is_passing_failure, life_of, may_ask, may_store
from askonce.core.wire_format import Question


def question(*, sampled: bool = False, bypass: Because | None = None) -> Question:
    return Question("m", Shape(), {}, "text", sampled, False, bypass)


def entry(created: float, ttl: float) -> Entry:
    key = Key("a", "text", bytes(32))
    return Entry(key, b"", 200, (), created, created + ttl, created + ttl)


@pytest.mark.parametrize(
    ("asked", "wishes", "limits", "because"),
    [
        (question(), NONE, Limits(), Because.OK),
        (question(), Directives(no_cache=True), Limits(), Because.OK),
        (question(), Directives(no_store=True), Limits(), Because.NO_STORE),
        (question(), Directives(identity_in_doubt=True), Limits(), Because.NO_IDENTITY),
        (question(bypass=Because.AUDIO), NONE, Limits(), Because.AUDIO),
        (question(sampled=True), NONE, Limits(), Because.SAMPLING),
        (question(sampled=True), NONE, Limits(pool=1), Because.OK),
        (question(sampled=True), NONE, Limits(pool=3), Because.OK),
    ],
)
def test_may_ask(asked: Question, wishes: Directives, limits: Limits, because: Because) -> None:
    verdict = may_ask(asked, wishes, limits)
    assert verdict.because is because
    assert verdict.yes == (because is Because.OK)


@pytest.mark.parametrize(
    ("age", "wishes", "limits", "life"),
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
        # A clock that jumped back makes nothing older, and nothing negative.
        (-50, NONE, Limits(), Life.FRESH),
    ],
)
def test_life(age: float, wishes: Directives, limits: Limits, life: Life) -> None:
    assert life_of(entry(1_000, 60), wishes, limits, 1_000 + age) is life
    assert entry(1_000, 60).age(1_000 + age) == pytest.approx(max(0, age))


@pytest.mark.parametrize(
    ("status", "judged", "size", "wishes", "limits", "because"),
    [
        (200, None, 10, NONE, Limits(), Because.OK),
        (201, None, 10, NONE, Limits(), Because.OK),
        (304, None, 10, NONE, Limits(), Because.STATUS),
        (500, Because.GARBAGE, 10, NONE, Limits(), Because.STATUS),
        (200, Because.LENGTH, 10, NONE, Limits(), Because.LENGTH),
        (200, Because.LENGTH, 10, NONE, Limits(also_store=frozenset({Because.LENGTH})), Because.OK),
        (200, None, 11, NONE, Limits(max_entry=10), Because.OVER_SIZE),
        (200, None, 10, Directives(ttl=0), Limits(), Because.TTL_ZERO),
        (200, None, 10, Directives(ttl=5), Limits(ttl=0), Because.OK),
        (200, None, 10, NONE, Limits(ttl=0), Because.TTL_ZERO),
        (200, None, 10, Directives(tags_in_doubt=True), Limits(), Because.BAD_TAGS),
    ],
)
def test_may_store(
    status: int,
    judged: Because | None,
    size: int,
    wishes: Directives,
    limits: Limits,
    because: Because,
) -> None:
    verdict = may_store(status, judged, size, wishes, limits)
    assert verdict.because is because
    assert verdict.yes == (because is Because.OK)


def test_passing_failures() -> None:
    assert [s for s in (200, 400, 404, 408, 429, 500, 503, 529) if is_passing_failure(s)] == [
        429,
        500,
        503,
        529,
    ]
