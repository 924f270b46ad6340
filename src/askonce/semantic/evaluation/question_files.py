"""Sets of questions from files: JSON lines, plain or gzip, with a complaint for each bad line."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from askonce.core.errors import ConfigError
from askonce.semantic.evaluation.json_lines import LONGEST, LineFault
from askonce.semantic.evaluation.pairs import read_pairs
from askonce.semantic.evaluation.question_sets import PairSet, StreamSet
from askonce.semantic.evaluation.streams import read_stream

T = TypeVar("T")

_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"  # Windows begins a file with it


class Complaint(NamedTuple):
    """A fault of a file; `line` counts from 1, None means the file as a whole."""

    file: str
    line: int | None
    why: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}: line {self.line}"
        return f"{where}: {self.why}"


Read = Callable[[Iterable[bytes]], tuple[list[T], list[LineFault]]]


def read_pair_set(name: str) -> tuple[PairSet, list[Complaint]]:
    """Read pairs from a file, `-` for standard input; faults are returned, never raised."""
    pairs, complaints = _read(name, read_pairs)
    return PairSet(title_of(name), pairs), complaints


def read_stream_set(name: str) -> tuple[StreamSet, list[Complaint]]:
    """Read the questions of a file in its order; faults are returned, never raised."""
    questions, complaints = _read(name, read_stream)
    return StreamSet(title_of(name), questions), complaints


def title_of(name: str) -> str:
    """Return the name of a set: the name of its file without folder and endings."""
    if name == "-":
        return "stdin"
    title = Path(name).name
    for ending in (".gz", ".jsonl", ".json", ".ndjson"):
        title = title.removesuffix(ending)
    return title or name


def lines_of(name: str) -> Iterator[bytes]:
    """Yield the lines of a file. Raises `ConfigError` if it cannot be read to its end."""
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
    """Yield the lines up to a read error; a line that is too long is cut."""
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
    # A file named .gz that is not gzip is a fault to report.
    if packed or name.endswith(".gz"):
        return gzip.open(name, "rb")  # type: ignore[return-value]  # it reads as one
    return open(name, "rb")
