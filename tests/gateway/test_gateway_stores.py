"""The gateway over a shared, broken or locked store: calls are answered all the same."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from askonce.cli.demo.provider.provider import DemoProvider
from tests.gateway.stage import (
    PATIENCE_S,
    Caller,
    Clock,
    gateway,
    is_answer,
    outcome_of,
    status_of,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


def keeping_in(file: Path) -> dict[str, str]:
    return {"ASKONCE_STORE__URL": f"sqlite:{file}"}


@pytest.fixture
def caller(http: httpx2.Client, provider_url: str, file: Path) -> Iterator[Caller]:
    with gateway(provider_url, keeping_in(file)) as url:
        yield Caller(http, url)


class TestShared:
    def test_two_gateways_share_one_file(
        self, http: httpx2.Client, provider_url: str, file: Path
    ) -> None:
        question = "Do you share?"
        clock = Clock()
        with (
            gateway(provider_url, keeping_in(file), clock=clock) as one,
            gateway(provider_url, keeping_in(file), clock=clock) as two,
        ):
            caller, other = Caller(http, one), Caller(http, two)
            other.stats()  # both are up before anything is asked
            asked = caller.chat(question)
            caller.stats()  # the write is behind the answer; this waits in the same line
            shared = other.chat(question)
            then = other.chat(question)
            stranger = other.with_key("sk-stranger").chat(question)

        assert status_of(asked) == "askonce; fwd=miss; stored; detail=not-found"
        assert status_of(shared) == "askonce; hit; ttl=86400; detail=shared; layer=sqlite"
        assert status_of(then) == "askonce; hit; ttl=86400; detail=memory"
        assert outcome_of(stranger) == "miss"
        assert is_answer(shared, question)

    @pytest.mark.parametrize("stream", [False, True])
    def test_answers_survive_a_restart(
        self,
        http: httpx2.Client,
        provider_url: str,
        provider: DemoProvider,
        file: Path,
        stream: bool,
    ) -> None:
        question = f"Still there ({stream})?"
        for outcome in ("miss", "hit"):
            with gateway(provider_url, keeping_in(file), clock=Clock()) as url:
                answer = Caller(http, url).chat(question, stream=stream)

                assert outcome_of(answer) == outcome
                assert is_answer(answer, question)

        assert status_of(answer) == "askonce; hit; ttl=86400; detail=shared; layer=sqlite"
        assert provider.calls.questions[question] == 1

    def test_stats_survive_a_restart_and_add_up(
        self, http: httpx2.Client, provider_url: str, file: Path
    ) -> None:
        for _ in range(2):
            with gateway(provider_url, keeping_in(file)) as url:
                caller = Caller(http, url)
                for question in ("Count me?", "Count me?", "And me?"):
                    caller.chat(question)
                stats = caller.stats()

        assert (stats["calls"], stats["hits"], stats["misses"]) == (6, 4, 2)
        assert (stats["stored"], stats["upstream"]) == (2, 2)
        assert stats["outcomes"] == {"memory": 2, "miss": 2, "shared": 2}
        assert stats["saved_tokens"] > 0
        assert stats["saved_usd"] > 0


class TestBroken:
    def test_a_database_of_garbage_is_no_obstacle(
        self, http: httpx2.Client, provider_url: str, file: Path
    ) -> None:
        garbage = b"this was never a database\n" * 1_000
        file.write_bytes(garbage)
        with gateway(provider_url, keeping_in(file)) as url:
            caller = Caller(http, url)
            answers = [caller.chat("Is it garbage?") for _ in range(3)]
            stats = caller.stats()

        assert all(is_answer(answer, "Is it garbage?") for answer in answers)
        # The store's secret cannot be read; this process's own separates its callers.
        assert [outcome_of(answer) for answer in answers] == ["miss", "hit", "hit"]
        assert stats["errors"] >= 3
        assert stats["calls"] == 3
        assert file.read_bytes() == garbage

    def test_damaged_entries_are_misses(
        self, http: httpx2.Client, provider_url: str, file: Path
    ) -> None:
        question = "Am I damaged?"
        with gateway(provider_url, keeping_in(file)) as url:
            Caller(http, url).chat(question)
        with sqlite3.connect(file) as db:
            [(blob,)] = db.execute("SELECT blob FROM entries").fetchall()
            middle = len(blob) // 2
            damaged = blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :]
            db.execute("UPDATE entries SET blob = ?", (damaged,))
        db.close()
        with gateway(provider_url, keeping_in(file)) as url:
            answer = Caller(http, url).chat(question)

        assert outcome_of(answer) == "miss"
        assert is_answer(answer, question)

    def test_an_entry_moved_to_another_key_is_a_miss(
        self, http: httpx2.Client, provider_url: str, file: Path
    ) -> None:
        with gateway(provider_url, keeping_in(file)) as url:
            for question in ("One?", "Two?"):
                Caller(http, url).chat(question)
        with sqlite3.connect(file) as db:
            # The two answers change places.
            (one, blob_of_one), (two, blob_of_two) = db.execute("SELECT id, blob FROM entries")
            db.execute("UPDATE entries SET blob = ? WHERE id = ?", (blob_of_two, one))
            db.execute("UPDATE entries SET blob = ? WHERE id = ?", (blob_of_one, two))
        db.close()
        with gateway(provider_url, keeping_in(file)) as url:
            answers = {question: Caller(http, url).chat(question) for question in ("One?", "Two?")}

        for question, answer in answers.items():
            assert outcome_of(answer) == "miss"
            assert is_answer(answer, question)


class TestLocked:
    def test_a_locked_database_delays_no_call_for_long(self, caller: Caller, file: Path) -> None:
        caller.chat("Before the lock?")
        caller.stats()
        lock = sqlite3.connect(file, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
            before = caller.stats()["errors"]
            answers = {f"Locked {n}?": caller.chat(f"Locked {n}?") for n in range(3)}
            again = caller.chat("Locked 0?")
            known = caller.chat("Before the lock?")
            errors = caller.stats()["errors"]
        finally:
            lock.execute("ROLLBACK")
            lock.close()

        assert all(is_answer(answer, question) for question, answer in answers.items())
        assert {outcome_of(answer) for answer in answers.values()} == {"miss"}
        assert [outcome_of(again), outcome_of(known)] == ["hit", "hit"]  # memory has them
        assert errors > before
        # And once it is free, all is well again.
        caller.chat("After the lock?")
        assert caller.stats()["errors"] >= errors

    def test_locked_from_the_start_memory_stands_in_until_the_store_is_back(
        self, http: httpx2.Client, provider_url: str, file: Path
    ) -> None:
        lock = sqlite3.connect(file, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
            with gateway(provider_url, keeping_in(file)) as url:
                caller = Caller(http, url)
                locked = caller.chat("Who is it?")
                lock.execute("ROLLBACK")
                lock.close()
                end = time.monotonic() + PATIENCE_S
                # The store is asked again once its breaker lets a call through.
                while outcome_of(caller.chat("Who is it?")) == "hit":
                    assert time.monotonic() < end
                later = caller.chat("Who is it?")
        finally:
            lock.close()

        assert outcome_of(locked) == "miss"
        # The namespace of the store's own secret: what was kept under the other was not found.
        assert outcome_of(later) == "hit"
