"""Customers' questions in the order they come: real texts, repeated as in life, by seed.

How often each question returns follows Zipf's law, which is how the popularity of questions,
words and web pages falls off with their rank.
"""

import gzip
import importlib.resources
import itertools
import random
from typing import Literal

import msgspec

Sdk = Literal["openai", "anthropic"]


class TrafficQuestion(msgspec.Struct, frozen=True):
    """One customer's question out of BANKING77, with the intent its authors gave it."""

    text: str
    intent: str


class TrafficCall(msgspec.Struct, frozen=True):
    """One question on its way: through which SDK, streamed or not."""

    question: str
    intent: str
    stream: bool
    sdk: Sdk


def questions() -> list[TrafficQuestion]:
    """The 1,500 questions of the sample that ships with the package (see NOTICE beside it)."""
    packed = importlib.resources.files("askonce.semantic.evaluation").joinpath(
        "data", "banking77.jsonl.gz"
    )
    lines = gzip.decompress(packed.read_bytes()).splitlines()
    return [msgspec.json.decode(line, type=TrafficQuestion) for line in lines]


def arrivals(
    count: int,
    *,
    seed: int,
    zipf: float = 1.0,
    streamed: float = 0.2,
    anthropic: float = 0.02,
) -> list[TrafficCall]:
    """`count` questions in order of arrival, the same for the same arguments.

    The question of rank r comes with a probability proportional to `1 / r ** zipf`. `streamed`
    and `anthropic` are the shares of calls that stream and that go through the anthropic SDK;
    both are met to the nearest whole call.
    """
    dice = random.Random(seed)
    ranked = questions()
    dice.shuffle(ranked)
    weights = itertools.accumulate(1 / rank**zipf for rank in range(1, len(ranked) + 1))
    drawn = dice.choices(ranked, cum_weights=list(weights), k=count)
    streams = set(dice.sample(range(count), round(count * streamed)))
    through_anthropic = set(dice.sample(range(count), round(count * anthropic)))
    return [
        TrafficCall(
            question=question.text,
            intent=question.intent,
            stream=index in streams,
            sdk="anthropic" if index in through_anthropic else "openai",
        )
        for index, question in enumerate(drawn)
    ]
