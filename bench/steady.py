"""Calls at a steady rate, each answer checked against its question.

Half of the questions are new, each asked once; half are taken from a few popular ones. A call
begins when it is due, whether earlier ones have ended or not.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Iterable
from typing import NamedTuple

import httpx2
import msgspec

from askonce.cli.demo.provider.answers import answer_to
from bench.questions import HEADERS, chat

RATE = 200
POPULAR = [f"popular {number}" for number in range(50)]
TIMEOUT_S = 30.0


class TimedCall(NamedTuple):
    """One call: when it began and how long it took (s), and how it was answered.

    `fine` says whether it was answered at all, `right` whether with the answer to its question.
    """

    asked: str
    began: float
    took: float
    fine: bool
    right: bool
    status: str

    @property
    def ended(self) -> float:
        return self.began + self.took

    @property
    def out_of_the_store(self) -> bool:
        return "detail=shared" in self.status


async def steadily(
    client: httpx2.AsyncClient, url: str, seconds: float, name: str
) -> list[TimedCall]:
    """Ask for some seconds; `name` keeps the new questions apart from those of other runs."""
    choose = random.Random(7)
    begin = time.perf_counter()
    waiting: list[asyncio.Task[TimedCall]] = []
    for number in range(int(seconds * RATE)):
        is_new = choose.random() < 0.5
        asked = f"{name}: new question {number}" if is_new else POPULAR[number % len(POPULAR)]
        waiting.append(asyncio.create_task(_one(client, url, asked)))
        await asyncio.sleep(max(0.0, begin + (number + 1) / RATE - time.perf_counter()))
    return list(await asyncio.gather(*waiting))


def p99(calls: Iterable[TimedCall]) -> float:
    return statistics.quantiles([call.took for call in calls], n=100)[98]


async def _one(client: httpx2.AsyncClient, url: str, asked: str) -> TimedCall:
    began = time.perf_counter()
    try:
        answer = await client.post(url, content=chat(asked), headers=HEADERS)
    except httpx2.HTTPError as error:
        took = time.perf_counter() - began
        return TimedCall(asked, began, took, fine=False, right=True, status=type(error).__name__)
    took = time.perf_counter() - began
    fine = answer.status_code == 200
    right = not fine or _text(answer.content) == answer_to(asked)
    return TimedCall(asked, began, took, fine, right, answer.headers.get("cache-status", ""))


def _text(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)["choices"][0]["message"]["content"]
    except (msgspec.DecodeError, LookupError, TypeError):
        return None
