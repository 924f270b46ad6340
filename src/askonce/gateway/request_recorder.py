"""The request log: one line for each request to a provider, for `askonce prompts`.

A line has the request as it was sent and the usage that the answer reports. It never has a header,
and so never a credential. Callers do not wait for it: a thread makes and writes the lines from a
bounded backlog. A line that does not fit or cannot be written is counted as a fault and left out.
"""

import gzip
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from askonce.config.settings import Log, Provider
from askonce.core.fail_open import FailOpen
from askonce.core.runtime.event_loop import ThreadRunner
from askonce.core.runtime.interface import Runtime
from askonce.formats.usage import answer_usage
from askonce.invalidation.append_file import AppendFile
from askonce.ledger.ledger import Ledger

OFF = "off"

_BACKLOG = 64 << 20  # bytes of requests and answers not yet written
_LONGEST_REQUEST = 32 << 20  # bytes; a longer one is not logged
_LONGEST_ANSWER = 16 << 20  # bytes; the usage of a longer one is unknown
_SESSIONS = (b"x-session-id", b"session-id", b"session_id", b"x-conversation-id")
_GEMINI = re.compile(r"/models/([^/:?]+):(?:streamG|g)enerateContent\b")


def api_of(path: str) -> str | None:
    """Return the API dialect of a path; None if the path generates nothing."""
    path = path.partition("?")[0]
    for end, api in (
        ("/chat/completions", "chat"),
        ("/responses", "responses"),
        ("/messages", "messages"),
    ):
        if path.endswith(end):
            return api
    return "gemini" if _GEMINI.search(path) else None


class RequestLog:
    """Writes the lines.

    Parameters:
        log: The `[log]` settings: the file, its size and how many rotated files are kept.
        ledger: Counts the lines that are left out.
        runtime: Runs the writes in the background.
    """

    def __init__(self, log: Log, ledger: Ledger, runtime: Runtime) -> None:
        self._file = (
            None
            if log.requests == OFF
            else AppendFile(log.requests, max_size=log.max_size, keep=log.keep)
        )
        self._ledger = ledger
        self._boundary = FailOpen(ledger)
        self._runtime = runtime
        self._thread = ThreadRunner("askonce-request-log")
        self._waiting = 0

    @property
    def is_on(self) -> bool:
        """Do the settings name a file?"""
        return self._file is not None

    def recorder(
        self, path: str, provider: Provider, tenant: str | None, headers: Mapping[bytes, bytes]
    ) -> "RequestRecorder | None":
        """Return the recorder of one request to this path; None if it is not logged."""
        if self._file is None or (api := api_of(path)) is None:
            return None
        about: dict[str, Any] = {
            "ts": round(self._runtime.now(), 3),
            "provider": provider.name,
            "origin": provider.base_url,
            "api": api,
        }
        if (model := _GEMINI.search(path)) is not None:
            about["model"] = model[1]
        if tenant is not None:
            about["tenant"] = tenant
        session = next((headers[name] for name in _SESSIONS if name in headers), None)
        if session is not None:
            about["session"] = session.decode("latin-1")
        return RequestRecorder(about, self._runtime.monotonic, self._write_later)

    def _write_later(self, recorder: "RequestRecorder") -> None:
        size = len(recorder.request) + len(recorder.answer)
        if self._waiting + size > _BACKLOG:
            self._ledger.count_fault("request-log")
            return
        self._waiting += size

        async def write() -> None:
            try:
                await self._thread(lambda: self._write(recorder))
            finally:
                self._waiting -= size

        self._runtime.run_in_background(write)

    async def _write(self, recorder: "RequestRecorder") -> None:
        with self._boundary.around("request-log"):
            line = line_of(recorder)
            if line is not None and self._file is not None:
                self._file.append(line)

    def close(self) -> None:
        """Write the backlog and end the thread."""
        self._thread.close()


class RequestRecorder:
    """Collects one request to a provider and its answer.

    Parameters:
        about: The first members of the line.
        monotonic: A clock that never goes back, in seconds.
        done: Receives the recorder at the end, unless the request is not to be logged.
    """

    def __init__(
        self,
        about: dict[str, Any],
        monotonic: Callable[[], float],
        done: Callable[["RequestRecorder"], None],
    ) -> None:
        self.about = about
        self.request = bytearray()
        self.answer = bytearray()
        self.encoding = ""
        self.whole = True
        self._monotonic = monotonic
        self._began = monotonic()
        self._done: Callable[[RequestRecorder], None] | None = done

    def add_request(self, piece: bytes) -> None:
        """Add a piece of the request; one that grows too long is not logged."""
        if len(self.request) + len(piece) > _LONGEST_REQUEST:
            self._done = None
            self.request.clear()
        elif self._done is not None:
            self.request += piece

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin the answer. A refused request is not logged: it reached no prompt cache."""
        self.encoding = headers.get("content-encoding", "")
        if not 200 <= status < 300:
            self._done = None

    def add_answer(self, piece: bytes) -> None:
        """Add a piece of the answer."""
        if len(self.answer) + len(piece) > _LONGEST_ANSWER:
            self.whole = False
        elif self.whole:
            self.answer += piece

    def end(self) -> None:
        """End the recording, whether or not the answer is whole."""
        done, self._done = self._done, None
        if done is not None:
            self.about["duration_ms"] = round((self._monotonic() - self._began) * 1e3)
            done(self)


async def recorded(
    pieces: AsyncIterator[bytes], recorder: RequestRecorder | None, *, request: bool = True
) -> AsyncIterator[bytes]:
    """Yield the pieces of the request, or else of the answer, and record each of them."""
    async for piece in pieces:
        if recorder is not None:
            (recorder.add_request if request else recorder.add_answer)(piece)
        yield piece


def line_of(recorder: RequestRecorder) -> bytes | None:
    """Return the line of a request; None if the request is not a JSON object."""
    try:
        request = msgspec.json.decode(bytes(recorder.request))
    except (msgspec.DecodeError, UnicodeError):
        return None
    if not isinstance(request, dict):
        return None
    line = {**recorder.about, "request": request}
    if recorder.whole:
        response = answer_usage(_decoded(bytes(recorder.answer), recorder.encoding))
        if response:
            line["response"] = response
    return msgspec.json.encode(line) + b"\n"


def _decoded(body: bytes, encoding: str) -> bytes:
    """Undo the content encoding of an answer; return nothing if it is unknown or broken."""
    try:
        if encoding in ("", "identity"):
            return body
        if encoding in ("gzip", "x-gzip"):
            return gzip.decompress(body)
        if encoding == "deflate":
            return zlib.decompress(body)
    except (OSError, EOFError, zlib.error):
        pass
    return b""
