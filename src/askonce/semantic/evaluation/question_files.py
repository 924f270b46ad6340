"""Sets of questions out of files: JSON lines, plain or gzip, a complaint for each wrong line."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from askonce.core.errors import ConfigError
from askonce.semantic.evaluation.evaluate import PairSet, StreamSet
from askonce.semantic.evaluation.json_lines import LONGEST, LineFault
from askonce.semantic.evaluation.pairs import read_pairs
from askonce.semantic.evaluation.streams import read_stream

T = TypeVar("T")

_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"  # Windows begins a file with it


class Complaint(NamedTuple):
    """What is wrong with a file; `line` is counted from 1, and None for the file as a whole."""

    file: str
    line: int | None
    why: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}: line {self.line}"
        return f"{where}: {self.why}"


Read = Callable[[Iterable[bytes]], tuple[list[T], list[LineFault]]]


def read_pair_set(name: str) -> tuple[PairSet, list[Complaint]]:
    """The pairs of a file; `-` is standard input. What cannot be read is told, never raised."""
    pairs, complaints = _read(name, read_pairs)
    return PairSet(title_of(name), pairs), complaints


def read_stream_set(name: str) -> tuple[StreamSet, list[Complaint]]:
    """The questions of a file, in its order."""
    questions, complaints = _read(name, read_stream)
    return StreamSet(title_of(name), questions), complaints


def title_of(name: str) -> str:
    """What a file's set is called: the file's name without folder and endings."""
    if name == "-":
        return "stdin"
    title = Path(name).name
    for ending in (".gz", ".jsonl", ".json", ".ndjson"):
        title = title.removesuffix(ending)
    return title or name


def lines_of(name: str) -> Iterator[bytes]:
    """The lines of a file. Raises `ConfigError` where it cannot be read to its end."""
    broken: list[Complaint] = []
    yield from _lines(name, broken)
    if broken:
        raise ConfigError(str(broken[0]))


def _read(name: str, read: Read[T]) -> tuple[list[T], list[Complaint]]:
    broken: list[Complaint] = []
    found, faults = read(_lines(name, broken))
    complaints = [Complaint(name, fault.line, fault.why) for fault in faults]
    if not found and not complaints and not broken:
        broken.append(Complaint(name, None, "is empty"))
    return found, complaints + broken


def _lines(name: str, broken: list[Complaint]) -> Iterator[bytes]:
    """The lines up to where the file cannot be read any more; what is too long comes cut."""
    try:
        with _opened(name) as file:
            first = True
            while line := file.readline(LONGEST + 1):
                rest = line
                while len(rest) > LONGEST and not rest.endswith(b"\n"):
                    rest = file.readline(LONGEST + 1)  # pass over what is left of it
                yield line.removeprefix(_MARK) if first else line
                first = False
    except (gzip.BadGzipFile, EOFError, zlib.error):
        broken.append(Complaint(name, None, "is not gzip, or is cut short"))
    except OSError as error:
        broken.append(Complaint(name, None, f"cannot be read: {error.strerror or error}"))


def _opened(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    with open(name, "rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    # A file that is called .gz and is not gzip is a mistake that shall be told.
    if packed or name.endswith(".gz"):
        return gzip.open(name, "rb")  # type: ignore[return-value]  # it reads as one
    return open(name, "rb")
