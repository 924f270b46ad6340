"""Embedders of libraries that the user installs: sentence-transformers and fastembed.

No extra of AskOnce brings them. They download a model that is missing. Both truncate a long text
silently; here a text that does not fit has no vector.
"""

import importlib.util
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from askonce.core.errors import ConfigError, EmbedderError
from askonce.semantic.embedders.telemetry import turn_off_telemetry

CHARACTERS = 20_000
"""The longest text whose tokens are counted; a longer one has no vector."""

_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""The errors that these libraries raise."""


class _InstalledEmbedder:
    """The shared part: load on first use, one call after another, vectors of unit length."""

    library: str
    package: str

    def __init__(self, model: str, *, lock: AbstractContextManager[Any]) -> None:
        if importlib.util.find_spec(self.library) is None:
            raise ConfigError(
                f"{self.package}:{model} needs {self.package}; run: pip install {self.package}"
            )
        self.name = f"{self.package}:{model}"
        self.dimensions = 0
        self._wanted = model
        self._lock = lock
        self._model: Any = None

    async def embed(self, texts: Sequence[str]) -> list[bytes | None]:
        """Return a vector for each text; None for one that does not fit the model."""
        found: list[bytes | None] = [None] * len(texts)
        # Neither library promises that threads may share a model.
        with self._lock:
            try:
                if self._model is None:
                    turn_off_telemetry()
                    self._model = self._open(importlib.import_module(self.library))
                rows = [row for row, text in enumerate(texts) if self._may_embed(text)]
                vectors = self._vectors([texts[row] for row in rows]) if rows else []
                for row, vector in zip(rows, vectors, strict=True):
                    found[row] = self._unit(vector)
            except _ERRORS as error:
                kind = type(error).__name__
                raise EmbedderError(f"{self.name} failed: {kind}") from error
        return found

    async def close(self) -> None:
        with self._lock:
            self._model = None

    def _may_embed(self, text: str) -> bool:
        if len(text) > CHARACTERS or not text.strip():
            return False
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
        return self._fits(text)

    def _unit(self, vector: Any) -> bytes:
        import numpy as np

        numbers = np.asarray(vector, dtype="<f4").reshape(-1)
        length = float(np.linalg.norm(numbers))
        if not (np.isfinite(length) and length > 0):
            raise EmbedderError(f"{self.name} gave a vector without a direction")
        if self.dimensions not in (0, len(numbers)):
            raise EmbedderError(
                f"{self.name} gave {len(numbers)} numbers instead of {self.dimensions}"
            )
        self.dimensions = len(numbers)
        data: bytes = (numbers / length).astype("<f4").tobytes()
        return data

    def _open(self, library: Any) -> Any:
        raise NotImplementedError

    def _fits(self, text: str) -> bool:
        raise NotImplementedError

    def _vectors(self, texts: list[str]) -> Any:
        raise NotImplementedError


class SentenceTransformersEmbedder(_InstalledEmbedder):
    """A model of sentence-transformers, by its name or its folder."""

    library = "sentence_transformers"
    package = "sentence-transformers"

    def _open(self, library: Any) -> Any:
        return library.SentenceTransformer(self._wanted)

    def _fits(self, text: str) -> bool:
        longest = self._model.max_seq_length
        if longest is None:
            return True
        ids = self._model.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        return len(ids) <= int(longest)

    def _vectors(self, texts: list[str]) -> Any:
        return self._model.encode(texts, show_progress_bar=False)


class FastembedEmbedder(_InstalledEmbedder):
    """A model of fastembed, by its name."""

    library = "fastembed"
    package = "fastembed"

    def _open(self, library: Any) -> Any:
        return library.TextEmbedding(model_name=self._wanted)

    def _fits(self, text: str) -> bool:
        # The tokenizer returns the tokens that it cut off.
        tokenizer = getattr(getattr(self._model, "model", None), "tokenizer", None)
        return tokenizer is None or not tokenizer.encode(text).overflowing

    def _vectors(self, texts: list[str]) -> Any:
        return self._model.embed(texts)
