"""What a caller of the gateway sees: endpoints, statuses, headers, error codes, JSON, metrics.

A real `askonce serve` stands in front of a small provider in this process. Its answers are always
the same, so are its vectors: every question lies near every other one.
"""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.architecture.surface.calls import ADMIN, ANY_WORDS, CALLS, OWN, TOKEN, Calls, chat
from tests.architecture.surface.provider import CHAT, Provider, provider
from tests.architecture.surface.shapes import masked, shape
from tests.fixtures.redis_servers import poll

PATIENCE_S = 20.0


class Answered(NamedTuple):
    """A response as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def lines(folder: Path) -> Iterator[str]:
    """Everything below, from one gateway whose files lie in `folder`."""
    with provider() as provider_url, gateway(folder, provider_url) as url:
        yield "# What its own endpoints answer."
        yield from _calls(url, OWN)
        yield ""
        yield "# What callers get, and why."
        yield from _calls(url, CALLS)
        yield from _semantic_hit(url)
        yield from _calls(url, {"savings": ("GET", "/askonce/savings?days=1", ADMIN, None)})
        yield ""
        yield "# The headers that the provider was sent with the first call."
        yield from Provider.seen[0]
        yield ""
        yield "# Metrics, and their labels as far as they had values."
        yield from _metrics(ask(url, "GET", "/metrics", {}).body.decode())
    yield ""
    yield "# A line of the log of requests."
    yield from shape(json.loads((folder / "requests.jsonl").read_bytes().splitlines()[0]))
    yield ""
    yield "# Audit lines."
    for line in (folder / "audit.jsonl").read_text(encoding="utf-8").splitlines():
        yield masked(line)


def _calls(url: str, calls: Calls) -> Iterator[str]:
    for what, (method, path, headers, body) in calls.items():
        answered = ask(url, method, path, headers, body)
        yield f"{what}: {method} {path} -> {answered.status}"
        for name, value in sorted(answered.headers):
            yield f"    {name.lower()}: {masked(value)}"
        yield from (f"    {line}" for line in _body(answered))


def _body(answered: Answered) -> Iterator[str]:
    kind = dict(answered.headers).get("content-type", "")
    if answered.body in Provider.bodies:
        yield "the body is the provider's own"
    elif kind.startswith("text/event-stream"):
        yield from filter(None, answered.body.decode().splitlines())
    elif kind == "application/json":
        document = json.loads(answered.body)
        yield from shape(document)
        if "error" in document:
            error = document["error"]
            yield f"the error's code is {error.get('code') or error['details']['error_code']}"


def _semantic_hit(url: str) -> Iterator[str]:
    """Ask in other words until the background has put the first answer into the index."""
    headers = {**ANY_WORDS, "cache-control": "only-if-cached"}
    other_words = chat("What is the cache?")
    poll(
        "the first question is in the index",
        lambda: ask(url, "POST", CHAT, headers, other_words).status == 200,
    )
    same = ("POST", CHAT, ANY_WORDS, other_words)
    yield from _calls(url, {"a hit in other words": same})


def _metrics(text: str) -> Iterator[str]:
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        suffixes = r"(?:_bucket|_sum|_count)?" if kind == "histogram" else ""
        labels: dict[str, set[str]] = {}
        samples = re.findall(rf"^{name}{suffixes}\{{(.*)\}} ", text, re.MULTILINE)
        for label, value in re.findall(r'(\w+)="([^"]*)"', "\n".join(samples)):
            labels.setdefault(label, set()).add(value)
        known = [
            f"{label}={'|'.join(sorted(values))}" if name.startswith("askonce_ledger") else label
            for label, values in sorted(labels.items())
        ]
        yield f"{name}{{{','.join(known)}}} {kind}" if known else f"{name} {kind}"


def ask(url: str, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> Answered:
    """One call on a connection of its own; a body that is not bytes is sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Answered(response.status, response.getheaders(), response.read())


@contextlib.contextmanager
def gateway(folder: Path, provider_url: str) -> Iterator[str]:
    """`askonce serve` with everything switched on; yields its address."""
    (folder / "gateway.toml").write_text(
        f"""
        [gateway]
        port = 0
        max_body = "64 KiB"
        drain = "0s"
        [store]
        url = "sqlite:{folder}/gateway.db"
        [semantic]
        mode = "serve"
        embedder = "{provider_url}/v1?model=always-the-same"
        index = "process:{folder}/gateway.index"
        deadline = "10s"
        [admin]
        token = "{TOKEN}"
        audit = "{folder}/audit.jsonl"
        [log]
        requests = "{folder}/requests.jsonl"
        [prompts]
        level = "mark"
        [providers.openai]
        base_url = "{provider_url}"
        [providers.anthropic]
        base_url = "{provider_url}"
        [providers.away]
        base_url = "http://127.0.0.1:1"
        format = "openai"
        [sources.shop]
        url = "redis://127.0.0.1:1"
        [[rules]]
        on = "product_updated"
        tags = ["product:{{product_id}}"]
        """,
        encoding="utf-8",
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ASKONCE_")}
    command = [sys.executable, "-m", "askonce.cli", "serve", f"--config={folder}/gateway.toml"]
    with (
        (folder / "complaints").open("wb") as complaints,
        subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+:\d+", process.stdout.readline())
            assert found, (folder / "complaints").read_text(encoding="utf-8")
            yield found[0]
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
