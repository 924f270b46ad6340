"""Every code block of the README and the docs is true: it runs, loads or names what exists.

The Python blocks of a page are one program, run in order against the practice provider by an
interpreter of its own with warnings as errors. What it prints is what the comments at its
`print`s say.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from askonce.cli.demo.provider.provider import PracticeProvider
from askonce.cli.demo.provider.serving import running
from askonce.cli.grammar.parser import new_parser
from askonce.config import load
from askonce.gateway.server import build
from askonce.prompts.provider.rule_files import load_rules
from tests.docs.pages import PAGES, ROOT, Block, all_blocks, blocks, commands, page_id

PYTHON_PAGES = [page for page in PAGES if blocks(page, "python")]
README = ROOT / "README.md"
GATEWAY = "http://127.0.0.1:4040"
KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH")
REMARKS = {"closes the transport and the one within, never the cache"}
"""Comments at a call that do not say what it prints."""


@pytest.fixture(scope="module")
def provider_url() -> Iterator[str]:
    with running(PracticeProvider(first_byte_ms=(0, 0), word_ms=0)) as url:
        yield url


def printed(program: str) -> list[str]:
    """What the comments say: after a call, or on lines of their own under it."""
    return re.findall(r"(?:\)  |^ +)# (.+)$", program, flags=re.MULTILINE)


def run_python(program: str, folder: Path, provider_url: str) -> "subprocess.CompletedProcess[str]":
    keep = {name: value for name, value in os.environ.items() if name in KEPT}
    env = {
        **keep,
        "OPENAI_API_KEY": "sk-practice",
        "OPENAI_BASE_URL": f"{provider_url}/v1",
        "ANTHROPIC_API_KEY": "sk-ant-practice",
        "ANTHROPIC_BASE_URL": provider_url,
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=program,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=page_id)
def test_the_python_of_a_page_does_what_it_says(
    page: Path, tmp_path: Path, provider_url: str
) -> None:
    program = "\n".join(block.text for block in blocks(page, "python"))

    done = run_python(program, tmp_path, provider_url)

    assert done.stderr == ""
    assert done.returncode == 0
    promised = [text for text in printed(program) if text not in REMARKS]
    assert done.stdout.splitlines() == promised


def test_a_wrong_promise_would_be_noticed(tmp_path: Path, provider_url: str) -> None:
    program = "print(1 + 1)  # 3\n"

    assert run_python(program, tmp_path, provider_url).stdout.splitlines() != printed(program)


def test_the_readme_shows_both_sdks() -> None:
    text = "".join(block.text for block in blocks(README, "python"))

    assert "from openai import" in text
    assert "from anthropic import" in text


@pytest.mark.parametrize(
    "block", all_blocks("toml"), ids=lambda block: f"{block.page}:{block.line}"
)
def test_toml_loads(block: Block, tmp_path: Path) -> None:
    if block.text.startswith("provider = "):
        mine = tmp_path / "rules.toml"
        mine.write_text(block.text, encoding="utf-8")
        load_rules([mine])
    else:
        load.load(block.text, {})


@pytest.mark.parametrize(
    "block", all_blocks("bash"), ids=lambda block: f"{block.page}:{block.line}"
)
def test_commands_exist(block: Block) -> None:
    for command in commands(block):
        check_command(shlex.split(command))


def check_command(parts: list[str]) -> None:
    match parts:
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            wanted = [target for target in targets if "=" not in target]
            assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in wanted)
        case ["askonce", *arguments]:
            new_parser().parse_args(arguments)
        case ["export", assignment]:
            check_variable(*assignment.partition("=")[::2])
        case ["curl", *_]:
            pass  # asked for real below
        case ["pip", "install", *requirements]:
            assert all((ROOT / path).exists() for path in requirements if path.startswith("./"))
        case [program, *paths]:
            # A tool of the virtual environment, and files of the repository.
            assert program.startswith(".venv/bin/"), f"who checks {program!r}?"
            assert all((ROOT / path).exists() for path in paths if "/" in path)


def check_variable(name: str, value: str) -> None:
    if name.startswith("ASKONCE_"):
        loaded = load.load("", {name: value})
        assert set(loaded.origins.values()) == {name}
    else:
        assert name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL")
        assert value.startswith(GATEWAY)


def test_the_curl_of_the_readme_misses_and_then_hits(provider_url: str) -> None:
    (command,) = [
        command
        for block in blocks(README, "bash")
        for command in commands(block)
        if command.startswith("curl")
    ]
    parts = shlex.split(command.replace("$OPENAI_API_KEY", "sk-practice"))
    url = next(part for part in parts if part.startswith(GATEWAY))
    headers = dict(parts[at + 1].split(": ") for at, part in enumerate(parts) if part == "-H")
    body = parts[parts.index("-d") + 1]
    file = f'[store]\nurl = "memory:"\n[providers.openai]\nbase_url = "{provider_url}"'

    with running(build(load.load(file, {})), lifespan="on") as gateway_url:
        asked = [
            httpx2.post(url.replace(GATEWAY, gateway_url), headers=headers, content=body)
            for _ in range(2)
        ]

    said = [response.headers["cache-status"] for response in asked]
    assert said[0] == "askonce; fwd=miss; stored; detail=not-found"
    assert re.fullmatch(r"askonce; hit; ttl=863\d\d; detail=memory", said[1])
    assert asked[0].content == asked[1].content
