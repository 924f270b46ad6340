"""The files of AskOnce's local embedding model: where they lie and whether they are whole.

Importing reads nothing but this file; `verify()` and `fingerprint()` read the others.
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
"""Tokens, the two special ones included, up to which the model was meant to read a text."""


class DamagedModelError(Exception):
    """A file of this distribution is missing or not what was published."""


def checksums() -> dict[str, str]:
    """SHA-256 of each file, in hexadecimal, as published; DamagedModelError where none is."""
    try:
        published: dict[str, str] = json.loads((_HERE / "checksums.json").read_text("utf-8"))
        return {path.name: published[path.name] for path in (EMBEDDER, TOKENIZER)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedModelError("checksums.json cannot be read") from error


def fingerprint() -> str:
    """What tells this embedder from any other, for an index to remember beside its vectors."""
    published = checksums()
    return f"{NAME}@{published[EMBEDDER.name][:16]}+{published[TOKENIZER.name][:16]}"


def verify() -> None:
    """Read every file and compare; DamagedModelError names the first that differs."""
    for name, published in checksums().items():
        try:
            with (_HERE / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DamagedModelError(f"{name} cannot be read: {error.strerror}") from error
        if found != published:
            raise DamagedModelError(f"{name} has SHA-256 {found}, not {published}")
