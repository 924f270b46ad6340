"""Checkpoints: how far a move of entries came, in files beside it, so that it can go on from there.

Everything is written so that a program that is killed at any moment leaves a file that is true.
"""

import contextlib
import hashlib
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from askonce.core.errors import StoreError
from askonce.core.models import Key
from askonce.core.runtime import private_files
from askonce.core.runtime.private_files import replace_private

_NUMBER_BYTES = 8


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """How far a move came: `of` says which one it is, so that no other goes on from here.

    `partial` is the name of the file beside this one that an export collects entries in.
    """

    of: str
    entries: int = 0
    offset: int = 0
    mark: str = ""
    partial: str = ""


class Checkpoint:
    """The file that says how far a move came."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self, of: str) -> Stage | None:
        """How far this very move came; None if it has to begin."""
        try:
            stage = msgspec.json.decode(Path(self._path).read_bytes(), type=Stage)
        except (FileNotFoundError, msgspec.MsgspecError, ValueError):
            return None
        return stage if stage.of == of else None

    def save(self, stage: Stage) -> None:
        with writing(self._path):
            replace_private(self._path, msgspec.json.encode(stage))

    def discard(self) -> None:
        with writing(self._path):
            Path(self._path).unlink(missing_ok=True)


class Keys:
    """Which keys were moved before: 8 bytes of memory for each.

    Two keys are taken for one so rarely (in one of 10^7 stores of a million entries) that losing
    an entry to it is no worse than any other loss of a cache.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._numbers = array("Q", sorted(map(_number, keys)))

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: Key) -> bool:
        if not self._numbers:
            return False
        number = _number(key)
        place = bisect_left(self._numbers, number)
        return place < len(self._numbers) and self._numbers[place] == number


class KeyFile(Keys):
    """The same in a file: keys added in one run are still there in the next."""

    def __init__(self, path: str, *, keep: bool) -> None:
        super().__init__()
        self._path = path
        with writing(path):
            self._file = open_private(path, keep=keep)
            raw = self._file.read()
            whole = len(raw) // _NUMBER_BYTES * _NUMBER_BYTES
            self._numbers = array("Q", sorted(array("Q", raw[:whole])))
            self._file.seek(whole)

    def add(self, keys: Iterable[Key]) -> None:
        with writing(self._path):
            self._file.write(array("Q", map(_number, keys)).tobytes())
            self._file.flush()

    def close(self) -> None:
        with writing(self._path):
            self._file.close()

    def discard(self) -> None:
        self.close()
        with writing(self._path):
            Path(self._path).unlink(missing_ok=True)


def _number(key: Key) -> int:
    return int.from_bytes(hashlib.blake2b(str(key).encode(), digest_size=8).digest(), "little")


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Whatever the operating system says against writing a file becomes one sentence."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error


def open_private(path: str, *, keep: bool) -> BinaryIO:
    """Open for reading and writing, with permissions for the owner only; empty unless `keep`."""
    flags = os.O_RDWR | os.O_CREAT | (0 if keep else os.O_TRUNC)
    return os.fdopen(private_files.open_private(path, flags), "r+b")
