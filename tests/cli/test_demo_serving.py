"""How long the demo provider takes, and the thread it is served in."""

import threading
import time
from typing import Any

import httpx2
import pytest

from askonce.cli.demo.provider.answers import answer_to, pieces
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

QUESTION = "How do I change my PIN?"
ASKED: Any = [{"role": "user", "content": QUESTION}]


class TestTime:
    def test_the_first_byte_takes_its_time(self) -> None:
        with running(DemoProvider(first_byte_ms=(40, 40), word_ms=0)) as base_url:
            body = {"model": "m", "messages": ASKED}
            started = time.perf_counter()
            response = httpx2.post(f"{base_url}/v1/chat/completions", json=body)

        assert time.perf_counter() - started >= 0.04
        assert int(response.headers["openai-processing-ms"]) >= 39

    def test_a_stream_comes_a_few_words_at_a_time(self) -> None:
        with running(DemoProvider(first_byte_ms=(0, 0), word_ms=3)) as base_url:
            body = {"model": "m", "messages": ASKED, "stream": True}
            request = httpx2.stream("POST", f"{base_url}/v1/chat/completions", json=body)
            with request as response:
                arrived = [time.perf_counter() for _ in response.iter_raw()]

        frames = len(pieces(answer_to(QUESTION)))
        assert arrived[-1] - arrived[0] >= frames * 0.003

    def test_questions_differ_in_latency_and_the_same_one_does_not(self) -> None:
        def took(question: str) -> int:
            body = {"model": "m", "messages": [{"role": "user", "content": question}]}
            response = httpx2.post(f"{base_url}/v1/chat/completions", json=body)
            return int(response.headers["openai-processing-ms"])

        # Two questions whose hashes end in 00 and in ff.
        quick, slow = "question 269", "question 280"
        with running(DemoProvider(first_byte_ms=(0, 200), word_ms=0)) as base_url:
            assert took(slow) >= 190
            assert took(quick) < took(slow)


class TestRunning:
    def test_the_thread_and_the_port_are_gone_afterwards(self) -> None:
        threads = set(threading.enumerate())
        with running(DemoProvider()) as base_url:
            assert httpx2.get(f"{base_url}/v1/models").status_code == 200

        assert set(threading.enumerate()) <= threads
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{base_url}/v1/models")

    def test_a_taken_port_is_an_error(self) -> None:
        with running(DemoProvider()) as base_url:
            again = running(DemoProvider(), port=int(base_url.rpartition(":")[2]))
            with pytest.raises(OSError, match="in use"), again:
                pass

    def test_an_app_that_does_not_start_is_an_error(self) -> None:
        async def broken(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no"})

        with pytest.raises(RuntimeError, match="did not start"), running(broken):
            pass
