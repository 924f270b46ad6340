"""Laws of layouts and of the optimizer, for whatever texts, tools and turns there are."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from askonce import PromptLayout
from askonce.core.rules.re2 import compiled
from askonce.prompts.assembly import shipped_rules
from askonce.prompts.optimizer.optimizer import Optimizer, OutgoingRequest
from askonce.prompts.optimizer.volatile_spans import VolatileSpans
from askonce.prompts.requests.prompt_builder import KINDS

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
)
MODELS = {"chat": "gpt-5.6-sol", "responses": "gpt-5.6-sol", "messages": "claude-sonnet-4-5",
          "gemini": "gemini-3-pro", "converse": "anthropic.claude-sonnet-4-5"}  # fmt: skip
LATE = st.fixed_dictionaries(
    {"dynamic_context": TEXT, "user_message": TEXT, "volatile": st.lists(TEXT, max_size=3)},
    optional={"slow": st.lists(TEXT, max_size=2)},
)


@given(st.sampled_from(KINDS), TEXT, st.integers(1, 4_000), st.booleans(), LATE, LATE)
def test_the_prefix_is_the_same_bytes_whatever_follows(
    kind: Any, text: str, times: int, tools: bool, one: Any, other: Any
) -> None:
    given_tools = [{"name": "t", "description": text}] if tools else []
    layout = PromptLayout(text * times, dialect=kind, model=MODELS[kind], tools=given_tools)

    first, second = layout.build(**one), layout.build(**other)

    assert first.prefix == second.prefix
    assert first.body.startswith(first.prefix)
    assert second.body.startswith(first.prefix)
    assert len(first.prefix) > len(text) * times
    assert len(first.marked) <= 4


SYSTEM = st.one_of(TEXT, st.lists(TEXT, min_size=1, max_size=6))
TURNS = st.lists(TEXT, min_size=1, max_size=9)


def without_markers(node: Any) -> Any:
    """A body as a provider means it: markers gone, a text the same as a list of it."""
    if isinstance(node, dict):
        kept = {
            name: without_markers(member)
            for name, member in node.items()
            if name not in ("cache_control", "prompt_cache_breakpoint")
        }
        return kept["text"] if kept.keys() == {"type", "text"} else kept
    if isinstance(node, list):
        return [without_markers(item) for item in node]
    return node


def unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = without_markers(body)
    for turn in plain["messages"]:
        if isinstance(turn["content"], str):
            turn["content"] = [turn["content"]]
    if isinstance(plain.get("system"), str):
        plain["system"] = [plain["system"]]
    return plain


@settings(max_examples=150)
@given(SYSTEM, TURNS, st.sampled_from(["messages", "chat"]), st.integers(0, 5_000))
def test_marking_changes_nothing_that_is_asked(
    system: Any, turns: list[str], dialect: Any, longer: int
) -> None:
    made = Optimizer(shipped_rules(), "mark")
    messages: list[Any] = []
    texts = [system] if isinstance(system, str) else system
    texts = [f"{text} {'long ' * longer}" for text in texts]
    for at, turn in enumerate(turns):
        messages.append({"role": ("user", "assistant")[at % 2], "content": turn})
    body: dict[str, Any] = {"model": MODELS[dialect], "messages": messages}
    if dialect == "messages":
        body["system"] = [{"type": "text", "text": text} for text in texts]
    else:
        body["messages"] = [{"role": "system", "content": text} for text in texts] + messages
    raw = json.dumps(body).encode()
    for at in range(3):
        sent = OutgoingRequest(dialect, "", "/v1/x", "n", raw)
        plan = made.plan(sent, 10.0 * at)
        found = json.loads(plan.body)
        for own in ("prompt_cache_key", "prompt_cache_options"):
            found.pop(own, None)
        assert unwrapped(found) == unwrapped(body)
        assert len(plan.report.markers) <= 4


@given(st.lists(TEXT, min_size=1, max_size=5), TEXT)
def test_what_is_cut_out_is_what_was_declared(parts: list[str], pattern: str) -> None:
    spans = [part for part in parts[1::2] if "volatile>>" not in part]
    kept = [part for part in parts[::2] if "volatile>>" not in part]
    text = "".join(
        part if at % 2 == 0 else f"<<volatile>>{part}<</volatile>>"
        for at, part in enumerate([one for pair in zip(kept, spans, strict=False) for one in pair])
    )

    cut = VolatileSpans([])
    left = cut.remove_from(text)

    assert cut.spans == spans[: len(kept)]
    assert left == "".join(kept[: len(spans)])


@given(st.binary(max_size=200), st.sampled_from(["chat", "responses", "messages", "gemini"]))
def test_no_body_makes_it_fall_over(body: bytes, dialect: Any) -> None:
    made = Optimizer(shipped_rules(), "split", [compiled("a+")])

    assert made.plan(OutgoingRequest(dialect, "", "/v1/x", "n", body), 1.0).body == body
