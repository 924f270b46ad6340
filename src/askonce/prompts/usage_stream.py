"""The usage of a streamed answer, folded out of its events as they arrive."""

from typing import Any

import msgspec

from askonce.prompts.counting import BYTES_PER_TOKEN
from askonce.prompts.usage import ReportedUsage, read_usage

_ENDS = {"response.completed", "response.incomplete", "response.failed"}


class UsageFolding:
    """Takes the parsed data of every event of one stream; `usage` is what they said so far.

    Without its end the answer is incomplete: what came out of the model is then estimated from
    the text that arrived, and what the stream had not told is unknown.
    """

    def __init__(self, api: str, provider: str = "") -> None:
        self._api = api
        self._provider = provider
        self._counts: dict[str, Any] = {}
        self._body: dict[str, Any] = {}
        self._is_over = False
        self._text_bytes = 0

    def add(self, data: Any) -> None:
        """One event's data; what is not an object, or says nothing of usage, is passed over."""
        if not isinstance(data, dict):
            return
        match self._api:
            case "messages":
                self._add_message_event(data)
            case "responses":
                self._add_response_event(data)
            case "gemini":
                self._add_gemini_chunk(data)
            case "converse":
                self._add_converse_event(data)
            case "ollama":
                self._add_ollama_line(data)
            case _:
                self._add_chunk(data)

    @property
    def usage(self) -> ReportedUsage | None:
        """None if nothing was told and nothing arrived."""
        told = read_usage(self._told(), self._api, self._provider) if self._counts else None
        if self._is_over and told is not None:
            return told
        if told is None and not self._text_bytes:
            return None
        told = told or ReportedUsage(provider=self._provider, api=self._api)
        if self._is_over:
            return msgspec.structs.replace(told, output_total=self._estimate(), is_estimated=True)
        # What a cut stream told of its output so far may be its first token's count.
        output = max(told.output_total or 0, self._estimate())
        return msgspec.structs.replace(
            told, output_total=output, is_complete=False, is_estimated=True
        )

    def _told(self) -> dict[str, Any]:
        return {**self._body, "usage": self._counts}

    def _estimate(self) -> int:
        return round(self._text_bytes / BYTES_PER_TOKEN)

    def _arrived(self, *texts: Any) -> None:
        for text in texts:
            if isinstance(text, str):
                self._text_bytes += len(text.encode(errors="surrogatepass"))

    def _keep(self, body: Any, *names: str) -> None:
        """Members of the body that say whose usage this is."""
        for name in names:
            if isinstance(body, dict) and isinstance(body.get(name), str):
                self._body[name] = body[name]

    def _add_chunk(self, data: dict[str, Any]) -> None:
        self._keep(data, "model", "service_tier")
        if isinstance(data.get("usage"), dict):
            self._counts = data["usage"]
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            self._is_over = self._is_over or choice.get("finish_reason") is not None
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self._arrived(delta.get("content"), delta.get("reasoning_content"))
                self._add_calls(delta.get("tool_calls"))

    def _add_calls(self, calls: Any) -> None:
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self._arrived(function.get("name"), function.get("arguments"))

    def _add_response_event(self, data: dict[str, Any]) -> None:
        response = data.get("response")
        if isinstance(response, dict):
            self._keep(response, "model", "service_tier")
            if isinstance(response.get("usage"), dict):
                self._counts = response["usage"]
        # A delta comes under many names; its text is always there.
        self._arrived(data.get("delta"))
        self._is_over = self._is_over or data.get("type") in _ENDS

    def _add_message_event(self, data: dict[str, Any]) -> None:
        match data.get("type"):
            case "message_start":
                message = data.get("message")
                self._keep(message, "model")
                self._overwrite(message.get("usage") if isinstance(message, dict) else None)
            case "content_block_delta":
                if isinstance(delta := data.get("delta"), dict):
                    names = ("text", "partial_json", "thinking")
                    self._arrived(*(delta.get(name) for name in names))
            case "message_delta":
                self._overwrite(data.get("usage"))
            case "message_stop":
                self._is_over = True

    def _overwrite(self, usage: Any) -> None:
        """Numbers of a message are cumulative: a later one takes the place of the earlier one."""
        if isinstance(usage, dict):
            told = {name: value for name, value in usage.items() if value is not None}
            self._counts = {**self._counts, **told}

    def _add_gemini_chunk(self, data: dict[str, Any]) -> None:
        self._keep(data, "modelVersion")
        if isinstance(data.get("usageMetadata"), dict):
            self._counts = data["usageMetadata"]
        candidates = data.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if not isinstance(candidate, dict):
                continue
            self._is_over = self._is_over or bool(candidate.get("finishReason"))
            content = candidate.get("content")
            parts = content.get("parts") if isinstance(content, dict) else None
            for part in parts if isinstance(parts, list) else ():
                self._arrived(part.get("text") if isinstance(part, dict) else None)

    def _add_converse_event(self, data: dict[str, Any]) -> None:
        metadata = data.get("metadata", data)
        if isinstance(metadata, dict) and isinstance(metadata.get("usage"), dict):
            self._counts = metadata["usage"]
            self._is_over = True
        block = data.get("contentBlockDelta", data)
        delta = block.get("delta") if isinstance(block, dict) else None
        if isinstance(delta, dict):
            self._arrived(delta.get("text"))

    def _add_ollama_line(self, data: dict[str, Any]) -> None:
        self._keep(data, "model")
        message = data.get("message")
        if isinstance(message, dict):
            self._arrived(message.get("content"), message.get("thinking"))
        self._arrived(data.get("response"))
        if data.get("done") is True:
            names = ("prompt_eval_count", "eval_count")
            self._counts = {name: data[name] for name in names if name in data}
            self._is_over = True
