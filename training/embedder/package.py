"""The files of the `askonce_models` package that come from the weights."""

import hashlib
import json
from pathlib import Path

from training.embedder import graph, source

SHIPPED = graph.Plan(product="rows", block_products=("attention.self",), embeddings_in_8_bits=True)


def files(public: source.Source) -> dict[str, bytes]:
    """Return the model, its tokenizer and their checksums, by file name."""
    made = {
        "embedder.onnx": graph.build(public.tensors, SHIPPED),
        "tokenizer.json": source.plain_tokenizer(public.tokenizer),
    }
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    return {**made, "checksums.json": json.dumps(sums, indent=2).encode() + b"\n"}


def differences(folder: Path, made: dict[str, bytes]) -> list[str]:
    """Return the names of files in the folder that are missing or have other bytes."""
    return [
        name
        for name, data in made.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != data
    ]
