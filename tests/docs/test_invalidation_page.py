"""What docs/guides/invalidation.md asks over HTTP is answered as it says."""

import json
import shlex
import tomllib
from collections.abc import Iterator

import httpx2
import pytest

from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.config import load
from askonce.gateway.server import build
from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "docs" / "guides" / "invalidation.md"
GATEWAY = "http://127.0.0.1:4040"
CURLS = [
    shlex.split(command)
    for block in blocks(PAGE, "bash")
    for command in commands(block)
    if command.startswith("curl")
]


@pytest.fixture(scope="module")
def gateway_url() -> Iterator[str]:
    (admin,) = (block.text for block in blocks(PAGE, "toml"))
    kept = "\n".join(line for line in admin.splitlines() if not line.startswith("audit"))
    rules = '[[rules]]\non = "product_updated"\ntags = ["product:{product_id}"]\n'
    with running(DemoProvider(first_byte_ms=(0, 0), word_ms=0)) as provider:
        file = f'{kept}\n[store]\nurl = "memory:"\n[providers.openai]\nbase_url = "{provider}"\n'
        with running(build(load.load(file + rules, {})), lifespan="on") as url:
            yield url


def test_there_are_commands_to_test() -> None:
    assert len(CURLS) == 3


@pytest.mark.parametrize("parts", CURLS, ids=lambda parts: parts[-1])
def test_the_curl_blocks_are_answered(gateway_url: str, parts: list[str]) -> None:
    (admin,) = (block.text for block in blocks(PAGE, "toml"))
    token = tomllib.loads(admin)["admin"]["token"]
    shown = parts[parts.index("-H") + 1].replace("$ASKONCE_ADMIN__TOKEN", token)
    name, _, value = shown.partition(": ")
    url = parts[1].replace(GATEWAY, gateway_url)

    done = httpx2.post(url, content=parts[parts.index("-d") + 1], headers={name: value})

    assert done.status_code == 200
    if url.endswith("invalidate"):
        asked = json.loads(parts[-1])
        members = {"entries", "layers", "tags", "dry_run"}
        assert set(done.json()) == members | ({"samples"} if asked.get("dry_run") else set())
