"""`askonce docs sync` on every kind of store: answers go with the documents they were made from."""

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from askonce import Cache, document_tags
from askonce.cli import main
from askonce.core.models import Selection
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.invalidation.document_sync import DocumentSync
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from askonce.stores.tiered.layers import Layer
from tests.fixtures.engines import Engines

Run = Callable[..., tuple[int, str, str]]
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASKONCE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(("docs", "sync", *arguments))
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run


@pytest.fixture(params=["sqlite", "redis8", "postgres"])
def url(request: pytest.FixtureRequest, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> str:
    url = engines.plain(request.param)
    monkeypatch.setenv("ASKONCE_STORE__URL", url)
    return url


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    url = f"sqlite:{tmp_path / 'answers.db'}"
    monkeypatch.setenv("ASKONCE_STORE__URL", url)
    with Cache(url) as cache:
        yield cache


@contextlib.contextmanager
def opened(url: str) -> Iterator[Cache]:
    """A cache that is not closed before it has heard its first news."""
    with Cache(url, consistency="strong") as cache:
        yield cache
        until = time.monotonic() + PATIENCE_S
        while not cache.assembly.stack.is_coherent:
            assert time.monotonic() < until
            time.sleep(0.01)


def manifest(versions: Any, name: str = "manifest.json") -> str:
    Path(name).write_text(json.dumps({"documents": versions}))
    return name


def ask(cache: Cache, question: str, *documents: Any, tags: tuple[str, ...] = ()) -> None:
    assert cache.put(question, "30 days", tags=[*document_tags(documents), *tags])


def questions(url: str) -> set[str]:
    """What a process that knows nothing yet finds in the store."""
    runtime = SyncRuntime()
    store = open_store(url, StoreContext(runtime.lock, runtime.now, runtime.loop_or_process))

    async def found() -> set[str]:
        try:
            return {
                entry.question
                async for entry in store.scan(Selection())
                if entry.key.namespace == "local"
            }
        finally:
            await store.close()

    return run_sync(found())


def test_exactly_what_depends_on_changed_documents_goes(url: str, run: Run) -> None:
    with opened(url) as cache:
        ask(cache, "old version", ("terms", "v1"))
        ask(cache, "new version", ("terms", "v2"))
        ask(cache, "unknown version", "terms")
        ask(cache, "both", ("terms", "v1"), ("prices", "v1"))
        ask(cache, "unchanged", ("prices", "v1"))
        ask(cache, "removed", ("gone", "v1"))
        ask(cache, "never known", ("elsewhere", "v1"))
        ask(cache, "none", tags=("hours",))
    everything = questions(url)
    assert len(everything) == 8

    first = manifest({"terms": "v1", "prices": "v1", "gone": "v1", "elsewhere": "v1"})
    assert run(first)[0] == 0
    # The first manifest said nothing about an unknown version or about version 2.
    assert questions(url) == everything - {"unknown version", "new version"}
    with opened(url) as cache:
        ask(cache, "new version", ("terms", "v2"))
        ask(cache, "unknown version", "terms")
        ask(cache, "unknown and unchanged", "prices")

    second = manifest({"terms": "v2", "prices": "v1", "elsewhere": "v1", "new": "v1"})
    status, dry, _ = run(second, "--dry-run", "--json")
    assert (status, json.loads(dry)["entries"]) == (0, 4)
    assert questions(url) == everything | {"unknown and unchanged"}
    status, out, err = run(second, "--json")

    left = {"new version", "unchanged", "unknown and unchanged", "never known", "none"}
    assert (status, err, questions(url)) == (0, "", left)
    report = json.loads(out)
    assert report | {"samples": []} == {
        "changed": ["terms"],
        "removed": ["gone"],
        "added": ["new"],
        "unchanged": 2,
        "tags": ["doc:gone", "doc:new@", "doc:terms@", "doc:terms@v1"],
        "entries": 4,
        "samples": [],
        "dry_run": False,
    }
    assert {one["question"] for one in report["samples"]} == {
        "old version", "unknown version", "both", "removed",
    }  # fmt: skip
    assert json.loads(run(second, "--json")[1])["tags"] == []
    assert questions(url) == left


def test_a_running_cache_hears_of_it(url: str, run: Run) -> None:
    with opened(url) as cache:
        ask(cache, "why?", ("terms", "v1"))
        run(manifest({"terms": "v1"}))
        assert cache.get("why?") is not None

        run(manifest({"terms": "v2"}))

        assert cache.get("why?") is None


def test_an_answer_under_way_from_the_old_version_is_refused(url: str, run: Run) -> None:
    with opened(url) as cache:
        ask(cache, "first")
        run_sync(cache.assembly.services.sync.tiers.settle())
        assert run(manifest({"terms": "v1"}))[0] == 0

        @cache.remember(tags=document_tags([("terms", "v1")]))
        def answer() -> str:
            run(manifest({"terms": "v2"}))
            return "30 days"

        assert answer() == "30 days"
        run_sync(cache.assembly.services.sync.tiers.settle())
        assert questions(url) == {"first"}


def test_documents_outside_the_prefix_are_left_alone(sqlite: Cache, run: Run) -> None:
    ask(sqlite, "wiki", ("wiki/1", "v1"))
    ask(sqlite, "shop", ("shop/1", "v1"))
    sqlite.close()

    status, out, _ = run(manifest({}), "--prefix", "wiki/")

    assert status == 0
    assert "invalidated 1 answer by 1 tag\n  wiki  (doc:wiki/1)\n" in out
    assert questions(os.environ["ASKONCE_STORE__URL"]) == {"shop"}


def test_the_version_of_a_path_is_that_of_the_files_content(sqlite: Cache, run: Run) -> None:
    Path("texts").mkdir()
    Path("texts/terms.md").write_text("30 days")
    ask(sqlite, "why?", {"id": "terms", "text": "30 days"})
    sqlite.close()
    name = manifest([{"id": "terms", "path": "terms.md"}], "texts/manifest.json")

    assert json.loads(run(name, "--json")[1])["entries"] == 0
    Path("texts/terms.md").write_text("14 days")
    assert json.loads(run(name, "--json")[1])["changed"] == ["terms"]
    assert questions(os.environ["ASKONCE_STORE__URL"]) == set()


def test_an_interrupted_sync_is_done_by_the_next(
    sqlite: Cache, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(sqlite, "why?", ("terms", "v1"))
    sqlite.close()
    run(manifest({"terms": "v1"}))
    bump = DocumentSync._invalidate

    async def interrupted(self: DocumentSync, *args: Any) -> None:
        await bump(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DocumentSync, "_invalidate", interrupted)
        status, _, err = run(manifest({"terms": "v2"}))
    assert (status, err) == (130, "askonce: stopped; run it again to do all of it\n")

    assert json.loads(run("manifest.json", "--json")[1])["changed"] == ["terms"]


def test_an_entry_that_says_nothing_of_the_version_goes_alone(sqlite: Cache, run: Run) -> None:
    """As an older release, or an import, may have stored it."""
    ask(sqlite, "known", ("terms", "v2"))
    sqlite.close()
    url = os.environ["ASKONCE_STORE__URL"]
    runtime = SyncRuntime()
    store: Store = open_store(url, StoreContext(runtime.lock, runtime.now, runtime.loop_or_process))

    async def strip() -> None:
        (known,) = [entry async for entry in store.scan(Selection(namespace="local"))]
        bare = msgspec.structs.replace(
            known,
            key=known.key._replace(digest=bytes(32)),
            question="bare",
            tags=tuple(tag for tag in known.tags if tag[0] == "doc:terms"),
        )
        assert await store.write(bare)
        await store.close()

    run_sync(strip())
    assert questions(url) == {"known", "bare"}

    assert json.loads(run(manifest({"terms": "v2"}), "--json")[1])["entries"] == 1
    assert questions(url) == {"known"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "m.json: is not JSON: "),
        ("\xff", "m.json: "),
        ("[]", "m.json: has no documents; write "),
        ('{"documents": 7}', "m.json: has no documents; write "),
        ('{"documents": {"7": null}}', "m.json: the version of '7' is not a text"),
        ('{"documents": {"7": ""}}', "m.json: the version of '7' is not a text"),
        ('{"documents": {"": "v1"}}', "m.json: an id is not a text"),
        ('{"documents": {"7": "a", "7": "b"}}', "m.json: '7' appears twice"),
        ('{"documents": ["7"]}', "m.json: document 1 is not an object"),
        ('{"documents": [{"version": "v1"}]}', "m.json: the id of document 1 is not a text"),
        ('{"documents": [{"id": "7"}]}', "m.json: the document '7' needs either"),
        ('{"documents": [{"id": "7", "version": "1", "path": "x"}]}',
         "m.json: the document '7' needs either"),
        ('{"documents": [{"id": "7", "version": "1"}, {"id": 7, "version": 2}]}',
         "m.json: the document '7' has two versions"),
        ('{"documents": [{"id": "7", "path": "nowhere"}]}', "m.json: nowhere cannot be read: No"),
        ('{"documents": [{"id": "7", "path": "\\u0000"}]}', "m.json: \0 cannot be read: "),
    ],
)  # fmt: skip
def test_a_bad_manifest_is_one_clear_line(
    sqlite: Cache, run: Run, text: str, complaint: str
) -> None:
    Path("m.json").write_text(text, encoding="latin-1")

    status, out, err = run("m.json")

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"askonce: {complaint}")


