"""No library that embeds reports to its maker: no file, no look-up, no connection."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EMBEDS = """
import asyncio, threading
from askonce.semantic.embedders.local import LocalEmbedder
embedder = LocalEmbedder(lock=threading.Lock())
assert all(asyncio.run(embedder.embed(["Where is my card?"])))
"""
BY_ITSELF = """
import askonce_models, onnxruntime
onnxruntime.InferenceSession(str(askonce_models.EMBEDDER))
"""
LOOKS_UP = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r) {
    int f = open(getenv("LOOK_UPS"), O_CREAT | O_APPEND | O_WRONLY, 0600);
    if (n) { (void)!write(f, n, strlen(n)); }
    (void)!write(f, "\\n", 1);
    close(f);
    return EAI_NONAME;
}
"""


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A library that notes each look-up of a name; None where no C compiler is installed."""
    folder = tmp_path_factory.mktemp("watcher")
    source, built = folder / "watcher.c", folder / "watcher.so"
    source.write_text(LOOKS_UP)
    command = ["cc", "-shared", "-fPIC", "-o", str(built), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        return None
    return built


def traces(folder: Path, watcher: Path | None, program: str) -> list[str]:
    """Run a program in a home of its own; return the files and look-ups that it leaves."""
    home = folder / "home"
    home.mkdir()
    look_ups = folder / "look_ups"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "LOOK_UPS": str(look_ups),
    }
    if watcher is not None:
        environment["LD_PRELOAD"] = str(watcher)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)
    files = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    names = look_ups.read_text().splitlines() if look_ups.exists() else []
    return sorted(files) + names


def test_embedding_leaves_no_file_and_looks_up_no_name(tmp_path: Path, watcher: Path) -> None:
    assert traces(tmp_path, watcher, EMBEDS) == []


def test_the_traces_would_be_seen(tmp_path: Path, watcher: Path) -> None:
    """ONNX Runtime, imported without AskOnce, does leave traces where it has telemetry."""
    import onnxruntime  # type: ignore[import-untyped]  # it has no types

    built_in = (
        b"telemetry_1ds" in Path(onnxruntime.capi.onnxruntime_pybind11_state.__file__).read_bytes()
    )
    assert bool(traces(tmp_path, watcher, BY_ITSELF)) == built_in


def test_a_runtime_that_is_imported_already_is_silenced() -> None:
    program = """
import onnxruntime
from askonce.semantic.embedders import telemetry
calls = []
onnxruntime.disable_telemetry_events = lambda: calls.append(1)
telemetry.turn_off_telemetry()
assert calls == [1]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
