"""The log of requests: a line for each request that a provider was asked, for `askonce prompts`.

A line has the request as it went to the provider and what its answer says of usage; never a header,
so never a credential. Whoever asks does not wait for it: lines are made and written in a thread,
from a bounded backlog. What does not fit into that, or cannot be written, is counted and left out.
"""

import gzip
import os
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from askonce.config.settings import Log, Provider
from askonce.core.fail_open import FailOpen
from askonce.core.runtime.event_loop import ThreadRunner
from askonce.core.runtime.interface import Runtime
from askonce.core.sse import Splitter
from askonce.ledger.ledger import Ledger

OFF = "off"

_BACKLOG = 64 << 20  # bytes of requests and answers that wait to be written
_LONGEST_REQUEST = 32 << 20  # bytes; a longer one is not logged
_LONGEST_ANSWER = 16 << 20  # bytes; of a longer one the usage is not known
_SESSIONS = (b"x-session-id", b"session-id", b"session_id", b"x-conversation-id")
_GEMINI = re.compile(r"/models/([^/:?]+):(?:streamG|g)enerateContent\b")
_USAGE_FIELDS = ("usage", "usageMetadata")


def api_of(path: str) -> str | None:
    """The dialect of what is asked at a path, None where nothing is generated."""
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
    """Writes the lines; its file is opened for each, so it may be moved away at any time."""

    def __init__(self, log: Log, ledger: Ledger, runtime: Runtime) -> None:
        self._path = None if log.requests == OFF else log.requests
        self._max_size = log.max_size
        self._keep = log.keep
        self._ledger = ledger
        self._boundary = FailOpen(ledger)
        self._runtime = runtime
        self._thread = ThreadRunner("askonce-request-log")
        self._waiting = 0

    @property
    def is_on(self) -> bool:
        return self._path is not None

    def tape(
        self, path: str, provider: Provider, tenant: str | None, shown: Mapping[bytes, bytes]
    ) -> "RequestRecorder | None":
        """What records one request on this path; None where there is nothing to log."""
        if self._path is None or (api := api_of(path)) is None:
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
        session = next((shown[name] for name in _SESSIONS if name in shown), None)
        if session is not None:
            about["session"] = session.decode("latin-1")
        return RequestRecorder(about, self._runtime.monotonic, self._take)

    def _take(self, tape: "RequestRecorder") -> None:
        size = len(tape.asked) + len(tape.answered)
        if self._waiting + size > _BACKLOG:
            self._ledger.count_fault("request-log")
            return
        self._waiting += size

        async def write() -> None:
            try:
                await self._thread(lambda: self._write(tape))
            finally:
                self._waiting -= size

        self._runtime.run_in_background(write)

    async def _write(self, tape: "RequestRecorder") -> None:
        with self._boundary.around("request-log"):
            assert self._path is not None
            line = line_of(tape)
            if line is not None:
                self._append(self._path, line)

    def _append(self, path: str, line: bytes) -> None:
        # Not blocking: a pipe that nobody reads is no file to wait for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(path, flags, 0o600)
        try:
            if 0 < os.fstat(file).st_size > self._max_size - len(line):
                self._rotate(path, file)
                os.close(file)
                file = os.open(path, flags, 0o600)
            # One write, so that lines of several processes never mix.
            if os.write(file, line) != len(line):
                raise OSError("the disk took a part of the line")
        finally:
            os.close(file)

    def _rotate(self, path: str, file: int) -> None:
        """Move the full file to `.1`, that one to `.2`, and so on; the oldest goes."""
        if not os.path.samestat(os.fstat(file), os.stat(path)):
            return  # another process did
        if self._keep == 0:
            os.unlink(path)
            return
        for number in range(self._keep - 1, 0, -1):
            if os.path.exists(f"{path}.{number}"):
                os.replace(f"{path}.{number}", f"{path}.{number + 1}")
        os.replace(path, f"{path}.1")

    def close(self) -> None:
        self._thread.close()


class RequestRecorder:
    """What went to a provider and what came back, in pieces."""

    def __init__(
        self,
        about: dict[str, Any],
        monotonic: Callable[[], float],
        done: Callable[["RequestRecorder"], None],
    ) -> None:
        self.about = about
        self.asked = bytearray()
        self.answered = bytearray()
        self.encoding = ""
        self.whole = True
        self._monotonic = monotonic
        self._began = monotonic()
        self._done: Callable[[RequestRecorder], None] | None = done

    def ask(self, piece: bytes) -> None:
        if len(self.asked) + len(piece) > _LONGEST_REQUEST:
            self._done = None
            self.asked.clear()
        elif self._done is not None:
            self.asked += piece

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The answer begins. What a provider refused did not reach its prompt cache."""
        self.encoding = headers.get("content-encoding", "")
        if not 200 <= status < 300:
            self._done = None

    def answer(self, piece: bytes) -> None:
        if len(self.answered) + len(piece) > _LONGEST_ANSWER:
            self.whole = False
        elif self.whole:
            self.answered += piece

    def end(self) -> None:
        """Nothing more comes, whether or not the answer is whole."""
        done, self._done = self._done, None
        if done is not None:
            self.about["duration_ms"] = round((self._monotonic() - self._began) * 1e3)
            done(self)


async def taped(
    pieces: AsyncIterator[bytes], tape: RequestRecorder | None, *, asked: bool = True
) -> AsyncIterator[bytes]:
    """The pieces as they come, of the request or of the answer, each put on the tape as well."""
    async for piece in pieces:
        if tape is not None:
            (tape.ask if asked else tape.answer)(piece)
        yield piece


def line_of(tape: RequestRecorder) -> bytes | None:
    """The line; None where the request is no JSON object."""
    try:
        request = msgspec.json.decode(bytes(tape.asked))
    except (msgspec.DecodeError, UnicodeError):
        return None
    if not isinstance(request, dict):
        return None
    line = {**tape.about, "request": request}
    if tape.whole and (response := _response(_decoded(bytes(tape.answered), tape.encoding))):
        line["response"] = response
    return msgspec.json.encode(line) + b"\n"


def _decoded(body: bytes, encoding: str) -> bytes:
    """The answer without its content encoding; nothing of one that is not known or is broken."""
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


def _response(body: bytes) -> dict[str, Any]:
    """What an answer, whole or as a stream, says of itself and of usage; later events win."""
    if body.lstrip()[:1] in (b"{", b"["):
        events = [body]
    else:
        splitter = Splitter()
        events = [event.data for event in [*splitter.feed(body), *splitter.feed(b"\n\n")]]
    told: dict[str, Any] = {}
    for data in events:
        if not any(field.encode() in data for field in _USAGE_FIELDS):
            continue
        try:
            found = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError):
            continue
        for event in found if isinstance(found, list) else [found]:
            _gather(event, told)
    return told


def _gather(event: Any, told: dict[str, Any]) -> None:
    if not isinstance(event, dict):
        return
    for holder in (event, event.get("message"), event.get("response")):
        if not isinstance(holder, dict):
            continue
        for field in _USAGE_FIELDS:
            usage = holder.get(field)
            if isinstance(usage, dict):
                known = {name: value for name, value in usage.items() if value is not None}
                told[field] = {**told.get(field, {}), **known}
        for field in ("model", "modelVersion", "service_tier"):
            if isinstance(holder.get(field), str):
                told[field] = holder[field]
