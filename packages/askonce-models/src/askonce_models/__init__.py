"""The files of AskOnce's local embedding model: their paths and their checksums.

An import reads only this file; `verify()` and `fingerprint()` read the others.
"""

import hashlib
import json
from pathlib import Path
from typing import Final

__version__ = "1.0.0"

_HERE = Path(__file__).resolve().parent

EMBEDDER: Final = _HERE / "embedder.onnx"
TOKENIZER: Final = _HERE / "tokenizer.json"
MODEL_CARD: Final = _HERE / "MODEL_CARD.md"

NAME: Final = "all-MiniLM-L6-v2"
DIMENSIONS: Final = 384
TRAINED_TOKENS: Final = 256
"""The tokens of the longest text in training, the two special ones included."""


class DamagedModelError(Exception):
    """A file of this distribution is missing, or differs from the published one."""


def checksums() -> dict[str, str]:
    """Return the published SHA-256 of each file, in hexadecimal. Raises `DamagedModelError`."""
    try:
        published: dict[str, str] = json.loads((_HERE / "checksums.json").read_text("utf-8"))
        return {path.name: published[path.name] for path in (EMBEDDER, TOKENIZER)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedModelError("checksums.json cannot be read") from error


def fingerprint() -> str:
    """Return the name of exactly this embedder, for an index to keep beside its vectors.

    Raises `DamagedModelError`.
    """
    published = checksums()
    return f"{NAME}@{published[EMBEDDER.name][:16]}+{published[TOKENIZER.name][:16]}"


def verify() -> None:
    """Compare every file with its checksum. Raises `DamagedModelError` for the first difference."""
    for name, published in checksums().items():
        try:
            with (_HERE / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DamagedModelError(f"{name} cannot be read: {error.strerror}") from error
        if found != published:
            raise DamagedModelError(f"{name} has SHA-256 {found}, not {published}")
