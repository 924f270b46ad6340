"""What the demo provider says."""

import pytest

from askonce.cli.demo.provider.answers import answer_to, pieces, topic
from askonce.cli.demo.traffic import questions


def test_each_of_the_sample_has_an_answer_of_its_own_of_40_to_120_words() -> None:
    texts = [answer_to(question.text) for question in questions()]

    assert len(set(texts)) == len(texts)
    assert all(40 <= len(text.split()) <= 120 for text in texts)


def test_an_answer_names_the_topic() -> None:
    assert topic("What is the exchange rate for euros?") == "exchange rate euros"
    assert "change PIN" in answer_to("How do I change my PIN?")


@pytest.mark.parametrize("text", ["", "one", " two  words ", "a b c d e f g", "a\nb\u2028c d"])
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
