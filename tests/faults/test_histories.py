"""Random histories of ask, answer, invalidate and crash; `make bench` plays ten thousand."""

import pytest

from bench import histories


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("store", "played"), [("memory", 120), ("sqlite", 30)])
def test_nothing_stale_is_served_or_stored(store: str, played: int) -> None:
    figures = histories.measure(played, seed=1_000_000, store=store)
    assert {one.name: one.value for one in figures} == {one.name: 0 for one in figures}
    assert all(figure.detail["histories"] == played for figure in figures)
    assert all(float(figure.detail["hits"]) > played for figure in figures)
