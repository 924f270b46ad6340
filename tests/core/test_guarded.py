"""The circuit breaker: when it opens, who may probe, and that it closes again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.guarded import BreakerState, CircuitBreaker


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(slow=0.2)
    for _ in range(5):
        breaker.failed(now)
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_a_run_of_failures_opens_it_and_a_success_breaks_the_run() -> None:
    breaker = CircuitBreaker(slow=0.2)
    for _ in range(3):
        for _ in range(4):
            breaker.failed(0)
        breaker.succeeded(0, 0.01)
        assert breaker.closed
        for _ in range(8):
            breaker.succeeded(0, 0.01)
    for _ in range(5):
        assert breaker.closed
        breaker.failed(0)
    assert breaker.state is BreakerState.OPEN
    assert breaker.opened == 1


def test_half_of_the_latest_calls_failing_opens_it() -> None:
    breaker = CircuitBreaker(slow=0.2)
    for _ in range(9):
        breaker.failed(0)
        breaker.succeeded(0, 0.01)
    breaker.failed(0)
    assert breaker.closed
    breaker.failed(0)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("took", [0.19, 0.21])
def test_a_call_that_is_too_slow_counts_as_failed(took: float) -> None:
    breaker = CircuitBreaker(slow=0.2)
    for _ in range(5):
        breaker.succeeded(0, took)
    assert breaker.closed is (took < 0.2)


def test_one_probe_goes_through_after_the_pause_and_closes_it() -> None:
    breaker = opened(now=100.0)
    assert not breaker.probe_due(100.2)
    assert breaker.probe_due(100.25)
    assert breaker.state is BreakerState.PROBING
    assert not breaker.probe_due(100.26)
    breaker.succeeded(100.3, 0.01)
    assert breaker.closed
    breaker.failed(100.4)
    assert breaker.closed  # the old failures are forgotten


def test_failed_and_slow_probes_double_the_pause_up_to_two_seconds() -> None:
    breaker = opened()
    now, pauses = 0.0, []
    for number in range(6):
        began = now
        while not breaker.probe_due(now):
            now += 0.01
        pauses.append(round(now - began, 1))
        breaker.failed(now) if number % 2 else breaker.succeeded(now, 5.0)
        assert breaker.state is BreakerState.OPEN
    assert pauses == [0.3, 0.5, 1.0, 2.0, 2.0, 2.0]
    assert breaker.opened == 1


def test_a_probe_that_never_comes_back_is_replaced() -> None:
    breaker = opened()
    assert breaker.probe_due(1.0)
    assert not breaker.probe_due(4.9)
    assert breaker.probe_due(5.1)


def test_calls_that_hang_hold_back_new_ones_until_one_of_them_ends() -> None:
    breaker = CircuitBreaker(slow=0.2, stall=0.05)
    assert all(breaker.enter(10.0) for _ in range(5))
    assert breaker.enter(10.04)
    assert not breaker.enter(10.06)
    breaker.leave(10.07, 0.07, fine=True)
    assert breaker.enter(10.08)  # slow, but not stuck
    for _ in range(6):
        breaker.leave(10.1, 0.1, fine=None)
    assert breaker.enter(99.0)  # no call waits, however long ago the last one ended


def test_calls_given_up_by_their_callers_say_nothing_about_the_store() -> None:
    breaker = CircuitBreaker(slow=0.2)
    for _ in range(50):
        assert breaker.enter(0)
        breaker.leave(0, 9.0, fine=None)
    assert breaker.closed


@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "slow", "fail", "probe"]), st.floats(0, 3)), max_size=80
    )
)
def test_a_store_that_is_well_again_is_always_found_so(steps: list[tuple[str, float]]) -> None:
    breaker, now = CircuitBreaker(slow=0.2), 0.0
    for what, passes in steps:
        now += passes
        if what == "probe":
            breaker.probe_due(now)
        elif breaker.closed or breaker.state is BreakerState.PROBING:
            breaker.failed(now) if what == "fail" else breaker.succeeded(now, float(what == "slow"))
    if not breaker.closed:
        assert breaker.probe_due(now + 4.1)
        breaker.succeeded(now + 4.1, 0.01)
    assert breaker.closed
