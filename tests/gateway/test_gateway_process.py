"""The gateway as a process of its own: killed, stopped, out of disk, or not even started."""

import asyncio
import contextlib
import http.client
import io
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import httpx2
import pytest

from askonce.cli import main
from askonce.cli.demo.provider.answers import answer_to
from tests.gateway.stage import (
    CHAT,
    PATIENCE_S,
    Caller,
    Exchange,
    Puppet,
    asked,
    gateway,
    is_answer,
    outcome_of,
    text_of_stream,
)

IS_LONG = "ASKONCE_FUZZ_SECONDS" in os.environ  # `make test-long`
WRITES, KILLS = (10_000, 5) if IS_LONG else (900, 3)
CALLERS = 8


class Gateway:
    """`askonce serve` in a process of its own, with a store in this folder."""

    def __init__(self, folder: Path, provider: str, *, largest_file: int | None = None) -> None:
        self.folder = folder
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("ASKONCE_")} | {
            "ASKONCE_SEMANTIC__MODE": "off",  # every write would be embedded
            "ASKONCE_PROVIDERS__OPENAI__BASE_URL": provider,
            "ASKONCE_PROVIDERS__ANTHROPIC__BASE_URL": provider,
            "ASKONCE_STORE__URL": "sqlite:answers.db",
            "ASKONCE_GATEWAY__DRAIN": "20s",
        }
        self._largest_file = largest_file
        self.url = ""

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[str]"]:
        command = [sys.executable, "-m", "askonce.cli"]
        if self._largest_file is not None:
            # What a full disk is like: files stop growing.
            limit = f"({self._largest_file}, resource.RLIM_INFINITY)"
            code = f"resource.setrlimit(resource.RLIMIT_FSIZE, {limit}); sys.exit(main())"
            code = f"import resource, sys; from askonce.cli import main; {code}"
            command = [sys.executable, "-c", code]
        with subprocess.Popen(
            [*command, "serve", "--port=0"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                found = re.search(r"http://\S+:\d+", process.stdout.readline())
                assert found, "it does not say where it answers"
                self.url = found[0]
                yield process
            finally:
                process.kill()

    def check(self) -> list[object]:
        """Return what `askonce check` finds."""
        output = io.StringIO()
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, self.environ, clear=True),
            contextlib.redirect_stdout(output),
        ):
            status = main(["check", "--json"])
        found: list[object] = json.loads(output.getvalue())["damage"]
        assert (status == 0) == (not found)
        return found


def ask(connection: http.client.HTTPConnection, question: str, *, stream: bool) -> str:
    """The answer's text; any part missing is an error."""
    body = json.dumps({"model": "m", "messages": asked(question), "stream": stream})
    connection.request("POST", CHAT, body, {"authorization": "Bearer sk-kill"})
    response = connection.getresponse()
    text = response.read().decode()
    assert response.status == 200
    return text_of_stream(text) if stream else json.loads(text)["choices"][0]["message"]["content"]