def test_ids_must_begin_with_the_prefix(sqlite: Cache, run: Run) -> None:
    status, _, err = run(manifest({"shop/1": "v1"}), "--prefix", "wiki/")
    assert (status, err) == (
        2,
        "askonce: the document 'shop/1' does not begin with the prefix 'wiki/'\n",
    )
    assert run(manifest({}), "--prefix", "x" * 96)[0] == 2


def test_a_sync_leaves_a_line(sqlite: Cache, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    ask(sqlite, "why?", ("7", "v1"))
    sqlite.close()

    with caplog.at_level("INFO", "askonce.audit"):
        run(manifest({"7": "v2"}), "--dry-run")
        run(manifest({"7": "v2"}))

    (line,) = [json.loads(record.getMessage()) for record in caplog.records]
    assert (line["who"], line["entries"], line["tags"]) == ("cli", 1, ["doc:7@v1"])
    assert line["what"] == {"documents": "", "changed": 0, "removed": 0, "added": 1}


def test_the_manifest_can_come_from_standard_input(
    sqlite: Cache, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(sqlite, "why?", ("7", "v1"))
    sqlite.close()
    raw = io.TextIOWrapper(io.BytesIO(b'{"documents": {"7": "v2"}}'))
    monkeypatch.setattr("sys.stdin", raw)

    assert "invalidated 1 answer" in run("-")[1]


def test_a_missing_manifest_and_a_missing_store_are_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("nowhere.json")[2] == (
        "askonce: nowhere.json: cannot be read: No such file or directory\n"
    )
    assert run(manifest({"7": "v1"}))[0] == 1


def test_an_id_with_half_a_character_is_remembered_too(sqlite: Cache, run: Run) -> None:
    sqlite.put("q", "a")
    manifest({"a\ud800": "v1", "b": "v1"})
    assert run("manifest.json")[0] == 0
    manifest({"b": "v1"})
    status, out, _ = run("manifest.json", "--json")
    assert status == 0
    assert json.loads(out)["removed"] == ["a\ud800"]


def test_a_full_store_keeps_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Where the oldest leave first, it is not the manifest."""
    url = f"sqlite:{tmp_path / 'small.db'}"
    monkeypatch.setenv("ASKONCE_LAYERS__SMALL__URL", url)
    monkeypatch.setenv("ASKONCE_LAYERS__SMALL__SIZE", "1 MiB")
    manifest({"a": "v1", "b": "v1"})
    with Cache(layers=["memory:", Layer(url, size=1 << 20)]) as cache:
        cache.put("q", "a")
        assert run("manifest.json")[0] == 0
        for number in range(60):
            cache.put(f"q{number}", "a" * 50_000)
    manifest({"b": "v1"})
    assert json.loads(run("manifest.json", "--json")[1])["removed"] == ["a"]


def test_a_name_that_stands_twice_among_very_many_is_found_at_once(run: Run, sqlite: Cache) -> None:
    names = ",".join(f'"{number}":"1"' for number in range(200_000))
    Path("manifest.json").write_text(f'{{"documents": {{{names},"199999":"1"}}}}')
    status, _, err = run("manifest.json")
    assert (status, "'199999' appears twice" in err) == (2, True)
