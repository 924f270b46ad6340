"""The cost of finding the nearest entry, with AskOnce's index and with the loop of tutorials."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from statistics import median

from askonce.core.models import Key
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.semantic.evaluation.json_reports import SearchCost
from askonce.semantic.evaluation.text_vectors import TextVectors
from askonce.semantic.index.open_index import open_process_index

MOST_ENTRIES = 5_000
ASKED = 25
_SCOPE = b"eval"
_NEVER = 1e11  # seconds since the epoch


def search_cost(
    vectors: TextVectors, entries: Sequence[int], questions: Sequence[int]
) -> SearchCost | None:
    """Return the medians of both searches for the same entries and questions, given by rows.

    None if no entry or no question has a vector.
    """
    known = [row for row in dict.fromkeys(entries) if vectors.vector(row) is not None]
    known = known[:MOST_ENTRIES]
    asked = [row for row in dict.fromkeys(questions) if vectors.vector(row) is not None]
    asked = asked[:: max(1, len(asked) // ASKED)][:ASKED]
    if not known or not asked:
        return None
    runtime = SyncRuntime()
    embedder = vectors.embedder
    index = open_process_index(
        embedder.name, embedder.dimensions, lock=runtime.lock(), clock=runtime.now
    )
    for row in known:
        key = Key(namespace="eval", format="text", digest=sha256(row.to_bytes(8)).digest())
        run_sync(index.add(_SCOPE, key, vectors.vector(row) or b"", _NEVER))
    ours = _median_us(
        lambda row: run_sync(index.nearest(_SCOPE, vectors.vector(row) or b"", 1)), asked, runtime
    )
    scan = _median_us(lambda row: vectors.matrix.scan(row, known), asked, runtime)
    return SearchCost(len(known), ours, scan)


def _median_us(search: Callable[[int], object], rows: Sequence[int], runtime: SyncRuntime) -> float:
    times = []
    for row in rows:
        began = runtime.monotonic()
        search(row)
        times.append(runtime.monotonic() - began)
    return max(median(times) * 1e6, 1e-3)
