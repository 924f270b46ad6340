"""Prompts on their way to the provider: what is sent, what the cache sees of it, who waits."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from askonce.core.errors import ConfigError
from askonce.core.models import Call, Selection, Usage
from askonce.prompts.prefix_lock import PrefixLock
from tests.fixtures.scripted import (
    SSE_HEADERS,
    CacheUnderTest,
    Clock,
    Script,
    Scripted,
    call,
    said,
    streamed,
)

LONG = "You answer for a bank. Never promise what the terms do not say. " * 300
MODEL = "gpt-5.6-sol"


@pytest.fixture
def under_test(mode: str, clock: Clock) -> CacheUnderTest:
    return CacheUnderTest(mode, "memory:", clock)


def asked(question: str, *, system: str = LONG, model: str = MODEL, **more: Any) -> Call:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return call(model=model, messages=messages, **more)


def provider() -> Scripted:
    return Scripted(lambda: Script(said()))


async def headers_of(under_test: CacheUnderTest, asked_: Call, upstream: Any) -> dict[str, str]:
    reply = await under_test.answer(asked_, upstream)
    await under_test.read(reply)
    return dict(reply.headers)


def test_observing_sends_what_the_caller_sent(under_test: CacheUnderTest) -> None:
    async def story() -> None:
        upstream = provider()
        for at in range(4):
            headers = await headers_of(under_test, asked(f"q{at}"), upstream)
            assert "askonce-prompts" not in headers
        assert upstream.bodies == [asked(f"q{at}").body for at in range(4)]
        assert under_test.cache.stats().prompts == {"not-seen-before": 1, "would-mark": 3}

    under_test.run(story)


def test_a_marked_call_is_stored_under_what_the_caller_sent(under_test: CacheUnderTest) -> None:
    under_test.open(prompts="mark")

    async def story() -> None:
        upstream = provider()
        for at in range(3):
            headers = await headers_of(under_test, asked(f"q{at}"), upstream)
        assert headers["askonce-prompts"].startswith("did=marked+explicit+keyed; because=ok; at=")
        assert b'"prompt_cache_breakpoint"' in upstream.bodies[-1]
        again, _ = await under_test.ask(asked("q2"), upstream)
        assert "hit" in again
        assert upstream.calls == 3
        assert under_test.cache.stats().prompts["marked"] == 2

    under_test.run(story)


def test_two_caches_at_different_levels_share_their_keys(under_test: CacheUnderTest) -> None:
    under_test.open(prompts="split")

    async def story() -> None:
        upstream = provider()
        await under_test.ask(
            asked("q", system="Today is <<volatile>>Monday<</volatile>>."), upstream
        )
        sent = json.loads(upstream.bodies[0])
        assert sent["messages"][0]["content"] == "Today is ."
        (key,) = [entry.key async for entry in under_test.parts.tiers.memory.scan(Selection())]
        same = asked("q", system="Today is <<volatile>>Monday<</volatile>>.")
        found = under_test.parts.pipeline._recognition.recognize(same, "team-a")
        assert key == found.key

    under_test.run(story)


def test_a_call_that_bypasses_the_cache_is_prepared_too(under_test: CacheUnderTest) -> None:
    under_test.open(prompts="mark")

    async def story() -> None:
        upstream = provider()
        for at in range(3):
            headers = await headers_of(under_test, asked(f"q{at}", temperature=0.7), upstream)
        assert "fwd=bypass" in headers["cache-status"]
        assert b'"prompt_cache_breakpoint"' in upstream.bodies[-1]

    under_test.run(story)


@pytest.mark.parametrize("what", ["no caller", "malformed"])
def test_what_the_cache_does_not_understand_goes_out_untouched(
    under_test: CacheUnderTest, what: str
) -> None:
    under_test.open(prompts="mark")
    sent = asked("q", namespace=None) if what == "no caller" else asked("q", tools="none")

    async def story() -> None:
        upstream = provider()
        for _ in range(3):
            await under_test.ask(sent, upstream)
        assert set(upstream.bodies) == {sent.body}

    under_test.run(story)


def test_what_a_provider_refuses_is_asked_again_as_it_came(under_test: CacheUnderTest) -> None:
    under_test.open(prompts="mark")

    class Picky(Scripted):
        async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Script:
            script = await super().ask(call, body, raw=raw)
            if b"prompt_cache" in body:
                script.status = 400
            return script

    async def story() -> None:
        upstream = Picky(lambda: Script(said()))
        for at in range(4):
            status, _ = await under_test.ask(asked(f"q{at}"), upstream)
            assert "stored" in status
        assert upstream.calls == 5  # the first was refused, and nothing was tried after it
        assert upstream.bodies[1:] == [asked(f"q{at}").body for at in range(4)]
        assert under_test.cache.stats().prompts["refused"] == 1

    under_test.run(story)


def test_what_is_wrong_in_itself_stays_the_callers_affair(under_test: CacheUnderTest) -> None:
    under_test.open(prompts="mark")

    async def story() -> None:
        upstream = Scripted(lambda: Script(b'{"error":{}}', status=400))
        reply = await under_test.answer(asked("q"), upstream)
        assert (reply.status, await under_test.read(reply)) == (400, b'{"error":{}}')
        assert "refused" not in under_test.cache.stats().prompts

    under_test.run(story)


def test_a_fault_of_the_optimizer_fails_no_call(
    under_test: CacheUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test.open(prompts="mark")

    def broken(*given: Any) -> Any:
        raise RuntimeError("a bug")

    async def story() -> None:
        monkeypatch.setattr(under_test.cache.assembly.prompts.optimizer, "plan", broken)
        upstream = provider()
        status, _ = await under_test.ask(asked("q"), upstream)
        assert "stored" in status
        assert upstream.bodies == [asked("q").body]
        assert under_test.cache.stats().errors == 1

    under_test.run(story)


class _Priced:
    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None:
        return Decimal(usage.input_tokens) / 1_000_000


def test_dollars_are_said_from_the_first_answer_on(under_test: CacheUnderTest) -> None:
    under_test.open(prompts="mark", prices=_Priced())

    async def story() -> None:
        upstream = provider()
        heads = [await headers_of(under_test, asked(f"q{at}"), upstream) for at in range(4)]
        assert "usd=0.00" in heads[-1]["askonce-prompts"]

    under_test.run(story)


def test_streams_are_prepared_and_heard(under_test: CacheUnderTest) -> None:
    under_test.open(prompts="mark")

    async def story() -> None:
        upstream = Scripted(lambda: Script(*streamed("Thirty", " days"), headers=SSE_HEADERS))
        for at in range(3):
            headers = await headers_of(under_test, asked(f"q{at}", stream=True), upstream)
        assert "askonce-prompts" in headers
        assert b'"include_usage":true' in upstream.bodies[-1]

    under_test.run(story)


def test_a_pattern_that_is_none_is_refused_when_the_cache_is_made(
    under_test: CacheUnderTest,
) -> None:
    with pytest.raises(ConfigError, match="not a pattern"):
        under_test.open(prompts={"level": "split", "volatile": ["("]})


def test_rules_of_the_users_own_are_laid_over(under_test: CacheUnderTest, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('provider = "openai"\n[[rules]]\nmodels = ["gpt-5.6*"]\nmin_tokens = 90_000\n')
    under_test.open(prompts={"level": "mark", "rules": [str(own)]})

    async def story() -> None:
        upstream = provider()
        for at in range(3):
            await under_test.ask(asked(f"q{at}"), upstream)
        assert under_test.cache.stats().prompts == {"too-short": 3}

    under_test.run(story)


def test_a_file_of_rules_that_is_missing_is_one_clear_error(under_test: CacheUnderTest) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        under_test.open(prompts={"rules": ["gone.toml"]})


# Waiting for a prefix that is being written.


def held(under_test: CacheUnderTest, seconds: str = "20s") -> None:
    under_test.open(prompts={"level": "mark", "hold": seconds})


class Gate:
    """A provider that begins no answer before the test says so."""

    def __init__(
        self, under_test: CacheUnderTest, *, failing: bool = False, status: int = 200
    ) -> None:
        self._flavor = under_test
        self.open = False
        self.asked: list[str] = []
        self.failing = failing
        self.status = status

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Script:
        question = json.loads(body)["messages"][-1]["content"]
        self.asked.append(question)
        if len(self.asked) == 1:
            await self._flavor.until(lambda: self.open)
            if self.failing:
                raise ConnectionError("gone")
            return Script(said(), status=self.status)
        return Script(said())


FOUR_O = "gpt-4o"  # reads any prefix: nothing has to be known of it


async def among_waiters(under_test: CacheUnderTest, gate: Gate, count: int) -> None:
    """Open the gate once so many calls wait for the first one."""
    writing = under_test.cache.assembly.prompts.prefix_lock._writing

    def everybody() -> bool:
        bells = [event for bells in list(writing.values()) for event in bells]
        return len(bells) >= count

    await under_test.until(everybody)
    assert len(gate.asked) == 1
    gate.open = True


def test_calls_that_share_a_cold_prefix_wait_for_the_first_byte(under_test: CacheUnderTest) -> None:
    held(under_test)

    async def story() -> None:
        gate = Gate(under_test)

        def one(at: int) -> Any:
            return lambda: under_test.ask(asked(f"q{at}", model=FOUR_O), gate)

        *answers, _ = await under_test.together(
            *map(one, range(20)), lambda: among_waiters(under_test, gate, 19)
        )
        assert all("stored" in status for status, _ in answers)
        assert len(gate.asked) == 20
        assert under_test.cache.stats().prompts["held"] == 19
        assert len(under_test.cache.assembly.prompts.prefix_lock) == 0
        # The prefix is written: later calls do not wait.
        await under_test.ask(asked("later", model=FOUR_O), gate)
        assert under_test.cache.stats().prompts["held"] == 19

    under_test.run(story)


@pytest.mark.parametrize("how", ["raises", "fails"])
def test_where_the_first_fails_another_one_writes(under_test: CacheUnderTest, how: str) -> None:
    held(under_test)

    async def story() -> None:
        gate = Gate(under_test, failing=how == "raises", status=500)

        def one(at: int) -> Any:
            return lambda: under_test.ask(asked(f"q{at}", model=FOUR_O), gate)

        *answers, _ = await under_test.together(
            *map(one, range(5)), lambda: among_waiters(under_test, gate, 4)
        )
        failed = [one for one in answers if isinstance(one, ConnectionError)]
        assert len(failed) == (1 if how == "raises" else 0)
        assert len(gate.asked) == 5
        assert len(under_test.cache.assembly.prompts.prefix_lock) == 0

    under_test.run(story)


def test_no_call_waits_longer_than_the_bound(under_test: CacheUnderTest) -> None:
    held(under_test, "50ms")

    async def story() -> None:
        gate = Gate(under_test)

        async def opening() -> None:
            await under_test.until(lambda: len(gate.asked) == 5)
            gate.open = True

        def one(at: int) -> Any:
            return lambda: under_test.ask(asked(f"q{at}", model=FOUR_O), gate)

        *answers, _ = await under_test.together(*map(one, range(5)), opening)
        assert all("stored" in status for status, _ in answers)

    under_test.run(story)


def test_other_prefixes_and_short_ones_do_not_wait(under_test: CacheUnderTest) -> None:
    held(under_test)

    async def story() -> None:
        gate = Gate(under_test)

        async def others() -> None:
            await under_test.until(lambda: len(gate.asked) == 1)
            await under_test.ask(asked("b", model=FOUR_O, system=f"B {LONG}"), gate)
            await under_test.ask(asked("c", model=FOUR_O, system="Be brief."), gate)
            await under_test.ask(asked("d", model=FOUR_O, namespace="team-b"), gate)
            gate.open = True

        await under_test.together(lambda: under_test.ask(asked("a", model=FOUR_O), gate), others)
        assert gate.asked == ["a", "b", "c", "d"]
        assert "held" not in under_test.cache.stats().prompts

    under_test.run(story)


def test_a_caller_that_goes_away_while_it_waits_leaves_nothing_behind(clock: Clock) -> None:
    under_test = CacheUnderTest("suspending", "memory:", clock)
    held(under_test)

    async def story() -> None:
        gate = Gate(under_test)
        first = asyncio.ensure_future(under_test.ask(asked("a", model=FOUR_O), gate))
        await under_test.until(lambda: len(gate.asked) == 1)
        waiting = asyncio.ensure_future(under_test.ask(asked("b", model=FOUR_O), gate))
        writing = under_test.cache.assembly.prompts.prefix_lock._writing
        await under_test.until(lambda: any(writing.values()))
        waiting.cancel()
        first.cancel()
        await asyncio.wait([first, waiting])
        await under_test.until(lambda: not writing)
        status, _ = await under_test.ask(asked("c", model=FOUR_O), gate)
        assert "stored" in status
        assert len(under_test.cache.assembly.prompts.prefix_lock) == 0

    under_test.run(story)


def test_what_was_written_is_warm_for_its_lifetime(under_test: CacheUnderTest) -> None:
    async def story() -> None:
        runtime = under_test.parts.context.runtime
        warming = PrefixLock(runtime.lock())
        first = await warming.acquire([b"a", b"b"], runtime, lifetime=3600, hold=20)
        other = await warming.acquire([b"c"], runtime, lifetime=3600, hold=20)
        assert len(warming) == 3
        first.release(written=True)
        first.release(written=False)
        again = await warming.acquire([b"a", b"c"], runtime, lifetime=3600, hold=0)
        assert not again.waited
        other.release(written=True)
        over = await warming.acquire([b"a"], runtime, lifetime=0, hold=20)
        assert len(warming) == 1
        over.release(written=False)

    under_test.run(story)
