"""What a user's type checker makes of the exported classes: one run of mypy on a small program."""

import re
import subprocess
import sys

import pytest

PROGRAM = """\
import httpx
import httpx2

from askonce import AsyncCache, Cache, CachingTransport

cache, async_cache = Cache(), AsyncCache()
transport = CachingTransport(cache)
reveal_type(transport)  # CachingTransport

# Clients of both libraries take it, in both modes; the SDKs take these clients.
httpx2.Client(transport=transport)
httpx2.AsyncClient(transport=CachingTransport(async_cache))
httpx.Client(transport=transport)
httpx.AsyncClient(transport=CachingTransport(cache))

# So do they take a transport that it is to send on through.
CachingTransport(cache, httpx2.HTTPTransport(retries=2))
CachingTransport(async_cache, inner=httpx2.AsyncHTTPTransport())
CachingTransport(cache, httpx.MockTransport(lambda request: httpx.Response(200)))
CachingTransport(cache, CachingTransport(cache))

reveal_type(transport.handle_request(httpx2.Request("GET", "/")))  # Response of httpx2
reveal_type(transport.handle_request(httpx.Request("GET", "/")))  # Response of httpx
reveal_type(transport.close())  # None
with transport as entered:
    reveal_type(entered)  # CachingTransport

CachingTransport("sqlite:answers.db")  # error: arg-type
CachingTransport(cache, "https://api.openai.com")  # error: arg-type
CachingTransport(cache, timeout=5)  # error: call-arg
transport.handle_request("GET /")  # error: call-overload
transport.clsoe()  # error: attr-defined


@cache.remember(ttl="1h")
def double(number: int) -> int:
    return 2 * number


reveal_type(double(21))  # int
double("21")  # error: arg-type
reveal_type(cache.get("Why?"))  # Answer or None


async def main() -> None:
    async with CachingTransport(async_cache) as entered:
        reveal_type(entered)  # CachingTransport
        request = httpx2.Request("GET", "/")
        reveal_type(await entered.handle_async_request(request))  # Response of httpx2
    reveal_type(await async_cache.put("Why?", "So."))  # bool
"""
"""What mypy is expected to say of a line stands in its comment."""

REVEALED = {
    "CachingTransport": r"askonce\.[\w.]+\.CachingTransport",
    "Response of httpx2": r"httpx2\.[\w.]*Response",
    "Response of httpx": r"httpx\.[\w.]*Response",
    "None": "None",
    "int": r"(builtins\.)?int",
    "Answer or None": r"askonce\.[\w.]+\.Answer \| None",
    "bool": r"(builtins\.)?bool",
}


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    """What `mypy --strict` says of each line of the program, outside this repository."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    found: dict[int, list[str]] = {}
    for number, message in re.findall(r"^program\.py:(\d+): (.*)$", done.stdout, re.MULTILINE):
        found.setdefault(int(number), []).append(message)
    return found


def test_a_users_types_are_what_they_should_be(messages: dict[int, list[str]]) -> None:
    wrong = []
    for number, line in enumerate(PROGRAM.splitlines(), 1):
        found = "\n".join(messages.get(number, []))
        if not is_expected(line, found):
            wrong.append(f"{line}\n    {found or 'mypy says nothing'}")

    assert not wrong, "\n".join(wrong)


def is_expected(line: str, found: str) -> bool:
    """Did mypy say of this line what its comment says, and of others nothing?"""
    code, _, comment = line.partition("  # ")
    if code.lstrip().startswith("reveal_type"):
        return re.fullmatch(f'note: Revealed type is "{REVEALED[comment]}"', found) is not None
    if comment:
        kind = comment.removeprefix("error: ")
        return found.startswith("error: ") and f"[{kind}]" in found
    return not found


def test_a_wrong_type_is_seen() -> None:
    assert not is_expected("reveal_type(x)  # int", 'note: Revealed type is "Any"')
    assert not is_expected("f('x')  # error: arg-type", "")
    assert not is_expected("f('x')  # error: arg-type", "error: Wrong  [call-arg]")
    assert not is_expected("f('x')", "error: Wrong  [arg-type]")
