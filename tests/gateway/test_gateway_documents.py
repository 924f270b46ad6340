"""Documents named in the body of a request: new versions miss, and a sync reaches all tenants."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from askonce.cli import main
from tests.gateway.stage import Caller, gateway, status_of

FIELDS = """
    [documents]
    fields = ["metadata.documents", "extra.context[*].id"]
"""
MISS = "askonce; fwd=miss; stored; detail=not-found"
OTHER = "askonce; fwd=miss; stored; detail=other-tags"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:{tmp_path / 'answers.db'}"
    monkeypatch.setenv("ASKONCE_STORE__URL", url)
    return url


@pytest.fixture
def caller(http: httpx2.Client, provider_url: str, store: str) -> Iterator[Caller]:
    environ = {
        "ASKONCE_STORE__URL": store,
        "ASKONCE_CACHE__CONSISTENCY": "strong",
        "ASKONCE_PROVIDERS__OPENAI__STATELESS": "true",  # else the metadata counts
    }
    with gateway(provider_url, environ, more=FIELDS) as url:
        yield Caller(http, url)


def asking(caller: Caller, documents: object) -> str:
    metadata: dict[str, Any] = {} if documents is None else {"metadata": {"documents": documents}}
    return status_of(caller.chat("May I return it?", **metadata))


def test_an_answer_made_from_another_version_is_a_miss(caller: Caller) -> None:
    assert asking(caller, "terms@v1") == MISS
    assert "; hit; " in asking(caller, "terms@v1")
    assert "; hit; " in asking(caller, None)
    assert asking(caller, "terms@v2, prices@v1") == OTHER
    assert "; hit; " in asking(caller, "prices@v1,terms@v2")
    assert asking(caller, "terms@v1") == OTHER


def test_a_field_that_the_format_does_not_leave_out_stays_part_of_the_question(
    caller: Caller,
) -> None:
    for version in ("v1", "v2"):
        extra = {"context": [{"id": f"terms@{version}"}, {"id": "prices"}]}
        assert status_of(caller.chat("Extra?", extra=extra)) == MISS
        assert "; hit; " in status_of(caller.chat("Extra?", extra=extra))


def test_what_cannot_be_read_keeps_the_answer_out(caller: Caller) -> None:
    for _ in range(2):
        assert asking(caller, [True]) == "askonce; fwd=miss; detail=bad-tags"
    assert asking(caller, "terms@v1") == MISS


def test_a_sync_reaches_a_running_gateway(caller: Caller, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"

    def sync(version: str) -> None:
        manifest.write_text(json.dumps({"documents": {"terms": version}}))
        assert main(["docs", "sync", str(manifest)]) == 0

    assert asking(caller, "terms@v1") == MISS
    asking(caller, "terms@v1")
    sync("v1")
    assert "; hit; " in asking(caller, None)
    sync("v2")
    # A request without documents gets no old answer either.
    assert asking(caller, None) == MISS
