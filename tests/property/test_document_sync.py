"""A sync removes exactly the answers that depend on outdated documents."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.core.document_tags import document_tags
from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Store
from askonce.core.runtime.threads import run_sync
from askonce.invalidation.document_sync import DocumentSync, DocumentSyncResult, Manifest
from askonce.stores.memory.store import MemoryStore

NAMES = st.sampled_from(["a/1", "a/2", "a/é", "b/1", "b/" + "x" * 300])
VERSIONS = st.sampled_from(["v1", "v2", "v,3"])
MANIFESTS = st.dictionaries(NAMES, VERSIONS, max_size=5)
ANSWERS = st.lists(
    st.dictionaries(NAMES, VERSIONS | st.just(""), max_size=3), min_size=1, max_size=12
)
PREFIXES = st.sampled_from(["", "a/"])


def keep(store: Store, number: int, documents: dict[str, str]) -> Entry:
    """An answer that was made from these documents."""
    tags = (*document_tags(documents.items()), "other")
    epochs = run_sync(store.epochs(tags))
    key = Key("n", "text", number.to_bytes(32, "big"))
    entry = Entry(key, b"", 200, (), 0.0, 1.0, 1.0, tags=tuple(epochs.items()))
    assert run_sync(store.write(entry))
    return entry


def sync(
    store: Store, versions: dict[str, str], prefix: str = "", *, dry_run: bool = False
) -> DocumentSyncResult:
    chosen = {name: version for name, version in versions.items() if name.startswith(prefix)}
    return run_sync(DocumentSync(store, Manifest(chosen, prefix)).run(dry_run=dry_run))


async def numbers(store: Store) -> set[int]:
    return {
        int.from_bytes(entry.key.digest, "big")
        async for entry in store.scan(Selection())
        if entry.key.namespace == "n"
    }


def is_true(name: str, version: str, prefix: str, was: dict[str, str], now: dict[str, str]) -> bool:
    if not name.startswith(prefix):
        return True
    if version == "":
        return name in now and was.get(name) == now[name]
    return now.get(name) == version


@settings(max_examples=300)
@given(MANIFESTS, MANIFESTS, ANSWERS, PREFIXES)
def test_exactly_the_dependent_answers_are_gone(
    was: dict[str, str], now: dict[str, str], answers: list[dict[str, str]], prefix: str
) -> None:
    store = MemoryStore(10_000_000, lock=contextlib.nullcontext())
    sync(store, was, prefix)
    under_way = run_sync(store.epochs(document_tags(was.items())))
    for number, documents in enumerate(answers):
        keep(store, number, documents)
    wanted = {
        number
        for number, documents in enumerate(answers)
        if all(is_true(*document, prefix, was, now) for document in documents.items())
    }

    preview = sync(store, now, prefix, dry_run=True)
    assert run_sync(numbers(store)) == set(range(len(answers)))
    done = sync(store, now, prefix)

    assert run_sync(numbers(store)) == wanted
    assert done.entries == preview.entries == len(answers) - len(wanted)
    assert done.tags == preview.tags
    # An answer that was being made from what a manifest said before is refused.
    for name, version in was.items():
        if name.startswith(prefix) and now.get(name) != version:
            late = tuple((tag, under_way[tag]) for tag in document_tags([(name, version)]))
            entry = Entry(Key("n", "text", bytes(32)), b"", 200, (), 0.0, 1.0, 1.0, tags=late)
            assert not run_sync(store.write(entry))

    again = sync(store, now, prefix)
    assert (again.entries, again.tags) == (0, ())
    assert run_sync(numbers(store)) == wanted
