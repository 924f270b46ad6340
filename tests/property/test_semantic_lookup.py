"""Random histories of calls: no semantic hit may break a rule.

An embedder of our own makes vectors from words, so that thousands of questions cost nothing. The
provider answers with the question that it got, so that each hit shows whose answer it is.
"""

import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.semantic.guards import judge, prepare
from askonce.semantic.settings import Semantic
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, call, said

THRESHOLD = 0.8
QUESTIONS = [
    "What is the price of the red lamp",
    "what is the price of the red lamp?",
    "What is the price of the red lamp please",
    "Say what is the price of the red lamp",
    "What is the price of the red lamps",
    "What is not the price of the red lamp",
    "What is the price of the blue lamp",
    "What is the price of 12 red lamps",
    "What is the price of 15 red lamps",
    "What is the weight of the red lamp",
]


class Words:
    """Vectors of 16 numbers from the words of a text."""

    name = "words"
    dimensions = 16

    @staticmethod
    def numbers(text: str) -> list[float]:
        made = [0.01] * 16
        for word in text.lower().split():
            made[hashlib.sha256(word.encode()).digest()[0] % 16] += 1.0
        length = math.hypot(*made)
        return [number / length for number in made]

    async def embed(self, texts: Sequence[str]) -> list[bytes | None]:
        return [struct.pack("<16f", *self.numbers(t)) if t.strip() else None for t in texts]

    async def close(self) -> None: ...


class Echo:
    """A provider that answers with the question and the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def ask(self, asked: Any, body: bytes, *, raw: bool = False) -> Script:
        echoed = {"body": msgspec.json.decode(body), "for": asked.namespace, "at": self._clock()}
        return Script(said(msgspec.json.encode(echoed).decode()))


asks = st.tuples(
    st.just("ask"),
    st.sampled_from(QUESTIONS),
    st.sampled_from(["team-a", "team-a", "team-a", "team-b"]),
    st.sampled_from([{}, {}, {}, {"temperature": 0}, {"model": "gpt-5"}]),
    st.just({})
    | st.fixed_dictionaries(
        {},
        optional={
            "askonce-tags": st.sampled_from(["a", "b", "a,b"]),
            "cache-control": st.sampled_from(["max-age=100", "no-cache"]),
            "askonce-semantic": st.sampled_from(["off", "shadow"]),
            "askonce-similarity": st.sampled_from(["0.9", "0.99"]),
        },
    ),
)
steps = st.one_of(
    asks,
    asks,
    asks,
    st.tuples(st.just("invalidate"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("forward"), st.integers(1, 400)),
)


def scope_of(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("messages", "stream")}


served: dict[str, int] = {"blocking": 0, "suspending": 0}
"""The hits of each mode: a rule that is never tried is not tested."""


@pytest.mark.parametrize("name", ["blocking", "suspending"])
def test_no_history_serves_a_forbidden_answer(name: str) -> None:
    histories(name)
    assert served[name] > 15


@settings(max_examples=150)
@given(history=st.lists(steps, min_size=8, max_size=30))
def histories(name: str, history: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("askonce.semantic.assembly.open_embedder", lambda *_, **__: Words())
        clock = Clock()
        under_test = CacheUnderTest(name, "memory:", clock)
        under_test.open(semantic=Semantic(threshold=THRESHOLD), ttl="300s")
        upstream = Echo(clock)
        invalidated: dict[str, float] = {}

        async def one(step: Any) -> None:
            if step[0] == "forward":
                clock.forward(step[1])
                return
            if step[0] == "invalidate":
                clock.forward(1)
                await under_test.parts.tiers.invalidate([step[1]])
                invalidated[step[1]] = clock()
                clock.forward(1)
                return
            _, question, namespace, more, headers = step
            asked = call(question, namespace=namespace, headers=headers, **more)
            status, body = await under_test.ask(asked, upstream)
            await under_test.settle()
            if "detail=semantic" not in status:
                return
            content = msgspec.json.decode(body)["choices"][0]["message"]["content"]
            check_hit(msgspec.json.decode(content), asked, question, status)

        def check_hit(echoed: Any, asked: Any, question: str, status: str) -> None:
            headers = asked.headers
            served[name] += 1
            assert echoed["for"] == asked.namespace
            assert scope_of(echoed["body"]) == scope_of(msgspec.json.decode(asked.body))
            (message,) = echoed["body"]["messages"]
            least = max(THRESHOLD, float(headers.get("askonce-similarity", 0)))
            similarity = sum(
                a * b
                for a, b in zip(
                    Words.numbers(question), Words.numbers(message["content"]), strict=True
                )
            )
            verdict = judge(
                prepare(question), prepare(message["content"]), similarity + 0.002, least
            )
            assert verdict.yes, (question, message, similarity, verdict)
            assert float(status.rpartition("similarity=")[2]) == pytest.approx(similarity, abs=0.01)
            assert headers.get("askonce-semantic") is None
            assert headers.get("cache-control") != "no-cache"
            age = clock() - echoed["at"]
            assert age < (100.001 if "max-age" in headers.get("cache-control", "") else 300)
            for tag in filter(None, headers.get("askonce-tags", "").split(",")):
                assert echoed["at"] > invalidated.get(tag, 0.0)

        async def story() -> None:
            for step in history:
                await one(step)

        under_test.run(story)
        assert under_test.cache.stats().errors == 0
