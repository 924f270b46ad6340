"""The demo provider, asked by the unmodified SDKs over real HTTP."""

import re
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from askonce.cli.demo.provider.answers import answer_to, pieces
from askonce.cli.demo.provider.faults import REFUSAL, ProviderFault
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

QUESTION = "How do I change my PIN?"
ASKED: Any = [{"role": "user", "content": QUESTION}]
SUM: dict[str, Any] = {
    "type": "object",
    "properties": {"what": {"type": "string"}, "count": {"type": "integer"}},
}
TOOL: Any = {"type": "function", "function": {"name": "look_up", "parameters": SUM}}
CALL_THE_TOOL: Any = [{"role": "user", "content": "Please call the tool about my card"}]


@pytest.fixture(scope="module")
def provider() -> DemoProvider:
    return DemoProvider(first_byte_ms=(0, 0), word_ms=0)


@pytest.fixture(scope="module")
def url(provider: DemoProvider) -> Iterator[str]:
    with running(provider) as base_url:
        yield base_url


@pytest.fixture
def chat(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk-1", base_url=f"{url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="sk-2", base_url=url, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, model: str = "gpt-4o-mini", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=ASKED, **more)


def ask_claude(client: anthropic.Anthropic, model: str = "claude-haiku-4-5", **more: Any) -> Any:
    return client.messages.create(model=model, max_tokens=2048, messages=ASKED, **more)


def streamed_text(chunks: Any) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def claude_streamed_text(events: Any) -> str:
    deltas = (event.delta for event in events if event.type == "content_block_delta")
    return "".join(delta.text for delta in deltas if delta.type == "text_delta")


class TestChatCompletions:
    def test_json(self, chat: openai.OpenAI) -> None:
        completion = ask(chat)

        assert completion.choices[0].message.content == answer_to(QUESTION)
        assert completion.choices[0].finish_reason == "stop"
        assert completion.model == "gpt-4o-mini"
        usage = completion.usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        assert usage.completion_tokens > 40

    def test_ids_are_new_in_every_call(self, chat: openai.OpenAI) -> None:
        first, second = ask(chat), ask(chat)

        assert first.id != second.id
        assert first._request_id != second._request_id

    def test_headers_are_those_of_a_provider(self, chat: openai.OpenAI) -> None:
        raw = chat.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASKED)

        assert {"x-request-id", "openai-processing-ms", "set-cookie"} <= raw.headers.keys()
        assert "x-ratelimit-remaining-tokens" in raw.headers

    @pytest.mark.parametrize("include_usage", [True, False])
    def test_stream(self, chat: openai.OpenAI, include_usage: bool) -> None:
        options = {"include_usage": True} if include_usage else openai.omit
        chunks = list(ask(chat, stream=True, stream_options=options))

        assert streamed_text(chunks) == answer_to(QUESTION)
        assert len({chunk.id for chunk in chunks}) == 1
        with_usage = [chunk for chunk in chunks if chunk.usage is not None]
        assert with_usage == (chunks[-1:] if include_usage else [])

    def test_stream_and_json_report_the_same_usage(self, chat: openai.OpenAI) -> None:
        chunks = list(ask(chat, stream=True, stream_options={"include_usage": True}))

        assert chunks[-1].usage == ask(chat).usage

    def test_choices_differ_and_a_stream_has_the_same_ones(self, chat: openai.OpenAI) -> None:
        whole = [choice.message.content for choice in ask(chat, n=3).choices]
        streamed = ["", "", ""]
        for chunk in ask(chat, n=3, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""

        assert len(set(whole)) == 3
        assert streamed == whole

    def test_a_tool_is_called_when_the_question_says_so(self, chat: openai.OpenAI) -> None:
        more: Any = {"model": "gpt-4o-mini", "messages": CALL_THE_TOOL, "tools": [TOOL]}
        choice: Any = chat.chat.completions.create(**more).choices[0]
        with chat.chat.completions.stream(**more) as stream:
            streamed: Any = stream.get_final_completion().choices[0]

        assert choice.finish_reason == streamed.finish_reason == "tool_calls"
        [call], [streamed_call] = choice.message.tool_calls, streamed.message.tool_calls
        assert call.function.name == streamed_call.function.name == "look_up"
        assert re.fullmatch(r'\{"what":"call tool card","count":\d+\}', call.function.arguments)
        assert call.function.arguments == streamed_call.function.arguments
        assert call.id != streamed_call.id

    def test_after_the_result_of_a_tool_comes_an_answer(self, chat: openai.OpenAI) -> None:
        result: Any = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
        completion = chat.chat.completions.create(
            model="gpt-4o-mini", messages=[*CALL_THE_TOOL, result], tools=[TOOL]
        )

        assert completion.choices[0].message.content == answer_to(CALL_THE_TOOL[0]["content"])

    def test_json_where_json_is_asked_for(self, chat: openai.OpenAI) -> None:
        completion = ask(chat, response_format={"type": "json_object"})

        assert completion.choices[0].message.content == f'{{"answer":"{answer_to(QUESTION)}"}}'

    def test_a_stream_ends_with_done(self, url: str) -> None:
        body = {"model": "gpt-4o-mini", "messages": ASKED, "stream": True}
        response = httpx2.post(f"{url}/v1/chat/completions", json=body)

        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.text.endswith("data: [DONE]\n\n")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not JSON",
            b"[]",
            b'{"model": "m"}',
            b'{"model": "m", "messages": []}',
            b'{"model": 1, "messages": [{"role": "user"}]}',
            b'{"model": "m", "messages": [{"content": "no role"}]}',
            b'{"model": "m", "messages": [{"role": "user"}], "n": 0}',
            b'{"model": "m\xff", "messages": [{"role": "user"}]}',
            b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        ],
    )
    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
    def test_a_malformed_request_is_refused(self, url: str, path: str, body: bytes) -> None:
        response = httpx2.post(url + path, content=body)

        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"


