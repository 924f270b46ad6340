"""`askonce migrate` as an operator runs it, on real stores."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from askonce.cli import main
from tests.fixtures.postgres_server import PASSWORD

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `askonce migrate` for a store's address; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)

    def run(url: str) -> tuple[int, str, str]:
        Path("askonce.toml").write_text(f'[store]\nurl = "{url}"\n', encoding="utf-8")
        return (main(["migrate"]), *capsys.readouterr())

    return run


def test_tables_are_made_once(run: Run, postgres_url: str) -> None:
    url = f"{postgres_url}?schema=migrated"
    status, out, err = run(url)
    assert (status, err) == (0, "")
    assert out.endswith(": made the tables in schema migrated, format 1\n")
    assert PASSWORD not in out
    status, out, err = run(url)
    assert (status, err) == (0, "")
    assert out.endswith(": nothing to do\n")


def test_a_role_that_may_not_make_tables_sees_the_needed_grant(run: Run, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as db:
        db.execute(f"CREATE ROLE modest LOGIN PASSWORD '{PASSWORD}'")
    status, out, err = run(postgres_url.replace("postgres:", "modest:", 1) + "?schema=denied")
    assert (status, out) == (1, "")
    assert err.startswith("askonce: the PostgreSQL role may not make schema denied: ")
    assert "GRANT" in err
    assert err.count("\n") == 1


def test_a_server_that_is_not_there_is_one_line(run: Run, postgres_url: str) -> None:
    port = str(urlsplit(postgres_url).port)
    status, out, err = run(postgres_url.replace(f":{port}/", ":1/"))
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "refused" in err
    assert PASSWORD not in err


def test_a_wrong_address_is_wrong_configuration(run: Run) -> None:
    status, out, err = run(f"postgresql://me:{PASSWORD}@db/answers?bogus=1")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert PASSWORD not in err


def test_sources_are_made_ready_too(run: Run, postgres_url: str, redis8_url: str) -> None:
    url = f"{postgres_url}?schema=eventful"
    store = f'memory:"\n[sources.db]\nurl = "{url}"\n[sources.stream]\nurl = "{redis8_url}'
    status, out, err = run(store)
    assert (status, err) == (0, "")
    own, table, stream = out.splitlines()
    assert own == "memory:: nothing to do"
    what = "made the table askonce_events and the function askonce_emit in schema eventful"
    assert table.endswith(f": {what}")
    assert stream.endswith(": nothing to do")
    assert PASSWORD not in out
    assert run(store)[1].splitlines()[1].endswith(": nothing to do")


@pytest.mark.parametrize("url", ["memory:", "sqlite:new.db"])
def test_other_stores_say_so(run: Run, url: str) -> None:
    run(url)
    assert run(url) == (0, f"{url}: nothing to do\n", "")
