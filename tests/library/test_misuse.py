"""What looks right and is not: accepted where it can be, else one line that says the mend."""

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import askonce
from askonce import AsyncCache, Cache, CachingTransport
from askonce.config.load import load
from askonce.core.errors import ConfigError
from askonce.core.models import Reason


def entered(cache: Any, *, as_async: bool) -> None:
    async def use() -> None:
        async with cache:
            pass

    if as_async:
        asyncio.run(use())
    else:
        with cache:
            pass


def as_client(cache: Any) -> Any:
    import openai

    return openai.OpenAI(api_key="k", http_client=CachingTransport(cache))  # type: ignore[arg-type]


def made(**named: Any) -> Any:
    return Cache(**named)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a file without its scheme": (lambda: Cache("a.db"), "write 'sqlite:a.db'"),
    "a number of seconds": (lambda: made(ttl=3600), "write '3600s' or a timedelta"),
    "no lifetime": (lambda: made(ttl=None), "write '24h' or a timedelta"),
    "an unknown argument": (lambda: made(max_size=3), "memory='256 MiB' bounds the bytes"),
    "a misspelled argument": (lambda: made(namespce="a"), "did you mean 'namespace'"),
    "a transport's address": (
        lambda: CachingTransport("sqlite:a.db"),  # type: ignore[arg-type]
        "write CachingTransport(Cache(",
    ),
    "a transport as a client": (lambda: as_client(Cache()), "http_client=httpx2.Client(transport="),
    "an answer that is no text": (lambda: Cache().put("q", {"a": 1}), "json.dumps(answer)"),  # type: ignore[arg-type]
    "async with a Cache": (lambda: entered(Cache(), as_async=True), "write `with`"),
    "with an AsyncCache": (lambda: entered(AsyncCache(), as_async=False), "write `async with`"),
    "a pickled cache": (lambda: pickle.dumps(Cache()), "make one in each process"),
    "a broken pattern": (lambda: Cache(rules=askonce.Rules().never("(a")), "that RE2 knows"),
    "an unknown reason": (lambda: Cache(also_store="lenght"), 'choose from "length"'),
    "a file of lists of lists": (lambda: load(f"a = {'[' * 3000}{']' * 3000}", {}), "too deeply"),
    "a variable with one underscore": (
        lambda: load("", {"ASKONCE_CACHE_TTL": "1h"}),
        "write ASKONCE_CACHE__TTL",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_misuse_is_one_line_that_says_the_mend(what: str) -> None:
    misuse, mend = REFUSED[what]
    with pytest.raises((ConfigError, TypeError, AttributeError)) as caught:
        misuse()
    assert mend in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_is_a_sqlite_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    with Cache(path) as cache:
        assert cache.put("q", "a")
    with Cache(f"sqlite:{path}") as cache:
        found = cache.get("q")
        assert found is not None
        assert found.text == "a"


def test_a_library_may_also_store_what_was_cut() -> None:
    with Cache(also_store=["length"]) as cache:
        assert cache.assembly.settings.limits.also_store == {Reason.LENGTH}


def test_a_misspelled_command_is_named() -> None:
    command = [str(Path(sys.executable).with_name("askonce")), "srve"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "did you mean 'serve'?" in ended.stderr
    assert ended.stderr.count("\n") == 1
