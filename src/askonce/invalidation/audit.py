"""Auditing: one line for whatever was invalidated, with who did it and how much it was.

The line goes to the logger `askonce.audit` and, where the settings name one, to a file that is only
ever appended to. It is JSON on one line, in ASCII, so nothing that a caller sent can look like a
line of its own.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from askonce.core.fail_open import FailOpen

_log = logging.getLogger("askonce.audit")


class Audit:
    """Writes audit lines. A file that cannot be written to is counted and fails no call.

    The file is opened for every line, so it may be moved away at any time.
    """

    def __init__(
        self, boundary: FailOpen, now: Callable[[], float], path: str | None = None
    ) -> None:
        self._boundary = boundary
        self._now = now
        self._path = path

    def __call__(
        self,
        who: str,
        what: Mapping[str, Any],
        entries: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """Say that `who` invalidated `what`: these tags, and so many entries where they were
        counted (a bump of tags does not count them)."""
        line = json.dumps(
            {
                "at": round(self._now(), 3),
                "who": who,
                "what": dict(what),
                "tags": list(tags),
                "entries": entries,
            },
            default=str,
        )
        _log.info("%s", line)
        if self._path is not None:
            with self._boundary.around("audit"):
                _append(self._path, f"{line}\n".encode())


def _append(path: str, line: bytes) -> None:
    # Not blocking: a pipe that nobody reads is no file to wait for.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    file = os.open(path, flags, 0o600)
    try:
        # One write, so that lines of several processes never mix.
        if os.write(file, line) != len(line):
            raise OSError("the disk took a part of the line")
    finally:
        os.close(file)
