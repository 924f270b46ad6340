"""Every code block of the README and the docs is true: it runs, loads or names what exists.

Each Python block is a program of its own: it runs in an empty folder and namespace against the
demo provider, with warnings as errors, as if a reader had copied it alone. The comments at its
`print`s are the text that it prints.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.cli.grammar.parser import new_parser
from askonce.config import load
from askonce.gateway.server import build
from askonce.prompts.provider.rule_files import load_rules
from tests.docs.pages import PAGES, ROOT, Block, all_blocks, blocks, commands

README = ROOT / "README.md"
RUNNER = ROOT / "tests" / "docs" / "run_blocks.py"
GATEWAY = "http://127.0.0.1:4040"
KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH")
REMARKS = {"closes both transports, never the cache"}
"""Comments at a call that are not the text it prints."""

TESTED = {"python", "toml", "bash"}
UNTESTED = {"console", "http", "json", "sql", "text"}
"""Output, data and statements of other programs; tests of their own cover the formats."""


@pytest.fixture(scope="module")
def provider_url() -> Iterator[str]:
    with running(DemoProvider(first_byte_ms=(0, 0), word_ms=0)) as url:
        yield url


def printed(program: str) -> list[str]:
    """Return the text of comments after a call, or on lines of their own under it."""
    return re.findall(r"(?:\)  |^ +)# (.+)$", program, flags=re.MULTILINE)


def run_python(programs: dict[str, str], provider_url: str) -> dict[str, dict[str, str]]:
    keep = {name: value for name, value in os.environ.items() if name in KEPT}
    env = {
        **keep,
        "OPENAI_API_KEY": "sk-demo",
        "OPENAI_BASE_URL": f"{provider_url}/v1",
        "ANTHROPIC_API_KEY": "sk-ant-demo",
        "ANTHROPIC_BASE_URL": provider_url,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", RUNNER],
        input=json.dumps(programs),
        env=env,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.stderr == ""
    results: dict[str, dict[str, str]] = json.loads(done.stdout)
    return results


def faults_of(programs: dict[str, str], provider_url: str) -> list[str]:
    """List the programs that fail or do not print what their comments say."""
    faults = []
    for place, result in run_python(programs, provider_url).items():
        promised = [text for text in printed(programs[place]) if text not in REMARKS]
        if result["fault"]:
            faults.append(f"{place} fails:\n{result['fault']}")
        elif result["out"].splitlines() != promised:
            faults.append(f"{place} prints {result['out']!r}, and says {promised}")
    return faults


@pytest.mark.timeout(300)
def test_each_python_block_runs_alone_and_does_what_it_says(provider_url: str) -> None:
    programs = {block.place: block.text for block in all_blocks("python")}

    assert len(programs) > 20
    assert faults_of(programs, provider_url) == []


def test_a_wrong_block_would_be_noticed(provider_url: str) -> None:
    programs = {
        "promise": "print(1 + 1)  # 3\n",
        "first": "import json\nnumber = 1\n",
        "second": "print(number)\n",
        "open": "open('left.txt', 'w')\n",
        "right": "print(1 + 1)  # 2\n",
    }

    faults = faults_of(programs, provider_url)

    assert [fault.partition(" ")[0] for fault in faults] == ["promise", "second", "open"]


def test_every_block_is_of_a_known_language_and_starts_a_line() -> None:
    unknown = [block.place for block in all_blocks() if block.language not in TESTED | UNTESTED]
    fences = sum(page.read_text(encoding="utf-8").count("```") for page in PAGES)

    assert unknown == []
    assert fences == 2 * len(all_blocks())


def test_the_readme_shows_both_sdks() -> None:
    text = "".join(block.text for block in blocks(README, "python"))

    assert "from openai import" in text
    assert "from anthropic import" in text


@pytest.mark.parametrize("block", all_blocks("toml"), ids=lambda block: block.place)
def test_toml_loads(block: Block, tmp_path: Path) -> None:
    if block.text.startswith("provider = "):
        mine = tmp_path / "rules.toml"
        mine.write_text(block.text, encoding="utf-8")
        load_rules([mine])
    else:
        load.load(block.text, {})


@pytest.mark.parametrize("block", all_blocks("bash"), ids=lambda block: block.place)
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
    parts = shlex.split(command.replace("$OPENAI_API_KEY", "sk-demo"))
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
