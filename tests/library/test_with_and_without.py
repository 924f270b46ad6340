"""Random questions with the cache and without it: their callers see no difference."""

import json
import re
import ssl
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from askonce import CachingTransport
from tests.library.holding_provider import HoldingProvider
from tests.library.sdks import Door, ready

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"what": {"type": "string"}, "count": {"type": "integer"}},
        },
    },
}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
KEYS = {"authorization": "Bearer sk-1", "x-api-key": "sk-1", "anthropic-version": "2023-06-01"}

# Made once: the certificates that every new transport would read take longer than the questions.
TLS = ssl.create_default_context()

# What the provider makes up for every answer.
_NEW = re.compile(
    r'(?<=")(chatcmpl-|call_|msg_|toolu_)\w+|(?<=created": )"?\d+|(?<=signature": ")[\w-]+'
)

texts = st.sampled_from(["", "Please call the tool: ", "Zoë's 料金 "]).flatmap(
    lambda start: st.text(min_size=1, max_size=30).map(lambda rest: start + rest)
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A path and a request body without `stream`."""
    turns = [{"role": "user", "content": draw(texts)}]
    if draw(st.booleans()):
        turns += [{"role": "assistant", "content": "Go on."}]
        turns += [{"role": "user", "content": draw(texts)}]
    if draw(st.booleans()):
        body: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 512, "messages": turns}
        options: dict[str, Any] = {
            "system": "Be brief.",
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "tools": [{"name": "look_up", "input_schema": TOOL["function"]["parameters"]}],
        }
    else:
        body = {"model": "gpt-4o-mini", "messages": turns}
        options = {
            "n": draw(st.integers(1, 3)),
            "tools": [TOOL],
            "temperature": draw(st.sampled_from([0, 0.5, 1])),
            "response_format": {"type": "json_object"},
        }
    chosen = draw(st.sets(st.sampled_from(sorted(options))))
    path = MESSAGES if "max_tokens" in body else CHAT
    return path, {**body, **{name: options[name] for name in sorted(chosen)}}


def without_new(answer: Any) -> str:
    """The answer as text, without what the provider makes up each time."""
    return _NEW.sub("new", json.dumps(answer, sort_keys=True))


def without_nothing(answer: Any) -> Any:
    """The answer without what a stream has no words for: null, and empty lists."""
    if isinstance(answer, dict):
        kept = {name: value for name, value in answer.items() if value not in (None, [])}
        return {name: without_nothing(value) for name, value in kept.items()}
    return [without_nothing(item) for item in answer] if isinstance(answer, list) else answer


def events(body: str) -> list[dict[str, Any]]:
    data = [line[6:] for line in body.split("\n") if line.startswith("data: ")]
    return [json.loads(datum) for datum in data if datum != "[DONE]"]


def folded(body: str) -> dict[str, str]:
    """All that a stream says, pieces put together under the place where they belong."""
    said: dict[str, str] = {}

    def walk(value: Any, place: str) -> None:
        if isinstance(value, dict):
            inner = f"{place}[{value['index']}]" if "index" in value else place
            for name in value.keys() - {"index"}:
                walk(value[name], f"{inner}.{name}")
        elif isinstance(value, list):
            for position, item in enumerate(value):
                # Items that carry an index come in any order, one event each.
                indexed = isinstance(item, dict) and "index" in item
                walk(item, place if indexed else f"{place}[{position}]")
        elif isinstance(value, str) and place.endswith(PIECES):
            said[place] = said.get(place, "") + value
        elif value is not None:
            said[place] = str(value)

    for event in events(body):
        kind = event.pop("type", "")
        if kind == "message_delta":
            # Cumulative: whatever it says about usage replaces what the start said.
            walk(event.pop("usage"), "message_start.message.usage")
        if kind != "ping":
            walk(event, kind)
    return said


PIECES = (".content", ".arguments", ".text", ".thinking", ".partial_json", ".refusal")


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(question=questions(), usage=st.booleans())
def test_cache_on_and_off(
    door: Door, provider: HoldingProvider, question: tuple[str, dict[str, Any]], usage: bool
) -> None:
    path, body = question
    streamed = {**body, "stream": True}
    if usage and path == CHAT:
        streamed["stream_options"] = {"include_usage": True}

    def client_of(cache: Any = None) -> Any:
        make = door.lib.HTTPTransport if door.blocking else door.lib.AsyncHTTPTransport
        inner = make(verify=TLS)
        return door.http(transport=inner if cache is None else CachingTransport(cache, inner))

    async def story() -> None:
        async def ask(client: Any, asked: dict[str, Any]) -> str:
            response = await ready(client.post(path, json=asked, headers=KEYS))
            assert response.status_code == 200
            return str(response.text)

        plain = client_of()
        async with door.cache(sampling="reuse") as first, door.cache(sampling="reuse") as second:
            of_json, of_stream = client_of(first), client_of(second)

            whole = await ask(of_json, body)
            assert without_new(json.loads(whole)) == without_new(json.loads(await ask(plain, body)))
            assert await ask(of_json, body) == whole

            live = folded(await ask(of_stream, streamed))
            assert without_new(live) == without_new(folded(await ask(plain, streamed)))
            assert folded(await ask(of_stream, streamed)) == live

            # Hits out of an entry that came in the other shape.
            replayed = folded(await ask(of_json, streamed))
            assert without_new(replayed) == without_new(live)
            kept = json.loads(await ask(of_stream, body))
            expected = without_nothing(json.loads(whole))
            assert without_new(without_nothing(kept)) == without_new(expected)
            assert (first.stats().hits, second.stats().hits) == (2, 2)
            for client in (plain, of_json, of_stream):
                await ready(client.aclose() if hasattr(client, "aclose") else client.close())

    door.run(story())
