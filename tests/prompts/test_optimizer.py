"""The optimizer: what it may touch at each level, when it marks, and when it leaves alone."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.errors import ConfigError
from askonce.core.models import Usage
from askonce.core.rules.re2 import compiled
from askonce.prompts.assembly import shipped_rules
from askonce.prompts.optimizer.optimizer import Optimizer, OutgoingRequest, PromptPlan
from askonce.prompts.optimizer.reuse_stats import ReuseStats
from askonce.prompts.optimizer.stable_tools import StableTools
from askonce.prompts.optimizer.volatile_spans import VolatileSpans
from askonce.prompts.requests.dialects import DIALECTS
from askonce.prompts.requests.raw_json import NotUnderstood, parse_object
from askonce.prompts.requests.request_parts import RequestParts
from askonce.prompts.settings import Level, Prompts, read_prompts

LONG = "You answer for a bank. Never promise what the terms do not say. " * 300
SONNET, LUNA, FOUR_O = "claude-sonnet-4-5", "gpt-5.6-luna", "gpt-4o"
ORIGINS = {
    "messages": "https://api.anthropic.com",
    "chat": "https://api.openai.com",
    "responses": "https://api.openai.com",
    "gemini": "https://generativelanguage.googleapis.com",
}


def optimizer(level: Level = "mark", *patterns: str) -> Optimizer:
    return Optimizer(shipped_rules(), level, [compiled(pattern) for pattern in patterns])


def outgoing(dialect: Any, body: Any, *, path: str = "/v1/x", origin: str = "") -> OutgoingRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    return OutgoingRequest(dialect, origin or ORIGINS[dialect], path, "team-a", raw)


def claude(*turns: str, system: Any = LONG, **more: Any) -> OutgoingRequest:
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]
    body = {"model": SONNET, "max_tokens": 9, "system": system, "messages": messages, **more}
    return outgoing("messages", body)


def chat(question: str, *, system: str = LONG, model: str = LUNA, **more: Any) -> OutgoingRequest:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return outgoing("chat", {"model": model, "messages": messages, **more})


def seen_before(made: Optimizer, *calls: OutgoingRequest, times: int = 3) -> list[PromptPlan]:
    """The plans of these calls, ten seconds apart, again and again."""
    return [
        made.plan(call, 1_000.0 + 10 * (turn * len(calls) + at))
        for turn in range(times)
        for at, call in enumerate(calls)
    ]


def parsed(plan: PromptPlan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.body)
    return found


# Observe.


def test_observing_changes_no_byte_and_says_what_would_be_won() -> None:
    sent = [claude(f"question {at}") for at in range(4)]

    plans = seen_before(optimizer("observe"), *sent, times=1)

    assert [plan.body for plan in plans] == [call.body for call in sent]
    assert [plan.report.did for plan in plans] == [()] * 4
    assert plans[0].report.reason == "not-seen-before"
    assert plans[3].report.expected_tokens > 1_000


# Mark.


def test_a_shared_system_prompt_is_marked_from_its_second_sighting_on() -> None:
    first, second, third = seen_before(optimizer(), *map(claude, ("a", "b", "c")), times=1)

    assert first.body == claude("a").body
    for plan, question in ((second, "b"), (third, "c")):
        assert parsed(plan)["system"] == [
            {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
        ]
        assert parsed(plan)["messages"] == [{"role": "user", "content": question}]
        assert [(one.pointer, one.ttl) for one in plan.report.markers] == [("/system", "5m")]


def test_one_shot_traffic_is_not_marked() -> None:
    sent = [claude("a", system=f"{at} {LONG}") for at in range(20)]

    plans = seen_before(optimizer(), *sent, times=1)

    assert [plan.body for plan in plans] == [call.body for call in sent]
    assert {plan.report.reason for plan in plans[1:]} == {"not-worth-it"}


def test_a_conversation_is_marked_at_its_end_and_where_it_ended_before() -> None:
    turns = ["q0"]
    made = optimizer()
    for at in range(1, 6):
        plan = made.plan(claude(*turns), 1_000.0 + 20 * at)
        turns += [f"a{at} " * 50, f"q{at}"]

    assert [one.pointer for one in plan.report.markers] == ["/system", "/messages/6", "/messages/8"]
    last = parsed(plan)["messages"][-1]["content"]
    assert last == [{"type": "text", "text": "q4", "cache_control": {"type": "ephemeral"}}]


def test_an_hour_is_bought_where_calls_come_every_ten_minutes() -> None:
    made = optimizer()

    plans = [made.plan(claude(f"q{at}"), 1_000.0 + 600 * at) for at in range(30)]

    (marker,) = plans[-1].report.markers
    assert marker.ttl == "1h"
    control = parsed(plans[-1])["system"][0]["cache_control"]
    assert control == {"type": "ephemeral", "ttl": "1h"}


def test_lifetimes_never_grow_along_the_prompt() -> None:
    made = optimizer()
    names = {"5m": 300, "1h": 3600}
    for at in range(40):
        plan = made.plan(claude("q", "a", f"q{at}"), 1_000.0 + 400 * at)
        lives = [names[one.ttl] for one in plan.report.markers]
        assert lives == sorted(lives, reverse=True)
        assert len(lives) <= 4


def test_a_short_prompt_is_not_marked_and_gets_no_key() -> None:
    plans = seen_before(optimizer(), chat("a", system="Be brief."), times=5)

    assert {plan.report.reason for plan in plans} == {"too-short"}
    assert {plan.body for plan in plans} == {chat("a", system="Be brief.").body}


def test_gpt_5_6_gets_a_breakpoint_a_key_and_no_fee_for_ends_that_no_call_reads() -> None:
    plans = seen_before(optimizer(), *(chat(f"q{at}") for at in range(4)), times=1)

    body = parsed(plans[-1])
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": LONG, "prompt_cache_breakpoint": {"mode": "explicit"}}
    ]
    assert body["messages"][1] == {"role": "user", "content": "q3"}
    assert body["prompt_cache_options"] == {"mode": "explicit"}
    assert body["prompt_cache_key"] == parsed(plans[0])["prompt_cache_key"]
    assert "team-a" not in body["prompt_cache_key"]
    assert "prompt_cache_options" not in parsed(plans[0])  # nothing is known yet


def test_a_growing_chat_keeps_the_providers_own_endings() -> None:
    made = optimizer()
    messages: list[Any] = [{"role": "system", "content": LONG}]
    for at in range(6):
        messages.append({"role": "user", "content": f"q{at}"})
        sent = outgoing("chat", {"model": LUNA, "messages": messages})
        plan = made.plan(sent, 1_000.0 + at)
        messages.append({"role": "assistant", "content": "a" * 900})

    assert "prompt_cache_options" not in parsed(plan)
    assert "/messages/0" in [one.pointer for one in plan.report.markers]


def test_older_models_get_a_key_by_prefix_and_shards_only_under_load() -> None:
    made = optimizer()

    slow = [parsed(made.plan(chat(f"q{at}", model=FOUR_O), 10.0 * at)) for at in range(5)]
    other = parsed(made.plan(chat("q", model=FOUR_O, system="B" + LONG), 60.0))
    fast = [parsed(made.plan(chat(f"q{at}", model=FOUR_O), 100.0 + at / 10)) for at in range(300)]

    assert len({body["prompt_cache_key"] for body in slow}) == 1
    assert other["prompt_cache_key"] != slow[0]["prompt_cache_key"]
    assert 8 < len({body["prompt_cache_key"] for body in fast[-100:]}) <= 64
    assert all(len(body["prompt_cache_key"]) <= 64 for body in fast)
    assert slow[0]["messages"][0]["content"] == LONG


def test_a_callers_own_key_stays() -> None:
    for plan in seen_before(optimizer(), chat("q", prompt_cache_key="mine")):
        assert parsed(plan)["prompt_cache_key"] == "mine"


@pytest.mark.parametrize(
    "own",
    [
        claude("q", cache_control={"type": "ephemeral"}),
        claude(
            "q", system=[{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
        ),
        chat("q", prompt_cache_options={"mode": "implicit"}),
    ],
)
def test_the_callers_own_markers_always_win(own: OutgoingRequest) -> None:
    made = optimizer("split", "bank")
    neighbor = claude("q") if own.dialect == "messages" else chat("q")
    seen_before(made, neighbor)

    plan = made.plan(own, 2_000.0)

    assert plan.body == own.body
    assert plan.report.reason == "client-marked"
    assert plan.prefixes


def test_words_in_a_text_are_no_markers() -> None:
    plans = seen_before(optimizer(), claude('say "cache_control" and {"cache_control": 1}'))

    assert plans[-1].report.did == ("marked",)


NOT_UNDERSTOOD: list[tuple[Any, Any]] = [
    ("messages", b"{"),
    ("messages", b"[]"),
    ("messages", {"model": SONNET, "messages": "hello"}),
    ("messages", {"model": SONNET, "messages": [{"role": "narrator", "content": "x"}]}),
    ("messages", {"model": SONNET, "messages": [{"role": "user", "content": [{"type": "new"}]}]}),
    ("messages", {"model": SONNET, "messages": [], "unheard_of": 1}),
    ("messages", {"model": SONNET, "messages": [7]}),
    ("messages", {"model": SONNET, "messages": [{"role": "user", "content": 7}]}),
    ("messages", {"model": SONNET, "messages": [], "container": "c"}),
    ("messages", {"model": SONNET, "messages": [], "system": 5}),
    ("messages", {"model": SONNET, "messages": [], "tools": {}}),
    ("responses", {"model": LUNA, "input": "x", "previous_response_id": "r"}),
    ("chat", {"model": LUNA}),
    ("chat", b'{"model":"gpt-5.6-luna","messages":[],"model":"gpt-4o"}'),
    ("chat", b'{"model": "gpt-5.6-luna", "messages": [], "model": "gpt-4o"}'),
    ("chat", b'\xff{"model":"gpt-5.6-luna","messages":[]}'),
    ("gemini", {"contents": [{"role": "narrator", "parts": []}]}),
]


@pytest.mark.parametrize(("dialect", "body"), NOT_UNDERSTOOD)
def test_what_is_not_understood_goes_out_byte_for_byte(dialect: str, body: Any) -> None:
    sent = outgoing(dialect, body)

    plan = optimizer("split").plan(sent, 1.0)

    assert plan.body is sent.body
    assert plan.report.reason in ("not-understood", "server-state", "unknown-model")
    assert plan.report.did == ()


def test_an_unknown_model_is_only_measured() -> None:
    sent = chat("q", model="in-house-7b")

    plans = seen_before(optimizer("split", "bank"), sent)

    assert {plan.body for plan in plans} == {sent.body}
    assert {plan.report.reason for plan in plans} == {"unknown-model"}


def test_what_is_not_changed_stays_the_senders_bytes() -> None:
    odd = (
        b'{"model":"claude-sonnet-4-5" ,"max_tokens":1e1,"temperature":0.10,'
        b'"metadata":{"b":1,"a":"\\u00e9\\ud83d\\ude00"},"system":"%b",'
        b'"messages":[{"content":"caf\\u00e9  \\/","role":"user"}]}'
    ) % LONG.encode()

    plan = seen_before(optimizer(), outgoing("messages", odd))[-1]

    assert plan.report.did == ("marked",)
    for part in (b"1e1", b"0.10", b'{"b":1,"a":"\\u00e9\\ud83d\\ude00"}', b"caf\\u00e9  \\/"):
        assert part in plan.body


# Tools.

TOOLS = [
    {"name": f"tool_{at}", "input_schema": {"type": "object", "properties": {"a": {}, "b": {}}}}
    for at in range(4)
]


def turned(tool: dict[str, Any]) -> dict[str, Any]:
    """The same tool: the order of the protocol's own members is free."""
    return dict(reversed(tool.items()))