class TestMessages:
    def test_json(self, claude: anthropic.Anthropic) -> None:
        message = ask_claude(claude, system="Be brief.")

        assert [block.text for block in message.content] == [answer_to(QUESTION)]
        assert message.stop_reason == "end_turn"
        assert message.usage.output_tokens > 40
        assert message.usage.input_tokens > ask_claude(claude).usage.input_tokens

    def test_stream(self, claude: anthropic.Anthropic) -> None:
        with claude.messages.stream(
            model="claude-haiku-4-5", max_tokens=2048, messages=ASKED
        ) as stream:
            streamed: Any = stream.get_final_message()
        whole = ask_claude(claude)

        [text], [streamed_text] = whole.content, streamed.content
        assert streamed_text.text == text.text == answer_to(QUESTION)
        assert streamed.stop_reason == "end_turn"
        assert streamed.usage.output_tokens == whole.usage.output_tokens
        assert streamed.id != whole.id

    def test_thinking_comes_first_and_is_signed(self, claude: anthropic.Anthropic) -> None:
        more: Any = {"model": "claude-haiku-4-5", "max_tokens": 2048, "messages": ASKED}
        more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        whole: Any = claude.messages.create(**more)
        thinking, text = whole.content
        with claude.messages.stream(**more) as stream:
            streamed: Any = stream.get_final_message()
        streamed_thinking, streamed_text = streamed.content

        assert thinking.type == streamed_thinking.type == "thinking"
        assert thinking.thinking == streamed_thinking.thinking != ""
        assert thinking.signature
        assert streamed_thinking.signature
        assert text.text == streamed_text.text == answer_to(QUESTION)

    def test_a_tool_is_called_when_the_question_says_so(self, claude: anthropic.Anthropic) -> None:
        more: Any = {"model": "claude-haiku-4-5", "max_tokens": 2048, "messages": CALL_THE_TOOL}
        more["tools"] = [{"name": "look_up", "input_schema": SUM}]
        message: Any = claude.messages.create(**more)
        with claude.messages.stream(**more) as stream:
            streamed: Any = stream.get_final_message()

        assert message.stop_reason == streamed.stop_reason == "tool_use"
        assert message.content[0].name == streamed.content[0].name == "look_up"
        assert message.content[0].input == streamed.content[0].input
        assert message.content[0].input["what"] == "call tool card"

    def test_events_are_named_and_a_ping_is_among_them(self, url: str) -> None:
        body = {"model": "m", "max_tokens": 9, "messages": ASKED, "stream": True}
        text = httpx2.post(f"{url}/v1/messages", json=body).text
        names = re.findall(r"^event: (\w+)$", text, re.MULTILINE)

        assert names[:3] == ["message_start", "content_block_start", "ping"]
        assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]


