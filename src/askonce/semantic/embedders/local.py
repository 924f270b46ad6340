"""The local embedder: all-MiniLM-L6-v2 in 8 bits, run by ONNX Runtime in this process.

The model comes with the `askonce-models` distribution, without a key or a download. It is an
English model. A text that it cannot read whole has no vector, because two such texts could get the
same one:

- a text of more than 254 tokens: the model was not trained for more, and a vector of the beginning
  says nothing about the end. The tokens of a text beyond 5,000 characters are not counted.
- a text with a token `[UNK]`: a script or sign outside its vocabulary (Thai, emoji, many Han
  characters), or a word of more than 100 letters. All of those look the same to it.
- a text without any token, and one with half a character.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakValueDictionary

from askonce.core.errors import ConfigError, EmbedderError, missing_library
from askonce.semantic.embedders.telemetry import turn_off_telemetry

TOKENS = 254
"""The tokens that a text may have, beside the two that the model adds."""
CHARACTERS = 5_000
"""The longest token of the vocabulary has 18 characters, so no longer text has so few tokens,
unless it has blanks or signs that the model cannot read."""

_BATCH_TOKENS = 1_024
"""Tokens that run through the model at once; more are not faster and take more memory."""
_NEEDS = ("askonce_models", "numpy", "onnxruntime", "tokenizers")
_UNKNOWN = "[UNK]"


class LocalEmbedder:
    """Vectors of 384 numbers from the model that ships with AskOnce.

    The model is loaded on first use, or by `load`, which takes some tenths of a second and 90 MB.
    Any number of threads may use it at once; each call computes in the caller's thread.

    Parameters:
        lock: guards loading.
        threads: the threads that one call computes with.

    Raises `ConfigError` if the extra is not installed.
    """

    def __init__(self, *, lock: AbstractContextManager[Any], threads: int = 1) -> None:
        for library in _NEEDS:
            if importlib.util.find_spec(library) is None:
                raise missing_library("the local embedder", library, "semantic")
        import askonce_models

        try:
            self.name = askonce_models.fingerprint()
        except askonce_models.DamagedModelError as error:
            raise ConfigError(_damaged(error)) from error
        self.dimensions = askonce_models.DIMENSIONS
        self._lock = lock
        self._threads = threads
        self._model: _Model | None = None
        self._closed = False

    def load(self) -> "_Model":
        """Load the model unless it is loaded. Raises `EmbedderError`."""
        model = self._model
        if model is not None:
            return model
        with self._lock:
            if self._closed:
                raise EmbedderError("the local embedder was closed")
            if self._model is None:
                self._model = _shared_model(self._threads)
            return self._model

    async def embed(self, texts: Sequence[str]) -> list[bytes | None]:
        """Return a vector for each text; None for one that the model cannot read whole."""
        model = self.load()
        tokens = [model.tokens(text) for text in texts]
        found: list[bytes | None] = [None] * len(texts)
        for rows in _batches({row: len(ids) for row, ids in enumerate(tokens) if ids}):
            vectors = model.vectors([tokens[row] for row in rows])
            for row, vector in zip(rows, vectors, strict=True):
                found[row] = vector
        return found

    def unread(self, text: str) -> list[str]:
        """Return the pieces of a text that the model does not know; with any there is no vector."""
        return self.load().unread(text)

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            self._model = None


_models: WeakValueDictionary[int, "_Model"] = WeakValueDictionary()
"""The loaded models by their threads, so that the caches of one process share one model."""


def _shared_model(threads: int) -> "_Model":
    import askonce_models

    try:
        askonce_models.verify()
    except askonce_models.DamagedModelError as error:
        raise EmbedderError(_damaged(error)) from error
    # Two callers at the same moment may load it twice; the second model is kept.
    model = _models.get(threads)
    if model is None:
        model = _models[threads] = _Model(threads)
    return model


class _Model:
    """The tokenizer and the graph in memory."""

    def __init__(self, threads: int) -> None:
        turn_off_telemetry()
        import askonce_models
        import onnxruntime  # type: ignore[import-untyped]  # it has no types
        from tokenizers import Tokenizer

        self._errors: tuple[type[Exception], ...] = (*_errors_of(onnxruntime), OSError, ValueError)
        try:
            turn_off_telemetry()  # once more: Windows may turn it on while it is imported
            # Errors only: it warns of processors and graphics cards that it does not know.
            onnxruntime.set_default_logger_severity(3)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(
                str(askonce_models.EMBEDDER), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(askonce_models.TOKENIZER))
        except self._errors as error:
            kind = type(error).__name__
            raise EmbedderError(f"the local embedding model does not load: {kind}") from error
        # "[SEP]" in a text is five characters, not the end of a text.
        self._tokenizer.encode_special_tokens = True
        self._unknown = self._tokenizer.token_to_id(_UNKNOWN)

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text; none if it cannot be read whole."""
        if len(text) > CHARACTERS or not _is_text(text):
            return []
        # One by one: in a batch the library starts threads, which a fork does not survive.
        ids: list[int] = self._tokenizer.encode(text).ids
        if not 2 < len(ids) <= TOKENS + 2 or self._unknown in ids:
            return []
        return ids

    def unread(self, text: str) -> list[str]:
        text = text[:CHARACTERS]
        if not _is_text(text):
            return []
        found = self._tokenizer.encode(text)
        pairs = zip(found.ids, found.offsets, strict=True)
        return [text[start:end] for token, (start, end) in pairs if token == self._unknown]

    def vectors(self, tokens: Sequence[list[int]]) -> list[bytes]:
        """Return the vectors of texts that run through the model together."""
        import numpy as np

        longest = max(map(len, tokens))
        ids = np.zeros((len(tokens), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, known in enumerate(tokens):
            ids[row, : len(known)] = known
            mask[row, : len(known)] = 1
        try:
            (found,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        except self._errors as error:
            kind = type(error).__name__
            raise EmbedderError(f"the local embedding model does not run: {kind}") from error
        return [vector.astype("<f4").tobytes() for vector in found]


def _batches(lengths: dict[int, int]) -> Iterator[list[int]]:
    """Yield rows in batches of about the same length, so that little is padded."""
    rows: list[int] = []
    for row in sorted(lengths, key=lengths.__getitem__):
        if rows and (len(rows) + 1) * lengths[row] > _BATCH_TOKENS:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _errors_of(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Return the errors of ONNX Runtime, which have no common base class."""
    kinds = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    own = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError)


def _damaged(error: Exception) -> str:
    return f"{error}; run: pip install --force-reinstall askonce-models"