def test_an_equal_set_of_tools_keeps_its_first_bytes_and_order() -> None:
    made = optimizer()
    made.plan(claude("q", system="short", tools=TOOLS), 1.0)

    plan = made.plan(claude("q", system="short", tools=[turned(one) for one in TOOLS[::-1]]), 2.0)

    assert plan.report.did == ("frozen",)
    assert plan.body == claude("q", system="short", tools=TOOLS).body


def test_another_set_keeps_its_order_and_takes_the_bytes_of_tools_seen_before() -> None:
    made = optimizer()
    made.plan(claude("q", system="short", tools=TOOLS), 1.0)
    new = {"name": "new", "input_schema": {}}

    plan = made.plan(claude("q", system="short", tools=[new, turned(TOOLS[2])]), 2.0)

    assert plan.body == claude("q", system="short", tools=[new, TOOLS[2]]).body


SCHEMAS = st.recursive(
    st.booleans() | st.sampled_from(["string", "1.00000000000000000001", ""]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b", "type", "properties"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def shuffled(schema: Any, data: Any) -> Any:
    if isinstance(schema, dict):
        names = data.draw(st.permutations(list(schema)))
        return {name: shuffled(schema[name], data) for name in names}
    return [shuffled(item, data) for item in schema] if isinstance(schema, list) else schema


@given(st.lists(SCHEMAS, min_size=1, max_size=3), st.sampled_from(["chat", "messages"]), st.data())
def test_the_order_inside_a_schema_arrives_as_it_was_sent(
    schemas: list[Any], dialect: str, data: Any
) -> None:
    def tools(schemas: list[Any]) -> list[Any]:
        named = [({"name": f"t{at}"}, schema) for at, schema in enumerate(schemas)]
        if dialect == "messages":
            return [{**name, "input_schema": schema} for name, schema in named]
        return [{"type": "function", "function": {**n, "parameters": s}} for n, s in named]

    memory = StableTools()
    memory.stabilize("here", json.dumps(tools(schemas)).encode())
    second = [shuffled(schema, data) for schema in schemas]

    sent = memory.stabilize("here", json.dumps(tools(second)).encode())

    assert json.dumps(json.loads(bytes(sent))) == json.dumps(tools(second))


def test_numbers_beyond_floats_in_a_schema_arrive_as_they_were_sent() -> None:
    memory = StableTools()
    first, second = (
        b'[{"name":"t","input_schema":{"maximum":0.1%b}}]' % end for end in (b"", b"0" * 20 + b"1")
    )
    memory.stabilize("here", first)

    assert memory.stabilize("here", second) == second


def test_tools_that_differ_in_a_value_are_others() -> None:
    made = optimizer()
    made.plan(claude("q", tools=TOOLS), 1.0)
    other = [{**TOOLS[0], "description": "says more"}, *TOOLS[1:]]

    sent = claude("q", system="short", tools=other)

    assert made.plan(sent, 2.0).body == sent.body


def test_the_same_tool_twice_is_left_alone() -> None:
    sent = claude("q", system="short", tools=[TOOLS[0], turned(TOOLS[0])])

    assert optimizer().plan(sent, 1.0).body == sent.body


def test_frozen_tools_are_bounded() -> None:
    tools = StableTools(size_bytes=20_000)

    for at in range(500):
        tools.stabilize("here", json.dumps([{"name": f"t{at}", "x": "y" * 100}]).encode())

    assert tools.used_bytes <= 20_000


def test_sightings_are_bounded() -> None:
    made = optimizer()
    made._reuse = ReuseStats(prefixes=100, routes=10)

    for at in range(1_000):
        made.plan(claude(f"q{at}", system=f"{at} {LONG}"), float(at))

    assert len(made._reuse) == 100


# Split.

DATED = f"{LONG}Today is <<volatile>>Monday, 3 May 2027<</volatile>>. Be kind."


def test_declared_spans_move_into_a_tagged_section_of_the_last_turn() -> None:
    plan = optimizer("split").plan(claude("q0", "a0", "q1", system=DATED), 1.0)

    body = parsed(plan)
    assert plan.report.did == ("split",)
    assert body["system"] == f"{LONG}Today is . Be kind."
    assert body["messages"][:2] == [
        {"role": "user", "content": "q0"},
        {"role": "assistant", "content": "a0"},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "text", "text": "q1"},
        {"type": "text", "text": "<context>\nMonday, 3 May 2027\n</context>"},
    ]


def test_a_model_that_takes_system_messages_gets_one() -> None:
    plan = optimizer("split").plan(claude("q", system=DATED, model="claude-opus-5-5"), 1.0)

    assert parsed(plan)["messages"][-1] == {"role": "system", "content": "Monday, 3 May 2027"}


@pytest.mark.parametrize("level", ["observe", "mark"])
def test_nothing_moves_below_its_level(level: Level) -> None:
    sent = claude("q", system=DATED)

    assert optimizer(level, "Monday").plan(sent, 1.0).body == sent.body


def test_patterns_find_what_changes_and_the_rest_is_shared() -> None:
    made = optimizer("split", r"Today is [^.]*\.")
    plans = [
        made.plan(chat(f"q{at}", system=f"Today is day {at}. {LONG}"), 1_000.0 + at)
        for at in range(4)
    ]

    bodies = [parsed(plan) for plan in plans]
    assert bodies[3]["messages"][0]["content"][0]["text"] == f" {LONG}"
    assert bodies[3]["messages"][-1] == {"role": "developer", "content": "Today is day 3."}
    assert plans[3].report.did == ("split", "marked", "explicit", "keyed")


def test_a_system_prompt_that_is_all_volatile_is_gone() -> None:
    plan = optimizer("split", ".+").plan(claude("q", system="Today is Monday."), 1.0)

    assert "system" not in parsed(plan)


def test_responses_and_gemini_are_split_too() -> None:
    asked = {"model": LUNA, "instructions": DATED, "input": "q"}
    responses = parsed(optimizer("split").plan(outgoing("responses", asked), 1.0))
    contents = [{"parts": [{"text": "q"}]}]
    body = {"systemInstruction": {"parts": [{"text": DATED}]}, "contents": contents}
    path = "/v1beta/models/gemini-3-pro:generateContent"
    gemini = parsed(optimizer("split").plan(outgoing("gemini", body, path=path), 1.0))

    assert responses["instructions"] == f"{LONG}Today is . Be kind."
    assert responses["input"] == [
        {"role": "user", "content": "q"},
        {"role": "developer", "content": "Monday, 3 May 2027"},
    ]
    assert gemini["systemInstruction"]["parts"] == [{"text": f"{LONG}Today is . Be kind."}]
    assert gemini["contents"][0]["parts"][1]["text"].startswith("<context>")


@pytest.mark.parametrize(
    "system",
    [
        "a <<volatile>> b",
        "a <</volatile>> b",
        "<<volatile>>a<<volatile>>b<</volatile>><</volatile>>",
    ],
)
def test_tags_that_do_not_match_leave_everything_alone(system: str) -> None:
    sent = claude("q", system=system)

    plan = optimizer("split").plan(sent, 1.0)

    assert plan.body == sent.body
    assert plan.report.reason == "unmatched-tags"


def test_a_prompt_that_ends_with_the_models_own_words_is_not_split() -> None:
    sent = claude("q", "Sure, ", system=DATED)

    plan = optimizer("split").plan(sent, 1.0)

    assert (plan.body, plan.report.reason) == (sent.body, "no-tail")


def test_users_cannot_declare_anything() -> None:
    sent = claude("<<volatile>>x<</volatile>>", system="short")

    assert optimizer("split", "x").plan(sent, 1.0).body == sent.body


def test_spans_of_several_patterns_do_not_overlap() -> None:
    cut = VolatileSpans([compiled("b+"), compiled("c|a*c")])

    assert cut.remove_from("aabbcc.") == "."
    assert cut.spans == ["bb", "aac", "c"]


# What providers report.


def usage_of(*, read: int = 0, written: int = 0) -> Usage:
    return Usage(input_tokens=5_000, cache_read_tokens=read, cache_write_tokens=written)


def test_a_route_that_loses_money_is_left_alone_for_a_day() -> None:
    made = optimizer()
    for at in range(60):
        plan = made.plan(claude("q"), 1_000.0 + at)
        made.record_usage(plan, usage_of(written=4_000), 1_000.0 + at)

    resting = made.plan(claude("q"), 1_100.0)
    later = made.plan(claude("q"), 1_100.0 + 25 * 3600)

    assert (resting.report.reason, resting.body) == ("resting", claude("q").body)
    assert later.report.reason != "resting"


def test_a_route_that_wins_goes_on() -> None:
    made = optimizer()
    for at in range(200):
        plan = made.plan(claude("q"), 1_000.0 + at)
        took = usage_of(written=4_000) if at % 4 == 0 else usage_of(read=4_000)
        made.record_usage(plan, took, 1_000.0 + at)

    assert made.plan(claude("q"), 1_300.0).report.did == ("marked",)


def test_what_a_provider_refused_is_not_tried_again() -> None:
    made = optimizer()
    plan = seen_before(made, claude("q"))[-1]

    made.record_refusal(plan, 1_100.0)

    assert made.plan(claude("q"), 1_101.0).body == claude("q").body


def test_tokens_are_estimated_until_the_provider_has_counted_some() -> None:
    made = optimizer("observe")
    first = made.plan(claude("q"), 1.0)
    made.record_usage(first, Usage(input_tokens=3_000), 2.0)

    second = made.plan(claude("q"), 3.0)

    assert first.report.tokens == round(first.size / 3.6)
    assert second.report.tokens == 3_000


def test_dollars_are_said_once_a_price_is_known() -> None:
    made = optimizer()
    plans = seen_before(made, claude("q"))
    assert plans[-1].report.expected_usd is None

    made.set_price(ORIGINS["messages"], SONNET, Decimal("0.000003"))

    report = made.plan(claude("q"), 1_100.0).report
    assert report.expected_usd is not None
    assert float(report.expected_usd) == pytest.approx(report.expected_tokens * 0.000003)


# Settings.


def test_the_argument_is_a_level_or_a_struct() -> None:
    assert read_prompts("mark") == Prompts(level="mark")
    assert read_prompts({"hold": "1.5s"}).hold.total_seconds() == 1.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("marks", "level cannot be 'marks'"),
        (7, "not an askonce.Prompts"),
        ({"levels": "mark"}, 'did you mean "level"'),
        ({"hold": "5m"}, 'is not from "0s" to "60s"'),
        ({"volatile": [7]}, "not a list of patterns"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_prompts(given)


def test_every_dialect_is_taken_apart_and_put_together_again() -> None:
    for dialect in DIALECTS:
        name = {"responses": "input", "gemini": "contents"}.get(dialect, "messages")
        body = json.dumps({name: []}, separators=(",", ":")).encode()
        assert RequestParts(dialect, body).body((), {}) == body


def test_members_of_odd_objects() -> None:
    assert parse_object(b"{}") == {}
    assert list(parse_object(b' { "a" : 1 , "b" : [ 1 ] } ')) == ["a", "b"]
    with pytest.raises(NotUnderstood):
        parse_object(b'{ "a" : 1 , "a" : 2 }')
