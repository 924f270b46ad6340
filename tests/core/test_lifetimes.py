"""Lifetimes: refresh ahead, jitter, and the provider's refusals."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.directives import NONE, Directives
from askonce.core.models import Entry, Key, Reason
from askonce.core.policy import (
    MAX_REFUSAL,
    REFUSALS,
    Life,
    Limits,
    is_due,
    jittered,
    life_of,
    lifetime,
    lifetime_of_refusal,
    may_store_refusal,
)

KEY = Key("a", "text", bytes(32))
ERROR = {"error": {"message": "no such model"}}


def entry(*, ends: float = 100.0, took_ms: float = 1_000.0, status: int = 200) -> Entry:
    return Entry(KEY, b"", status, (), 0.0, ends, ends + 500, latency_ms=took_ms)


def never() -> float:
    raise AssertionError("a number was drawn")


def test_far_from_its_end_no_number_is_drawn() -> None:
    assert not is_due(entry(), 1.0, 50.0, never)
    assert not is_due(entry(took_ms=0.0), 1.0, 99.9, never)
    assert not is_due(entry(), 0.0, 99.9, never)


def test_the_smallest_number_that_can_be_drawn_is_within_reach() -> None:
    reach = 53 * math.log(2)
    smallest = 2.0**-53
    assert is_due(entry(), 1.0, 100 - reach + 0.001, lambda: smallest)
    assert not is_due(entry(), 1.0, 100 - reach - 0.001, never)


@pytest.mark.parametrize(
    ("left", "chance", "due"),
    [
        (1.0, math.exp(-1) * 0.99, True),
        (1.0, math.exp(-1) * 1.01, False),
        (0.001, 1.0, False),
        (-0.001, 1.0, True),  # its end has come meanwhile
    ],
)
def test_xfetch(left: float, chance: float, due: bool) -> None:
    assert is_due(entry(), 1.0, 100 - left, lambda: chance) is due


def test_the_odds_are_those_of_the_paper() -> None:
    """P(due) with `left` to go is exp(-left / (delta * beta))."""
    draw = random.Random(4).random
    times = 20_000
    for left, beta in ((0.5, 1.0), (2.0, 1.0), (2.0, 3.0)):
        hits = sum(is_due(entry(), beta, 100 - left, lambda: 1 - draw()) for _ in range(times))
        assert hits / times == pytest.approx(math.exp(-left / beta), abs=0.015)


def test_a_refusal_is_never_refreshed_ahead() -> None:
    assert not is_due(entry(status=404), 1.0, 99.99, never)


@given(st.binary(min_size=32, max_size=32), st.floats(0, 0.9), st.floats(0, 1e7))
def test_jitter_shortens_by_at_most_its_part(digest: bytes, jitter: float, ttl: float) -> None:
    life = jittered(ttl, digest, jitter)
    assert ttl * (1 - jitter) - 1e-6 <= life <= ttl
    assert life == jittered(ttl, digest, jitter)


def test_jitter_spreads_evenly() -> None:
    draw = random.Random(4).randbytes
    lives = [jittered(100.0, draw(32), 0.5) for _ in range(4_000)]
    assert [sum(50 + 10 * n <= life < 60 + 10 * n for life in lives) for n in range(5)] == [
        pytest.approx(800, abs=120)
    ] * 5


def test_a_wish_is_taken_at_its_word() -> None:
    limits = Limits(ttl=100, jitter=0.9)
    assert lifetime(60.0, limits, b"\xff" * 32) == 60.0
    assert lifetime(None, limits, b"\xff" * 32) == pytest.approx(10)
    assert lifetime(None, limits, b"\x00" * 32) == 100


@pytest.mark.parametrize(
    ("status", "answer", "size", "directives", "reason"),
    [
        *[(status, ERROR, 100, NONE, Reason.OK) for status in sorted(REFUSALS)],
        *[(s, ERROR, 100, NONE, Reason.STATUS) for s in (401, 402, 403, 408, 409, 425, 429)],
        *[(status, ERROR, 100, NONE, Reason.STATUS) for status in (301, 500, 503, 529)],
        (404, {"detail": "not found"}, 100, NONE, Reason.STATUS),
        (404, {"error": None}, 100, NONE, Reason.STATUS),
        (404, [], 100, NONE, Reason.STATUS),
        (404, None, 100, NONE, Reason.STATUS),
        (404, ERROR, MAX_REFUSAL + 1, NONE, Reason.OVER_SIZE),
        (404, ERROR, 100, Directives(ttl=0), Reason.TTL_ZERO),
        (404, ERROR, 100, Directives(tags_in_doubt=True), Reason.BAD_TAGS),
    ],
)
def test_refusals(
    status: int, answer: object, size: int, directives: Directives, reason: Reason
) -> None:
    on = Limits(negative_ttl=30)
    verdict = may_store_refusal(status, answer, size, directives, on)
    assert verdict == (reason is Reason.OK, reason)
    assert not may_store_refusal(status, answer, size, directives, Limits()).yes


def test_a_refusal_lives_no_longer_than_an_answer_would() -> None:
    assert lifetime_of_refusal(NONE, Limits(negative_ttl=30)) == 30
    assert lifetime_of_refusal(Directives(ttl=5), Limits(negative_ttl=30)) == 5
    assert lifetime_of_refusal(NONE, Limits(ttl=9, negative_ttl=30)) == 9


@pytest.mark.parametrize(("now", "life"), [(99, Life.FRESH), (100, Life.OVER), (101, Life.OVER)])
def test_a_refusal_is_never_stale(now: float, life: Life) -> None:
    limits = Limits(stale_while_revalidate=60, stale_if_error=60)
    assert life_of(entry(status=404), NONE, limits, now) is life
