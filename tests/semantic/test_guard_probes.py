"""Some hundred pairs written by hand: what the guards must keep apart, and what they must let be.

The pairs lie in `probes/`, one a line, under the name of what sets them apart or makes them alike.
Signs that nobody sees are written as escapes there.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.semantic.guards import GUARDS, Verdict, Veto, may_match, prepare, verdict

PROBES = Path(__file__).parent / "probes"
ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
HIDDEN = ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e"]


def pairs_of(name: str) -> Iterator[tuple[str, str, str]]:
    """The section and both texts of each line."""
    section = ""
    for line in (PROBES / name).read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("# "):
            a, b = ESCAPE.sub(lambda match: chr(int(match[1], 16)), line).split(" | ")
            yield section, a, b


APART = list(pairs_of("apart.txt"))
ALIKE = list(pairs_of("alike.txt"))


@pytest.mark.parametrize(("section", "a", "b"), APART)
def test_questions_that_want_different_answers_are_kept_apart(section: str, a: str, b: str) -> None:
    assert not may_match(a, b).yes, section
    assert not may_match(b, a).yes, section


@pytest.mark.parametrize(("section", "a", "b"), ALIKE)
def test_the_same_question_in_other_words_passes(section: str, a: str, b: str) -> None:
    assert may_match(a, b) == Verdict(True, Veto.OK), section
    assert may_match(b, a) == Verdict(True, Veto.OK), section


def test_there_are_several_hundred_probes_and_none_twice() -> None:
    assert len(APART) > 350
    assert len(ALIKE) > 150
    both = [frozenset((a, b)) for _, a, b in APART + ALIKE]
    assert len(set(both)) == len(both)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(APART), st.sampled_from(HIDDEN), st.integers(0, 200))
def test_a_sign_that_nobody_sees_hides_no_difference(
    probe: tuple[str, str, str], sign: str, at: int
) -> None:
    _, a, b = probe
    at %= len(b)
    assert not may_match(a, b[:at] + sign + b[at:]).yes


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(APART))
def test_full_width_letters_and_digits_hide_no_difference(probe: tuple[str, str, str]) -> None:
    _, a, b = probe
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c.isalnum() else c for c in b)
    assert not may_match(a, wide).yes


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(APART + ALIKE),
    st.sampled_from(APART + ALIKE),
    st.lists(st.tuples(st.integers(0, 200), st.text(max_size=3)), max_size=4),
)
def test_damaged_probes_have_one_symmetric_verdict(
    probe: tuple[str, str, str], other: tuple[str, str, str], damages: list[tuple[int, str]]
) -> None:
    a, b = probe[1], other[2]
    for at, put in damages:
        a, b = b[: at % (len(b) + 1)] + put + b[at % (len(b) + 1) + 1 :], a
    one, two = prepare(a), prepare(b)
    for reason, vetoes in GUARDS:
        assert vetoes(one, two) == vetoes(two, one), reason
        assert not vetoes(one, one), reason


def test_a_verdict_takes_microseconds() -> None:
    """Generous, for a busy machine: some 30 microseconds is what an idle one needs."""
    ready = [(prepare(a), prepare(b)) for _, a, b in APART + ALIKE]
    best = min(_seconds(ready) for _ in range(5))
    assert best / len(ready) < 0.000_3


def _seconds(ready: list[tuple[Text, Text]]) -> float:
    start = time.perf_counter()
    for one, two in ready:
        verdict(one, two)
    return time.perf_counter() - start
