"""The table of keys: which pairs of requests share an answer.

A row of `keys.json` is two requests, `a` and `b`, of headers and a body:

    name    a few words
    share   whether the second is answered with the first one's answer
    own     True at a provider's own address (default: at any other)
    path    where the requests go (default: Chat Completions)

Every row runs through the transport in both modes, and through the gateway. Below it, the rules
behind the rows run on generated names, which are on no list.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.keys import canonical, exact_number
from askonce.core.models import Call
from askonce.core.policy import Limits
from askonce.core.request_headers import HeaderKinds
from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES
from askonce.formats.openai_chat import OPENAI_CHAT
from askonce.pipeline.recognition import Recognition, Recognized
from tests.fixtures.stores import run_blocking
from tests.gateway.stage import CHAT, PATIENCE_S, Exchange, Puppet, gateway
from tests.library.sdks import Door, entered, ready

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("keys.json").read_text())


async def answers(exchange: Exchange) -> None:
    """Answer in the format of the path; the text fits every schema of the table."""
    await exchange.head(content_type="application/json")
    text = json.dumps({"x": "a", "y": "b"})
    if exchange.seen.target.startswith(CHAT):
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer: dict[str, Any] = {
            "id": "c",
            "object": "chat.completion",
            "model": "m",
            "choices": [choice],
        }
    else:
        content = [{"type": "text", "text": text}]
        usage = {"input_tokens": 1, "output_tokens": 1}
        answer = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage}
        answer |= {"content": content, "stop_reason": "end_turn", "stop_sequence": None}
    await exchange.end(json.dumps(answer).encode())


async def check(row: dict[str, Any], puppet: Puppet, send: Callable[..., Any]) -> None:
    puppet.act = answers
    before = len(puppet.seen)
    for half in (row["a"], row["b"]):
        # The row's name in a header keeps rows apart that share one gateway.
        headers = {"content-type": "application/json", **half["headers"], "x-row": row["name"]}
        content = json.dumps(half["body"])
        await ready(send(row.get("path", CHAT), content=content, headers=headers))
    assert len(puppet.seen) - before == (1 if row["share"] else 2)


@pytest.fixture(scope="module")
def puppet() -> Iterator[Puppet]:
    with Puppet().served() as puppet:
        yield puppet


@pytest.fixture(scope="module", params=[False, True], ids=["foreign", "own"])
def gateway_client(request: pytest.FixtureRequest, puppet: Puppet) -> Iterator[httpx2.Client]:
    more = f"""
        [providers.under-test]
        base_url = "{puppet.url}"
        format = "openai"
        stateless = {json.dumps(request.param)}
    """
    with (
        gateway(puppet.url, more=more) as url,
        httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client,
    ):
        client.is_own = request.param  # type: ignore[attr-defined]
        yield client


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_through_the_transport(row: dict[str, Any], puppet: Puppet, mode: str) -> None:
    door = Door(httpx2, mode == "blocking", puppet.url)

    async def scenario() -> None:
        own = [puppet.url] if row.get("own") else ()
        async with (
            door.cache(stateless=own) as cache,
            entered(door.http(cache, timeout=PATIENCE_S)) as client,
        ):
            await check(row, puppet, client.post)

    door.run(scenario())


def test_through_the_gateway(puppet: Puppet, gateway_client: httpx2.Client) -> None:
    """One test for all rows: they need one gateway, and a list of failures says which."""
    is_own = gateway_client.is_own  # type: ignore[attr-defined]
    failed = []
    for row in ROWS:
        if bool(row.get("own")) == is_own:
            try:
                run_blocking(check(row, puppet, gateway_client.post))
            except AssertionError:
                failed.append(row["name"])
    assert failed == []


def test_the_table_is_read() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS) > 150
    assert {row["share"] for row in ROWS} == {True, False}


# Generated names and values

NAMES = st.from_regex(r"x-[bdfgklmn][aeiou][a-z]{2,8}-[bdfgklmn][aeiou]", fullmatch=True)
VALUES = st.text("abcxyz0189 ;=,", min_size=1, max_size=8).map(str.strip).filter(bool)
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def key_with(
    headers: dict[str, str],
    body: Any = ASKED,
    *,
    path: str = CHAT,
    kinds: HeaderKinds | None = None,
) -> Any:
    recognition = Recognition(Limits(), kinds=kinds or HeaderKinds())
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = Call("POST", "https://llm.example.com", path, headers, text, "team")
    found = recognition.recognize(call, "team")
    assert isinstance(found, Recognized), found
    return found.key


@given(name=NAMES, one=VALUES, other=VALUES)
def test_a_header_that_is_on_no_list_counts(name: str, one: str, other: str) -> None:
    assert (key_with({name: one}) == key_with({name: other})) == (one == other)
    assert key_with({name: one}) != key_with({})


@given(name=NAMES, one=VALUES, other=VALUES)
def test_a_header_that_the_user_ignores_does_not_count(name: str, one: str, other: str) -> None:
    for pattern in (name, f"{name[:4]}*", f"*{name[-4:]}"):
        kinds = HeaderKinds(ignored=[pattern])
        assert key_with({name: one}, kinds=kinds) == key_with({name: other}, kinds=kinds)


@given(
    headers=st.dictionaries(NAMES, VALUES, max_size=5),
    harmless=st.dictionaries(
        st.sampled_from(["user-agent", "x-stainless-os", "traceparent", "sec-ch-ua", "cf-ray",
                         "x-forwarded-for", "idempotency-key", "x-my-timeout", "authorization"]),
        VALUES,
    ),
    chance=st.randoms(use_true_random=False),
)  # fmt: skip
def test_neither_order_nor_harmless_headers_change_a_key(
    headers: dict[str, str], harmless: dict[str, str], chance: Any
) -> None:
    pairs = [*headers.items(), *harmless.items()]
    chance.shuffle(pairs)
    assert key_with(dict(pairs)) == key_with(headers)


JSON = st.recursive(
    st.one_of(st.text(max_size=3), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abcd", max_size=2), inner, max_size=4)
    ),
    max_leaves=12,
)


def shuffled(tree: Any, chance: Any) -> Any:
    if isinstance(tree, dict):
        pairs = [(name, shuffled(value, chance)) for name, value in tree.items()]
        chance.shuffle(pairs)
        return dict(pairs)
    return [shuffled(item, chance) for item in tree] if isinstance(tree, list) else tree


PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "a schema": lambda tree: {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": tree}}
    },
    "a tool": lambda tree: {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": tree}}]
    },
    "a function": lambda tree: {"functions": [{"name": "f", "parameters": tree}]},
    "an unknown member": lambda tree: {"zork": tree},
    "guided decoding": lambda tree: {"guided_json": tree},
}


@pytest.mark.parametrize("place", PLACES)
@given(tree=st.dictionaries(st.text("abcd", max_size=2), JSON, max_size=4), chance=st.randoms())
def test_the_order_of_a_callers_json_is_part_of_the_question(
    place: str, tree: dict[str, Any], chance: Any
) -> None:
    other = shuffled(tree, chance)
    bodies = [ASKED | PLACES[place](one) for one in (tree, other)]
    asked = [canonical(OPENAI_CHAT.read(body).asked) for body in bodies]
    assert (asked[0] == asked[1]) == (json.dumps(tree) == json.dumps(other))


def turn(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi", **more}]}


def block(**more: Any) -> dict[str, Any]:
    return turn(content=[{"type": "text", "text": "Hi", **more}])


BOTH: dict[str, Callable[[Any], dict[str, Any]]] = {
    "an unknown member of a message": lambda tree: turn(zork=tree),
    "an unknown member of a text": lambda tree: block(zork=tree),
    "an unknown member of a choice of tools": lambda tree: {
        "tool_choice": {"type": "auto", "zork": tree}
    },
}
ANTHROPIC_PLACES: dict[str, Callable[[Any], dict[str, Any]]] = BOTH | {
    "an output format": lambda tree: {"output_format": {"type": "json_schema", "schema": tree}},
    "an output configuration": lambda tree: {
        "output_config": {"format": {"type": "json_schema", "schema": tree}}
    },
    "a tool": lambda tree: {"tools": [{"name": "f", "input_schema": tree}]},
    "an input": lambda tree: turn(
        content=[{"type": "tool_use", "id": "i", "name": "f", "input": tree}]
    ),
    "an unknown member of a system prompt": lambda tree: {
        "system": [{"type": "text", "text": "Hi", "zork": tree}]
    },
    "an unknown member of a result": lambda tree: turn(
        content=[{"type": "tool_result", "tool_use_id": "i", "zork": tree}]
    ),
    "an unknown member of an image": lambda tree: turn(
        content=[{"type": "image", "source": {"type": "url", "url": "u"}, "zork": tree}]
    ),
    "an unknown block": lambda tree: turn(content=[{"type": "zork", "zork": tree}]),
}
CHAT_PLACES: dict[str, Callable[[Any], dict[str, Any]]] = BOTH | {
    "an image": lambda tree: turn(
        content=[{"type": "image_url", "image_url": {"url": "u", "zork": tree}}]
    ),
    "a prediction": lambda tree: {"prediction": {"type": "content", "content": "Hi", "zork": tree}},
    "another response format": lambda tree: {
        "response_format": {"type": "json_object", "schema": tree}
    },
}


@pytest.mark.parametrize(
    ("form", "place"),
    [
        *[(ANTHROPIC_MESSAGES, place) for place in ANTHROPIC_PLACES.items()],
        *[(OPENAI_CHAT, place) for place in CHAT_PLACES.items()],
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else each.name,
)
@given(tree=st.dictionaries(st.text("abcd", max_size=2), JSON, max_size=4), chance=st.randoms())
def test_order_counts_wherever_a_callers_json_begins(
    form: Any, place: Any, tree: dict[str, Any], chance: Any
) -> None:
    other = shuffled(tree, chance)
    bodies = [ASKED | {"max_tokens": 5} | place[1](one) for one in (tree, other)]
    asked = [canonical(form.read(body).asked) for body in bodies]
    assert (asked[0] == asked[1]) == (json.dumps(tree) == json.dumps(other))


@pytest.mark.parametrize("name", ["output_format", "output_config"])
def test_the_order_of_anthropics_own_members_does_not_count(name: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    turned = dict(reversed(form.items()))
    given = [form, turned] if name == "output_format" else [{"format": form}, {"format": turned}]
    asked = [canonical(ANTHROPIC_MESSAGES.read(ASKED | {name: one}).asked) for one in given]
    assert asked[0] == asked[1]


NUMERALS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)


def key_of_number(text: str) -> Any:
    return key_with({}, b'{"model":"m","messages":[],"seed":%b}' % text.encode())


@given(one=NUMERALS, other=NUMERALS)
def test_numbers_share_a_key_exactly_if_they_are_equal(one: str, other: str) -> None:
    from decimal import Decimal

    assert (key_of_number(one) == key_of_number(other)) == (Decimal(one) == Decimal(other))


@given(text=NUMERALS, zeros=st.integers(0, 5))
def test_the_spelling_of_a_number_does_not_count(text: str, zeros: int) -> None:
    mantissa, _, exponent = text.lower().partition("e")
    spelled = f"{mantissa}{'' if '.' in mantissa else '.0'}{'0' * zeros}e{exponent or 0}"
    assert key_of_number(text) == key_of_number(spelled)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.1", "0.1000000000000000055511151231257827"),
        ("9007199254740993", "9007199254740992.0"),
        ("1e23", "99999999999999991611392"),
        ("1e400", "1e401"),
        ("1e-400", "0.0"),
        ("1e-400", "1e-401"),
        ("123456789012345678", "123456789012345679"),
        ("18446744073709551617", "18446744073709551616"),
    ],
)
def test_numbers_beyond_a_float_differ(one: str, other: str) -> None:
    assert key_of_number(one) != key_of_number(other)


def test_an_exponent_of_a_billion_costs_nothing() -> None:
    assert float(exact_number("1e999999999")) == float("inf")
    assert key_of_number("1e999999999") != key_of_number("1e999999998")


@pytest.mark.parametrize("value", ["key=a", "api_key=a&alt=sse", "alt=sse&access_token=a"])
def test_a_credential_in_the_query_is_not_in_the_key(value: str) -> None:
    other = value.replace("=a", "=b")
    assert key_with({}, path=f"{CHAT}?{value}") == key_with({}, path=f"{CHAT}?{other}")
    assert key_with({}, path=f"{CHAT}?api-version=1") != key_with({}, path=f"{CHAT}?api-version=2")