class Askers:
    """Many callers at once, each with new questions."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.answered: list[int] = []
        self.wrong: list[str] = []

    def ask_until_killed(self, url: str, enough: int, reached: threading.Event) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            for number in self.numbers:
                question = f"Question {number}?"
                try:
                    text = ask(connection, question, stream=number % 4 == 0)
                except (OSError, http.client.HTTPException):
                    return  # killed in the middle of this one
                if text != answer_to(question):
                    self.wrong.append(question)
                self.answered.append(number)
                if len(self.answered) >= enough:
                    reached.set()

    def crowd(self, url: str, enough: int, reached: threading.Event) -> list[threading.Thread]:
        crowd = [
            threading.Thread(target=self.ask_until_killed, args=(url, enough, reached))
            for _ in range(CALLERS)
        ]
        for thread in crowd:
            thread.start()
        return crowd


@pytest.mark.slow
def test_kill_9_during_writes_damages_nothing(provider_url: str, tmp_path: Path) -> None:
    gateway, askers = Gateway(tmp_path, provider_url), Askers()
    last_of_each: list[int] = []
    for kill in range(1, KILLS + 1):
        reached = threading.Event()
        with gateway.running() as process:
            crowd = askers.crowd(gateway.url, kill * WRITES // KILLS, reached)
            assert reached.wait(60)
            process.send_signal(signal.SIGKILL)
            for thread in crowd:
                thread.join()
        last_of_each += askers.answered[-CALLERS * 4 :]

        assert gateway.check() == []
    assert askers.wrong == []
    assert len(askers.answered) >= WRITES

    # What was on its way when the process died is either whole or not there.
    every_so_many = askers.answered[:: max(1, WRITES // 500)]
    sample = {*last_of_each, *every_so_many, *range(max(askers.answered) + 20)[-40:]}
    with gateway.running(), httpx2.Client(timeout=PATIENCE_S, trust_env=False) as client:
        caller = Caller(client, gateway.url, "sk-kill")
        hits = 0
        for number in sorted(sample):
            answer = caller.chat(f"Question {number}?", model="m", stream=number % 2 == 0)
            assert is_answer(answer, f"Question {number}?")
            hits += outcome_of(answer) == "hit"
    # Only the last few writes before each kill may be lost.
    assert hits > len(sample) / 2


def test_sigterm_finishes_a_stream_in_flight_and_exits_0(puppet: Puppet, tmp_path: Path) -> None:
    go_on = threading.Event()

    async def slowly(exchange: Exchange) -> None:
        await exchange.head(content_type="text/event-stream")
        head = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
        for text in ("one ", "two"):
            delta = f'[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]'
            await exchange.piece(f"data: {head}{delta}}}\n\n".encode())
            await asyncio.to_thread(go_on.wait, PATIENCE_S)
        end = f'data: {head}[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}\n\n'
        await exchange.end(end.encode() + b"data: [DONE]\n\n")

    puppet.act = slowly
    gateway = Gateway(tmp_path, puppet.url)
    with (
        gateway.running() as process,
        httpx2.Client(timeout=PATIENCE_S, trust_env=False) as client,
    ):
        caller = Caller(client, gateway.url)
        with caller.chat_stream("To the end?") as response:
            pieces = response.iter_bytes()
            first = next(pieces)
            process.send_signal(signal.SIGTERM)
            until_it_listens_no_more(gateway.url)
            go_on.set()
            rest = b"".join(pieces)
        status = process.wait(PATIENCE_S)

    assert text_of_stream((first + rest).decode()) == "one two"
    assert status == 0
    # The answers of the last moment are stored.
    assert gateway.check() == []
    with gateway.running(), httpx2.Client(trust_env=False) as client:
        assert outcome_of(Caller(client, gateway.url).chat("To the end?")) == "hit"


def until_it_listens_no_more(url: str) -> None:
    """Return as soon as new connections are refused: the signal has arrived."""
    address = urlsplit(url)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            socket.create_connection((address.hostname, address.port), PATIENCE_S).close()
        except ConnectionError:  # refused, or reset while it waited to be let in
            return
    pytest.fail("it still lets callers in")


def test_a_full_disk_fails_no_call(http: httpx2.Client, provider_url: str, tmp_path: Path) -> None:
    full = Gateway(tmp_path, provider_url, largest_file=200_000)
    questions = [f"{number} {'x' * 10_000}" for number in range(40)]
    with full.running():
        caller = Caller(http, full.url)
        first = [caller.chat(question) for question in questions]
        second = [caller.chat(question) for question in questions]
        stats = caller.stats()

    assert all(map(is_answer, [*first, *second], [*questions, *questions]))
    assert {outcome_of(answer) for answer in first} == {"miss"}
    assert {outcome_of(answer) for answer in second} == {"hit"}  # memory has them all
    assert stats["errors"] > 0
    assert stats["calls"] == 80

    assert full.check() == []
    with gateway(provider_url, {"ASKONCE_STORE__URL": f"sqlite:{tmp_path / 'answers.db'}"}) as url:
        caller = Caller(http, url)
        third = [caller.chat(question) for question in questions]
    assert all(map(is_answer, third, questions))
    assert {outcome_of(answer) for answer in third} <= {"hit", "miss"}


class TestNotStarted:
    def test_a_taken_port(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = subprocess.run(
                [sys.executable, "-m", "askonce.cli", "serve", f"--port={port}"],
                cwd=tmp_path,
                env={k: v for k, v in os.environ.items() if not k.startswith("ASKONCE_")},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        assert done.returncode == 2
        assert done.stderr.startswith(f"askonce: cannot listen on 127.0.0.1:{port}")
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("[gateway]\nprot = 1", 'did you mean "port"'),
            ("[cache]\nttl = 'soon'", "cache.ttl is not a duration"),
            ("[providers.openai]\nbase_url = 'ftp://x'", "is not a plain http:// or https://"),
            ("[store]\nurl = 'carrier-pigeon:'", "carrier-pigeon"),
            ("gateway", "is not TOML"),
        ],
    )
    def test_a_wrong_setting(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        text: str,
        complaint: str,
    ) -> None:
        Path(tmp_path, "askonce.toml").write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        status = main(["serve", "--port=0"])
        written = capsys.readouterr().err

        assert status == 2
        assert complaint in written
        assert written.startswith("askonce: ")
        assert written.count("\n") == 1
