"""Headers and members that differ in each call are found and named once."""

import logging
from typing import Any

import msgspec
import pytest

from askonce.core.models import Call
from askonce.pipeline.restless_members import WINDOW, RestlessMembers
from tests.fixtures.scripted import CacheUnderTest, Script, Scripted, call, said

FOREIGN = "https://llm.example.com"
ROUTE = (FOREIGN, "/v1/chat/completions")


class Watch:
    """Restless members, with calls of one route."""

    def __init__(self, *, hits: bool = False) -> None:
        self.members = RestlessMembers(lambda: hits)

    def see(
        self,
        *,
        question: str = "Why?",
        headers: dict[str, str] | None = None,
        route: tuple[str, str] = ROUTE,
        **members: Any,
    ) -> None:
        self.members.observe(route, question, (headers or {}).items(), members)

    @property
    def names(self) -> list[str]:
        return list(self.members.found)


def test_a_header_that_differs_in_each_call_is_named_with_its_mend() -> None:
    watch = Watch()
    for number in range(WINDOW - 1):
        watch.see(headers={"x-my-trace": f"t{number}", "x-team": "a"})
    assert watch.names == []
    watch.see(headers={"x-my-trace": "last", "x-team": "a"})
    assert watch.names == ["x-my-trace"]
    advice = watch.members.found["x-my-trace"]
    assert advice.startswith("x-my-trace differs in each call: add it to ignore_headers")


@pytest.mark.parametrize(
    ("name", "mend"), [("trace_ref", "ignore_members"), ("user", "stateless = true")]
)
@pytest.mark.parametrize("make", [str, int, lambda n: {"id": n}, lambda n: [n], lambda n: n + 0.5])
def test_a_member_that_differs_in_each_call_is_named_with_its_mend(
    name: str, mend: str, make: Any
) -> None:
    watch = Watch()
    for number in range(WINDOW):
        watch.see(**{name: make(number), "temperature": 0.0, "messages": [number]})
    assert watch.names == [f"member `{name}`"]
    advice = watch.members.found[f"member `{name}`"]
    assert advice.startswith(f"member `{name}` differs in each call: ")
    assert mend in advice


def test_a_value_that_repeats_is_no_trace() -> None:
    watch = Watch()
    for number in range(10 * WINDOW):
        watch.see(headers={"x-shard": str(number % (WINDOW - 1))})
    assert watch.names == []


def test_a_repeat_long_ago_does_not_hide_a_trace_for_ever() -> None:
    watch = Watch()
    for value in ["same", "same", *map(str, range(2 * WINDOW))]:
        watch.see(headers={"x-my-trace": value})
    assert watch.names == ["x-my-trace"]


def test_questions_of_their_own_and_hits_are_no_sign() -> None:
    """A seed for each question differs in each miss and repeats in each hit."""
    watch = Watch(hits=True)
    for number in range(5 * WINDOW):
        watch.see(question=f"question {number}", seed=number)
    assert watch.names == []
    for number in range(2 * WINDOW):
        watch.see(question=f"question {number % 3}", seed=-number - 1)
    assert watch.names == ["member `seed`"]


def test_without_any_hit_different_questions_do_not_hide_it() -> None:
    watch = Watch()
    for number in range(WINDOW):
        watch.see(question=f"question {number}", headers={"x-my-trace": str(number)})
    assert watch.names == ["x-my-trace"]


def test_a_route_is_watched_by_itself_and_a_name_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = Watch()
    with caplog.at_level(logging.WARNING, "askonce.keys"):
        for number in range(3 * WINDOW):
            route = (FOREIGN, f"/{number % 2}/chat/completions")
            watch.see(route=route, headers={"x-my-trace": f"secret-{number}"})
    assert watch.names == ["x-my-trace"]
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_memory_is_bounded_against_callers_who_invent_names() -> None:
    watch = Watch()
    for number in range(2_000):
        route = (FOREIGN, f"/{number}")
        watch.see(route=route, headers={f"x-{number}-{n}": "v" for n in range(100)})
    for number in range(200):
        for value in range(WINDOW):
            watch.see(headers={f"x-new-{number}": str(value)})
    routes = watch.members._routes
    assert len(routes) <= 64
    assert all(len(windows) <= 64 for windows in routes.values())
    assert len(watch.names) == 64


def foreign(number: int, **more: Any) -> Call:
    asked = call(headers={"anthropic-version": f"v{number}"}, **more)
    return msgspec.structs.replace(asked, origin=FOREIGN)


@pytest.fixture
def in_memory(mode: str, clock: Any) -> CacheUnderTest:
    return CacheUnderTest(mode, "memory:", clock)


def test_the_statistics_and_the_log_name_it(
    in_memory: CacheUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        with caplog.at_level(logging.WARNING, "askonce.keys"):
            for number in range(WINDOW):
                await in_memory.ask(foreign(number, trace_ref=f"t{number}", seed=1), provider)
        assert provider.calls == WINDOW
        found = in_memory.cache.stats().never_repeats
        assert list(found) == ["anthropic-version", "member `trace_ref`"]
        assert [record.message for record in caplog.records] == list(found.values())

    in_memory.run(scenario)


def test_calls_that_bypass_and_calls_that_hit_say_nothing(in_memory: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        for number in range(2 * WINDOW):
            await in_memory.ask(call(trace_ref=str(number), temperature=1), provider)
            await in_memory.ask(call(trace_ref=str(number), web_search_options={}), provider)
            await in_memory.ask(call(seed=1, metadata={"trace": number}), provider)
        assert in_memory.cache.stats().never_repeats == {}

    in_memory.run(scenario)
