"""The lines of a log: from a file, plain or gzip, or from standard input."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from askonce.core.errors import ConfigError
from askonce.prompts.analyzer.log_lines import LONGEST

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # Windows begins files with it


def lines_of(name: str, cut: list[str]) -> Iterator[bytes]:
    """Yield the lines of a log as far as it can be read.

    Appends to `cut` what is wrong with its end. Raises ConfigError if it cannot be read at all.
    """
    try:
        file = _opened(name)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror or error}") from None
    with file:
        first = True
        try:
            while line := file.readline(LONGEST + 2):
                yield line.removeprefix(_BYTE_ORDER_MARK) if first else line
                first = False
                while len(line) > LONGEST + 1 and not line.endswith(b"\n"):
                    line = file.readline(LONGEST + 2)  # skip the rest of it
        except (gzip.BadGzipFile, EOFError, zlib.error):
            cut.append("the file is not gzip, or is cut short")
        except OSError as error:
            cut.append(f"the file cannot be read to its end: {error.strerror or error}")


def _opened(name: str) -> BinaryIO:
    if name == "-":
        found: Any = sys.stdin.buffer
        packed = found.peek(2)[:2] == _GZIP
        return gzip.open(found) if packed else found  # type: ignore[return-value]
    with open(name, "rb") as file:
        packed = file.read(2) == _GZIP
    if packed or name.endswith(".gz"):
        return gzip.open(name)  # type: ignore[return-value]  # it reads as one
    return open(name, "rb", buffering=1 << 20)
