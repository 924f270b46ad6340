"""The questions of the demo and the order they come in."""

import importlib.resources
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from askonce.cli.demo.traffic import arrivals, questions


def test_the_sample_is_1500_different_questions_of_all_77_intents() -> None:
    sample = questions()

    assert len({question.text for question in sample}) == len(sample) == 1500
    assert len({question.intent for question in sample}) == 77
    assert all(question.text == " ".join(question.text.split()) for question in sample)


def test_the_sample_is_attributed_beside_it() -> None:
    notice = (
        importlib.resources.files("askonce.semantic.evaluation")
        .joinpath("data", "NOTICE")
        .read_text("utf-8")
    )

    for said in ("PolyAI", "CC BY 4.0", "Casanueva", "Efficient Intent Detection", "Changes:"):
        assert said in notice


def test_the_same_seed_gives_the_same_traffic() -> None:
    assert arrivals(300, seed=7) == arrivals(300, seed=7)
    assert arrivals(300, seed=7) != arrivals(300, seed=8)


@given(
    count=st.integers(0, 400),
    streamed=st.floats(0, 1),
    anthropic=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_shares_are_met_to_the_nearest_call(
    count: int, streamed: float, anthropic: float, seed: int
) -> None:
    asks = arrivals(count, seed=seed, streamed=streamed, anthropic=anthropic)

    assert len(asks) == count
    assert sum(ask.stream for ask in asks) == round(count * streamed)
    assert sum(ask.sdk == "anthropic" for ask in asks) == round(count * anthropic)


def test_the_demo_s_600_questions_are_a_fifth_streamed_and_12_through_anthropic() -> None:
    asks = arrivals(600, seed=7)

    assert sum(ask.stream for ask in asks) == 120
    assert sum(ask.sdk == "anthropic" for ask in asks) == 12


def test_popularity_follows_zipf() -> None:
    asks = arrivals(20_000, seed=1)
    ranked = [count for _, count in Counter(ask.question for ask in asks).most_common()]

    # With exponent 1 the tenth most popular comes a tenth as often as the first.
    assert 8 <= ranked[0] / ranked[9] <= 12.5
    assert 80 <= ranked[0] / ranked[99] <= 125


def test_without_zipf_few_questions_come_twice() -> None:
    equal = {ask.question for ask in arrivals(600, seed=7, zipf=0)}
    skewed = {ask.question for ask in arrivals(600, seed=7)}

    assert len(equal) > 450 > 350 > len(skewed)
