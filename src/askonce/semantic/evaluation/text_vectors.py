"""The vectors and prepared texts of many questions, each computed once."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from askonce.core.errors import EmbedderError
from askonce.core.protocols import Embedder
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.semantic.embedders.open_embedder import is_local, open_embedder
from askonce.semantic.guards import Text, prepare
from askonce.semantic.index.matrix import Matrix
from askonce.stores.context import StoreContext

_BATCH_TEXTS = 256
_DEADLINE = 60.0  # seconds for one call of an endpoint: no caller waits here


class TextVectors:
    """Texts with their rows in a matrix of vectors; a repeated text has one row."""

    def __init__(self, embedder: Embedder, *, workers: int = 1) -> None:
        self.embedder = embedder
        self._workers = workers
        self._rows: dict[str, int] = {}
        self._vectors: list[bytes | None] = []
        self._read: dict[str, Text] = {}

    @classmethod
    def of(cls, address: str) -> "TextVectors":
        """Open the embedder of an address. Raises `ConfigError` if the address names none."""
        context = StoreContext.of(SyncRuntime(), _DEADLINE)
        embedder = open_embedder(address, context, key=os.environ.get("OPENAI_API_KEY"))
        # A local embedder computes in the thread of its caller: one on each core.
        return cls(embedder, workers=(os.cpu_count() or 1) if is_local(address) else 1)

    def missing(self, texts: Iterable[str]) -> list[str]:
        """Return the texts without a row, each once."""
        return [text for text in dict.fromkeys(texts) if text not in self._rows]

    def add(self, texts: Iterable[str], vectors: Iterable[bytes | None]) -> None:
        """Add texts with their vectors, which this embedder has computed."""
        for text, vector in zip(texts, vectors, strict=True):
            self._rows[text] = len(self._vectors)
            self._vectors.append(vector)
        self.__dict__.pop("matrix", None)

    def embed(self, texts: Iterable[str], progress: Callable[[int], None]) -> None:
        """Embed the missing texts and report progress. Raises `EmbedderError`."""
        # Texts of about the same length go together, so that little is padded.
        wanted = sorted(self.missing(texts), key=len)
        parts = [wanted[at : at + _BATCH_TEXTS] for at in range(0, len(wanted), _BATCH_TEXTS)]
        done = 0
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for part, vectors in zip(parts, pool.map(self._vectors_of, parts), strict=True):
                    self.add(part, vectors)
                    done += len(part)
                    progress(done)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _vectors_of(self, texts: Sequence[str]) -> list[bytes | None]:
        vectors = run_sync(self.embedder.embed(texts))
        if len(vectors) != len(texts):
            raise EmbedderError("the embedder answered with another number of vectors")
        return vectors

    def row(self, text: str) -> int:
        """Return the row of a text that was embedded."""
        return self._rows[text]

    def vector(self, row: int) -> bytes | None:
        return self._vectors[row]

    def read(self, text: str) -> Text:
        """Return a text as the guards compare it."""
        found = self._read.get(text)
        if found is None:
            found = self._read[text] = prepare(text)
        return found

    @cached_property
    def matrix(self) -> Matrix:
        return Matrix(self._vectors, self.embedder.dimensions)

    def close(self) -> None:
        run_sync(self.embedder.close())
