"""Who asks, and what the provider looks up, on the whole request path in both modes."""

from typing import Any

import msgspec
import pytest

from askonce import Cache, Rules
from askonce.config.load import load
from askonce.core.errors import ConfigError
from askonce.core.models import Call
from askonce.core.origins import QUESTION_MEMBERS
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said

FOREIGN, OWN = "https://llm.example.com", "https://api.openai.com"


@pytest.fixture
def in_memory(mode: str, clock: Clock) -> CacheUnderTest:
    return CacheUnderTest(mode, "memory:", clock)


def at(origin: str, path: str = "/v1/chat/completions", /, **body: Any) -> Call:
    return msgspec.structs.replace(call(**body), origin=origin, path=path)


async def shares(in_memory: CacheUnderTest, one: Call, other: Call) -> bool:
    provider = Scripted(lambda: Script(said()))
    await in_memory.ask(one, provider)
    await in_memory.ask(other, provider)
    return provider.calls == 1


@pytest.mark.parametrize(("origin", "expected"), [(FOREIGN, False), (OWN, True)])
@pytest.mark.parametrize("name", ["user", "metadata", "safety_identifier"])
def test_an_end_user_shares_at_the_providers_own_address_only(
    in_memory: CacheUnderTest, name: str, origin: str, expected: bool
) -> None:
    async def scenario() -> None:
        one, other = (at(origin, **{name: who}) for who in ({"id": "alice"}, {"id": "bob"}))
        assert await shares(in_memory, one, other) is expected
        assert await shares(in_memory, at(origin, question_of="x"), at(origin, question_of="x"))

    in_memory.run(scenario)


@pytest.mark.parametrize(
    ("stateless", "origin", "expected"),
    [
        ([FOREIGN], FOREIGN, True),
        (f"{FOREIGN}/v1", FOREIGN, True),
        ({FOREIGN: True}, f"{FOREIGN}:443", True),
        ([FOREIGN], "https://other.example.com", False),
        ({OWN: False}, OWN, False),
    ],
)
def test_an_argument_names_the_addresses_that_are_stateless(
    in_memory: CacheUnderTest, stateless: Any, origin: str, expected: bool
) -> None:
    in_memory.open(stateless=stateless)

    async def scenario() -> None:
        one, other = (at(origin, user=who) for who in ("alice", "bob"))
        assert await shares(in_memory, one, other) is expected
        status, _ = await in_memory.ask(
            at(origin, conversation_id="c"), Scripted(lambda: Script(said()))
        )
        assert ("bypass; detail=server-state" in status) is not expected

    in_memory.run(scenario)


def test_a_member_that_changes_no_answer_can_be_named(in_memory: CacheUnderTest) -> None:
    in_memory.open(ignore_members=["trace_ref", "session_id", "user"])

    async def scenario() -> None:
        for name in ("trace_ref", "session_id", "user"):
            one, other = (at(FOREIGN, **{name: value, "about": name}) for value in ("a", "b"))
            assert await shares(in_memory, one, other)
        assert not await shares(in_memory, at(FOREIGN, other="a"), at(FOREIGN, other="b"))

    in_memory.run(scenario)


@pytest.mark.parametrize("name", sorted(QUESTION_MEMBERS))
def test_the_question_itself_cannot_be_ignored(name: str) -> None:
    with pytest.raises(ConfigError, match=f"ignore_members cannot have '{name}'"):
        Cache(ignore_members=name)
    with pytest.raises(ConfigError, match=f"keys.ignore_members cannot have '{name}'"):
        load(f'[keys]\nignore_members = ["{name}"]', {})
    assert load('[keys]\nignore_members = ["a"]', {}).keys.ignore_members == ("a",)


def test_azure_takes_the_model_from_the_path(in_memory: CacheUnderTest) -> None:
    origin = "https://acme.openai.azure.com"
    path = "/openai/deployments/gpt%2D4o/chat/completions?api-version=2024-10-21"
    in_memory.open(rules=Rules().never(None, model="gpt-5*"))

    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        without = at(origin, path, model=None)
        body = msgspec.json.decode(without.body)
        del body["model"]
        without = msgspec.structs.replace(without, body=msgspec.json.encode(body))
        status, _ = await in_memory.ask(without, provider)
        assert "fwd=miss; stored" in status
        assert provider.bodies == [without.body]
        status, _ = await in_memory.ask(at(origin, path, model="gpt-4o"), provider)
        assert "; hit; " in status
        other = path.replace("gpt%2D4o", "gpt-5")
        status, _ = await in_memory.ask(msgspec.structs.replace(without, path=other), provider)
        assert "fwd=bypass; detail=rule" in status
        elsewhere = msgspec.structs.replace(without, path="/v1/chat/completions")
        status, _ = await in_memory.ask(elsewhere, provider)
        assert "fwd=bypass; detail=malformed" in status

    in_memory.run(scenario)


def test_a_rule_may_keep_what_the_provider_looked_up(
    in_memory: CacheUnderTest, clock: Clock
) -> None:
    in_memory.open(rules=Rules().after(None, "5m", model="sonar*", also_store=["hosted-tool"]))

    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        asked = at(FOREIGN, model="sonar-pro", search_parameters={"mode": "on"})
        assert "fwd=miss; stored" in (await in_memory.ask(asked, provider))[0]
        assert "; hit; " in (await in_memory.ask(asked, provider))[0]
        clock.forward(301)
        assert "fwd=miss; stored" in (await in_memory.ask(asked, provider))[0]
        other = at(FOREIGN, model="gpt-4o", search_parameters={"mode": "on"})
        assert "fwd=bypass; detail=hosted-tool" in (await in_memory.ask(other, provider))[0]
        state = at(FOREIGN, model="sonar-pro", conversation_id="c")
        assert "fwd=bypass" in (await in_memory.ask(state, provider))[0]

    in_memory.run(scenario)
