"""Every part of `make bench` still runs, and the laws among its figures hold at any size."""

import pytest
from bench.parts import PARTS


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_a_part_runs_at_its_smallest_size(name: str) -> None:
    figures = PARTS[name].run("smallest")

    names = [figure.name for figure in figures]
    assert names
    assert len(set(names)) == len(names)
    # Speeds mean nothing at this size. A goal of zero (no wrong answer) or of every round does.
    laws = [figure for figure in figures if figure.at_most == 0 or figure.unit == "rounds"]
    assert [figure.name for figure in laws if not figure.met] == []
