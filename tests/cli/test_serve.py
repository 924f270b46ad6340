"""`askonce serve` and the commands beside it, on a real gateway in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from askonce.cli import main
from askonce.cli.commands.demo import start_gateway
from askonce.core.errors import AskOnceError


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)


def taken_port() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@pytest.mark.usefixtures("environ")
def test_a_running_gateway_is_asked_for_its_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_gateway("http://127.0.0.1:9") as url:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as response:
            assert response.status == 200
        monkeypatch.setenv("ASKONCE_GATEWAY__PORT", url.rpartition(":")[2])
        assert main(["stats", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["source"] == url
    expected = {"calls", "hits", "misses", "joined", "bypassed", "stored", "errors"}
    assert expected | {"saved_usd", "saved_tokens"} <= answer.keys()


@pytest.mark.usefixtures("environ")
def test_ctrl_c_stops_it_quietly() -> None:
    command = [sys.executable, "-m", "askonce.cli", "serve", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        assert gateway.stdout.readline().startswith(b"AskOnce answers on http://127.0.0.1:")
        gateway.send_signal(signal.SIGINT)
        _, err = gateway.communicate(timeout=30)
    assert err == b""
    assert gateway.returncode in {0, 130}


@pytest.mark.usefixtures("environ")
def test_a_taken_port_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with taken_port() as taken:
        port = taken.getsockname()[1]
        assert main(["serve", f"--port={port}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"askonce: cannot listen on 127.0.0.1:{port}")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("environ")
def test_a_gateway_that_cannot_start_raises_its_own_message() -> None:
    with (
        pytest.raises(AskOnceError, match=r"the gateway ended: .*is not a plain http://"),
        start_gateway("not an address"),
    ):
        pytest.fail("it started")
