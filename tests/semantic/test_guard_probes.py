"""Several hundred pairs written by hand: some the guards must keep apart, some they must let pass.

The pairs lie in `probes/`, one on each line, under the name of the difference or the likeness.
Invisible characters are written as escapes there.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.semantic.guards import GUARDS, GuardVerdict, Text, Veto, may_match, prepare, verdict

PROBES = Path(__file__).parent / "probes"
ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
HIDDEN = ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e"]


def pairs_of(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield the section and both texts of each line."""
    section = ""
    for line in (PROBES / name).read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("# "):
            a, b = ESCAPE.sub(lambda match: chr(int(match[1], 16)), line).split(" | ")
            yield section, a, b


APART = list(pairs_of("apart.txt"))
ALIKE = list(pairs_of("alike.txt"))


def both_ways(a: str, b: str) -> set[GuardVerdict]:
    return {may_match(a, b), may_match(b, a)}


def test_questions_that_want_different_answers_are_kept_apart() -> None:
    served = [probe for probe in APART if any(one.yes for one in both_ways(*probe[1:]))]
    assert served == []


def test_the_same_question_in_other_words_passes() -> None:
    vetoed = [probe for probe in ALIKE if both_ways(*probe[1:]) != {GuardVerdict(True, Veto.OK)}]
    assert vetoed == []


def test_there_are_several_hundred_probes_and_none_twice() -> None:
    assert len(APART) > 350
    assert len(ALIKE) > 150
    both = [frozenset((a, b)) for _, a, b in APART + ALIKE]
    assert len(set(both)) == len(both)


@settings(max_examples=300)
@given(st.sampled_from(APART), st.sampled_from(HIDDEN), st.integers(0, 200))
def test_an_invisible_character_hides_no_difference(
    probe: tuple[str, str, str], sign: str, at: int
) -> None:
    _, a, b = probe
    at %= len(b)
    assert not may_match(a, b[:at] + sign + b[at:]).yes


@settings(max_examples=300)
@given(st.sampled_from(APART))
def test_full_width_letters_and_digits_hide_no_difference(probe: tuple[str, str, str]) -> None:
    _, a, b = probe
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c.isalnum() else c for c in b)
    assert not may_match(a, wide).yes


@settings(max_examples=600)
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
    """An idle machine needs some 30 microseconds; the limit is generous, for a busy one."""
    ready = [(prepare(a), prepare(b)) for _, a, b in APART + ALIKE]
    best = min(_seconds(ready) for _ in range(5))
    assert best / len(ready) < 0.000_3


def _seconds(ready: list[tuple[Text, Text]]) -> float:
    start = time.perf_counter()
    for one, two in ready:
        verdict(one, two)
    return time.perf_counter() - start
