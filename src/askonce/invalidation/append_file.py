"""An append-only file of lines, shared by several processes: audit lines and logged requests."""

import os

from askonce.core.runtime.private_files import open_private

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
"""Non-blocking: a pipe without a reader must not hold up the caller."""


class AppendFile:
    """Appends lines to a file, and rotates it when it is full.

    Guarantees: the lines of several processes never mix, and the file may be moved at any time,
    because it is opened for each line. The file is readable and writable by its owner only.

    Parameters:
        path: The path of the file; the first line creates it.
        max_size: The size in bytes at which the file is rotated; None never rotates it.
        keep: How many rotated files are kept, as `PATH.1` (the newest), `PATH.2` and so on.
    """

    def __init__(self, path: str, *, max_size: int | None = None, keep: int = 0) -> None:
        self._path = path
        self._max_size = max_size
        self._keep = keep

    def append(self, line: bytes) -> None:
        """Append one line with its line end. Raises OSError."""
        file = open_private(self._path, _FLAGS)
        try:
            size = os.fstat(file).st_size
            if self._max_size is not None and 0 < size > self._max_size - len(line):
                self._rotate(file)
                os.close(file)
                file = open_private(self._path, _FLAGS)
            # One write, so that lines of several processes never mix.
            if os.write(file, line) != len(line):
                raise OSError("the disk accepted only a part of the line")
        finally:
            os.close(file)

    def _rotate(self, file: int) -> None:
        path = self._path
        if not os.path.samestat(os.fstat(file), os.stat(path)):
            return  # another process has just rotated it
        if self._keep == 0:
            os.unlink(path)
            return
        for number in range(self._keep - 1, 0, -1):
            if os.path.exists(f"{path}.{number}"):
                os.replace(f"{path}.{number}", f"{path}.{number + 1}")
        os.replace(path, f"{path}.1")