class TestFaults:
    @pytest.mark.parametrize("stream", [True, False])
    def test_429_says_when_to_come_back(
        self, chat: openai.OpenAI, claude: anthropic.Anthropic, stream: bool
    ) -> None:
        with pytest.raises(openai.RateLimitError) as refused:
            ask(chat, ProviderFault.TOO_MANY, stream=stream)
        with pytest.raises(anthropic.RateLimitError):
            ask_claude(claude, ProviderFault.TOO_MANY, stream=stream)

        assert refused.value.response.headers["retry-after"] == "7"

    def test_500(self, chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
        with pytest.raises(openai.InternalServerError):
            ask(chat, ProviderFault.BROKEN)
        with pytest.raises(anthropic.InternalServerError):
            ask_claude(claude, ProviderFault.BROKEN)

    def test_503_passes_after_the_first_call(
        self, provider: DemoProvider, chat: openai.OpenAI
    ) -> None:
        provider.reset()
        patient = chat.with_options(max_retries=1)

        assert ask(patient, ProviderFault.BUSY_ONCE).choices[0].message.content == answer_to(
            QUESTION
        )
        assert provider.calls.total == 2

    @pytest.mark.parametrize("stream", [True, False])
    def test_slow(self, chat: openai.OpenAI, stream: bool) -> None:
        with pytest.raises(openai.APITimeoutError):
            ask(chat, ProviderFault.SLOW, stream=stream, timeout=0.1)

    def test_stall_sends_a_head_and_nothing_else(self, url: str) -> None:
        body = {"model": ProviderFault.STALL, "messages": ASKED}
        for stream in (True, False):
            request: Any = {"json": {**body, "stream": stream}, "timeout": 0.2}
            with httpx2.stream("POST", f"{url}/v1/chat/completions", **request) as response:
                assert response.status_code == 200
                with pytest.raises(httpx2.ReadTimeout):
                    response.read()

    def test_cut_breaks_the_connection(
        self, chat: openai.OpenAI, claude: anthropic.Anthropic
    ) -> None:
        with pytest.raises(openai.APIConnectionError):
            ask(chat, ProviderFault.CUT)
        with pytest.raises(anthropic.APIConnectionError):
            ask_claude(claude, ProviderFault.CUT)
        chunks = ask(chat, ProviderFault.CUT, stream=True)
        said = next(chunks).choices[0].delta.content + next(chunks).choices[0].delta.content
        with pytest.raises(openai.APIConnectionError):
            list(chunks)

        assert said == pieces(answer_to(QUESTION))[0]

    def test_cut_quiet_goes_unnoticed_by_the_sdks(
        self, chat: openai.OpenAI, claude: anthropic.Anthropic
    ) -> None:
        for said in (
            streamed_text(ask(chat, ProviderFault.CUT_QUIET, stream=True)),
            claude_streamed_text(ask_claude(claude, ProviderFault.CUT_QUIET, stream=True)),
        ):
            assert 0 < len(said) < len(answer_to(QUESTION))

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
    def test_garbage_is_not_json(self, url: str, path: str, stream: bool) -> None:
        body = {
            "model": ProviderFault.GARBAGE,
            "messages": ASKED,
            "max_tokens": 9,
            "stream": stream,
        }
        response = httpx2.post(url + path, json=body)

        assert response.status_code == 200
        with pytest.raises(ValueError):  # noqa: PT011 - of JSON or of UTF-8, either will do
            httpx2.Response(200, content=response.content.removeprefix(b"data: ")).json()

    def test_a_stream_reports_an_error(
        self, chat: openai.OpenAI, claude: anthropic.Anthropic
    ) -> None:
        with pytest.raises(openai.APIError, match="stopped in the middle"):
            list(ask(chat, ProviderFault.STREAM_ERROR, stream=True))
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            list(ask_claude(claude, ProviderFault.STREAM_ERROR, stream=True))

        assert ask(chat, ProviderFault.STREAM_ERROR).choices[0].message.content == answer_to(
            QUESTION
        )

    @pytest.mark.parametrize(
        ("fault", "finish", "stop"),
        [
            (ProviderFault.LENGTH, "length", "max_tokens"),
            (ProviderFault.FILTER, "content_filter", "refusal"),
            (ProviderFault.REFUSAL, "stop", "refusal"),
            (ProviderFault.EMPTY, "stop", "end_turn"),
        ],
    )
    def test_an_answer_ends_for_another_reason(
        self,
        chat: openai.OpenAI,
        claude: anthropic.Anthropic,
        fault: ProviderFault,
        finish: str,
        stop: str,
    ) -> None:
        choice = ask(chat, fault).choices[0]
        chunks = list(ask(chat, fault, stream=True))
        message = ask_claude(claude, fault)
        *_, delta, _ = ask_claude(claude, fault, stream=True)

        assert choice.finish_reason == chunks[-1].choices[0].finish_reason == finish
        assert (choice.message.content or "") == streamed_text(chunks)
        assert (choice.message.content or "") != answer_to(QUESTION)
        assert choice.message.refusal == (REFUSAL if fault is ProviderFault.REFUSAL else None)
        assert message.stop_reason == delta.delta.stop_reason == stop
        assert bool(message.content) == (fault is not ProviderFault.EMPTY)

    @pytest.mark.parametrize("stream", [True, False])
    def test_gzip(self, url: str, chat: openai.OpenAI, stream: bool) -> None:
        body = {"model": ProviderFault.GZIP, "messages": ASKED, "stream": stream}
        response = httpx2.post(f"{url}/v1/chat/completions", json=body)

        assert response.headers["content-encoding"] == "gzip"
        assert ask(chat, ProviderFault.GZIP).choices[0].message.content == answer_to(QUESTION)
        assert streamed_text(ask(chat, ProviderFault.GZIP, stream=True)) == answer_to(QUESTION)

    def test_every_fault_is_a_model(self, chat: openai.OpenAI) -> None:
        listed = {model.id for model in chat.models.list()}

        assert listed >= set(ProviderFault) | {"gpt-4o-mini"}
        assert ProviderFault.named("gpt-4o-mini") is None


class TestCounting:
    def test_calls_are_counted_in_all_and_by_question(self, url: str, chat: openai.OpenAI) -> None:
        httpx2.post(f"{url}/practice/reset")
        ask(chat)
        list(ask(chat, stream=True))
        counts = httpx2.get(f"{url}/practice/calls")

        assert counts.json()["total"] == counts.json()["questions"][QUESTION] == 2
        assert counts.json()["streamed"] == 1
        assert "sk-1" not in counts.text
        assert httpx2.post(f"{url}/practice/reset").json()["total"] == 0

    def test_the_last_call_s_headers_are_kept(
        self, provider: DemoProvider, chat: openai.OpenAI
    ) -> None:
        ask(chat)

        assert provider.calls.last_headers["authorization"] == "Bearer sk-1"


class TestOtherRoutes:
    def test_files_echo_bytes_and_headers(self, url: str) -> None:
        content = bytes(range(256)) * 1000
        headers = {"content-type": "audio/wav", "x-mine": "yes"}
        response = httpx2.post(f"{url}/v1/files", content=content, headers=headers)

        assert response.content == content
        assert response.headers["content-type"] == "audio/wav"
        assert response.headers["x-echo-x-mine"] == "yes"

    @pytest.mark.parametrize("route", ["/v1/nothing", "/v1/chat/completions", "/"])
    def test_an_unknown_route_is_not_found(self, url: str, route: str) -> None:
        assert httpx2.get(url + route).status_code == 404
